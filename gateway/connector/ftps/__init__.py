"""What an FTP server is spoken to with, over TLS only: the connections, reading, writing."""
