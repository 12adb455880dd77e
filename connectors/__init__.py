"""Kinds of back office, one file each. See docs/connectors.md to write one."""
