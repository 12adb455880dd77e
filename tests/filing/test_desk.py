"""The firm's desk (inventory row 183): staff sees, reminds, records paper, decides, withdraws."""

import dataclasses
import html
import json
import re
import socket
from datetime import date
from urllib.parse import quote
from uuid import UUID

import pytest

from gateway import app as application
from gateway.connector.guard import Guarded
from gateway.domain import dossier
from gateway.domain.delivery import State as D
from gateway.domain.stuk import State
from gateway.errors import Busy, Invalid
from gateway.flows import intake, notices, stukbeheer
from gateway.flows.accordering import rejecting
from gateway.flows.visitor import today
from gateway.store import deliveries, stukken
from tests.filing.conftest import INSTANCES, KLANT
from tests.pages import test_in_browser as in_browser

EVA = "eva@eikenhof.example"
chromium = in_browser.chromium


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
    forms = [f"/{act}" for act in ("papier", "vervangen", "intrekken", "beslissen")]
    for path in ("", f"/{id}", *(f"/{id}{form}" for form in forms)):
        await browser.get(f"/beheer/stukken{path}", 404)
    await browser.get("/accordering")
    for act in ("intrekken", "herinneren", "papier", "vervangen", "beslissen"):
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
    for given in ({}, {"aangekomen": "ja"}, {"aangekomen": "misschien"}):
        await browser.post(
            f"/beheer/stukken/{id}/beslissen", 400, reden="Nagekeken op de site.", **given
        )
        assert (await office.delivery(id)).state is D.UNCERTAIN
    await browser.post(
        f"/beheer/stukken/{id}/beslissen", aangekomen="ja" if arrived else "nee",
        kenmerk="kenmerk-1", reden="Nagekeken op de site.",
    )  # fmt: skip
    delivery = await office.delivery(id)
    assert delivery.state is (D.ACCEPTED if arrived else D.QUEUED)
    assert delivery.kenmerk == ("kenmerk-1" if arrived else None)


async def test_the_list_is_filtered_by_the_address(at_work, office):
    browser, id = at_work
    other = await office.put_up("vpb", periode="boekjaar 2025")
    await stukbeheer.withdraw(office.portal, office.firm, id, "eva", "Verkeerde periode.")
    for query, count in (
        ("", 1), ("?toon=klant", 1), ("?toon=kantoor", 0), ("?toon=alles", 2),
        ("?toon=alles&type=ob", 1), ("?zoek=boekjaar+het+brood", 1), ("?zoek=400100", 1),
        ("?zoek=niemand", 0), ("?toon='&type=%00", 1),
    ):  # fmt: skip
        await browser.get(f"/beheer/stukken{query}")
        assert f"Gevonden: {count}" in browser.text, query
    assert f"/beheer/stukken/{other}" in browser.page
    await browser.get("/beheer/stukken?zoek=niemand")
    assert "Geen documenten gevonden" in browser.text


async def test_a_season_of_stukken(at_work, office):
    """The search and the counts reach all of them; a page shows fifty."""
    browser, id = at_work
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute(
            "insert into stuk (firm, klant, soort, route, state, jaar, periode, manifest, content,"
            " rule, put_up_by, changed_at) select firm, klant, soort, route, case when n % 3 = 0"
            " then 'afgekeurd' else state end, 2000 + n % 26, 'maand ' || n, 'm', n::text, rule,"
            " put_up_by, now() + n * interval '1 second' from stuk, generate_series(1, 1233) n"
        )
    await browser.get("/beheer/stukken")
    assert "Gevonden: 1234" in browser.text
    assert "Pagina 1 van 25" in browser.text
    assert "Actie nodig van het kantoor (411)" in browser.text
    assert "Wacht op de klant (823)" in browser.text
    assert browser.page.count('class="name-cell"') == 50
    assert "maand 1233 2011" in browser.text
    assert "maand 1232 " not in browser.text  # after all that wait for the reader
    await browser.get("/beheer/stukken?pagina=25&toon=geen")
    assert browser.page.count('class="name-cell"') == 34
    assert str(id) in browser.page
    await browser.get("/beheer/stukken?pagina=9999&toon=kantoor")
    assert "Pagina 9 van 9" in browser.text
    assert "?pagina=8&amp;toon=kantoor" in browser.page
    for words, count in (("maand 2007", 48), ("omzetbelasting 77 2025", 2), ("%", 0)):
        await browser.get("/beheer/stukken?zoek=" + quote(words))
        assert f"Gevonden: {count}" in browser.text, words


