"""The page after signing in, and changing the organisation (manual 3, 3.1-3.3)."""

import pytest

from gateway.domain.klant import Klant
from gateway.flows.portal import Portal
from tests.pages.conftest import Browser, Register, SignIn

TWO = (Klant("400100", "Bakkerij Het Brood B.V."), Klant("400200", "Zand Holding B.V.", "karim"))


async def test_labels(browser: Browser, register: Register, sign_in: SignIn) -> None:
    await sign_in(await register(klanten=TWO))
    for label in (
        "Welkom",
        "Dossier",
        "Openstaande taken",
        "Mijn contactpersoon",
        "neem a.u.b. contact op als u vragen heeft",
        "Bakkerij Het Brood B.V. (400100)",
        "Eva van Loon",
        "Relatiebeheerder",
        "000 - 123 45 61",
        "eva@eikenhof.example",
        "Uitloggen",
        "0000 AA Voorbeeldstad",
    ):
        assert label in browser.text
    assert "/kantoor/eikenhof/beeld/eva?v=" in browser.page
    assert "U bent hier voor het eerst." in browser.text
    await browser.post("/uitloggen")
    await sign_in()
    assert "Vorige keer ingelogd:" in browser.text


async def test_change_of_organisation(
    browser: Browser, register: Register, sign_in: SignIn, portal: Portal
) -> None:
    await sign_in(await register(klanten=TWO))
    await browser.get("/dossier")
    await browser.post("/organisatie", klant="400200", terug="/dossier?categorie=x&klant=400100")
    assert browser.path == "/dossier"
    assert "Zand Holding B.V. (400200)" in browser.text
    await browser.get("/welkom")
    assert "Karim Azzouz" in browser.text  # the contact goes along
    async with portal.db.tenant("eikenhof") as c:
        chosen = await c.fetch("select klant from audit where event = 'organisation_chosen'")
    assert [row[0] for row in chosen] == ["400200"]
    await browser.post("/uitloggen")
    await sign_in()
    assert "Zand Holding B.V. (400200)" in browser.text  # remembered


@pytest.mark.parametrize("number", ["999", "", "400100' or '1'='1", "\x00"])
async def test_an_organisation_of_others_is_not_there(
    number: str, browser: Browser, register: Register, sign_in: SignIn
) -> None:
    await register(
        "ander@elders.example", klanten=(Klant("999", "Elders B.V."),), mobile="0687654321"
    )
    await sign_in(await register(klanten=TWO))
    await browser.post("/organisatie", 404, klant=number, terug="/welkom")
    assert "Deze pagina is er niet" in browser.text
    await browser.get("/welkom")
    assert "Bakkerij Het Brood B.V. (400100)" in browser.text
    assert "Elders" not in browser.page


async def test_one_organisation_has_no_switcher_and_eleven_can_be_searched(
    browser: Browser, register: Register, sign_in: SignIn
) -> None:
    await sign_in(await register())
    assert 'action="/organisatie"' not in browser.page
    await browser.post("/uitloggen")
    many = tuple(Klant(f"{n}", f"Onderneming {n} B.V.") for n in range(101, 112))
    await sign_in(await register("veel@bedrijf.example", klanten=many, mobile="0687654321"))
    assert 'action="/organisaties"' in browser.page
    await browser.get("/organisaties?zoek=ONDERNEMING+105")
    assert "1 van 11 organisaties" in browser.text
    await browser.get("/organisaties?zoek=bestaat+niet")
    assert "Geen organisatie gevonden." in browser.text
    await browser.post("/organisatie", klant="105", terug="/organisaties?zoek=105")
    assert browser.path == "/welkom"
    assert "Onderneming 105 B.V. (105)" in browser.text


async def test_nobody_is_left_with_an_empty_page(
    browser: Browser, register: Register, sign_in: SignIn
) -> None:
    await sign_in(await register(klanten=()))
    assert "Er is nog geen organisatie aan uw account gekoppeld" in browser.text


async def test_names_are_text_and_never_markup(
    browser: Browser, register: Register, sign_in: SignIn
) -> None:
    evil = '<script>alert("x")</script>'
    await sign_in(
        await register(
            name=evil, klanten=(Klant("400100", evil), Klant("400200", "'\"><img src=x>"))
        )
    )
    for path in ("/welkom", "/dossier", f"/organisaties?zoek={evil}", "/welkom?bericht=<b>x"):
        await browser.get(path)
        assert evil not in browser.page
        assert "<img src=x>" not in browser.page
        assert "&lt;script&gt;" in browser.page
