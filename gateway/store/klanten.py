"""Klanten, and who has access to which."""

from collections.abc import Sequence, Set
from uuid import UUID

from gateway.domain.klant import Klant
from gateway.store.database import Connection, Record


def _klant(row: Record) -> Klant:
    return Klant(row["number"], row["name"], row["relatiebeheerder"])


async def of_person(c: Connection, person: UUID) -> list[Klant]:
    """The klanten that a person has access to, by name."""
    rows = await c.fetch(
        "select k.number, k.name, k.relatiebeheerder from access a"
        " join klant k on k.firm = a.firm and k.number = a.klant"
        " where a.person = $1 order by lower(k.name), k.number",
        person,
    )
    return [_klant(r) for r in rows]


async def find(c: Connection, number: str) -> Klant | None:
    """The klant of that number."""
    row = await c.fetchrow(
        "select number, name, relatiebeheerder from klant where number = $1", number
    )
    return _klant(row) if row else None


async def known(c: Connection, numbers: Sequence[str]) -> set[str]:
    """Those that are a klant's."""
    rows = await c.fetch("select number from klant where number = any ($1)", list(numbers))
    return {r["number"] for r in rows}


async def one_batch(c: Connection, firm: str) -> None:
    """Until the transaction ends, no other batch of klanten, personen or mandaten of the firm is
    worked on: two with the same rows in another order would deadlock, or add a row twice."""
    await c.execute("select pg_advisory_xact_lock(hashtextextended('syncing:' || $1, 0))", firm)


async def put(
    c: Connection, firm: str, klanten: Sequence[Klant], keep: Set[str] = frozenset()
) -> None:
    """Add or change klanten. keep: numbers of those whose relatiebeheerder stays as it is. The
    caller holds `one_batch`."""
    await c.executemany(
        "insert into klant (firm, number, name, relatiebeheerder) values ($1, $2, $3, $4)"
        " on conflict (firm, number) do update set name = excluded.name, relatiebeheerder ="
        " case when $5 then klant.relatiebeheerder else excluded.relatiebeheerder end",
        [(firm, k.number, k.name, k.relatiebeheerder, k.number in keep) for k in klanten],
    )


async def access_of(c: Connection, persons: Sequence[UUID]) -> dict[UUID, set[str]]:
    """The numbers of the klanten that each of them has access to; who has none is not there."""
    rows = await c.fetch("select person, klant from access where person = any ($1)", list(persons))
    found: dict[UUID, set[str]] = {}
    for row in rows:
        found.setdefault(row["person"], set()).add(row["klant"])
    return found


async def grant(c: Connection, firm: str, person: UUID, number: str) -> None:
    """Give access; again is no fault."""
    await c.execute(
        "insert into access (firm, person, klant) values ($1, $2, $3) on conflict do nothing",
        firm,
        person,
        number,
    )


async def revoke(c: Connection, person: UUID, number: str) -> bool:
    """Take access away; False when there was none."""
    return bool(
        await c.fetchval(
            "delete from access where person = $1 and klant = $2 returning true", person, number
        )
    )
