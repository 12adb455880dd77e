"""Codes by SMS. A try is counted in the same statement that reads the code."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.domain.code import TRIES
from gateway.store.database import Connection


@dataclass(frozen=True, slots=True)
class Try:
    """A counted try: the code's row, its digest, and how many tries are left after this one."""

    id: UUID
    digest: str
    left: int


@dataclass(frozen=True, slots=True)
class Sent:
    """How many codes went out in a session for a purpose, and when the last did."""

    count: int
    last: datetime | None


async def add(
    c: Connection,
    firm: str,
    person: UUID,
    session: str,
    purpose: str,
    subject: str,
    digest: str,
    now: datetime,
    expires_at: datetime,
) -> UUID:
    """A new code; the ones before it in this session and for this purpose are void."""
    await c.execute(
        "update code set void_at = $3 where session = $1 and purpose = $2"
        " and used_at is null and void_at is null",
        session,
        purpose,
        now,
    )
    id: UUID = await c.fetchval(
        "insert into code"
        " (firm, person, session, purpose, subject, digest, created_at, expires_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8) returning id",
        firm,
        person,
        session,
        purpose,
        subject,
        digest,
        now,
        expires_at,
    )
    return id


async def sent(c: Connection, session: str, purpose: str, subject: str = "") -> Sent:
    """What went out."""
    row = await c.fetchrow(
        "select count(*) as count, max(created_at) as last from code"
        " where session = $1 and purpose = $2 and subject = $3",
        session,
        purpose,
        subject,
    )
    return Sent(row["count"], row["last"]) if row else Sent(0, None)


async def take_try(
    c: Connection, session: str, purpose: str, subject: str, now: datetime
) -> Try | None:
    """Count one try against the newest good code; None when there is none, or no try is left.

    The row is locked until the transaction ends: of any number of guesses at the same moment,
    as many are looked at as there are tries.
    """
    row = await c.fetchrow(
        "update code set tries = tries + 1 where id = ("
        "  select id from code where session = $1 and purpose = $2 and subject = $3"
        "  and used_at is null and void_at is null and expires_at > $4"
        "  order by created_at desc limit 1 for update"
        ") and tries < $5 returning id, digest, tries",
        session,
        purpose,
        subject,
        now,
        TRIES,
    )
    return Try(row["id"], row["digest"], TRIES - row["tries"]) if row else None


async def use(c: Connection, id: UUID, now: datetime) -> bool:
    """Mark it used; False when it was used or void already."""
    return bool(
        await c.fetchval(
            "update code set used_at = $2 where id = $1 and used_at is null and void_at is null"
            " returning true",
            id,
            now,
        )
    )


async def void(c: Connection, id: UUID, now: datetime) -> None:
    """It was never sent."""
    await c.execute("update code set void_at = $2 where id = $1", id, now)