async def test_what_waits_for_the_firm_comes_first(at_work, office):
    browser, id = at_work
    await stukbeheer.paper(
        office.portal, office.firm, id, "sanne@bakkerij.example", "eva", "Brief in het dossier."
    )
    async with office.portal.db.tenant(office.firm.id) as c:
        one = (await deliveries.of_stuk(c, id))[0]
        await deliveries.move(c, one, D.UNCERTAIN, trouble="onduidelijk")
    later = await office.put_up(tag=77)
    page = await browser.get("/beheer/stukken")
    assert page.index(str(id)) < page.index(str(later))
    assert "Niet zeker of het is aangekomen" in browser.text
    assert "actie nodig" in browser.text
    await browser.get("/beheer/stukken?toon=kantoor")
    assert "Gevonden: 1" in browser.text


async def test_a_stuk_with_its_history_and_why_it_was_rejected(at_work, office, person, phone):
    browser, _ = at_work
    client = await person("bas@bakkerij.example", mobile="06 12345688", identity=False)
    id = await office.put_up(tag=77, opmerking="Let op de <b>kilometers</b>.")
    manifest = await client.opens(id)
    why = "De omzet van <i>maart</i> ontbreekt."
    await rejecting.ask_rejection(office.portal, client.visitor, id, manifest, why)
    await rejecting.reject(office.portal, client.visitor, id, manifest, why, phone.code)
    await browser.get(f"/beheer/stukken/{id}")
    assert "De omzet van &lt;i&gt;maart&lt;/i&gt; ontbreekt." in browser.page
    assert "Let op de &lt;b&gt;kilometers" in browser.page
    for told in (
        "Neem contact op met de klant en zet een nieuwe versie klaar.",
        "Afgekeurd", "Document geopend", "Bericht gestuurd", "ob-77.xbrl",
    ):  # fmt: skip
        assert told in browser.text, told
    assert f"/beheer/stukken/{id}/vervangen" in browser.page
    assert f"/beheer/stukken/{id}/papier" not in browser.page


async def test_a_new_version_takes_its_place(at_work, office, person, phone):
    """Of a stuk with a rule of its own, that somebody approved already."""
    browser, _ = at_work
    one = await person("bas@bakkerij.example", mobile="06 12345688", identity=False)
    other = await person("els@bakkerij.example", mobile="06 12345677", identity=False)
    who = [intake.GroupWish((one.visitor.username,)), intake.GroupWish((other.visitor.username,))]
    id = await office.put_up(tag=77, opmerking="Let op de <b>kilometers</b>.", approvers=who,
                             deadline=date(2026, 12, 1))  # fmt: skip
    await one.approves(id)
    assert (await office.stuk(id)).state is State.PARTLY
    office.write("anders-78.pdf", "%PDF-1.4 anders")
    office.write("anders-78.xbrl", INSTANCES["ob"](78))
    address = f"/beheer/stukken/{id}/vervangen"
    page = await browser.get(address)
    assert "Let op de &lt;b&gt;kilometers&lt;/b&gt;.</textarea>" in page
    assert 'value="2026-12-01"' in page
    first, second = page.split('id="deel-')[1:]
    assert "anders-78.pdf" in first
    assert "anders-78.xbrl" not in first
    assert "anders-78.xbrl" in second
    chosen = {f"deel-{n}": dossier.handle(f"Stukken/anders-78.{kind}")
              for n, kind in ((1, "pdf"), (2, "xbrl"))}  # fmt: skip
    await browser.post(address, deadline="2026-12-24", opmerking="Nu goed.", **chosen)
    assert "De nieuwe versie staat klaar" in browser.text
    assert "Nu goed." in browser.text
    old = await office.stuk(id)
    new = await office.stuk(UUID(browser.path[len("/beheer/stukken/") :][:36]))
    assert (old.state, new.state) == (State.REPLACED, State.TO_APPROVE)
    assert (new.replaces, new.rule, new.put_up_by) == (id, old.rule, EVA)
    assert (new.jaar, new.periode, new.soort) == (old.jaar, old.periode, old.soort)
    assert new.deadline == date(2026, 12, 24)
    assert new.content != old.content
    await browser.get(f"/beheer/stukken/{new.id}")
    assert f'href="/beheer/stukken/{id}"' in browser.page
    await one.approves(new.id)
    await other.approves(new.id)
    assert (await office.finish(new.id)).state is D.FINAL_OK


