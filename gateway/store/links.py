"""Links that were mailed: a digest of the token, used once."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.store.database import Connection


@dataclass(frozen=True, slots=True)
class Link:
    """A link that is still good."""

    person: UUID
    purpose: str


async def add(
    c: Connection, firm: str, digest: str, person: UUID, purpose: str, expires_at: datetime
) -> None:
    """A new link; the person's older ones are void."""
    await drop(c, person)
    await c.execute(
        "insert into link (firm, digest, person, purpose, expires_at) values ($1, $2, $3, $4, $5)",
        firm,
        digest,
        person,
        purpose,
        expires_at,
    )


async def drop(c: Connection, person: UUID) -> None:
    """The person's links are void."""
    await c.execute("delete from link where person = $1 and used_at is null", person)


async def find(c: Connection, digest: str, now: datetime) -> Link | None:
    """The link, unless it was used or is too old. Changes nothing."""
    row = await c.fetchrow(
        "select person, purpose from link"
        " where digest = $1 and used_at is null and expires_at > $2",
        digest,
        now,
    )
    return Link(row["person"], row["purpose"]) if row else None


async def use(c: Connection, digest: str, now: datetime) -> Link | None:
    """Use it; None when somebody was first."""
    row = await c.fetchrow(
        "update link set used_at = $2"
        " where digest = $1 and used_at is null and expires_at > $2 returning person, purpose",
        digest,
        now,
    )
    return Link(row["person"], row["purpose"]) if row else None
