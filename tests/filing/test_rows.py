"""Rows of the inventory that are about flows and mail more than about a page."""

import json

import pytest

from gateway.domain.delivery import State as D
from gateway.domain.soort import DEFAULTS, Route
from gateway.domain.stuk import State
from gateway.flows import letters, stukbeheer
from gateway.flows.accordering import approving
from gateway.notify.mail import render
from tests.domain.xbrl import made
from tests.filing.conftest import INSTANCES, KLANT


async def _letters(office, event: str) -> list[dict[str, str]]:
    async with office.portal.db.tenant(office.firm.id) as c:
        rows = await c.fetch("select payload_sealed from outbox where event = $1", event)
    opened = [json.loads(office.portal.keys.open("letter", r["payload_sealed"])) for r in rows]
    return [o["values"] for o in opened]


@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("ihz", "Aangifte inkomstenbelasting"), ("vpb", "Aangifte vennootschapsbelasting"),
        ("ob", "Aangifte omzetbelasting"), ("publicatiestukken", "Publicatiestukken"),
        ("kredietrapportage", "Kredietrapportage"), ("jaarrekening", "Jaarrekening"),
        ("icp", "Opgaaf"), ("obsup", "Suppletie"),
    ],
)  # fmt: skip
def test_rows_108_113_160_to_169_the_kinds(key, title):
    assert DEFAULTS[key].title.nl.startswith(title)
    assert DEFAULTS[key].title.en


def test_row_109_a_route_for_each_firm_and_kind(office):
    assert office.firm.soorten["ob"].route is Route.PORTAL
    assert office.firm.soorten["vpb"].route is Route.BACKOFFICE
    assert DEFAULTS["vpb"].route is Route.PORTAL
    assert DEFAULTS["jaarrekening"].route is Route.SIGN


async def test_row_110_password_and_code_for_every_approval(office, person):
    """Signing in was with a code; approving takes another, bound to the document."""
    sanne = await person()
    id = await office.put_up()
    before = len(sanne.phone.messages)
    await approving.approve(office.portal, sanne.visitor, id, await sanne.opens(id))
    assert (await office.stuk(id)).state is State.READY
    assert len(sanne.phone.messages) == before
    await sanne.sends(id)
    assert len(sanne.phone.messages) == before + 1


async def test_rows_111_115_one_mail_with_a_link_to_the_task(office, person):
    await person()
    one = await office.put_up()
    (letter,) = await _letters(office, "stuk_to_approve")
    assert letter["link"].endswith(f"/accordering/{one}")
    made_ = render("stuk_to_approve", "nl", office.firm, "http://h", letter)
    assert office.firm.mail_name == "Eikenhof portal"
    assert "Eikenhof portal" in made_["subject"]
    assert "Aangifte omzetbelasting over 1e kwartaal 2026" in made_["text"]
    await office.put_up(tag=99)
    (letter,) = await _letters(office, "stuk_to_approve")  # the two are one letter
    assert letter["link"].endswith("/accordering")
    assert (
        "Er staan documenten klaar"
        in render("stuk_to_approve", "nl", office.firm, "http://h", letter)["text"]
    )
    assert letters.BUNDLE.total_seconds() > 0


def publication(tag: int) -> bytes:
    entry = made.ref(
        "http://www.nltaxonomie.nl/nt20/kvk/20251210/entrypoints/"
        "kvk-rpt-jaarverantwoording-2025-nlgaap-micro-publicatiestukken.xsd"
    )
    context = made.context(scheme="http://www.kvk.nl/kvk-id", number="12345678")
    return made.xbrl(made.amount("Equity", tag), entry=entry, contexts=context)


async def test_rows_139_to_142_publication_without_a_member_of_staff(office, person, monkeypatch):
    """The client's own approval files it; who it was can be proved; mail when the KvK has it."""
    monkeypatch.setitem(INSTANCES, "publicatiestukken", publication)
    sanne = await person()
    id = await office.put_up("publicatiestukken")
    (sent,) = await sanne.approves(id)
    assert sent.state is State.APPROVED
    assert (await office.finish(id)).state is D.FINAL_OK
    assert (await office.stuk(id)).state is State.ACCEPTED
    (letter,) = await _letters(office, "stuk_accepted")
    assert letter["status"] == "Akkoord Digipoort"
    assert letter["link"].endswith(f"/accordering/{id}")
    async with office.portal.db.tenant(office.firm.id) as c:
        rows = await c.fetch(
            "select event, person from audit where subject = $1 and person is not null",
            f"stuk:{id}",
        )
    assert {r["person"] for r in rows} == {sanne.visitor.person_id}
    assert "stuk_confirmed" in {r["event"] for r in rows}
    (booking,) = office.booked
    assert (booking["berichtsoort"], booking["nummer"]) == ("Jaarrekening", "12345678")


async def test_row_143_a_deposit_that_did_not_arrive_is_for_a_person(office, person, monkeypatch):
    """publicatiestukken are not sent again by themselves (`resend`)."""
    monkeypatch.setitem(INSTANCES, "publicatiestukken", publication)
    sanne = await person()
    id = await office.put_up("publicatiestukken")
    office.scenario("ResetBefore")
    await sanne.approves(id)
    assert (await office.finish(id)).state is D.UNCERTAIN
    await stukbeheer.decide(
        office.portal, office.firm, id, "eva", "Bij de KvK nagekeken.", kenmerk=None
    )
    assert (await office.finish(id)).state is D.FINAL_OK
    assert len(office.booked) == 1
    assert KLANT == "400100"


@pytest.mark.parametrize(
    "scenario",
    ["ResetBefore", "ResetAfter", "ErrorAfter", "OverbelastAanleveren", "ForgedReply",
     "UnsignedReply", "TamperedReply", "WrappedReply", "OtherRelatesTo", "LateBooking"],
)  # fmt: skip
async def test_row_143_whatever_the_line_does_it_is_filed_once(office, person, scenario):
    sanne = await person()
    id = await office.put_up()
    office.scenario(scenario)
    await sanne.approves(id)
    delivery = await office.finish(id)
    assert delivery.state is D.FINAL_OK
    (booking,) = office.booked
    assert booking["kenmerk"] == delivery.kenmerk
