"""The pages of accordering; each test names the rows of the inventory that it shows."""

import csv
import io
import re
from urllib.parse import urlencode

import pytest

from gateway.domain.stuk import State
from gateway.errors import Invalid
from gateway.flows import filing, stukbeheer
from gateway.flows.visitor import today
from gateway.pages.accordering import overzicht
from tests.filing.conftest import KLANT


@pytest.fixture
async def inside(office, person, sign_in, browser):
    """A browser of a client who may approve; a return is put up."""
    await person()
    id = await office.put_up(
        deadline=today(), opmerking="Let op de privékilometers.", relatiebeheerder="karim"
    )
    await sign_in()
    return browser, id


async def _open_all(browser, id) -> None:
    await browser.get(f"/accordering/{id}/onderdeel/1")
    await browser.get(f"/accordering/{id}/weergave")
    await browser.get(f"/accordering/{id}")


def _manifest(browser) -> str:
    return re.search(r'name="manifest" value="(\w{64})"', browser.page)[1]


async def _approved(browser, id, **more: str):
    await _open_all(browser, id)
    return await browser.post(f"/accordering/{id}/goedkeuren", manifest=_manifest(browser), **more)


async def test_rows_54_112_114_the_list(inside):
    browser, _id = inside
    await browser.get("/welkom")
    assert "Openstaande taken 1" in browser.text
    await browser.get("/accordering")
    assert "overzicht documenten" in browser.text
    for column in ("Deadline", "Type", "Periode", "Klant", "Status"):
        assert f">{column}</th>" in browser.page
    assert "Aangifte omzetbelasting" in browser.text
    assert "Bakkerij Het Brood B.V. (400100)" in browser.text
    assert "Te accorderen" in browser.text
    assert "Concept" not in browser.text


async def test_row_114_overdue_is_told_in_words(inside, office):
    browser, _id = inside
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update stuk set deadline = date '2020-01-31'")
    await browser.get("/accordering")
    assert "31-01-2020 te laat" in browser.text


async def test_rows_116_to_126_and_128_the_details(inside):
    browser, id = inside
    await browser.get(f"/accordering/{id}")
    text = browser.text
    for label in (
        "Document details", "Acties", "Terug naar overzicht", "Status", "Klant",
        "Aangemaakt op", "Type", "Periode", "Deadline", "Opmerking", "Relatiebeheerder",
        "Bijlage openen", "Geschiedenis", "Vernieuwen",
    ):  # fmt: skip
        assert label in text, label
    assert f"{today():%d-%m-%Y}" in text
    assert "Let op de privékilometers." in text
    assert "Karim Azzouz" in text
    assert "Klaargezet door het kantoor" in text


async def test_row_127_no_buttons_before_everything_was_opened(inside, office):
    browser, id = inside
    await browser.get(f"/accordering/{id}")
    assert "Open eerst alle onderdelen" in browser.text
    assert 'value="direct"' not in browser.page
    await browser.post(f"/accordering/{id}/goedkeuren", 409, manifest="0" * 64)
    await browser.get(f"/accordering/{id}")
    manifest = (await office.stuk(id)).manifest
    await browser.post(f"/accordering/{id}/goedkeuren", 400, manifest=manifest)
    await browser.get(f"/accordering/{id}/onderdeel/1")
    await browser.get(f"/accordering/{id}")
    assert 'value="direct"' not in browser.page
    await browser.get(f"/accordering/{id}/weergave")
    assert "3.240" in browser.text
    await browser.get(f"/accordering/{id}")
    assert 'value="direct"' in browser.page
    assert "Document geopend Door:" not in browser.text
    assert "Door: Sanne Meulenbelt" in browser.text


async def test_a_head_or_a_broken_download_counts_for_nothing(inside):
    browser, id = inside
    answer = await browser.client.head(f"/accordering/{id}/onderdeel/1")
    assert answer.status == 200
    await browser.get(f"/accordering/{id}/weergave")
    await browser.get(f"/accordering/{id}")
    assert 'value="direct"' not in browser.page


