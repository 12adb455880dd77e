"""The manual's "stromen": one verb, one function. Only flows open transactions and join the
store, the adapters and the rules."""
