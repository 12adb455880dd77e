"""What an SMB share is spoken to with."""
