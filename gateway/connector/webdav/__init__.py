"""What a WebDAV server is spoken to with: requests, listings, documents, uploads."""
