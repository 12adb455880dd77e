"""Deliveries in PostgreSQL: what the trigger refuses, the lock, attempts and what is told."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from gateway.domain import delivery as rules
from gateway.domain.delivery import Outcome, State
from gateway.domain.sbr import Statusmelding
from gateway.store import deliveries
from gateway.store.database import Database

FIRM = "een"
_FILL = """
insert into klant (firm, number, name) values ('een', '1', 'Kwekerij');
insert into stuk (firm, id, klant, soort, route, state, jaar, periode, manifest, content, rule,
                  put_up_by)
select 'een', ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, '1', 'ob', 'portal',
       'verzonden', 2026, '1', 'm', n::text, '[]', 'proef' from generate_series(1, 99) n;
"""


@dataclass
class Books:
    """The database as the gateway and as its owner, and a maker of deliveries."""

    db: Database
    owner: "asyncpg.Connection[asyncpg.Record]"
    made: int = 0

    async def add(self, state: str = "queued", channel: str = "c") -> UUID:
        """A delivery in a state."""
        self.made += 1
        id: UUID = await self.owner.fetchval(
            "insert into delivery (firm, stuk, kind, destination, channel, aanleverkenmerk,"
            " manifest, state) values ('een', $1, 'sbr', 'digipoort', $2, $3, 'm', $4)"
            " returning id",
            UUID(int=int(str(self.made), 16)), channel, f"kenmerk-{self.made}", state,
        )  # fmt: skip
        return id


@pytest.fixture
async def books(dsn: str) -> AsyncIterator[Books]:
    """A firm with a klant and stukken."""
    owner = await asyncpg.connect(dsn)
    await owner.execute(_FILL)
    db = await Database.connect(dsn)
    yield Books(db, owner)
    await db.close()
    await owner.close()


async def test_the_trigger_allows_exactly_the_moves_of_the_rules(books):
    for old, new in itertools.product(State, State):
        id = await books.add(old)
        change = books.owner.execute("update delivery set state = $2 where id = $1", id, new)
        if old is new or rules.may_move(old, new):
            await change
        else:
            with pytest.raises(asyncpg.RaiseError, match="does not go from"):
                await change


@pytest.mark.parametrize(
    "column", ["stuk", "kind", "destination", "receiver", "berichtsoort", "channel",
               "aanleverkenmerk", "manifest"],
)  # fmt: skip
async def test_what_was_approved_does_not_change(books, column):
    id = await books.add()
    value = "gen_random_uuid()" if column == "stuk" else "'backoffice'"
    with pytest.raises(asyncpg.RaiseError, match="what was approved does not change"):
        await books.owner.execute(f"update delivery set {column} = {value} where id = $1", id)


async def test_a_kenmerk_is_written_once_and_to_one_delivery(books):
    one, other = await books.add("attempt"), await books.add("attempt")
    async with books.db.tenant(FIRM) as c:
        at = await deliveries.find(c, one, lock=True)
        assert await deliveries.move(c, at, State.ACCEPTED, kenmerk="k")
    with pytest.raises(asyncpg.RaiseError, match="written once"):
        await books.owner.execute("update delivery set kenmerk = 'l' where id = $1", one)
    async with books.db.connection() as c:
        await c.execute("select set_config('app.firm', $1, false)", FIRM)
        at = await deliveries.find(c, other)
        with pytest.raises(deliveries.KenmerkTaken):
            await deliveries.move(c, at, State.ACCEPTED, kenmerk="k")


async def test_move_is_from_the_state_that_was_read(books):
    id = await books.add()
    async with books.db.tenant(FIRM) as c:
        at = await deliveries.find(c, id)
        assert await deliveries.move(c, at, State.ATTEMPT, tries=1)
        assert not await deliveries.move(c, at, State.WITHDRAWN)
        with pytest.raises(ValueError, match="does not go from"):
            await deliveries.move(c, await deliveries.find(c, id), State.WITHDRAWN)
        after = await deliveries.find(c, id)
    assert (after.state, after.tries, after.ended_at) == (State.ATTEMPT, 1, None)


async def test_the_times_of_a_delivery_are_the_databases(books):
    id = await books.add("attempt")
    async with books.db.tenant(FIRM) as c:
        at = await deliveries.find(c, id)
        await deliveries.move(c, at, State.ACCEPTED, kenmerk="k", after=60)
        at = await deliveries.find(c, id)
        assert timedelta(seconds=59) < at.due_at - at.accepted_at <= timedelta(seconds=60)
        accepted = at.accepted_at
        await deliveries.move(c, at, State.ACCEPTED, after=1)
        await deliveries.move(c, at, State.FINAL_OK)
        at = await deliveries.find(c, id)
    assert at.accepted_at == accepted
    assert at.ended_at >= accepted


async def test_due_is_what_has_something_to_do(books):
    working = {await books.add(s) for s in rules.WORKING}
    for state in set(State) - rules.WORKING:
        await books.add(state)
    later = await books.add()
    await books.owner.execute(
        "update delivery set due_at = now() + interval '1 h' where id = $1", later
    )
    async with books.db.connection() as c:
        assert {id for _, id in await deliveries.due(c, 99)} == working
        assert len(await deliveries.due(c, 2)) == 2


# --- the lock


async def test_one_worker_at_a_time(books):
    id, other = await books.add(), await books.add()
    async with deliveries.claimed(books.db, id) as mine:
        assert mine
        async with deliveries.claimed(books.db, id) as again:
            assert not again
        async with deliveries.claimed(books.db, other) as beside:
            assert beside
    async with deliveries.claimed(books.db, id) as mine:
        assert mine


async def test_the_lock_ends_with_its_session(books):
    """A worker that is killed; here its session is."""
    id = await books.add()
    async with deliveries.claimed(books.db, id) as mine:
        assert mine
        await books.owner.execute(
            "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
        )
        while not await _claims(books.db, id):
            await asyncio.sleep(0.01)


async def _claims(db: Database, id: UUID) -> bool:
    async with deliveries.claimed(db, id) as mine:
        return mine


# --- attempts


async def test_one_open_attempt_in_a_channel(books):
    one, other = await books.add(), await books.add()
    beside = await books.add(channel="d")
    async with books.db.tenant(FIRM) as c:
        rows = {id: await deliveries.find(c, id) for id in (one, other, beside)}
        assert await deliveries.open_attempt(c, FIRM, rows[one], "m1")
        assert await deliveries.open_attempt(c, FIRM, rows[other], "m2") is None
        assert await deliveries.open_attempt(c, FIRM, rows[beside], "m3")
        assert await deliveries.close_attempt(c, one, Outcome.NOT_SENT)
        assert await deliveries.open_attempt(c, FIRM, rows[other], "m4")


async def test_an_end_is_of_its_own_attempt(books):
    """A late end of the first attempt does not close the second, nor say why it is unclear."""
    id = await books.add()
    async with books.db.tenant(FIRM) as c:
        row = await deliveries.find(c, id)
        await deliveries.open_attempt(c, FIRM, row, "m1")
        assert await deliveries.unclear(c, "m1", "timeout")
        await deliveries.close_attempt(c, id, Outcome.NOT_ARRIVED, "timeout")
        await deliveries.open_attempt(c, FIRM, row, "m2")
        assert not await deliveries.unclear(c, "m1", "cut")
        assert not await deliveries.close_attempt(c, id, Outcome.NOT_SENT, message_id="m1")
        attempt = await deliveries.the_open_attempt(c, id)
        assert (attempt.message_id, attempt.why) == ("m2", "")
        assert await deliveries.close_attempt(c, id, Outcome.ACCEPTED, message_id="m2")
        assert [(a["message_id"], a["outcome"]) for a in await deliveries.attempts(c, id)] == [
            ("m1", "not_arrived"), ("m2", "accepted"),
        ]  # fmt: skip


async def test_answers_are_counted_from_when_they_were_asked(books):
    id = await books.add()
    asked = datetime(2026, 3, 31, 12, tzinfo=UTC)
    async with books.db.tenant(FIRM) as c:
        attempt = await deliveries.open_attempt(c, FIRM, await deliveries.find(c, id), "m")
        await deliveries.not_yet(c, attempt, asked)
        found = await deliveries.the_open_attempt(c, id)
    assert (found.negatives, found.asked_at) == (1, asked)


# --- what the receiver tells


async def test_a_status_that_comes_twice_is_one(books):
    id = await books.add("accepted")
    moment = datetime(2026, 3, 31, 12, tzinfo=UTC)
    told = [Statusmelding("k", code, moment, "") for code in ("105", "100", "105")]
    async with books.db.tenant(FIRM) as c:
        assert [s.statuscode for s in await deliveries.add_statuses(c, FIRM, id, told)] == [
            "105", "100",
        ]  # fmt: skip
        assert await deliveries.add_statuses(c, FIRM, id, told) == []
        assert len(await deliveries.statuses(c, id)) == 2


async def test_known_are_ours_of_any_firm_and_strangers_of_the_channel(books):
    id = await books.add("attempt")
    async with books.db.tenant(FIRM) as c:
        await deliveries.move(c, await deliveries.find(c, id), State.ACCEPTED, kenmerk="k1")
        await deliveries.add_stranger(c, FIRM, "c", "k2")
        await deliveries.add_stranger(c, FIRM, "d", "k3")
    async with books.db.tenant("twee") as c:
        assert await deliveries.known(c, "c", ["k1", "k2", "k3", "k4"]) == {"k1", "k2"}
        assert await deliveries.is_ours(c, "kenmerk-1")
        assert not await deliveries.is_ours(c, "kenmerk-99")
        assert await deliveries.find(c, id) is None


# --- after a restore


async def test_what_may_be_sent_asks_first_and_numbers_go_on(books):
    queued, ended = await books.add(), await books.add("final_ok")
    since = datetime(2026, 3, 31, 12, tzinfo=UTC)
    async with books.db.connection() as c:
        assert (await deliveries.attempts_made(c))[0] == 0
        assert await deliveries.ask_first(c, since, 41) == 1
    async with books.db.tenant(FIRM) as c:
        row = await deliveries.find(c, queued)
        assert row.ask_from == since
        assert (await deliveries.find(c, ended)).ask_from is None
        await deliveries.open_attempt(c, FIRM, row, "m")
        assert (await deliveries.attempts_made(c))[0] == 42
        await deliveries.asked_first(c, queued)
        assert (await deliveries.find(c, queued)).ask_from is None
