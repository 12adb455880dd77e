"""Reminders before a deadline (inventory row 111)."""

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from gateway.domain.keys import SealBroken
from gateway.flows import reminding
from gateway.flows.accordering import tasks
from gateway.flows.visitor import today


async def _letters(office) -> int:
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update outbox set tries = 1")  # what went out is no longer joined
        return await c.fetchval("select count(*) from outbox where event = 'stuk_to_approve'")


@pytest.mark.parametrize(("days", "reminded"), [(14, 1), (2, 1), (0, 1), (-1, 1), (3, 0), (-5, 0)])
async def test_the_ladder(office, person, days, reminded):
    await person()
    await office.put_up(deadline=today() + timedelta(days=days))
    before = await _letters(office)
    assert await reminding.remind(office.portal) == reminded
    assert await reminding.remind(office.portal) == 0  # once a day
    assert await _letters(office) == before + reminded


async def test_a_stuk_that_cannot_be_told_of_keeps_up_no_other(office, person, monkeypatch):
    await person()
    ids = [await office.put_up(tag=tag, deadline=today()) for tag in (1, 2, 3)]
    real = reminding._one

    async def one(portal, firm, stuk):
        if stuk.id == ids[1]:
            raise SealBroken
        return await real(portal, firm, stuk)

    monkeypatch.setattr(reminding, "_one", one)
    with capture_logs() as logs:
        assert await reminding.remind(office.portal) == 2
    assert [e["stuk"] for e in logs if e["event"] == "reminder_surprise"] == [str(ids[1])]


async def test_nobody_is_reminded_of_what_is_done(office, person):
    sanne = await person()
    id = await office.put_up(deadline=today())
    await sanne.approves(id)
    assert await reminding.remind(office.portal) == 0
    await office.put_up(tag=7)
    assert await reminding.remind(office.portal) == 0  # without a deadline
    assert len(await tasks.tasks(office.portal, sanne.visitor)) == 1