async def test_the_same_files_are_read_again(at_work, office):
    """What changed in the source after the akkoord; nothing is chosen but what stood there."""
    browser, id = at_work
    office.write("ob-3240.pdf", "%PDF-1.4 verbeterd")
    await browser.get(f"/beheer/stukken/{id}/vervangen")
    await browser.post(f"/beheer/stukken/{id}/vervangen")
    old, new = (
        await office.stuk(id),
        await office.stuk(UUID(browser.path[len("/beheer/stukken/") :][:36])),
    )
    assert (old.content, old.state) == (new.content, State.REPLACED)
    assert old.manifest != new.manifest


async def test_a_new_version_that_is_wrong(at_work, office):
    """Every fault stands at its field, what was chosen stays chosen, and nothing is replaced."""
    browser, id = at_work
    address = f"/beheer/stukken/{id}/vervangen"
    office.write("fout.xbrl", b"<geen xbrl/>")
    (office.folder.parent / "400999").mkdir()
    (office.folder.parent / "400999" / "geheim.pdf").write_bytes(b"%PDF-1.4 geheim")
    wrong = dossier.handle("Stukken/fout.xbrl")
    await browser.get(address)
    for form, fields in (
        ({"deel-2": wrong, "opmerking": "Kijk <u>."}, {"deel-2"}),
        ({"deel-1": "!", "deadline": "2026-12-24"}, {"deel-1"}),
        ({"deel-1": dossier.handle("Stukken/geen.pdf"), "deel-2": wrong}, {"deel-1", "deel-2"}),
        ({"deel-1": dossier.handle("../400999/geheim.pdf")}, {"deel-1"}),
        ({"deel-1": "!", "deel-" + "9" * 5000: "x", "deel-0": "x"}, {"deel-1"}),
        ({"opmerking": "regel\ttwee\u202e"}, {"opmerking"}),
        ({"deadline": "morgen"}, {"deadline"}), ({"opmerking": "x" * 2001}, {"opmerking"}),
    ):  # fmt: skip
        page = await browser.post(address, 400, **form)
        assert set(re.findall(r'id="([\w-]+)-fout"', page)) == fields, form
        assert set(re.findall(r'<a href="#([\w-]+)">', page)) >= fields, form
        if "opmerking" in form:
            assert f">{html.escape(form['opmerking'])}</textarea>" in page
        if fields == {"deel-2"}:
            assert f'<option value="{wrong}" selected>' in page
    assert (await office.stuk(id)).state is State.TO_APPROVE
    async with office.portal.db.tenant(office.firm.id) as c:
        assert await c.fetchval("select count(*) from stuk") == 1


async def test_a_new_version_while_the_source_is_down(at_work, office):
    browser, id = at_work
    (office.folder / "Stukken").rename(office.folder / "Weg")
    address = f"/beheer/stukken/{id}/vervangen"
    await browser.get(address)
    page = await browser.post(address, 400)
    assert set(re.findall(r'id="([\w-]+)-fout"', page)) == {"deel-1", "deel-2"}
    assert (await office.stuk(id)).state is State.TO_APPROVE


async def test_a_new_version_while_the_source_is_busy(at_work, office, monkeypatch):
    """No fault of any document: a page says so, and nothing is replaced."""
    browser, id = at_work
    address = f"/beheer/stukken/{id}/vervangen"
    await browser.get(address)

    async def read(*args, **more):
        raise Busy

    monkeypatch.setattr(Guarded, "read", read)
    page = await browser.post(address, 503)
    assert "is op dit moment niet bereikbaar" in page
    assert (await office.stuk(id)).state is State.TO_APPROVE


async def test_a_letter_to_the_office_leads_to_the_desk(at_work, office):
    """Also for staff who does not see the klant's dossier."""
    browser, id = at_work
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("delete from access where person in"
                        " (select id from person where username = $1)", EVA)  # fmt: skip
        stuk = await stukken.find(c, id)
        await notices.problem(office.portal, c, office.firm, stuk, "Er is iets.", "Kijk.")
        sealed = await c.fetchval(
            "select payload_sealed from outbox where event = 'stuk_problem_office'"
        )
    link = json.loads(office.portal.keys.open("letter", sealed))["values"]["link"]
    await browser.get(link.removeprefix(office.portal.base_url))
    assert "Hoe het ermee staat" in browser.text


