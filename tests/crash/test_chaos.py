"""Chaos with seeds: whatever happens, everything approved is booked once and no other byte."""

import pytest

from tests.crash import chaos
from tests.crash.chaos import Plan
from tests.crash.world import Shape, World

#: One PostgreSQL for all of them: they stay in one process.
pytestmark = pytest.mark.xdist_group("crash")


async def _run(world: World, plan: Plan, *, count: int, tamper: int, seconds: float) -> None:
    await world.approved(count, tamper=tamper)
    await world.spread(seconds)
    await chaos.run(world, plan)


async def test_a_little_chaos(open_world, note):
    world = await open_world()
    plan = Plan(seed=3, workers=2, kills=8, stops=2, restarts=1)
    await _run(world, plan, count=14, tamper=2, seconds=2)
    found = await world.judge()
    note(world, found)
    assert found.good, found
    assert found.booked >= 12 - len(found.uncertain) - len(found.waiting)


@pytest.mark.crash
@pytest.mark.parametrize("seed", [7, 11, 13, 31])
async def test_chaos(open_world, note, seed):
    """The last of them has a receiver that does not tell our aanleverkenmerk: it must not also
    answer with another's kenmerk, for then nothing tells which bericht is whose."""
    told = seed != 31
    world = await open_world(Shape(horizon=4.0, klanten=8, ophalen=told))
    rates = {k: v for k, v in chaos.RATES.items() if told or k != "DuplicateReply"}
    await _run(world, Plan(seed, rates=rates), count=90, tamper=4, seconds=20)
    found = await world.judge()
    note(world, found)
    assert found.good, found


@pytest.mark.crash
async def test_stops_alone(open_world, note):
    """Workers stand still for longer than an attempt may last: the lock stays theirs."""
    world = await open_world(Shape(klanten=6))
    plan = Plan(21, kills=4, stops=50, restarts=0, pause=(0.2, 3.0), moment=(0.1, 0.5))
    await _run(world, plan, count=60, tamper=2, seconds=14)
    found = await world.judge()
    note(world, found)
    assert found.good, found
