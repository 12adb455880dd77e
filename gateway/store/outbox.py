"""Mail that is to go out. Sealed, because a letter may hold a link's token."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.store.database import Connection


@dataclass(frozen=True, slots=True)
class Letter:
    """One that is due. `tries` counts this one."""

    id: UUID
    event: str
    recipient_sealed: str
    payload_sealed: str
    tries: int
    created_at: datetime


async def add(c: Connection, firm: str, event: str, recipient: str, payload: str) -> UUID:
    """Put one in; a worker finds it once the transaction has committed."""
    id: UUID = await c.fetchval(
        "insert into outbox (firm, event, recipient_sealed, payload_sealed)"
        " values ($1, $2, $3, $4) returning id",
        firm,
        event,
        recipient,
        payload,
    )
    return id


async def bundle(
    c: Connection,
    firm: str,
    event: str,
    recipient: str,
    payload: str,
    together: str,
    due_at: datetime,
    bundle: str,
) -> None:
    """Put one in that others of the same `bundle` may still join until `due_at`.

    payload: what it says alone; together: what it says for more than one.
    """
    await c.execute(
        "insert into outbox (firm, event, recipient_sealed, payload_sealed, due_at, bundle)"
        " values ($1, $2, $3, $4, $6, $7)"
        " on conflict (firm, bundle) where state = 'waiting' and tries = 0 and bundle is not null"
        " do update set payload_sealed = $5",
        firm,
        event,
        recipient,
        payload,
        together,
        due_at,
        bundle,
    )


async def firms(c: Connection, now: datetime) -> list[str]:
    """Firms that have mail due; works without a firm."""
    return [r[0] for r in await c.fetch("select firms_with_mail($1)", now)]


async def claim(c: Connection, now: datetime, again_at: datetime) -> Letter | None:
    """One that is due, held by this transaction alone.

    It becomes due again at `again_at`: should this process die while it sends, another sends
    it then. At least once, that is.
    """
    row = await c.fetchrow(
        "update outbox set tries = tries + 1, due_at = $2 where id = ("
        "  select id from outbox where state = 'waiting' and due_at <= $1"
        "  order by due_at limit 1 for update skip locked"
        ") returning id, event, recipient_sealed, payload_sealed, tries, created_at",
        now,
        again_at,
    )
    if row is None:
        return None
    return Letter(
        row["id"],
        row["event"],
        row["recipient_sealed"],
        row["payload_sealed"],
        row["tries"],
        row["created_at"],
    )


async def sent(c: Connection, id: UUID) -> None:
    """It went out; what it said is forgotten."""
    await c.execute(
        "update outbox set state = 'sent', sent_at = now(), payload_sealed = '', error = ''"
        " where id = $1",
        id,
    )


async def later(c: Connection, id: UUID, due_at: datetime, error: str) -> None:
    """It did not go out; try again then."""
    await c.execute(
        "update outbox set due_at = $2, error = left($3, 200) where id = $1", id, due_at, error
    )


async def give_up(c: Connection, id: UUID, error: str) -> None:
    """It will not go out."""
    await c.execute(
        "update outbox set state = 'failed', payload_sealed = '', error = left($2, 200)"
        " where id = $1",
        id,
        error,
    )
