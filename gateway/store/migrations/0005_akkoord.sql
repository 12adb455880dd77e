-- Lists ask for what counts of many stukken at once.
create index akkoord_stuk on akkoord (firm, stuk) where void_at is null;