async def test_rows_129_131_134_135_137_approved_and_sent_at_once(inside, office, phone):
    browser, id = inside
    await _approved(browser, id, wanneer="direct")
    assert "Verzenden met SMS code" in browser.text
    assert "•" in browser.text  # the number is masked
    assert "Aangifte omzetbelasting, 1e kwartaal 2026, Bakkerij Het Brood B.V." in browser.text
    fields = {"stuk": str(id)}
    await browser.post("/accordering/verzenden/token", 400, **fields, code1="000", code2="000")
    assert "Deze code klopt niet" in browser.text
    first, _, second = phone.code.partition("-")
    await browser.post("/accordering/verzenden/token", **fields, code1=first, code2=second)
    assert "Het document is succesvol verwerkt" in browser.text
    assert "Wordt verzonden" in browser.text
    await office.finish(id)
    await browser.get(f"/accordering/{id}")
    assert "Akkoord Digipoort" in browser.text
    assert "De ontvanger heeft het document aangenomen." in browser.text


async def test_rows_132_133_later_in_one_go(inside, office, phone):
    browser, id = inside
    other = await office.put_up(tag=77)
    for one in (id, other):
        await _approved(browser, one, wanneer="later")
        assert "klaar om te verzenden" in browser.text
    page = browser.page
    assert page.index("klaar om te verzenden") < page.index('id="taken"')
    assert "verzend alle" in browser.text
    answer = await browser.client.post(
        "/accordering/verzenden",
        data=[("form_token", browser.token), ("stuk", str(id)), ("stuk", str(other))],
    )
    browser.page = await answer.text()
    assert browser.text.count("Aangifte omzetbelasting") == 2
    answer = await browser.client.post(
        "/accordering/verzenden/token",
        data=[("form_token", browser.token), ("stuk", str(id)), ("stuk", str(other)),
              ("code1", phone.code), ("code2", "")],
    )  # fmt: skip
    browser.page = await answer.text()
    assert "De documenten zijn verwerkt" in browser.text
    for one in (id, other):
        await office.finish(one)
    assert len(office.booked) == 2


async def test_row_133_off_the_list_again(inside, office):
    browser, id = inside
    await _approved(browser, id, wanneer="later")
    await browser.get(f"/accordering/{id}")
    await browser.post(f"/accordering/{id}/terughalen")
    assert "wacht weer op uw akkoord" in browser.text
    assert (await office.stuk(id)).state is State.TO_APPROVE


async def test_rows_130_136_rejected_with_a_reason(inside, office, phone):
    browser, id = inside
    await _open_all(browser, id)
    manifest = _manifest(browser)
    await browser.post(f"/accordering/{id}/afkeuren", 400, manifest=manifest, reden="nee")
    assert "Geef een reden" in browser.text
    reason = "De omzet van <b>maart</b> ontbreekt."
    await browser.post(f"/accordering/{id}/afkeuren", manifest=manifest, reden=reason)
    assert "&lt;b&gt;maart" in browser.page
    await browser.post(
        f"/accordering/{id}/afkeuren/token", manifest=manifest, reden=reason, code1=phone.code
    )
    assert "Afgekeurd" in browser.text
    assert (await office.stuk(id)).state is State.REJECTED


async def test_row_138_the_backoffice_route(inside, office, phone):
    browser, _ = inside
    id = await office.put_up("vpb")
    await browser.get(f"/accordering/{id}/onderdeel/1")
    await browser.get(f"/accordering/{id}")
    await browser.post(
        f"/accordering/{id}/goedkeuren", manifest=_manifest(browser), wanneer="direct"
    )
    await browser.post("/accordering/verzenden/token", stuk=str(id), code1=phone.code)
    assert "Uw accountant dient het document in met het fiscale pakket" in browser.text
    assert "Afgerond" not in browser.text

    async def handed() -> bool:
        return (await office.delivery(id)).state == "accepted"

    await office.work(handed)
    await stukbeheer.report(office.portal, office.firm, id, True, "pakket")
    await browser.get(f"/accordering/{id}")
    assert "Afgerond" in browser.text


async def test_row_143_a_rejection_by_the_receiver_in_plain_dutch(inside, office, phone):
    browser, id = inside
    office.scenario("Validatiefout")
    await _approved(browser, id, wanneer="direct")
    await browser.post("/accordering/verzenden/token", stuk=str(id), code1=phone.code)
    await office.finish(id)
    await browser.get(f"/accordering/{id}")
    assert "Fout bij verzending" in browser.text
    assert "Afgekeurd bij validatie" in browser.text
    assert "Uw accountant herstelt de fout en zet het document opnieuw klaar." in browser.text


