"""Parts of the `cmis` connector."""
