"""Webhooks of packages, and the events that are on their way to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.store.database import Connection

#: A package without a key that works hears nothing until it has one again.
_HEARD = (
    "w.ended_at is null and exists (select from api_key k where k.package = w.package"
    " and (k.expires_at is null or k.expires_at > clock_timestamp()))"
)
#: An event e that is due, and not behind an earlier one of its stuk. Looked at one by one, in the
#: order of the index webhook_event_next; "offset 0" keeps it from becoming a join, for which all
#: that waits would be looked at.
_FREE = (
    "e.state = 'waiting' and e.ended_at is null and e.due_at <= $1 and not exists ("
    "  select from webhook_event b where b.firm = e.firm and b.webhook = e.webhook"
    "  and b.subject = e.subject and b.state = 'waiting' and b.number < e.number offset 0)"
)
_NEXT = "order by e.tries, e.due_at, e.number"


@dataclass(frozen=True, slots=True)
class Webhook:
    """package: its name. waiting, dead: how many of its events are."""

    id: UUID
    package: str
    url: str
    ended_at: datetime | None
    waiting: int
    dead: int


_SELECT = (
    "select w.id, (select p.name from package p where p.firm = w.firm and p.id = w.package)"
    " as package, w.url, w.ended_at,"
    " count(*) filter (where e.state = 'waiting') as waiting,"
    " count(*) filter (where e.state = 'dead') as dead"
    " from webhook w left join webhook_event e"
    " on e.firm = w.firm and e.webhook = w.id and e.state <> 'sent'"
)


async def lock_package(c: Connection, package: UUID) -> None:
    """Whoever else counts or adds its webhooks waits."""
    await c.execute("select from package where id = $1 for update", package)


async def add(
    c: Connection, firm: str, package: UUID, url: str, secret_sealed: str, cursor: int
) -> UUID:
    """A new webhook. cursor: number of the last event that it does not hear of."""
    id: UUID = await c.fetchval(
        "insert into webhook (firm, package, url, secret_sealed, cursor)"
        " values ($1, $2, $3, $4, $5) returning id",
        firm,
        package,
        url,
        secret_sealed,
        cursor,
    )
    return id


async def of_package(c: Connection, package: UUID | None) -> list[Webhook]:
    """Those that have not ended, oldest first; None: of every package."""
    rows = await c.fetch(
        _SELECT + " where ($1::uuid is null or w.package = $1) and w.ended_at is null"
        " group by w.firm, w.id order by w.created_at, w.id",
        package,
    )
    return [Webhook(**r) for r in rows]


async def find(c: Connection, package: UUID | None, id: UUID) -> Webhook | None:
    """One of a package, or of any (None), ended or not."""
    row = await c.fetchrow(
        _SELECT + " where ($1::uuid is null or w.package = $1) and w.id = $2"
        " group by w.firm, w.id",
        package,
        id,
    )
    return Webhook(**row) if row else None


async def end(c: Connection, id: UUID, trouble: str) -> bool:
    """Nothing goes there any more; what was on its way is dead. False when it had ended."""
    ended = await c.fetchval(
        "update webhook set ended_at = now() where id = $1 and ended_at is null returning true", id
    )
    if ended:
        # In this order: `later` has the first of a stuk when it wants those behind it.
        await c.execute(
            "with mine as (select number from webhook_event where webhook = $1"
            "  and state = 'waiting' order by number for update)"
            " update webhook_event e set state = 'dead', ended_at = now(), trouble = $2"
            " from mine where e.webhook = $1 and e.number = mine.number",
            id,
            trouble,
        )
    return bool(ended)


# --- taking over


@dataclass(frozen=True, slots=True)
class Behind:
    """A webhook, and the number up to which its events were taken over."""

    id: UUID
    cursor: int


async def behind(c: Connection, number: int) -> list[Behind]:
    """Webhooks whose events were not taken over up to a number."""
    rows = await c.fetch(
        f"select w.id, w.cursor from webhook w where w.cursor < $1 and {_HEARD} order by w.id",
        number,
    )
    return [Behind(*r) for r in rows]


async def advance(c: Connection, id: UUID, since: int, to: int) -> bool:
    """Move the cursor; False when another worker did, or the webhook has ended. Whoever else
    wants to waits until this transaction ends."""
    moved = await c.fetchval(
        "update webhook set cursor = $3"
        " where id = $1 and cursor = $2 and ended_at is null returning true",
        id,
        since,
        to,
    )
    return bool(moved)


async def take(
    c: Connection, firm: str, id: UUID, numbers: Sequence[int], subjects: Sequence[str]
) -> None:
    """Events to deliver, each with its stuk."""
    await c.execute(
        "insert into webhook_event (firm, webhook, number, subject)"
        " select $1, $2, w.number, w.subject from unnest($3::bigint[], $4::text[])"
        " as w (number, subject)",
        firm,
        id,
        list(numbers),
        list(subjects),
    )


# --- delivering


async def firms(c: Connection) -> list[str]:
    """Firms with webhooks; works without a firm."""
    return [r[0] for r in await c.fetch("select firms_with_webhooks()")]


async def firms_due(c: Connection, now: datetime) -> list[str]:
    """Firms with events that are due; works without a firm."""
    return [r[0] for r in await c.fetch("select firms_with_events($1)", now)]


async def due(c: Connection, now: datetime, most: int) -> dict[UUID, int]:
    """Webhooks with the number of events that could go out now, `most` at the most."""
    rows = await c.fetch(
        "select w.id, (select count(*) from (select from webhook_event e"
        f"  where e.firm = w.firm and e.webhook = w.id and {_FREE} {_NEXT} limit $2) free)"
        f" from webhook w where {_HEARD}",
        now,
        most,
    )
    return {id: count for id, count in rows if count}


@dataclass(frozen=True, slots=True)
class Claimed:
    """An event that this worker delivers, with where it goes. `tries` counts this one, and tells
    later whether it still is this one. staat: of the stuk at the first try; None: it is gone."""

    webhook: UUID
    number: int
    tries: int
    created_at: datetime
    url: str
    secret_sealed: str
    staat: str | None


async def claim(c: Connection, webhook: UUID, now: datetime, again_at: datetime) -> Claimed | None:
    """One that is due, held by this transaction alone; what was tried least goes first.

    It becomes due again at `again_at`: should this process die while it sends, another sends it
    then. At least once, that is. Until it was noted as sent or dead, later events of its stuk
    stay.
    """
    row = await c.fetchrow(
        "update webhook_event u set tries = u.tries + 1, due_at = $3, staat = coalesce(u.staat,"
        "  (select s.state from stuk s where s.firm = u.firm and s.id = u.subject::uuid))"
        " from webhook w"
        " where w.firm = u.firm and w.id = u.webhook and u.webhook = $2 and u.number = ("
        f"  select e.number from webhook_event e where e.webhook = $2 and {_FREE} {_NEXT}"
        "  limit 1 for update skip locked"
        ") returning u.webhook, u.number, u.tries, u.created_at, w.url, w.secret_sealed, u.staat",
        now,
        webhook,
        again_at,
    )
    return Claimed(**row) if row else None


#: The row b of an event behind one that is noted.
_BEHIND = (
    "b.firm = n.firm and b.webhook = n.webhook and b.subject = n.subject and b.number > n.number"
    " and b.state = 'waiting'"
)
#: With `noted`: what was put off behind it may go.
_GO_ON = (
    " go_on as (update webhook_event b set due_at = now() from noted n"
    f" where {_BEHIND} and n.tries > 1 and b.due_at > now())"
    " select true from noted"
)


async def sent(c: Connection, one: Claimed) -> bool:
    """It was taken in; False when another worker has the event since."""
    noted = await c.fetchval(
        "with noted as (update webhook_event set state = 'sent', ended_at = now(), trouble = ''"
        " where webhook = $1 and number = $2 and tries = $3 returning *)," + _GO_ON,
        one.webhook,
        one.number,
        one.tries,
    )
    return bool(noted)


async def later(c: Connection, one: Claimed, due_at: datetime, trouble: str) -> bool:
    """It was not; try again then. False when another worker has the event, or it has ended.

    What is behind it is put off too, so that nobody looks at it again and again meanwhile.
    """
    noted = await c.fetchval(
        "with noted as (update webhook_event set due_at = $4, trouble = $5"
        " where webhook = $1 and number = $2 and tries = $3 and state = 'waiting' returning *),"
        " put_off as (update webhook_event b set due_at = $4 from noted n"
        f" where {_BEHIND} and b.due_at < $4)"
        " select true from noted",
        one.webhook,
        one.number,
        one.tries,
        due_at,
        trouble,
    )
    return bool(noted)


async def give_up(c: Connection, one: Claimed, trouble: str) -> bool:
    """It will not be delivered; False as for `later`."""
    noted = await c.fetchval(
        "with noted as (update webhook_event set state = 'dead', ended_at = now(), trouble = $4"
        " where webhook = $1 and number = $2 and tries = $3 and state = 'waiting' returning *),"
        + _GO_ON,
        one.webhook,
        one.number,
        one.tries,
        trouble,
    )
    return bool(noted)


# --- what could not be delivered


@dataclass(frozen=True, slots=True)
class Dead:
    """An event that was given up. subject: its stuk."""

    number: int
    subject: str
    tries: int
    trouble: str


async def dead(c: Connection, webhook: UUID, most: int) -> list[Dead]:
    """Oldest first."""
    rows = await c.fetch(
        "select number, subject, tries, trouble from webhook_event"
        " where webhook = $1 and state = 'dead' order by number limit $2",
        webhook,
        most,
    )
    return [Dead(*r) for r in rows]


async def again(c: Connection, webhook: UUID, numbers: Sequence[int]) -> int | None:
    """Let dead ones wait again, all of them when no numbers are given, with patience that begins
    anew; how many. None when the webhook has ended."""
    going = await c.fetchval(
        "select true from webhook where id = $1 and ended_at is null for update", webhook
    )
    if not going:
        return None
    rows = await c.fetch(
        "update webhook_event set state = 'waiting', tries = 0, trouble = '', ended_at = null,"
        " due_at = now(), created_at = now() where webhook = $1 and state = 'dead'"
        " and (cardinality($2::bigint[]) = 0 or number = any ($2::bigint[])) returning number",
        webhook,
        list(numbers),
    )
    return len(rows)