async def test_rows_171_to_174_the_overview(inside, office):
    browser, _id = inside
    await browser.get("/accordering/overzicht")
    for label in ("Status", "Jaar", "Type", "[Alle]", "Toepassen filter"):
        assert label in browser.text
    assert browser.page.count("selected") == 0  # [Alle] by itself
    assert "Aangifte omzetbelasting" in browser.text
    await browser.get("/accordering/overzicht?status=afgekeurd")
    assert "Geen documenten gevonden" in browser.text
    await browser.get("/accordering/overzicht?status=te_accorderen&jaar=2026&type=ob")
    assert "Gevonden: 1" in browser.text
    assert browser.page.count("selected") == 3
    for odd in ("?jaar=x", "?status='", "?type=%00"):
        await browser.get(f"/accordering/overzicht{odd}")


async def test_row_172_as_csv_that_runs_nothing(inside, office):
    browser, _id = inside
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update klant set name = ' =HYPERLINK(1)' where number = $1", KLANT)
    text = await browser.get("/accordering/overzicht.csv")
    rows = list(csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=";"))
    assert rows[0][:5] == ["Deadline", "Type", "Periode", "Jaar", "Klant"]
    assert rows[1][4] == "' =HYPERLINK(1)"


@pytest.fixture
async def four(inside, office):
    """Stukken of two klanten, kinds and periods, in the browser of who may see them all."""
    from gateway.domain.klant import Klant
    from gateway.flows import people

    browser, first = inside
    other = Klant("400200", "Café Één & 100%_Zn\\ B.V.")
    await people.put_klanten(office.portal, office.firm, [other])
    await people.grant(office.portal, office.firm, "sanne@bakkerij.example", other.number)
    await office.put_up("vpb", periode="2025", jaar=2025)
    for tag, periode in ((1, "2e kwartaal"), (2, "3e kwartaal")):
        id = await office.put_up(tag=tag, periode=periode)
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update stuk set klant = $1 where id = $2", other.number, id)
    return browser, first


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", 4), ("bakkerij", 3), ("BAKKERIJ", 3), ("400100", 3), ("café één", 1), ("CAFÉ", 1),
        ("omzetbelasting", 3), ("kwartaal", 3), ("2e kwartaal bakkerij", 1), ("2025", 1),
        ("btw", 3), ("bakkerij café", 0), ("  brood   vennootschap ", 1),
        ("%", 1), ("_", 1), ("\\", 1), ("100%_zn\\", 1), ("1_0%", 0), ("' or 1=1 --", 0),
        ("\0bakkerij\x1b", 3), ("privékilometers", 0), ("x" * 5000, 0),
    ],
)  # fmt: skip
async def test_search_in_the_overview(four, search, found):
    """In what the visitor reads in the list, in any case, as it is typed."""
    browser, _ = four
    await browser.get(f"/accordering/overzicht?{urlencode({'zoek': search})}")
    assert f"Gevonden: {found}" in browser.text
    text = await browser.get(f"/accordering/overzicht.csv?{urlencode({'zoek': search})}")
    assert len(list(csv.reader(io.StringIO(text), delimiter=";"))) == found + 1


async def test_what_does_not_fit_on_the_page_is_told_and_stands_in_the_csv(four, monkeypatch):
    browser, _ = four
    monkeypatch.setattr(overzicht, "MOST", 3)
    page = await browser.get("/accordering/overzicht")
    assert "Gevonden: meer dan 3" in browser.text
    assert page.count('class="document"') == 3
    csv = await browser.get("/accordering/overzicht.csv")
    assert len(csv.splitlines()) == 5
    monkeypatch.setattr(overzicht, "MOST", 4)
    await browser.get("/accordering/overzicht")
    assert "Gevonden: 4" in browser.text


async def test_search_goes_with_the_filters_and_into_the_csv(four):
    browser, _ = four
    await browser.get("/accordering/overzicht")
    assert '<label for="zoek">Zoeken</label>' in browser.page
    await browser.get(
        "/accordering/overzicht?status=te_accorderen&jaar=2026&type=ob&zoek=%22brood"
    )
    assert 'value="&#34;brood"' in browser.page
    assert "Maak het zoekveld leeg" in browser.text
    await browser.get("/accordering/overzicht?jaar=2026&type=ob&zoek=brood+%26")
    assert "Gevonden: 0" in browser.text
    await browser.get("/accordering/overzicht?jaar=2026&type=ob&zoek=brood")
    assert "Gevonden: 2" in browser.text
    export = re.search(r'href="(/accordering/overzicht.csv[^"]*)"', browser.page)[1]
    text = await browser.get(export.replace("&amp;", "&"))
    rows = list(csv.reader(io.StringIO(text), delimiter=";"))[1:]
    assert {row[4] for row in rows} == {"Bakkerij Het Brood B.V."}
    assert sorted(row[2] for row in rows) == ["1e kwartaal", "2e kwartaal"]


