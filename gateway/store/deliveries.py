"""Deliveries and their attempts. `move` is the only statement that changes a delivery's state.

A worker holds the delivery's session lock (`claimed`) from before it looks until after it has
written what happened: it dies with the process, and a stopped process keeps it (trust.md 4.2).
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from gateway.domain import delivery as rules
from gateway.domain.delivery import Outcome, State
from gateway.domain.sbr import Statusmelding
from gateway.errors import PortalError
from gateway.store.database import Connection, Database, Record


class KenmerkTaken(PortalError):
    """Another delivery to the same destination has this kenmerk. The transaction is lost."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row; see 0002_stukken.sql and 0004_watch.sql for what the fields hold."""

    id: UUID
    stuk: UUID
    kind: str
    destination: str
    receiver: str
    berichtsoort: str
    channel: str
    aanleverkenmerk: str
    manifest: str
    state: State
    kenmerk: str | None
    tries: int
    due_at: datetime
    trouble: str
    trouble_text: str
    alarmed_at: datetime | None
    ask_from: datetime | None
    created_at: datetime
    accepted_at: datetime | None
    ended_at: datetime | None
    watch_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """The open attempt of a delivery."""

    id: UUID
    message_id: str
    opened_at: datetime
    negatives: int
    asked_at: datetime | None
    why: str


_COLUMNS = (
    "id, stuk, kind, destination, receiver, berichtsoort, channel, aanleverkenmerk, manifest,"
    " state, kenmerk, tries, due_at, trouble, trouble_text, alarmed_at, ask_from, created_at,"
    " accepted_at, ended_at, watch_at"
)


def _delivery(row: Record) -> Delivery:
    return Delivery(**{**dict(row), "state": State(row["state"])})


@asynccontextmanager
async def claimed(db: Database, id: UUID) -> AsyncIterator[bool]:
    """Hold the delivery's lock; False when another worker does.

    On a connection of its own: the lock lives as long as that session, and what gives the
    connection back to the pool releases it.
    """
    async with db.connection() as c:
        key = int.from_bytes(id.bytes[:8], "big", signed=True)
        yield bool(await c.fetchval("select pg_try_advisory_lock($1)", key))


async def due(c: Connection, most: int) -> list[tuple[str, UUID]]:
    """Firm and id of what is due, by the database's clock."""
    rows = await c.fetch("select firm, id from deliveries_due(clock_timestamp(), $1)", most)
    return [(r["firm"], r["id"]) for r in rows]


async def add(
    c: Connection,
    firm: str,
    *,
    stuk: UUID,
    kind: str,
    destination: str,
    receiver: str,
    berichtsoort: str,
    channel: str,
    aanleverkenmerk: str,
    manifest: str,
) -> UUID:
    """A new one, due at once. In the transaction of the approval."""
    id: UUID = await c.fetchval(
        "insert into delivery (firm, stuk, kind, destination, receiver, berichtsoort, channel,"
        " aanleverkenmerk, manifest, ask_from)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, ask_from_now()) returning id",
        firm,
        stuk,
        kind,
        destination,
        receiver,
        berichtsoort,
        channel,
        aanleverkenmerk,
        manifest,
    )
    return id


async def find(c: Connection, id: UUID, *, lock: bool = False) -> Delivery | None:
    """The delivery."""
    row = await c.fetchrow(
        f"select {_COLUMNS} from delivery where id = $1" + (" for update" if lock else ""), id
    )
    return _delivery(row) if row else None


async def of_stuk(c: Connection, stuk: UUID, *, lock: bool = False) -> list[Delivery]:
    """The deliveries of a stuk: one, or one a bank."""
    rows = await c.fetch(
        f"select {_COLUMNS} from delivery where stuk = $1 order by created_at, id"
        + (" for update" if lock else ""),
        stuk,
    )
    return [_delivery(r) for r in rows]


async def with_trouble(c: Connection) -> list[Delivery]:
    """What a person should look at."""
    rows = await c.fetch(
        f"select {_COLUMNS} from delivery where state in ('uncertain', 'held_changed',"
        " 'held_unavailable') or (trouble <> '' and ended_at is null) order by created_at"
    )
    return [_delivery(r) for r in rows]


