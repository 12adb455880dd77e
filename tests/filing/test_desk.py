"""The firm's desk (inventory row 183): staff sees, reminds, records paper, decides, withdraws."""

import pytest

from gateway.domain.delivery import State as D
from gateway.domain.stuk import State
from gateway.errors import Invalid
from gateway.flows import stukbeheer
from gateway.flows.visitor import today
from gateway.store import deliveries
from tests.filing.conftest import KLANT

EVA = "eva@eikenhof.example"


@pytest.fixture
async def at_work(office, person, register, sign_in, browser):
    """A member of the staff in a browser; a return is put up for a client."""
    await person()
    await register(EVA, name="Eva van Loon", mobile="06 12345699")
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update person set role = 'staff' where username = $1", EVA)
    id = await office.put_up()
    await sign_in(EVA)
    return browser, id


async def test_a_client_sees_no_desk(office, person, sign_in, browser):
    await person()
    id = await office.put_up()
    await sign_in()
    assert "/beheer" not in browser.page
    for path in ("/beheer/stukken", f"/beheer/stukken/{id}"):
        await browser.get(path, 404)
    await browser.get("/accordering")
    for act in ("intrekken", "herinneren", "papier", "beslissen"):
        await browser.post(f"/beheer/stukken/{id}/{act}", 404, reden="lang genoeg om te tellen")
    assert (await office.stuk(id)).state is State.TO_APPROVE


async def test_what_came_of_it(at_work, office):
    browser, id = at_work
    await browser.get("/beheer/stukken")
    assert "Aangifte omzetbelasting" in browser.text
    assert "Bericht gestuurd" in browser.text
    await browser.get(f"/beheer/stukken/{id}")
    assert "<dt>Bericht gestuurd</dt><dd>ja</dd>" in browser.page
    assert "<dt>Geopend</dt><dd>nee</dd>" in browser.page


async def test_withdrawn_with_a_reason(at_work, office):
    browser, id = at_work
    await browser.get(f"/beheer/stukken/{id}")
    await browser.post(f"/beheer/stukken/{id}/intrekken", 400, reden="kort")
    assert "Geef een reden" in browser.text
    await browser.post(f"/beheer/stukken/{id}/intrekken", reden="Verkeerde periode klaargezet.")
    assert "Het is vastgelegd." in browser.text
    assert (await office.stuk(id)).state is State.WITHDRAWN


async def test_reminded_and_on_paper(at_work, office):
    browser, id = at_work
    await browser.get(f"/beheer/stukken/{id}")
    await browser.post(f"/beheer/stukken/{id}/herinneren")
    await browser.post(
        f"/beheer/stukken/{id}/papier",
        wie="sanne@bakkerij.example",
        reden="Getekende brief in het dossier.",
    )
    assert (await office.stuk(id)).state is State.APPROVED
    assert (await office.finish(id)).state is D.FINAL_OK


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_person_decides_what_is_uncertain(at_work, office, arrived):
    browser, id = at_work
    await stukbeheer.paper(
        office.portal, office.firm, id, "sanne@bakkerij.example", "eva", "Brief in het dossier."
    )
    async with office.portal.db.tenant(office.firm.id) as c:
        one = (await deliveries.of_stuk(c, id))[0]
        await deliveries.move(c, one, D.UNCERTAIN, trouble="onduidelijk")
    await browser.get(f"/beheer/stukken/{id}")
    assert "Is het aangekomen?" in browser.text
    await browser.post(
        f"/beheer/stukken/{id}/beslissen", 400, aangekomen="ja", reden="Nagekeken op de site."
    )
    await browser.post(
        f"/beheer/stukken/{id}/beslissen", aangekomen="ja" if arrived else "nee",
        kenmerk="kenmerk-1", reden="Nagekeken op de site.",
    )  # fmt: skip
    delivery = await office.delivery(id)
    assert delivery.state is (D.ACCEPTED if arrived else D.QUEUED)
    assert delivery.kenmerk == ("kenmerk-1" if arrived else None)


async def test_staff_gets_no_mandate(at_work, office):
    with pytest.raises(Invalid, match="medewerker"):
        await stukbeheer.give_mandate(office.portal, office.firm, EVA, KLANT, "*", today())
