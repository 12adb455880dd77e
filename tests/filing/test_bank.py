"""A bank: chosen by the client, without an ophaalservice; and the guard file."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.domain.delivery import State as D
from gateway.domain.stuk import State
from gateway.flows.receivers import Guard
from gateway.simulators.digipoort import ledger as books
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


def test_the_guard_keeps_the_highest_whoever_notes(tmp_path):
    file = tmp_path / "attempts"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: Guard(file).note(n), [*range(1, 101), *range(100, 0, -1)]))
    assert Guard(file).remembered() == 100
