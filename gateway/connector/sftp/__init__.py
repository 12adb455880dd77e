"""What an SFTP server is spoken to with: the connection, reading, writing."""