async def move(
    c: Connection,
    delivery: Delivery,
    new: State,
    *,
    kenmerk: str | None = None,
    trouble: str = "",
    trouble_text: str = "",
    after: float = 0.0,
    tries: int | None = None,
) -> bool:
    """Another state, due `after` seconds; False when it is no longer in the state that was read.

    Raises ValueError for a move that is not allowed: a programming error, also caught by the
    database. `kenmerk` is written when given; raises KenmerkTaken.
    """
    if new is not delivery.state and not rules.may_move(delivery.state, new):
        raise ValueError(f"a delivery does not go from {delivery.state} to {new}")
    try:
        moved = await c.fetchval(
            "update delivery set state = $3, kenmerk = coalesce($4, kenmerk), trouble = $5,"
            " trouble_text = $6, due_at = clock_timestamp() + $7, tries = coalesce($8, tries),"
            " accepted_at = case when $3 = 'accepted' then coalesce(accepted_at,"
            " clock_timestamp()) else accepted_at end,"
            " ended_at = case when $9 then clock_timestamp() end"
            " where id = $1 and state = $2 returning true",
            delivery.id,
            delivery.state,
            new,
            kenmerk,
            trouble,
            trouble_text[:2000],
            timedelta(seconds=after),
            tries,
            new in rules.ENDED,
        )
    except asyncpg.UniqueViolationError:
        raise KenmerkTaken from None
    return bool(moved)


async def asked_first(c: Connection, id: UUID) -> None:
    """The receiver was asked after a restore, and has not got it."""
    await c.execute("update delivery set ask_from = null where id = $1", id)


async def watch(c: Connection, id: UUID, every: timedelta, long: timedelta) -> None:
    """From now on, for so long, look whether what seemed not to have arrived did."""
    await c.execute(
        "update delivery set watch_at = clock_timestamp() + $2,"
        " watch_until = clock_timestamp() + $3 where id = $1",
        id,
        every,
        long,
    )


async def watched(c: Connection, id: UUID, every: timedelta) -> None:
    """One look is done; the next, or none any more."""
    await c.execute(
        "update delivery set watch_at = case when clock_timestamp() < watch_until"
        " then clock_timestamp() + $2 end where id = $1",
        id,
        every,
    )


async def alarmed(c: Connection, id: UUID) -> bool:
    """Mark that a person was told; False when that was done before."""
    return bool(
        await c.fetchval(
            "update delivery set alarmed_at = clock_timestamp() where id = $1"
            " and alarmed_at is null returning true",
            id,
        )
    )


async def calm(c: Connection, id: UUID) -> None:
    """The next trouble is told again."""
    await c.execute("update delivery set alarmed_at = null where id = $1", id)


# --- attempts


async def open_attempt(
    c: Connection, firm: str, delivery: Delivery, message_id: str
) -> UUID | None:
    """The intent, to be committed before the first byte leaves; None when the channel has an
    open attempt already (of any firm)."""
    try:
        async with c.transaction():
            id: UUID = await c.fetchval(
                "insert into attempt (firm, delivery, channel, message_id)"
                " values ($1, $2, $3, $4) returning id",
                firm,
                delivery.id,
                delivery.channel,
                message_id,
            )
    except asyncpg.UniqueViolationError:
        return None
    return id


async def the_open_attempt(c: Connection, delivery: UUID) -> Attempt | None:
    """The open attempt, if there is one."""
    row = await c.fetchrow(
        "select id, message_id, opened_at, negatives, asked_at, why from attempt"
        " where delivery = $1 and outcome is null",
        delivery,
    )
    return Attempt(**dict(row)) if row else None


async def close_attempt(
    c: Connection, delivery: UUID, outcome: Outcome, why: str = "", *, message_id: str = ""
) -> bool:
    """End the open attempt; False when there is none. message_id: only when it is this one."""
    return bool(
        await c.fetchval(
            "update attempt set outcome = $2, why = coalesce(nullif($3, ''), why),"
            " ended_at = clock_timestamp()"
            " where delivery = $1 and outcome is null and $4 in ('', message_id)"
            " returning true",
            delivery,
            outcome,
            why[:500],
            message_id,
        )
    )


async def unclear(c: Connection, message_id: str, why: str) -> bool:
    """Why it is not known whether an attempt arrived; False when it is open no more."""
    return bool(
        await c.fetchval(
            "update attempt set why = $2 where message_id = $1 and outcome is null returning true",
            message_id,
            why[:500],
        )
    )


