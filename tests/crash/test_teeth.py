"""The judge has teeth: gateways that are broken on purpose are found out."""

import asyncio
import dataclasses

import pytest

from tests.crash import chaos
from tests.crash.chaos import Plan
from tests.crash.judge import judge
from tests.crash.world import Shape

#: One PostgreSQL for all of them: they stay in one process.
pytestmark = pytest.mark.xdist_group("crash")


async def test_blind_retry_is_found_out(open_world, note):
    """An attempt without an answer is taken for one that did not arrive."""
    world = await open_world(Shape(klanten=2), "blind retry")
    await world.approved(4)
    await world.scenario("ResetAfter", 3)
    await world.finish()
    found = await world.judge()
    note(world, found)
    assert found.twice
    assert not found.good


@pytest.mark.crash
async def test_blind_retry_in_chaos_is_found_out(open_world, note):
    """The same, with kills and all that Digipoort does."""
    world = await open_world(Shape(klanten=6), "blind retry")
    await world.approved(40)
    await world.spread(8)
    await chaos.run(world, Plan(5, kills=20, restarts=2))
    found = await world.judge()
    note(world, found)
    assert found.twice


async def _late(open_world, shape: Shape):
    world = await open_world(shape)
    await world.approved(4)
    await world.scenario("LateBooking", 4)
    await world.finish()
    return world, await world.judge()


@pytest.mark.crash
async def test_a_horizon_that_is_too_short_is_found_out(open_world, note):
    """Digipoort books 4 s after the client has left; the horizon is 0.1 s."""
    shape = Shape(total=0.5, horizon=9.0, late=4.0, klanten=2)
    world, found = await _late(open_world, dataclasses.replace(shape, horizon=0.1))
    note(world, found)
    assert found.twice
    world, found = await _late(open_world, shape)  # the same with a good one
    note(world, found)
    assert found.good, found


async def _lost_intent(open_world, control: str, *, guard: bool):
    """Booked, the worker killed before the answer, and the database restarted hard."""
    world = await open_world(Shape(total=60, horizon=90, klanten=1, guard=guard), control)
    await world.approved(1)
    await world.scenario("AcceptedNoAnswer")
    worker = world.start()
    while not world.bookings:
        await asyncio.sleep(0.02)
    await world.kill(worker)
    await world.restart()
    await world.finish()
    return world, await world.judge()


async def test_an_intent_that_is_not_on_the_disk_is_found_out(open_world, note):
    """synchronous_commit=off: the database forgets that something was sent."""
    world, found = await _lost_intent(open_world, "lazy intent", guard=False)
    note(world, found)
    assert found.twice


@pytest.mark.crash
async def test_an_intent_on_the_disk_is_kept(open_world, note):
    """The same restart with the gateway as it is."""
    world, found = await _lost_intent(open_world, "", guard=False)
    note(world, found)
    assert found.good, found


@pytest.mark.crash
async def test_the_guard_sees_a_lost_intent(open_world, note):
    """The note outside the database tells that an attempt is missing."""
    world, found = await _lost_intent(open_world, "lazy intent", guard=True)
    note(world, found)
    assert not found.twice
    assert not found.lost


async def test_another_ledger_is_found_out(open_world):
    """The judge looks at what the ledger says: nothing, twice, other bytes, another kenmerk."""
    world = await open_world(Shape(klanten=1))
    await world.approved(2)
    await world.finish()
    good = world.bookings
    first, second = good
    other = {**first, "inhoud": {**first["inhoud"], "sha256": "0" * 64}}
    stranger = {**first, "aanleverkenmerk": "een ander"}
    async with world.owner() as c:
        assert (await judge(c, good)).good
        assert len((await judge(c, [second])).lost) == 1
        assert (await judge(c, [*good, first])).twice == [first["aanleverkenmerk"]]
        assert len((await judge(c, [other, second])).unapproved) == 1
        assert len((await judge(c, [*good, stranger])).unapproved) == 1
        found = await judge(c, good, [first["aanleverkenmerk"]])
        assert (len(found.lost), len(found.unapproved)) == (1, 1)
        swapped = [{**first, "kenmerk": second["kenmerk"]}, second]
        assert "I4" in (await judge(c, swapped)).broken[0]
        await c.execute("delete from audit where event = 'delivery_final'")
        assert "I6" in " ".join((await judge(c, good)).broken)
