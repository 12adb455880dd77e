"""SIGKILL at every named point of delivering; a fresh worker finishes, and nothing goes twice."""

import pytest

from tests.crash.points import POINTS
from tests.crash.world import Shape, World

#: One PostgreSQL for all of them: they stay in one process.
pytestmark = pytest.mark.xdist_group("crash")

#: One worker, not much to do: what is lost is known to be lost soon.
SHAPE = Shape(total=0.8, horizon=1.5, klanten=1)
#: Killed at in every run of the tests; the others in `make test-crash`.
FEW = ("guard-after-note", "send-written", "adopt-before-commit")


async def _killed_at(world: World, name: str) -> None:
    """Two stukken of one channel and one beside; a worker that dies at the point; another."""
    point = POINTS[name]
    if point.scenario:
        await world.scenario(point.scenario)
    await world.approved(3, tamper=1 if point.tampered else 0)
    worker = world.start(point=name)
    await world.finished(worker)
    worker.terminate()  # a worker that did not come to the point ends well, and that is a fault
    await world.died(worker)
    await world.finish()


@pytest.mark.parametrize("name", FEW)
async def test_killed_at(open_world, note, name):
    world = await open_world(SHAPE)
    await _killed_at(world, name)
    found = await world.judge()
    note(world, found)
    assert found.good, found
    assert not found.uncertain


@pytest.mark.crash
@pytest.mark.parametrize("name", POINTS)
async def test_killed_three_times_at(open_world, note, name):
    world = await open_world(SHAPE)
    for _ in range(3):
        await _killed_at(world, name)
    found = await world.judge()
    note(world, found)
    assert world.kills == 3
    assert found.good, found
    assert not found.uncertain


@pytest.mark.crash
async def test_killed_before_each_statement(open_world, note):
    """Before the first SQL statement of a worker, before the third, and so on."""
    world = await open_world(Shape(total=0.8, horizon=1.5, klanten=2))
    await world.approved(4)
    for number in range(1, 90, 3):
        await world.approved(2)
        if number % 2:
            await world.scenario("AcceptedNoAnswer")
        worker = world.start(statement=number)
        await world.died(worker)
    await world.finish()
    found = await world.judge()
    note(world, found)
    assert found.good, found
