"""A bank has no ophaalservice: what is ours is told by what was there before, and by the time."""

from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest

from gateway.domain.delivery import State as D
from gateway.domain.stuk import State
from gateway.flows.receivers import Guard
from gateway.simulators.digipoort import ledger as books
from gateway.simulators.digipoort.scenarios import Queued
from tests.domain.xbrl import made
from tests.filing.conftest import INSTANCES

BANK = ("banken/proef",)


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


@pytest.mark.parametrize("scenario", ["ResetAfter", "ResetBefore"])
async def test_another_products_filing_is_never_taken_for_ours(office, sanne, scenario, dsn):
    """It came minutes ago, of the same klant and kind; then our own line is cut."""
    first = await office.put_up("kredietrapportage", tag=1)
    await sanne.approves(first, banks=BANK)
    foreign = (await office.finish(first)).kenmerk
    owner = await asyncpg.connect(dsn)  # from now on it is one that nobody here knows
    await owner.execute("alter table delivery disable trigger delivery_guard")
    await owner.execute("update delivery set channel = 'elders'")
    await owner.execute("alter table delivery enable trigger delivery_guard")
    await owner.close()
    id = await office.put_up("kredietrapportage", tag=2)
    office.bank.chooser.queue(Queued(scenario))
    await sanne.approves(id, banks=BANK)
    delivery = await office.finish(id)
    assert delivery.kenmerk != foreign
    if scenario == "ResetAfter":
        assert delivery.state is D.FINAL_OK
        assert len(_booked(office)) == 2
    else:  # a credit report is not sent again by itself
        assert delivery.state is D.UNCERTAIN
        assert len(_booked(office)) == 1


def test_the_guard_keeps_the_highest_whoever_notes(tmp_path):
    file = tmp_path / "attempts"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Guard(file).note(n), [*range(1, 101), *range(100, 0, -1)]))
    assert Guard(file).remembered() == 100
