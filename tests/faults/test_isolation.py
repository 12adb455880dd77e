"""Every route, every kind of visitor, foreign ids: nothing of another ever shows."""

from itertools import product

import pytest

from gateway.domain.dossier import handle
from gateway.domain.klant import Klant
from tests.faults.conftest import Office

CANARY = "KANARIE-wilgenhof-geheim"
MINE = Klant("400100", "Bakkerij Het Brood B.V.")
NOT_MINE = Klant("400199", "KANARIE-buurman B.V.")


@pytest.fixture
async def world(office: Office, register):
    """Two firms and a neighbour at the own firm, each with something that may not be seen."""
    office.stub("goed", "wilgenhof").documents[f"Map/{CANARY}.pdf"] = CANARY.encode() * 100
    await register(klanten=(MINE,))
    await register(
        "buur@buur.example", name="KANARIE Buur", klanten=(NOT_MINE,), mobile="06 12345679"
    )
    await register(
        "vreemd@vreemd.example",
        name="KANARIE Vreemd",
        firm="wilgenhof",
        klanten=(Klant("500100", "KANARIE-wilg B.V."),),
        mobile="06 12345670",
    )
    return office


def _filled(canonical: str) -> list[str]:
    """A route's address with ids that are mine, a neighbour's, another firm's, and nonsense."""
    handles = (
        handle("Map/goed eikenhof 0.pdf"),
        handle(f"Map/{CANARY}.pdf"),
        handle("../500100/Map/x.pdf"),
        "AAAA",
        "%00",
    )
    addresses = []
    values = product(("goed", "niets"), handles, ("eikenhof", "wilgenhof", "niets"))
    for source, document, firm in values:
        filled = (
            canonical.replace("{source}", source)
            .replace("{handle}", document)
            .replace("{firm}", firm)
            .replace("{token}", "A" * 43)
            .replace("{name}", "logo.svg")
            .replace("{digest}", "x")
        )
        addresses.append(filled)
    return sorted(set(addresses))


async def _sweep(browser, portal_app) -> int:
    asked = 0
    for resource in portal_app.router.resources():
        for address in _filled(resource.canonical):
            if "{" in address:
                continue
            for query in (
                "",
                "?klant=400199",
                "?klant=500100",
                "?klant=400100&klant=400199",
                "?klant=400199&klant=400100",
            ):
                answer = await browser.client.get(address + query, allow_redirects=False)
                body = await answer.read()
                assert b"KANARIE" not in body, (address + query, answer.status)
                assert answer.status < 500, (address + query, answer.status)
                if "klant=500100" in query and address.startswith("/dossier"):
                    assert answer.status in (303, 404, 405), (address + query, answer.status)
                asked += 1
    return asked


async def test_a_client_sees_nothing_of_others(world, browser, sign_in, portal_app):
    await sign_in()
    assert await _sweep(browser, portal_app) > 200


async def test_somebody_halfway_sees_nothing(world, browser, portal_app):
    await browser.get("/inloggen")
    from tests.pages.conftest import PASSWORD

    await browser.post("/inloggen", gebruikersnaam="sanne@bakkerij.example", wachtwoord=PASSWORD)
    assert await _sweep(browser, portal_app) > 200


async def test_a_stranger_sees_nothing(world, browser, portal_app):
    assert await _sweep(browser, portal_app) > 200


async def test_a_cookie_that_names_another_firm_opens_nothing(world, browser, sign_in):
    await sign_in()
    token = browser.cookie("sessie").partition(".")[2]
    browser.plant("sessie", f"wilgenhof.{token}")
    await browser.get("/dossier")
    assert "Ga verder" in browser.text


async def test_switching_to_a_klant_of_others(world, browser, sign_in):
    await sign_in()
    for number in ("400199", "500100", "", "' or 1=1 --"):
        await browser.get("/welkom")
        answer = await browser.client.post(
            "/organisatie", data={"form_token": browser.token, "klant": number}
        )
        assert "KANARIE" not in await answer.text()
        assert answer.status in (400, 404)