async def test_what_cannot_be_done_is_not_offered(at_work, office):
    browser, id = at_work
    address = f"/beheer/stukken/{id}"
    await browser.get(f"{address}/beslissen")
    assert browser.path == address
    await stukbeheer.paper(
        office.portal, office.firm, id, "sanne@bakkerij.example", "eva", "Brief in het dossier."
    )
    await office.finish(id)
    await browser.get(address)
    assert "Met dit stuk kan nu niets meer worden gedaan." in browser.text
    assert "Aangenomen" in browser.text
    for act in ("papier", "vervangen", "intrekken", "beslissen"):
        assert f"{address}/{act}" not in browser.page
        await browser.get(f"{address}/{act}")
        assert browser.path == address
    await browser.post(f"{address}/intrekken", 400, reden="Toch maar niet gedaan.")
    assert "Dit kan niet meer" in browser.text


async def test_a_form_keeps_what_was_typed(at_work, office):
    browser, id = at_work
    address = f"/beheer/stukken/{id}/papier"
    await browser.get(address)
    await browser.post(address, 400, reden="Brief in het dossier.")
    assert "Kies wie akkoord gaf." in browser.text
    assert ">Brief in het dossier.</textarea>" in browser.page
    await browser.post(address, 400, wie="sanne@bakkerij.example", reden="kort")
    assert 'value="sanne@bakkerij.example" selected' in browser.page
    assert 'aria-describedby="reden-hint reden-fout"' in browser.page


@pytest.fixture
async def address(office, aiohttp_server, tmp_path) -> str:
    """The portal at an address that a real browser may send forms to."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    portal = dataclasses.replace(office.portal, base_url=url)
    app = application.build(portal, pictures=tmp_path / "config" / "firms")
    await aiohttp_server(app, port=port)
    return url


@pytest.mark.browser
@pytest.mark.parametrize("language", ["nl", "en"])
async def test_every_page_of_the_desk_is_accessible_and_fits(
    at_work, office, chromium, address, phone, language
):
    _, id = at_work
    page = await in_browser.opened(chromium, address)
    found: list[object] = []

    async def look() -> None:
        for width in (320, 360, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            found.extend([page.url, width, *f] for f in await in_browser.faults(page))

    async def send_as_it_is() -> None:
        await page.evaluate("for (const form of document.forms) form.noValidate = true")
        await page.locator("main form button:not([type=button])").last.click()
        await page.locator("main [role=alert]").wait_for()
        await look()

    await in_browser.sign_in(page, EVA, phone)
    if language == "en":
        await page.get_by_role("button", name="English").click()
        await page.get_by_role("button", name="English", exact=True).wait_for()
    stuk = f"/beheer/stukken/{id}"
    for path in ("", "?toon=alles&type=ob", "?zoek=niemand"):
        await page.goto(f"/beheer/stukken{path}")
        await look()
    for path in ("", "/papier", "/vervangen", "/intrekken"):
        await page.goto(stuk + path)
        await look()
        if path in ("/papier", "/intrekken"):
            await send_as_it_is()
    await stukbeheer.paper(
        office.portal, office.firm, id, "sanne@bakkerij.example", "eva", "Brief in het dossier."
    )
    async with office.portal.db.tenant(office.firm.id) as c:
        one = (await deliveries.of_stuk(c, id))[0]
        await deliveries.move(c, one, D.UNCERTAIN, trouble="onduidelijk", trouble_text="2.4")
    for path in ("/beheer/stukken", stuk, f"{stuk}/beslissen"):
        await page.goto(path)
        await look()
    await send_as_it_is()
    await page.locator("[name=aangekomen][value=nee]").check()
    await page.locator("#reden").fill("Nagekeken op de site van de ontvanger.")
    await page.locator("main form button").last.click()
    await page.wait_for_url(f"**{stuk}?bericht=gedaan")
    await look()
    await office.finish(id)
    await page.goto(stuk)
    await look()
    assert found == []
    assert page.complaints == []


async def test_staff_gets_no_mandate(at_work, office):
    with pytest.raises(Invalid, match="medewerker"):
        await stukbeheer.give_mandate(office.portal, office.firm, EVA, KLANT, "*", today())
