"""Accordering: what waits for a client, opening it, and approving, rejecting and sending it.

Approving is provisional until a code confirms it ("klaar om te verzenden"); one code confirms a
whole batch and is bound to the hashes of exactly those stukken (decision 4 of the inventory).
"""
