"""Sessions. The database keeps a digest of the token; the token is only in the cookie."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.domain.session import Stage
from gateway.store.database import Connection


@dataclass(frozen=True, slots=True)
class Session:
    """One row that is still good."""

    digest: str
    person: UUID
    stage: Stage
    klant: str | None
    next: str | None
    seen_at: datetime
    idle_until: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class New:
    """What a session begins with."""

    digest: str
    person: UUID
    stage: Stage
    klant: str | None
    next: str | None
    address: str
    agent: str
    idle_until: datetime
    ends_at: datetime


async def add(c: Connection, firm: str, new: New) -> None:
    """Begin one."""
    await c.execute(
        "insert into session"
        " (firm, digest, person, stage, klant, next, address, agent, idle_until, ends_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, left($8, 200), $9, $10)",
        firm,
        new.digest,
        new.person,
        new.stage.value,
        new.klant,
        new.next,
        new.address,
        new.agent,
        new.idle_until,
        new.ends_at,
    )


async def find(c: Connection, digest: str, now: datetime) -> Session | None:
    """The session, unless it has ended or its person may no longer be here."""
    row = await c.fetchrow(
        "select s.digest, s.person, s.stage, s.klant, s.next, s.seen_at, s.idle_until, s.ends_at"
        " from session s join person p on p.firm = s.firm and p.id = s.person"
        " where s.digest = $1 and s.idle_until > $2 and s.ends_at > $2 and p.state = 'active'",
        digest,
        now,
    )
    if row is None:
        return None
    return Session(
        row["digest"],
        row["person"],
        Stage(row["stage"]),
        row["klant"],
        row["next"],
        row["seen_at"],
        row["idle_until"],
        row["ends_at"],
    )


async def touch(c: Connection, digest: str, now: datetime, idle_until: datetime) -> None:
    """It was used."""
    await c.execute(
        "update session set seen_at = $2, idle_until = $3 where digest = $1",
        digest,
        now,
        idle_until,
    )


async def look_at(c: Connection, digest: str, klant: str) -> None:
    """Another organisation is being looked at."""
    await c.execute("update session set klant = $2 where digest = $1", digest, klant)


async def end(c: Connection, digest: str) -> None:
    """End one."""
    await c.execute("delete from session where digest = $1", digest)


async def end_all(c: Connection, person: UUID) -> int:
    """End every session of a person; how many there were."""
    ended = await c.fetch("delete from session where person = $1 returning digest", person)
    return len(ended)
