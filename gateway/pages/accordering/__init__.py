"""Accordering (manual 4): what waits, one stuk, approving with a code, and the overview."""
