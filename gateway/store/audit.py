"""What happened: rows are added in the transaction of the change, and never changed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from uuid import UUID

import structlog

from gateway.store.database import Connection


async def record(
    c: Connection,
    event: str,
    *,
    firm: str,
    person: UUID | None = None,
    klant: str | None = None,
    subject: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """One event. `data` holds ids and sealed values, never a name, number or content in clear."""
    request = structlog.contextvars.get_contextvars().get("request", "")
    await c.execute(
        "insert into audit (firm, event, person, klant, subject, request, data)"
        " values ($1, $2, $3, $4, $5, $6, $7::jsonb)",
        firm,
        event,
        person,
        klant,
        subject,
        request,
        json.dumps(dict(data or {})),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One event for `append`; fields as in `record`. request: id of the request."""

    firm: str
    event: str
    person: UUID | None
    klant: str | None
    subject: str
    request: str
    data: str


def event(
    name: str,
    *,
    firm: str,
    person: UUID | None,
    klant: str | None,
    subject: str,
    data: Mapping[str, Any],
) -> Event:
    """An event of the request that is being answered."""
    request = structlog.contextvars.get_contextvars().get("request", "")
    return Event(firm, name, person, klant, subject, request, json.dumps(dict(data)))


_FIELDS = attrgetter("firm", "event", "person", "klant", "subject", "request", "data")


async def append(c: Connection, events: Sequence[Event]) -> list[None]:
    """Many events in one statement, durable when it returns. Works without a firm.

    In the order of the firms, because each firm's chain is locked at the end (0002_stukken.sql).
    """
    columns = zip(*map(_FIELDS, sorted(events, key=attrgetter("firm"))), strict=True)
    await c.execute("select audit_append($1, $2, $3, $4, $5, $6, $7)", *map(list, columns))
    return [None] * len(events)
