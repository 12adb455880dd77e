"""What mailboxes took in, each file once, and how far their return messages are."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from gateway.store.database import Connection, Database


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a file. moved: it was taken out of the inbox."""

    outcome: str
    stuk: UUID | None
    faults_sealed: str | None
    moved: bool


@asynccontextmanager
async def claimed(db: Database, firm: str, mailbox: str) -> AsyncIterator[bool]:
    """Hold the mailbox's lock; False when another worker does. See deliveries.claimed."""
    digest = hashlib.sha256(f"mailbox:{firm}:{mailbox}".encode()).digest()
    async with db.connection() as c:
        key = int.from_bytes(digest[:8], "big", signed=True)
        yield bool(await c.fetchval("select pg_try_advisory_lock($1)", key))


async def done(c: Connection, mailbox: str, documents: Sequence[str]) -> dict[str, Done]:
    """Those of the files that are known."""
    rows = await c.fetch(
        "select document, outcome, stuk, faults_sealed, moved_at is not null as moved"
        " from processed where mailbox = $1 and document = any ($2)",
        mailbox,
        list(documents),
    )
    return {
        r["document"]: Done(r["outcome"], r["stuk"], r["faults_sealed"], r["moved"]) for r in rows
    }


async def record(
    c: Connection,
    firm: str,
    mailbox: str,
    documents: Sequence[str],
    outcome: str,
    *,
    stuk: UUID | None = None,
    content: str | None = None,
    stem_sealed: str | None = None,
    faults_sealed: str | None = None,
) -> bool:
    """What becomes of the files of a set; False when another worker was first. One that was
    moved out before and came back is recorded anew; the stuk that it made before, and what of,
    stay known, or the same content could make another."""
    for document in documents:
        mine = await c.fetchval(
            "insert into processed as p (firm, mailbox, document, outcome, stuk, content,"
            " stem_sealed, faults_sealed) values ($1, $2, $3, $4, $5, $6, $7, $8)"
            " on conflict (firm, mailbox, document) do update set outcome = excluded.outcome,"
            " stuk = coalesce(excluded.stuk, p.stuk),"
            " content = coalesce(excluded.content, p.content),"
            " stem_sealed = excluded.stem_sealed, faults_sealed = excluded.faults_sealed,"
            " moved_at = null, at = clock_timestamp() where p.moved_at is not null"
            " returning true",
            firm,
            mailbox,
            document,
            outcome,
            stuk,
            content,
            stem_sealed,
            faults_sealed,
        )
        if not mine:
            return False
    return True


async def moved(c: Connection, mailbox: str, document: str) -> None:
    """It is out of the inbox."""
    await c.execute(
        "update processed set moved_at = clock_timestamp() where mailbox = $1 and document = $2",
        mailbox,
        document,
    )


async def same(c: Connection, mailbox: str, content: str) -> UUID | None:
    """A stuk that still counts (see stukken.duplicate), made of the same content."""
    found: UUID | None = await c.fetchval(
        "select s.id from processed p join stuk s on s.firm = p.firm and s.id = p.stuk"
        " where p.mailbox = $1 and p.content = $2 and s.state not in ('ingetrokken',"
        " 'vervangen', 'afgekeurd', 'gewijzigd_na_akkoord', 'fout_bij_verzending') limit 1",
        mailbox,
        content,
    )
    return found


async def cursor(c: Connection, firm: str, mailbox: str) -> int:
    """The number up to which it was told; of a new mailbox: from now on."""
    number: int = await c.fetchval(
        "insert into mailbox (firm, id, cursor)"
        " values ($1, $2, (select coalesce(max(number), 0) from chain))"
        " on conflict (firm, id) do update set cursor = mailbox.cursor returning cursor",
        firm,
        mailbox,
    )
    return number


async def told(c: Connection, mailbox: str, number: int, stuk: UUID | None = None) -> None:
    """All up to that number was told. stuk: whose message was written."""
    await c.execute("update mailbox set cursor = $2 where id = $1", mailbox, number)
    await c.execute(
        "update processed set reported_at = clock_timestamp() where mailbox = $1 and stuk = $2",
        mailbox,
        stuk,
    )


async def stems(c: Connection, mailbox: str, stukken: Sequence[UUID]) -> dict[UUID, str]:
    """Those of the stukken that came by this mailbox, and what their messages are called by."""
    rows = await c.fetch(
        "select stuk, min(stem_sealed) as stem from processed where mailbox = $1"
        " and stuk = any ($2) and stem_sealed is not null group by stuk",
        mailbox,
        list(stukken),
    )
    return {r["stuk"]: r["stem"] for r in rows}
