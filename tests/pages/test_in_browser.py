"""A person in a real browser: with and without script, wide and narrow, and axe-core's eye."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright

from gateway.domain.klant import Klant
from tests.pages.conftest import PASSWORD, Register, Telephone

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
KLANTEN = tuple(Klant(f"{n}", f"Onderneming {n} B.V.") for n in range(101, 113))
NARROW = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 800}

pytestmark = pytest.mark.browser


@pytest.fixture
def port() -> int:
    """A free port: the origin of a form must be the address of the installation."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
        return number


@pytest.fixture
def base_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed (make debian)")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def address(
    aiohttp_server: Any, portal_app: web.Application, port: int, base_url: str
) -> str:
    """The running portal."""
    await aiohttp_server(portal_app, port=port)
    return base_url


async def opened(chromium: Browser, address: str, **options: Any) -> Page:
    """A page whose complaints (script errors, refusals by the policy) are kept."""
    context: BrowserContext = await chromium.new_context(base_url=address, **options)
    page = await context.new_page()
    page.complaints = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda e: page.complaints.append(str(e)))  # type: ignore[attr-defined]
    page.on(
        "console",
        lambda m: (
            page.complaints.append(m.text)  # type: ignore[attr-defined]
            if m.type in ("error", "warning") and "status of 4" not in m.text
            else None
        ),
    )
    return page


async def sign_in(page: Page, username: str, phone: Telephone) -> None:
    await page.goto("/kantoor/eikenhof/inloggen")
    await page.get_by_label("Gebruikersnaam").fill(username)
    await page.get_by_label("Wachtwoord", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Ga verder").click()
    await page.get_by_label("Eerste drie cijfers").fill(phone.code)
    await page.get_by_role("button", name="Aanmelden").click()
    await page.wait_for_url("**/welkom")


async def test_without_script(
    chromium: Browser, address: str, register: Register, phone: Telephone
) -> None:
    page = await opened(chromium, address, java_script_enabled=False, viewport=NARROW)
    await sign_in(page, await register(klanten=KLANTEN), phone)
    await page.locator(".organisation summary").click()
    await page.get_by_role("button", name="Onderneming 107 B.V.").click()
    await page.locator(".organisation summary", has_text="(107)").wait_for()
    await page.locator(".user summary").click()
    await page.get_by_role("button", name="Uitloggen").click()
    await page.get_by_text("U bent uitgelogd.").wait_for()


async def test_a_pasted_token_fills_both_boxes(
    chromium: Browser, address: str, register: Register, phone: Telephone
) -> None:
    page = await opened(chromium, address)
    await page.goto("/inloggen")
    await page.get_by_label("Gebruikersnaam").fill(await register())
    secret = page.get_by_label("Wachtwoord", exact=True)
    await secret.fill(PASSWORD)
    await page.get_by_role("button", name="Wachtwoord tonen").click()
    assert await secret.get_attribute("type") == "text"
    await page.get_by_role("button", name="Ga verder").click()
    first, second = page.get_by_label("Eerste drie"), page.get_by_label("Laatste drie")
    assert await first.evaluate("e => e === document.activeElement")
    button = page.get_by_role("button", name="Nieuw token versturen")
    assert await button.is_disabled()
    assert "seconden" in str(await page.locator("#wachten").text_content())
    await first.evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", phone.code
    )
    assert await first.input_value() + "-" + await second.input_value() == phone.code
    await page.get_by_role("button", name="Herstel").click()
    assert await first.input_value() == ""
    await page.keyboard.type(phone.code.replace("-", ""))  # typing goes on by itself
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/welkom")
    assert page.complaints == []  # type: ignore[attr-defined]


async def test_a_warning_before_the_session_ends(
    chromium: Browser, address: str, register: Register, phone: Telephone
) -> None:
    page = await opened(chromium, address)
    await sign_in(page, await register(), phone)
    soon = "localStorage.setItem('map-session-until', String(Date.now() + 60000))"
    await page.evaluate(soon)
    dialog = page.get_by_role("dialog", name="Bent u er nog?")
    await dialog.wait_for()
    await page.keyboard.press("Escape")  # not by accident
    assert await dialog.is_visible()
    await dialog.get_by_role("button", name="Blijf ingelogd").click()
    await dialog.wait_for(state="hidden")
    await page.evaluate("localStorage.setItem('map-session-until', '0')")
    await page.wait_for_url("**/welkom")  # the session itself is still good: back where we were
    assert page.complaints == []  # type: ignore[attr-defined]


