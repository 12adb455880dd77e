"""The proof of a stuk: one JSON file that shows what was approved, by whom, and what became of it.

It is checked without a server or a database. Three things hold it together: the receiver's own
signed replies; the chain of the audit up to a signed checkpoint (gateway.domain.chain), which
was signed before anybody knew that this proof would be asked; and a seal over the whole file,
made when the proof was. The key belongs to who made it: compare it with one from elsewhere.

`contents.ONLY_SEALED` lists what the seal alone covers: names that the audit does not hold,
because it holds no personal data, and moments that it holds as its own.
"""