async def not_yet(c: Connection, attempt: UUID, asked: datetime) -> None:
    """One more answer that counts and tells that it has not arrived. asked: when it was asked."""
    await c.execute(
        "update attempt set negatives = negatives + 1, asked_at = $2 where id = $1",
        attempt,
        asked,
    )


async def attempts(c: Connection, delivery: UUID) -> list[Record]:
    """All of them, the oldest first: message_id, opened_at, outcome, why, ended_at."""
    return await c.fetch(
        "select message_id, opened_at, outcome, why, ended_at, negatives from attempt"
        " where delivery = $1 order by number",
        delivery,
    )


async def now(c: Connection) -> datetime:
    """The database's clock, which alone judges horizons."""
    moment: datetime = await c.fetchval("select clock_timestamp()")
    return moment


# --- what the receiver tells


async def known(c: Connection, channel: str, kenmerken: Iterable[str]) -> set[str]:
    """Which of these are some delivery's, or known to be another product's."""
    rows = await c.fetch("select k from kenmerken_known($1, $2) as k", channel, list(kenmerken))
    return {r["k"] for r in rows}


async def may_come_late(c: Connection, channel: str, within: timedelta) -> bool:
    """Whether an attempt on the channel was given up that may still arrive."""
    return bool(
        await c.fetchval(
            "select channel_lost($1, clock_timestamp() - $2::interval)", channel, within
        )
    )


async def is_open(c: Connection, channel: str) -> bool:
    """Whether an attempt on the channel is open."""
    return bool(await c.fetchval("select channel_open($1)", channel))


async def is_ours(c: Connection, aanleverkenmerk: str) -> bool:
    """Whether some delivery here, of any firm, has this aanleverkenmerk."""
    return bool(await c.fetchval("select delivery_is_ours($1)", aanleverkenmerk))


async def add_stranger(c: Connection, firm: str, channel: str, kenmerk: str) -> None:
    """A bericht that is another product's."""
    await c.execute(
        "insert into stranger (firm, channel, kenmerk) values ($1, $2, $3) on conflict do nothing",
        firm,
        channel,
        kenmerk,
    )


async def add_statuses(
    c: Connection, firm: str, delivery: UUID, found: Sequence[Statusmelding]
) -> list[Statusmelding]:
    """Those that are new; a status that comes twice is one."""
    return [s for s in found if await _is_new(c, firm, delivery, s)]


async def _is_new(c: Connection, firm: str, delivery: UUID, s: Statusmelding) -> bool:
    added = await c.fetchval(
        "insert into status (firm, delivery, kenmerk, code, at, description, fault, fault_text,"
        " details) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " on conflict do nothing returning true",
        firm,
        delivery,
        s.kenmerk,
        s.statuscode,
        s.tijdstempel,
        s.omschrijving,
        s.foutcode,
        s.foutbeschrijving,
        s.details,
    )
    return bool(added)


async def statuses(c: Connection, delivery: UUID) -> list[Statusmelding]:
    """All of them, by the receiver's clock."""
    rows = await c.fetch(
        "select kenmerk, code, at, description, fault, fault_text, details from status"
        " where delivery = $1 order by at, received_at",
        delivery,
    )
    return [Statusmelding(*r) for r in rows]


async def add_reply(
    c: Connection, firm: str, delivery: UUID, kind: str, message_id: str, envelope: str
) -> None:
    """Keep a signed reply, as it came."""
    await c.execute(
        "insert into reply (firm, delivery, kind, message_id, envelope)"
        " values ($1, $2, $3, $4, $5)",
        firm,
        delivery,
        kind,
        message_id,
        envelope,
    )


async def replies(c: Connection, delivery: UUID) -> list[Record]:
    """Kept replies, the oldest first: kind, message_id, envelope, received_at."""
    return await c.fetch(
        "select kind, message_id, envelope, received_at from reply where delivery = $1"
        " order by id",
        delivery,
    )


# --- after a restore


async def attempts_made(c: Connection) -> tuple[int, datetime | None]:
    """The number of the last attempt that this database knows, and its last moment."""
    row = await c.fetchrow("select number, at from attempts_made()")
    return (row["number"], row["at"]) if row else (0, None)


async def ask_first(c: Connection, since: datetime, number: int) -> int:
    """Let everything that may be sent ask its receiver first; numbers go on after `number`."""
    await c.execute("select attempts_go_on($1)", number)
    count: int = await c.fetchval("select ask_first($1)", since)
    return count
