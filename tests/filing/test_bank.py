"""A bank: chosen by the client, without an ophaalservice; and the guard file."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.delivery.client import Client
from gateway.delivery.outcomes import NotSent
from gateway.domain.delivery import State as D
from gateway.domain.stuk import State
from gateway.flows import stukbeheer
from gateway.flows.receivers import Guard
from gateway.simulators.digipoort import ledger as books
from gateway.simulators.digipoort.scenarios import Queued
from tests.domain.xbrl import made
from tests.filing.conftest import INSTANCES

BANK = ("banken/proef",)
OIN = "00000003123456780000"


def _report(tag: int) -> bytes:
    entry = made.ref(
        "https://www.sbrnexus.nl/ft16/frc/20211208/entrypoints/"
        "frc-rpt-nt-inrichtingsjaarrekening-2021.xsd"
    )
    context = made.context(scheme="http://www.kvk.nl/kvk-id", number="12345678")
    return made.xbrl(made.amount("Equity", tag), entry=entry, contexts=context)


@pytest.fixture
async def sanne(person, monkeypatch):
    """A client of whom credit reports can be put up."""
    monkeypatch.setitem(INSTANCES, "kredietrapportage", _report)
    return await person()


def _booked(office) -> list[dict[str, object]]:
    return books.read(office.ledger.with_name("bank.sqlite"))


async def test_row_165_a_credit_report_reaches_the_chosen_bank(office, sanne):
    id = await office.put_up("kredietrapportage")
    (sent,) = await sanne.approves(id, banks=BANK)
    assert sent.state is State.APPROVED
    assert (await office.finish(id)).state is D.FINAL_OK
    assert (await office.stuk(id)).state is State.DONE
    (booking,) = _booked(office)
    assert booking["berichtsoort"] == "Jaarrekening_AV"


async def test_another_products_filing_just_before_is_not_taken_for_ours(office, sanne):
    first = await office.put_up("kredietrapportage")
    await sanne.approves(first, banks=BANK)
    await office.finish(first)
    other = await office.put_up("kredietrapportage", tag=2)
    await sanne.approves(other, banks=BANK)
    request = _booked(office)[0]["request"]
    theirs = office.bank.book(request, "urn:uuid:ander", OIN, "Happyflow")["kenmerk"]
    office.bank.chooser.queue(Queued("ResetAfter"))
    done = await office.finish(other)
    assert done.state is D.FINAL_OK
    assert done.kenmerk not in {None, theirs}
    assert len(_booked(office)) == 3


async def test_a_bank_that_cannot_be_asked_gets_nothing(office, sanne, monkeypatch):
    processes, asked = Client.processes, []

    async def away_at_first(*given):
        asked.append(1)
        if len(asked) == 1:
            raise NotSent("connect")
        return await processes(*given)

    monkeypatch.setattr(Client, "processes", away_at_first)
    id = await office.put_up("kredietrapportage")
    await sanne.approves(id, banks=BANK)
    assert (await office.finish(id)).state is D.FINAL_OK
    assert len(_booked(office)) == 1
    async with office.portal.db.tenant(office.firm.id) as c:
        outcomes = await c.fetch("select outcome from attempt order by number")
    assert [r["outcome"] for r in outcomes] == ["not_sent", "accepted"]


async def test_a_given_up_attempt_that_comes_late_is_no_other_products(office, sanne):
    id = await office.put_up("kredietrapportage")
    office.bank.chooser.queue(Queued("ResetBefore"))
    await sanne.approves(id, banks=BANK)
    assert (await office.finish(id)).state is D.UNCERTAIN
    await stukbeheer.decide(office.portal, office.firm, id, "eva", "Nagekeken.", kenmerk=None)
    assert (await office.finish(id)).state is D.FINAL_OK
    other = await office.put_up("kredietrapportage", tag=2)
    await sanne.approves(other, banks=BANK)
    request = _booked(office)[0]["request"]
    ours = office.bank.book(request, "urn:uuid:laat", OIN, "Happyflow")["kenmerk"]
    await office.finish(other)
    async with office.portal.db.tenant(office.firm.id) as c:
        assert await c.fetchval("select count(*) from stranger where kenmerk = $1", ours) == 0


def test_the_guard_keeps_the_highest_whoever_notes(tmp_path):
    file = tmp_path / "attempts"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Guard(file).note(n), [*range(1, 101), *range(100, 0, -1)]))
    assert Guard(file).remembered() == 100