async def test_a_slow_source_is_filled_in(
    chromium: Browser, address: str, register: Register, phone: Telephone
) -> None:
    page = await opened(chromium, address)
    await sign_in(page, await register(), phone)
    boxes = "".join(
        f'<tr><td><input type="checkbox" name="bestand" value="{n}"></td></tr>' for n in "abc"
    )
    filled = (
        '<div id="dossier" data-told="3 documenten"><form data-select><table><thead><tr><th>'
        '<label hidden><input type="checkbox" data-all></label></th></tr></thead>'
        f"<tbody>{boxes}</tbody></table>"
        "<button data-chosen>ZIP<span data-number></span></button></form></div>"
    )

    async def waiting(route: Route) -> None:
        answer = await route.fetch()
        body = (await answer.text()).replace(
            'id="dossier"', 'id="dossier" data-fill="/dossier/inhoud?zoek=x"', 1
        )
        await route.fulfill(response=answer, body=body)

    await page.route("**/dossier", waiting)
    await page.route(
        "**/dossier/inhoud?zoek=x",
        lambda route: route.fulfill(body=filled, content_type="text/html"),
    )
    await page.goto("/dossier")
    every = page.locator("[data-all]")
    await every.wait_for()
    assert await page.locator("#told").text_content() == "3 documenten"
    button = page.locator("[data-chosen]")
    assert await button.is_disabled()
    await every.check()
    assert await button.text_content() == "ZIP (3)"
    await page.locator("[value=b]").uncheck()
    assert await button.text_content() == "ZIP (2)"
    assert await every.evaluate("e => e.indeterminate")
    assert page.complaints == []  # type: ignore[attr-defined]


OUTSIDE = (
    "/inloggen",
    "/kantoor/eikenhof/inloggen?verlopen=1",
    "/kantoor/eikenhof/meer-informatie",
    "/kantoor/eikenhof/inlogblok",
    "/kantoor/eikenhof/gedeactiveerd",
    "/kantoor/eikenhof/wachtwoord-vergeten?bericht=link",
    "/kantoor/eikenhof/gebruikersnaam-vergeten",
    "/bestaat-niet",
)
HALF_WAY = ("/inloggen/token", "/inloggen/token?bericht=sms", "/inloggen/deactiveren")
INSIDE = ("/welkom", "/organisaties", "/organisaties?zoek=niets", "/dossier")


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("language", ["nl", "en"])
async def test_every_page_is_accessible_and_fits(
    size: Any,
    language: str,
    chromium: Browser,
    address: str,
    register: Register,
    phone: Telephone,
) -> None:
    page = await opened(chromium, address, viewport=size)
    found: list[Any] = []

    async def look(path: str) -> None:
        await page.goto(path)
        for one in await page.query_selector_all("details.pull summary"):
            await one.click()
            # What an open sheet covers for as long as it is open is no target then.
            found.extend([path, *fault] for fault in await faults(page, "[['.menu']]"))
        await page.goto(path)
        found.extend([path, *fault] for fault in await faults(page))

    username = await register(klanten=KLANTEN)
    cookie = {"name": "map-taal", "value": language, "url": address}
    await page.context.add_cookies([cookie])  # type: ignore[list-item]
    for path in OUTSIDE:
        await look(path)
    await page.goto("/inloggen")
    await page.locator("#gebruikersnaam").fill(username)
    await page.locator("#wachtwoord").fill("verkeerd")
    await page.locator("main form button.full").click()
    found.extend(["wrong password", *fault] for fault in await faults(page))
    await page.locator("#wachtwoord").fill(PASSWORD)
    await page.locator("main form button.full").click()
    for path in HALF_WAY:
        await look(path)
    await page.goto("/inloggen/token")
    await page.locator("#code1").fill(phone.code)
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/welkom")
    for path in INSIDE:
        await look(path)
    assert found == []
    assert page.complaints == []  # type: ignore[attr-defined]


async def faults(page: Page, without: str = "[]") -> list[Any]:
    """What axe-core finds, and what sticks out at the side."""
    session = await page.context.new_cdp_session(page)
    call = (
        f"axe.run({{exclude: {without}}}, {{runOnly:"
        " ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa', 'best-practice']})"
        ".then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
    )
    told = await session.send(
        "Runtime.evaluate",
        {
            "expression": f"{AXE.read_text()};{call}",
            "awaitPromise": True,
            "returnByValue": True,
        },
    )
    await session.detach()
    wider = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [*told["result"]["value"], *([["overflow", wider]] if wider > 0 else [])]
