"""The proof of a stuk: gathered as JSON, checked offline, and printed as a PDF to read.

What the file holds and how it hangs together: gateway.domain.proof. Here the receivers' signed
replies are opened too. No byte of a document is in it, only hashes.
"""
