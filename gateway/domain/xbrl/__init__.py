"""XBRL instances: read, checked and shown, without a taxonomy and without I/O."""
