"""What was taken: append-only, durable, and read by other processes at any time.

An SQLite file in WAL mode with synchronous=FULL: a booking is on the disk before the client hears
of it. Triggers refuse to change or delete one. It says what came, with sizes and hashes, and
never holds a document: it is the judge of what a gateway delivered, and how often.
"""

import json
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

_SCHEMA = """
create table if not exists booking (
  volgnummer integer primary key,
  kenmerk text not null unique,
  message_id text not null unique,
  oin text not null,
  berichtsoort text not null,
  nummer text not null,
  type text not null,
  aanleverkenmerk text,
  scenario text not null,
  speed real not null,
  at text not null,
  request text not null
) strict;
create index if not exists booking_about on booking (oin, berichtsoort, nummer, type);
create trigger if not exists booking_stays before update on booking
begin select raise(abort, 'a booking is never changed'); end;
create trigger if not exists booking_remains before delete on booking
begin select raise(abort, 'a booking is never deleted'); end;
create table if not exists told (
  oin text not null, question text not null, kenmerk text not null, count integer not null,
  primary key (oin, question, kenmerk)
) strict;
"""
_COLUMNS = ("kenmerk", "message_id", "oin", "berichtsoort", "nummer", "type", "aanleverkenmerk",
            "scenario", "speed", "at")  # fmt: skip

Booking = dict[str, Any]


class Ledger:
    """The bookings of one simulator; may be used from several threads."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def book(self, booking: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """One more; on the disk when this returns. request: the whole form of it."""
        marks = ", ".join("?" * (len(_COLUMNS) + 1))
        sql = f"insert into booking ({', '.join(_COLUMNS)}, request) values ({marks})"  # noqa: S608
        values = [booking.get(c) for c in _COLUMNS]
        with self._lock:
            self._db.execute(sql, [*values, json.dumps(request, ensure_ascii=False)])

    def all(self) -> list[Booking]:
        """Every booking, newest last."""
        return self._rows({})

    def find(self, **where: str) -> list[Booking]:
        """The bookings with these values, newest last; a name is a column's."""
        return self._rows(where)

    def tell_once(self, oin: str, question: str, counts: Mapping[str, int]) -> dict[str, int]:
        """How much of each kenmerk this certificate was told before; now it is told all.

        counts: how much there is to tell, by kenmerk.
        """
        with self._lock, self._db:
            self._db.execute("begin immediate")
            before = {k: self._told(oin, question, k) for k in counts}
            self._db.executemany(
                "insert into told values (?, ?, ?, ?)"
                " on conflict (oin, question, kenmerk) do update set count = excluded.count",
                [(oin, question, k, n) for k, n in counts.items()],
            )
        return before

    def _told(self, oin: str, question: str, kenmerk: str) -> int:
        found = self._db.execute(
            "select count from told where (oin, question, kenmerk) = (?, ?, ?)",
            (oin, question, kenmerk),
        ).fetchone()
        return int(found[0]) if found else 0

    def _rows(self, where: Mapping[str, str]) -> list[Booking]:
        with self._lock:
            return _select(self._db, where)


def read(file: Path) -> list[Booking]:
    """Every booking, newest last, for another process; none when there is no ledger yet."""
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        made = db.execute("select 1 from sqlite_master where name = 'booking'").fetchone()
        return _select(db, {}) if made else []


def _select(db: sqlite3.Connection, where: Mapping[str, str]) -> list[Booking]:
    """Column names in `where` come from the code, values from the caller."""
    condition = " and ".join(f"{name} = ?" for name in where) or "true"
    sql = f"select * from booking where {condition} order by volgnummer"  # noqa: S608
    return [_booking(row) for row in db.execute(sql, list(where.values()))]


def _booking(row: sqlite3.Row) -> Booking:
    """A row with what the request said beside it."""
    found = {name: row[name] for name in row.keys()}  # noqa: SIM118  # a Row iterates its values
    request = json.loads(found.pop("request"))
    return {
        **found,
        "rol": request.get("rolBelanghebbende"),
        "ontvanger": request.get("identiteitOntvanger"),
        "inhoud": request["berichtInhoud"],
        "bijlagen": request.get("berichtBijlagen", []),
        "request": request,
    }
