"""PostgreSQL: the only place where SQL is spoken. One module per aggregate."""
