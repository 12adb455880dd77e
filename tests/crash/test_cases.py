"""More cases: replies that are another's, workers that stood still, old backups, other clocks."""

import asyncio
import contextlib
from datetime import datetime, timedelta

import asyncpg
import pytest
import time_machine

from gateway.delivery.client import Client
from gateway.delivery.outcomes import NotSent
from gateway.domain.delivery import State as D
from gateway.flows.delivering import asking
from gateway.flows.delivering.cases import Works
from gateway.flows.delivering.lanes import Lanes, step
from gateway.store import deliveries
from tests.crash.world import Shape, World
from tests.filing.conftest import (  # noqa: F401
    base_url,
    browser,
    client,
    firm,
    office,
    person,
    phone,
    pki,
    portal,
    portal_app,
    register,
    sign_in,
)

#: One PostgreSQL for all of them: they stay in one process.
pytestmark = pytest.mark.xdist_group("crash")


async def _attempts(office, id):  # noqa: F811
    async with office.portal.db.tenant(office.firm.id) as c:
        (one,) = await deliveries.of_stuk(c, id)
        return await deliveries.attempts(c, one.id)


async def test_a_reply_with_the_kenmerk_of_another_bericht_tells_nothing(office, person):  # noqa: F811
    """It is signed and good, but its kenmerk came before: the receiver is asked."""
    sanne = await person()
    one, other = await office.put_up(tag=1), await office.put_up(tag=2)
    await sanne.approves(one)
    first = await office.finish(one)
    office.scenario("DuplicateReply")
    await sanne.approves(other)
    second = await office.finish(other)
    assert (first.state, second.state) == (D.FINAL_OK, D.FINAL_OK)
    assert {b["kenmerk"] for b in office.booked} == {first.kenmerk, second.kenmerk}
    assert len(office.booked) == 2
    (attempt,) = await _attempts(office, other)
    assert (attempt["outcome"], attempt["why"]) == ("adopted", "echo")


async def test_a_kenmerk_that_went_to_another_delivery_is_for_a_person(office, person):  # noqa: F811
    """The receiver answers a second bericht with the kenmerk of the first, whose own answer was
    lost: the first finds its kenmerk taken."""
    sanne = await person()
    one, other = await office.put_up(tag=1), await office.put_up("icp", tag=2)
    for id, scenario in ((one, "ResetAfter"), (other, "DuplicateReply")):
        await sanne.approves(id)
        office.scenario(scenario)
        await step(office.works, office.firm.id, (await office.delivery(id)).id)
    assert (await office.delivery(other)).kenmerk == office.booked[0]["kenmerk"]
    delivery = await office.finish(one)
    assert (delivery.state, delivery.kenmerk) == (D.UNCERTAIN, None)
    assert "andere verzending" in delivery.trouble_text
    assert len(office.booked) == 2


async def test_the_late_end_of_an_old_attempt_ends_no_other(office, person, dsn, monkeypatch):  # noqa: F811
    """A worker stands still and loses its lock; meanwhile the delivery is sent again, and booked.
    Then the first one finds that nothing of its own was sent."""
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    deliver, other = (
        Client.deliver,
        Works(office.portal, office.works.receivers, office.works.guard),
    )

    async def second() -> bool:
        made = await _attempts(office, id)
        return len(made) == 2 and made[1]["why"] != ""

    async def stood_still(*given):
        monkeypatch.setattr(Client, "deliver", deliver)
        await _lose_locks(dsn)
        office.scenario("ResetAfter")
        lanes = Lanes(other)
        while not await second():
            await lanes.fill()
            await lanes.rest(0.02)
        await lanes.drain()
        raise NotSent("connect")

    monkeypatch.setattr(Client, "deliver", stood_still)
    delivery = await office.finish(id)
    assert delivery.state is D.FINAL_OK
    assert [a["outcome"] for a in await _attempts(office, id)] == ["not_arrived", "adopted"]
    assert len(office.booked) == 1


async def test_a_late_acceptance_of_an_old_attempt_is_told(office, person, dsn, monkeypatch):  # noqa: F811
    """The limit of trust.md 4: who stands still for longer than the horizon sends twice. Then a
    person is told, and nothing is silent."""
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    deliver = Client.deliver

    async def ended() -> bool:
        return (await office.delivery(id)).state is D.FINAL_OK

    async def stood_still(*given):
        monkeypatch.setattr(Client, "deliver", deliver)
        await _lose_locks(dsn)
        await office.work(ended)
        return await deliver(*given)

    monkeypatch.setattr(Client, "deliver", stood_still)
    await office.finish(id)
    assert len(office.booked) == 2
    async with office.portal.db.tenant(office.firm.id) as c:
        told = await c.fetchval(
            "select count(*) from audit where event = 'delivery_accepted_twice'"
        )
        letters = await c.fetch("select event from outbox")
    assert told == 1
    assert "stuk_problem_office" in {r["event"] for r in letters}


