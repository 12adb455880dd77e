"""What a folder is read and written with."""
