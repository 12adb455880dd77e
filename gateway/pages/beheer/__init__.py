"""The firm's desk: its stukken, and what staff does with them (inventory row 183)."""
