"""Delivering: from an approved stuk to the receiver, once, and its statuses to the end.

trust.md section 4 is the contract. Each call of `lanes.step` does the one thing that is due for
one delivery, under its session lock, and commits what happened. It may be killed at any point: the
next call finds in the database what was intended, and asks the receiver before anything is sent
a second time.
"""
