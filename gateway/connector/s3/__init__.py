"""What an S3 bucket is spoken to with: signatures, wire, uploads."""