async def test_search_in_the_language_of_the_visitor(four):
    browser, _ = four
    await browser.get("/accordering/overzicht?zoek=vat")
    assert "Gevonden: 0" in browser.text
    await browser.post("/taal", taal="en", terug="/accordering/overzicht")
    await browser.get("/accordering/overzicht?zoek=vat+return")
    assert '<label for="zoek">Search</label>' in browser.page
    assert "Found: 3" in browser.text
    await browser.get("/accordering/overzicht?zoek=omzetbelasting")
    assert "Found: 0" in browser.text


async def test_another_klants_stuk_is_404_on_every_address(inside, office):
    from gateway.domain.klant import Klant
    from gateway.flows import people

    browser, id = inside
    await people.put_klanten(office.portal, office.firm, [Klant("400200", "Ander")])
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update stuk set klant = '400200' where id = $1", id)
    for path in ("", "/onderdeel/1", "/weergave"):
        await browser.get(f"/accordering/{id}{path}", 404)
    await browser.get("/accordering")
    for path in ("/goedkeuren", "/terughalen", "/afkeuren", "/afkeuren/token"):
        await browser.post(
            f"/accordering/{id}{path}", 404, manifest="0" * 64, reden="lang genoeg", code1="123456"
        )
    for path in ("geen-uuid", "00000000-0000-0000-0000-000000000000"):
        await browser.get(f"/accordering/{path}", 404)


async def test_the_pages_in_english(inside):
    browser, id = inside
    await browser.get("/accordering")
    await browser.post("/taal", taal="en", terug="/accordering")
    await browser.get(f"/accordering/{id}")
    assert "To be approved" in browser.text
    assert "VAT return" in browser.text


async def test_what_could_not_be_sent_is_not_told_as_done(inside, office, phone, monkeypatch):
    browser, id = inside
    other = await office.put_up(tag=-77)  # nothing to pay
    for one in (id, other):
        await _approved(browser, one, wanneer="later")
    await browser.client.post(
        "/accordering/verzenden",
        data=[("form_token", browser.token), ("stuk", str(id)), ("stuk", str(other))],
    )
    begin = filing.begin

    async def nowhere(portal, c, firm, stuk, soort):
        if stuk.id == id:
            raise Invalid({"stuk": filing.NO_DESTINATION})
        return await begin(portal, c, firm, stuk, soort)

    monkeypatch.setattr(filing, "begin", nowhere)
    answer = await browser.client.post(
        "/accordering/verzenden/token",
        data=[("form_token", browser.token), ("stuk", str(id)), ("stuk", str(other)),
              ("code1", phone.code), ("code2", "")],
    )  # fmt: skip
    browser.page = await answer.text()
    assert "<h1>Niet alles is verzonden</h1>" in browser.page
    assert filing.NO_DESTINATION in browser.text
    assert "Wordt verzonden" in browser.text
    assert "nog betalen" not in browser.text


async def test_what_is_to_be_paid_after_the_approval(inside, office, phone):
    """Features row 25: amount, reference, IBAN, due date, and a code for the bank's app."""
    browser, id = inside
    await browser.get(f"/accordering/{id}")
    assert "Betalingskenmerk" not in browser.text
    await _approved(browser, id, wanneer="direct")
    await browser.post("/accordering/verzenden/token", stuk=str(id), code1=phone.code)
    assert "Wel moet u zelf nog betalen." in browser.text
    assert f'href="/accordering/{id}#betalen"' in browser.page
    await browser.get(f"/accordering/{id}")
    for told in ("€ 3.240", "NL02ABNA0123456789", "30-04-2026", "Betalingskenmerk"):
        assert told in browser.text, told
    assert re.search(r"Betalingskenmerk\D*\d{16}", browser.text)
    assert '<svg class="qr" role="img"' in browser.page