async def _lose_locks(dsn: str) -> None:
    """End the sessions that hold a delivery, as a restart of the database does."""
    owner = await asyncpg.connect(dsn)
    await owner.execute(
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    await owner.close()


async def test_an_answer_is_of_the_moment_that_was_asked(office, person, monkeypatch):  # noqa: F811
    """Asked before the horizon and read after it, the answer does not let it be sent again."""
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    office.scenario("ResetBefore")
    lanes, ask = Lanes(office.works), asking._candidates

    async def unclear() -> bool:
        return any(a["why"] for a in await _attempts(office, id))

    async def slow(*given):
        found = await ask(*given)
        await asyncio.sleep(2 * given[1].timing.horizon)
        return found

    monkeypatch.setattr(asking, "_candidates", slow)
    while not await unclear():
        await lanes.fill()
        await lanes.rest(0.02)
    await lanes.drain()
    delivery = await office.delivery(id)
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update attempt set negatives = 2, opened_at = clock_timestamp()")
        await c.execute("update delivery set due_at = clock_timestamp()")
    await step(office.works, office.firm.id, delivery.id)
    assert (await office.delivery(id)).state is D.ATTEMPT


async def test_what_cannot_go_on_does_not_hold_up_the_rest(office, person):  # noqa: F811
    """More deliveries than there are lanes, of a soort that the firm took out of its file."""
    sanne = await person()
    stuck = [await office.put_up("icp", tag=n) for n in range(1, 11)]
    await sanne.approves(*stuck)
    good = await office.put_up()
    await sanne.approves(good)
    firm = office.firm.model_copy(  # noqa: F811
        update={"soorten": {k: v for k, v in office.firm.soorten.items() if k != "icp"}}
    )
    firms = {**office.portal.firms, firm.id: firm}
    portal = type(office.portal)(  # noqa: F811
        **{f: getattr(office.portal, f) for f in office.portal.__slots__} | {"firms": firms}
    )
    lanes = Lanes(Works(portal, office.works.receivers, office.works.guard))
    for _ in range(100):
        await lanes.fill()
        await lanes.rest(0.02)
    await lanes.drain()
    assert (await office.delivery(good)).state is D.FINAL_OK


@pytest.mark.parametrize("off", [timedelta(minutes=10), timedelta(minutes=-10), timedelta(days=1)])
async def test_a_workers_clock_judges_no_horizon(office, person, off):  # noqa: F811
    """Only the database's clock does: with another one nothing is sent again too early."""
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    office.scenario("ResetBefore")
    with time_machine.travel(datetime.now().astimezone() + off, tick=True):
        delivery = await office.finish(id)
    assert delivery.state is D.FINAL_OK
    assert len(office.booked) == 1
    first, second = await _attempts(office, id)
    assert first["outcome"] == "not_arrived"
    horizon = timedelta(seconds=office.works.timing(delivery).horizon)
    assert second["opened_at"] - first["opened_at"] >= horizon


# --- an old backup


async def _copy(world: World, old: str, new: str) -> None:
    """A database as it is, under another name; whoever is in either is thrown out."""
    owner = await asyncpg.connect(world.postgres.dsn())
    with contextlib.suppress(asyncpg.InvalidCatalogNameError):
        await owner.execute(f'drop database "{new}" with (force)')
    await owner.execute(f'create database "{new}" template "{old}"')
    await owner.close()


async def _restored(open_world, shape: Shape) -> World:
    """Sent after the backup was made; then the backup is put back, and the worker starts."""
    world = await open_world(shape)
    name = world.dsn.partition("@/")[2].partition("?")[0]
    await world.approved(1)
    await world.finish()
    await world.approved(3)
    await _copy(world, name, f"{name}_old")
    await world.finish()
    await _copy(world, f"{name}_old", name)
    await world.finish()
    return world


async def test_an_old_backup_sends_nothing_twice(open_world, note):
    world = await _restored(open_world, Shape(klanten=1))
    found = await world.judge()
    note(world, found)
    assert found.good, found
    assert (found.booked, found.uncertain) == (4, [])


@pytest.mark.crash
async def test_an_old_backup_without_an_ophaalservice_is_for_a_person(open_world, note):
    """The receiver does not tell whose a kenmerk is: a person decides."""
    world = await _restored(open_world, Shape(klanten=1, ophalen=False))
    found = await world.judge()
    note(world, found)
    assert found.good, found
    assert (found.booked, len(found.uncertain)) == (4, 3)


@pytest.mark.crash
async def test_an_old_backup_without_the_guard_is_found_out(open_world, note):
    """The control: nothing outside the database remembers that there was more."""
    world = await _restored(open_world, Shape(klanten=1, guard=False))
    found = await world.judge()
    note(world, found)
    assert len(found.twice) == 3


async def test_approved_again_after_an_old_backup(open_world):
    """The backup has the stuk, and not yet its approval."""
    world = await open_world(Shape(klanten=1))
    name = world.dsn.partition("@/")[2].partition("?")[0]
    await world.approved(1)
    await world.finish()
    async with world.portal() as portal:  # noqa: F811
        id, _ = await world.put_up(portal)
    await _copy(world, name, f"{name}_old")
    await world.approve(id)
    await world.finish()
    await _copy(world, f"{name}_old", name)
    worker = world.start()
    while "old_backup_put_back" not in world.log:
        await asyncio.sleep(0.05)
    await world.approve(id)
    await world.finished(worker)
    found = await world.judge()
    assert not found.twice
