"""The chain of the audit and its checkpoints (0002_stukken.sql), and what a proof asks of them.

PostgreSQL alone adds to the chain; here it is read. Rows come as the digest takes them, with the
moment and the data as PostgreSQL's text.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.domain.accordering import Mandate
from gateway.domain.chain import Checkpoint, Link, Row, moment
from gateway.store.database import Connection, Database, Record

_ROW = (
    "a.firm, a.id, to_char(a.at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as at,"
    " a.event, a.person::text, a.klant, a.subject, a.request, a.data::text"
)
_CHECKPOINT = "p.firm, p.number, p.hash, p.at, p.key, p.signature"
_LINK = "c.number, c.audit, c.digest, c.hash"
#: Rows that a cursor fetches at a time.
_FETCH = 1000
#: Seconds that one fetch may take: a firm's whole audit may have to be joined before the first.
_PATIENCE = 3600.0


def _checkpoint(firm: str, number: int, hash: str, at: datetime, key: str, signature: str) -> (
    Checkpoint
):  # fmt: skip
    return Checkpoint(firm, number, hash, moment(at), key, signature)


@dataclass(frozen=True, slots=True)
class Linked:
    """A link with its row and the checkpoint at it; None where there is none."""

    link: Link
    row: Row | None
    checkpoint: Checkpoint | None


async def every(c: Connection) -> AsyncIterator[Linked]:
    """The whole chain in the order of its numbers, by a cursor. In a transaction."""
    found = c.cursor(
        f"select {_LINK}, a.id is not null as there, {_ROW}, p.number is not null as signed,"
        f" {_CHECKPOINT} from chain c left join audit a on a.firm = c.firm and a.id = c.audit"
        " left join checkpoint p on p.firm = c.firm and p.number = c.number order by c.number",
        prefetch=_FETCH,
        timeout=_PATIENCE,
    )
    async for row in found:
        yield _linked(tuple(row))


def _linked(values: tuple[object, ...]) -> Linked:
    """By position: four columns of the link, a flag and nine of the row, a flag and six."""
    row = Row(*values[5:14]) if values[4] else None  # type: ignore[arg-type]
    signed = _checkpoint(*values[15:21]) if values[14] else None  # type: ignore[arg-type]
    return Linked(Link(*values[:4]), row, signed)  # type: ignore[arg-type]


async def outside(c: Connection) -> AsyncIterator[Row]:
    """Rows of the audit that no link names."""
    found = c.cursor(
        f"select {_ROW} from audit a where not exists"
        " (select from chain c where c.firm = a.firm and c.audit = a.id) order by a.id",
        prefetch=_FETCH,
        timeout=_PATIENCE,
    )
    async for row in found:
        yield Row(*row)


async def orphans(c: Connection) -> list[Checkpoint]:
    """Checkpoints without a link."""
    rows = await c.fetch(
        f"select {_CHECKPOINT} from checkpoint p where not exists"
        " (select from chain c where c.firm = p.firm and c.number = p.number) order by p.number"
    )
    return [_checkpoint(*r) for r in rows]


async def head(c: Connection) -> Link | None:
    """The last link."""
    row = await c.fetchrow(f"select {_LINK} from chain c order by c.number desc limit 1")
    return Link(*row) if row else None


async def last_checkpoint(c: Connection) -> Checkpoint | None:
    """The newest."""
    row = await c.fetchrow(
        f"select {_CHECKPOINT} from checkpoint p order by p.number desc limit 1"
    )
    return _checkpoint(*row) if row else None


async def add_checkpoint(c: Connection, made: Checkpoint) -> None:
    """A new one; where there is one already, that one stays."""
    await c.execute(
        "insert into checkpoint (firm, number, hash, at, key, signature)"
        " values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
        made.firm,
        made.number,
        made.hash,
        datetime.fromisoformat(made.at),
        made.key,
        made.signature,
    )


# --- what a proof asks


@asynccontextmanager
async def snapshot(db: Database, firm: str) -> AsyncIterator[Connection]:
    """A transaction that reads one firm as it was at one moment, and locks nothing."""
    async with (
        db.connection() as c,
        c.transaction(isolation="repeatable_read", readonly=True),
    ):
        await c.execute("select set_config('app.firm', $1, true)", firm)
        yield c


async def of_subject(c: Connection, subject: str) -> list[tuple[int | None, Row]]:
    """The rows about a subject in the order of the chain, each with the number of its link."""
    rows = await c.fetch(
        f"select c.number, {_ROW} from audit a left join chain c on c.firm = a.firm"
        " and c.audit = a.id where a.subject = $1 order by c.number",
        subject,
    )
    return [(number, Row(*row)) for number, *row in rows]


async def checkpoint_at(c: Connection, number: int, key: str) -> Checkpoint | None:
    """The first checkpoint of this key at a link or after it."""
    row = await c.fetchrow(
        f"select {_CHECKPOINT} from checkpoint p where p.number >= $1 and p.key = $2"
        " order by p.number limit 1",
        number,
        key,
    )
    return _checkpoint(*row) if row else None


async def piece(c: Connection, first: int, last: int) -> tuple[str, list[str]]:
    """The hash before link `first` ("" before the first of all), and the digests to `last`."""
    rows: list[Record] = await c.fetch(
        "select number, digest, hash from chain where number between $1 and $2 order by number",
        first - 1,
        last,
    )
    before = rows.pop(0)["hash"] if first > 1 else ""
    return before, [r["digest"] for r in rows]


async def mandates(
    c: Connection, klant: str, people: Sequence[UUID]
) -> list[tuple[Mandate, datetime]]:
    """Every mandate of these people for a klant, also ended ones and of people who left; with
    the moment at which it was recorded. The oldest first."""
    rows = await c.fetch(
        "select created_at, id, person, klant, soort, since, until from mandate"
        " where klant = $1 and person = any ($2) order by created_at, id",
        klant,
        list(people),
    )
    return [(Mandate(*mandate), created_at) for created_at, *mandate in rows]
