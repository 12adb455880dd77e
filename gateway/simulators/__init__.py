"""Shipped programs that stand in for what the portal talks to; they share no code with it."""
