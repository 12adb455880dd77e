"""Sessions. The database keeps a digest of the token; the token is only in the cookie."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.domain.klant import Klant
from gateway.domain.session import Stage
from gateway.store.database import Connection, Record


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


@dataclass(frozen=True, slots=True)
class Look:
    """A session that is good, with its person and the klanten that person has access to."""

    session: Session
    username: str
    name: str
    role: str
    mobile_sealed: str | None
    language: str
    previous_login_at: datetime | None
    klanten: tuple[Klant, ...]


async def look(
    c: Connection, wanted: Sequence[tuple[str, str]], now: datetime
) -> list[Look | None]:
    """What stands behind each (firm, digest), in the order asked; None for what is ended, was
    never there, or belongs to a person who may no longer be here. Works without a firm."""
    rows = await c.fetch(
        "select * from visitors($1, $2, $3)", [f for f, _ in wanted], [d for _, d in wanted], now
    )
    found = {r["number"]: _look(r) for r in rows}
    return [found.get(i) for i in range(1, len(wanted) + 1)]


def _look(row: Record) -> Look:
    return Look(
        Session(
            row["digest"],
            row["person"],
            Stage(row["stage"]),
            row["klant"],
            row["next"],
            row["seen_at"],
            row["idle_until"],
            row["ends_at"],
        ),
        row["username"],
        row["name"],
        row["role"],
        row["mobile_sealed"],
        row["language"],
        row["previous_login_at"],
        tuple(Klant(*k) for k in json.loads(row["klanten"] or "[]")),
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


async def end(c: Connection, digest: str) -> bool:
    """End one; False when it had ended already."""
    return bool(await c.fetchval("delete from session where digest = $1 returning true", digest))


async def end_all(c: Connection, person: UUID) -> int:
    """End every session of a person; how many there were."""
    ended = await c.fetch("delete from session where person = $1 returning digest", person)
    return len(ended)
