"""What happened to stukken, in the order of the commits: the audit by the numbers of its chain."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.domain.stuk import State
from gateway.store.database import Connection


@dataclass(frozen=True, slots=True)
class Event:
    """number: its place among all events of the firm; later ones have a higher one, without
    exception, because it is given at the commit. state: the stuk's, now."""

    number: int
    event: str
    stuk: UUID
    klant: str
    at: datetime
    data: dict[str, Any]
    state: State


_SELECT = (
    "select c.number, a.event, s.id as stuk, s.klant, a.at, a.data, s.state"
    " from chain c join audit a on a.firm = c.firm and a.id = c.audit"
    " join stuk s on s.firm = c.firm and a.subject = 'stuk:' || s.id::text"
)


def _event(row: object) -> Event:
    fields = dict(row)  # type: ignore[call-overload]
    return Event(**{**fields, "data": json.loads(fields["data"]), "state": State(fields["state"])})


async def since(c: Connection, number: int, names: Sequence[str], most: int) -> list[Event]:
    """The next events after a number, oldest first."""
    rows = await c.fetch(
        _SELECT + " where c.number > $1 and a.event = any ($2) order by c.number limit $3",
        number,
        list(names),
        most,
    )
    return [_event(r) for r in rows]


async def one(c: Connection, number: int) -> Event | None:
    """The event of a number."""
    row = await c.fetchrow(_SELECT + " where c.number = $1", number)
    return _event(row) if row else None


async def last(c: Connection) -> int:
    """The number of the newest event of all; 0 before the first."""
    return int(await c.fetchval("select coalesce(max(number), 0) from chain"))
