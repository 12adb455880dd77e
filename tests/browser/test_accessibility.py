"""WCAG 2.2 AA by axe, and that nothing runs off a small screen."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.browser.conftest import World, sign_in
from tests.conftest import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
OUTSIDE = (
    "/kantoor/lindehof/inloggen",
    "/inloggen",
    "/kantoor/zeewind/meer-informatie",
    "/kantoor/lindehof/wachtwoord-vergeten",
    "/kantoor/lindehof/gebruikersnaam-vergeten",
    "/kantoor/lindehof/inlogblok",
    "/bestaat-niet",
)
INSIDE = (
    "/welkom",
    "/organisaties",
    "/dossier",
    "/dossier?zoek=niets-daarvan",
    "/dossier/x/eA",
    "/accordering",
    "/accordering/overzicht",
)


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not there (make assets)")
    return Path(AXE).read_text(encoding="utf-8")


async def _violations(page: Page, axe: str) -> list[str]:
    await page.evaluate(axe)
    found = await page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", TAGS
    )
    return [
        f"{page.url}: {v['id']}: {v['help']}: {[n['html'][:150] for n in v['nodes'][:3]]}"
        for v in found["violations"]
    ]


async def _runs_off(page: Page) -> list[str]:
    width = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [f"{page.url} is {width} px too wide"] if width > 0 else []


@pytest.mark.parametrize("width", [320, 360, 1280])
async def test_pages_before_signing_in(world: World, browser: Browser, axe: str, width: int):
    context = await browser.new_context(viewport={"width": width, "height": 800})
    page = await context.new_page()
    faults = []
    for path in OUTSIDE:
        await page.goto(world.portal + path)
        faults += await _violations(page, axe) + await _runs_off(page)
    account = world.account("daan@korenaar.example")
    await page.goto(world.portal + "/inloggen")
    await page.get_by_label("Gebruikersnaam", exact=True).fill(account["email"])
    await page.get_by_label("Wachtwoord", exact=True).fill("verkeerd wachtwoord")
    await page.get_by_role("button", name="Ga verder").click()
    faults += await _violations(page, axe) + await _runs_off(page)
    await page.get_by_label("Wachtwoord", exact=True).fill(account["password"])
    await page.get_by_role("button", name="Ga verder").click()
    await page.get_by_role("heading", name="Identiteitsbevestiging").wait_for()
    faults += await _violations(page, axe) + await _runs_off(page)
    await page.goto(world.portal + "/inloggen/deactiveren")
    faults += await _violations(page, axe) + await _runs_off(page)
    assert faults == []
    await context.close()


@pytest.mark.parametrize("width", [320, 360, 1280])
async def test_pages_after_signing_in(world: World, browser: Browser, axe: str, width: int):
    context = await browser.new_context(viewport={"width": width, "height": 800})
    page = await context.new_page()
    await sign_in(page, world, "noor@korenaar.example")
    faults = []
    for path in INSIDE:
        await page.goto(world.portal + path)
        faults += await _violations(page, axe) + await _runs_off(page)
    await page.goto(world.portal + "/accordering/overzicht?type=ob")
    await page.locator("table a.document").first.click()
    await page.get_by_role("heading", name="Document details").wait_for()
    faults += await _violations(page, axe) + await _runs_off(page)
    await page.goto(page.url + "/weergave")
    faults += await _violations(page, axe) + await _runs_off(page)
    await page.goto(world.portal + "/dossier")
    await page.get_by_role("button", name="toon categorie").click()
    await page.get_by_role("button", name="Verberg categorie").wait_for()
    faults += await _violations(page, axe) + await _runs_off(page)
    await page.get_by_role("button", name="Verberg categorie").click()
    assert faults == []
    await context.close()
