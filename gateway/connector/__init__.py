"""The contract of a back office, how one is found, and the guard that keeps it polite."""
