"""Mandates, and the numbers that a klant is known by at the receivers."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

from gateway.domain.accordering import Mandate
from gateway.store.database import Connection


async def of_klanten(
    c: Connection, klanten: Sequence[str], *, person: UUID | None = None, invited: bool = False
) -> list[Mandate]:
    """Every mandate for these klanten of people who may still sign in and have access; or those
    of one person. invited: also of people who have yet to choose a password."""
    rows = await c.fetch(
        "select m.id, m.person, m.klant, m.soort, m.since, m.until from mandate m"
        " join person p on p.firm = m.firm and p.id = m.person"
        " and (p.state = 'active' or $3 and p.state = 'invited')"
        " join access a on a.firm = m.firm and a.person = m.person and a.klant = m.klant"
        " where m.klant = any ($1) and ($2::uuid is null or m.person = $2)",
        list(klanten),
        person,
        invited,
    )
    return [Mandate(**dict(r)) for r in rows]


async def add(
    c: Connection,
    firm: str,
    person: UUID,
    klant: str,
    soort: str,
    since: date,
    until: date | None,
) -> UUID:
    """A new one."""
    id: UUID = await c.fetchval(
        "insert into mandate (firm, person, klant, soort, since, until)"
        " values ($1, $2, $3, $4, $5, $6) returning id",
        firm,
        person,
        klant,
        soort,
        since,
        until,
    )
    return id


async def of_persons(c: Connection, persons: Sequence[UUID]) -> list[Mandate]:
    """Every mandate that they have or had, whether it can be used or not; the oldest first."""
    rows = await c.fetch(
        "select id, person, klant, soort, since, until from mandate where person = any ($1)"
        " order by since, created_at, id",
        list(persons),
    )
    return [Mandate(**dict(r)) for r in rows]


async def until(c: Connection, id: UUID, last: date | None) -> None:
    """Another last day; None: it has none."""
    await c.execute("update mandate set until = $2 where id = $1", id, last)


async def end(c: Connection, person: UUID, klant: str, soort: str, last: date) -> int:
    """End those that still run; how many."""
    rows = await c.fetch(
        "update mandate set until = $4 where person = $1 and klant = $2 and soort = $3"
        " and (until is null or until > $4) returning id",
        person,
        klant,
        soort,
        last,
    )
    return len(rows)


async def take_identity(c: Connection, klant: str, type: str, digest: str) -> bool:
    """The klant has this number no more; whether it had it."""
    found = await c.fetchval(
        "delete from klant_identity where klant = $1 and type = $2 and digest = $3 returning true",
        klant,
        type,
        digest,
    )
    return bool(found)


async def put_identities(c: Connection, firm: str, found: Sequence[tuple[str, str, str]]) -> None:
    """Klanten have these numbers: klant, type and digest of each; again is no fault."""
    await c.executemany(
        "insert into klant_identity (firm, klant, type, digest) values ($1, $2, $3, $4)"
        " on conflict do nothing",
        [(firm, *one) for one in found],
    )


async def klanten_of(c: Connection, type: str, digests: Sequence[str]) -> set[str]:
    """The klanten that have one of these numbers."""
    rows = await c.fetch(
        "select klant from klant_identity where type = $1 and digest = any ($2)",
        type,
        list(digests),
    )
    return {r["klant"] for r in rows}


async def identities(c: Connection, klant: str, type: str) -> set[str]:
    """Digests of the klant's numbers of a type."""
    rows = await c.fetch(
        "select digest from klant_identity where klant = $1 and type = $2", klant, type
    )
    return {r["digest"] for r in rows}
