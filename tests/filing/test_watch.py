"""What seemed not to have arrived may come late: for three days somebody is told of it."""

from datetime import timedelta

import pytest

from gateway.delivery.client import Client
from gateway.delivery.outcomes import NotSent
from gateway.domain.delivery import Outcome, State
from gateway.flows.delivering.lanes import step
from gateway.store import deliveries
from tests.filing.conftest import INSTANCES
from tests.filing.test_rows import publication

OIN = "00000003123456780000"
TWICE, LATE, UNKNOWN = (
    "delivery_accepted_twice", "delivery_arrived_late", "delivery_unknown_kenmerk"
)  # fmt: skip


def comes_late(office, request: dict[str, object]) -> str:
    """Digipoort books the lost attempt after all; its kenmerk."""
    made = office.digipoort.book(request, "urn:uuid:laat", OIN, "Happyflow")
    return made["kenmerk"]


async def looks(office, id) -> list[str]:
    """It is time for a look; the events of what it found."""
    at = await office.delivery(id)
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update delivery set watch_at = now() where watch_at is not null")
    assert await step(office.works, office.firm.id, at.id)
    async with office.portal.db.tenant(office.firm.id) as c:
        rows = await c.fetch("select event from audit where event = any ($1) order by id",
                             [TWICE, LATE, UNKNOWN])  # fmt: skip
    return [r["event"] for r in rows]


async def letters(office) -> int:
    async with office.portal.db.tenant(office.firm.id) as c:
        return await c.fetchval("select count(*) from outbox where event = 'stuk_problem_office'")


async def no_message(*_: object) -> None:
    """Nothing is told about a kenmerk."""


async def nobody_there(*_: object) -> None:
    """The receiver is away."""
    raise NotSent("connect")


@pytest.fixture
async def resent(office, person):
    """A stuk whose first attempt was lost; the second arrived."""
    sanne = await person()
    id = await office.put_up()
    office.scenario("ResetBefore")
    await sanne.approves(id)
    assert (await office.finish(id)).state is State.FINAL_OK
    return id


async def test_a_second_arrival_is_told_once(office, resent):
    before = await letters(office)
    assert await looks(office, resent) == []
    kenmerk = comes_late(office, office.booked[0]["request"])
    assert await looks(office, resent) == [TWICE]
    assert await looks(office, resent) == [TWICE]
    assert await letters(office) == before + 1
    assert (await office.delivery(resent)).kenmerk != kenmerk


async def test_the_watch_ends(office, resent):
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update delivery set watch_until = now()")
    await looks(office, resent)
    assert (await office.delivery(resent)).watch_at is None


async def test_what_arrived_at_once_is_not_watched(office, person):
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    assert (await office.finish(id)).watch_at is None


async def test_while_the_receiver_is_away_the_watch_goes_on(office, resent, monkeypatch):
    at = await office.delivery(resent)
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update delivery set watch_at = now()")
    monkeypatch.setattr(Client, "processes", nobody_there)
    assert await step(office.works, office.firm.id, at.id)
    later = await office.delivery(resent)
    assert later.watch_at is not None
    assert later.watch_at > at.watch_at - timedelta(seconds=1)
    assert later.state is State.FINAL_OK


async def test_a_kenmerk_of_which_nobody_tells_whose_it_is(office, resent, monkeypatch):
    """A receiver without an ophaalservice, as the banks are."""
    monkeypatch.setattr(Client, "message", no_message)
    comes_late(office, office.booked[0]["request"])
    assert await looks(office, resent) == [UNKNOWN]
    assert await looks(office, resent) == [UNKNOWN]


async def test_it_may_be_what_another_delivery_is_sending(office, resent, monkeypatch):
    """Were it put aside as unknown, that delivery would not find its own, and send it twice."""
    monkeypatch.setattr(Client, "message", no_message)
    comes_late(office, office.booked[0]["request"])
    at = await office.delivery(resent)
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("insert into attempt (firm, delivery, channel, message_id)"
                        " values ($1, $2, $3, 'm')",
                        office.firm.id, at.id, at.channel)  # fmt: skip
    assert await looks(office, resent) == []
    async with office.portal.db.tenant(office.firm.id) as c:
        assert await c.fetchval("select count(*) from stranger") == 0
        await deliveries.close_attempt(c, at.id, Outcome.NOT_SENT)
    assert await looks(office, resent) == [UNKNOWN]


async def test_what_was_not_sent_again_and_arrives(office, person, monkeypatch):
    """A deposit is for a person to decide; the mail says that it is there after all."""
    monkeypatch.setitem(INSTANCES, "publicatiestukken", publication)
    sanne = await person()
    id = await office.put_up("publicatiestukken")
    office.scenario("ResetBefore")
    await sanne.approves(id)
    at = await office.finish(id)
    assert at.state is State.UNCERTAIN
    who = {"nummer": "12345678", "type": office.firm.soorten["publicatiestukken"].identity}
    comes_late(office, {
        "berichtsoort": at.berichtsoort, "aanleverkenmerk": at.aanleverkenmerk,
        "identiteitBelanghebbende": who, "berichtInhoud": {"sha256": "", "bestandsnaam": "x"},
    })  # fmt: skip
    assert await looks(office, id) == [LATE]
