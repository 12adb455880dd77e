"""What the manual describes in 3.8 and 4.1, in a real browser, to the end and the proof.

Rows 54, 111 to 143 of the inventory: returns sent at once and later, a rejection, accounts for the
KvK, a credit report to a bank, and a return that the fiscal package files.
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import World, open_tab, sign_in
from tests.browser.test_accessibility import AXE, _runs_off, _violations

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

NOOR = "noor@korenaar.example"
OB = "Aangifte omzetbelasting"


async def _open(page: Page, world: World, klant: str, title: str, periode: str) -> str:
    """A task of the list; gives its address."""
    await page.goto(f"{world.portal}/accordering")
    row = page.get_by_role("row").filter(has_text=title).filter(has_text=periode)
    await row.filter(has_text=klant).get_by_role("link").click()
    await expect(page.get_by_role("heading", name=f"{title} {periode}")).to_be_visible()
    return page.url


async def _see_everything(page: Page, address: str) -> None:
    """Open each part as a person does: the PDF in a tab of its own, the return as a page."""
    for link in await page.locator(".parts-list a").all():
        href = await link.get_attribute("href")
        if href.endswith("/weergave"):
            continue
        async with page.expect_popup() as popup:
            await link.click()
        shown = await popup.value
        await shown.close()
        answer = await page.request.get(f"{address}/{href.rpartition(address[-36:] + '/')[2]}")
        assert answer.status == 200
    if await page.locator(".parts-list a[href$=weergave]").count():
        await page.goto(f"{address}/weergave")
        await expect(page.get_by_role("table").first).to_be_visible()
    await page.goto(address)


async def _faults(page: Page) -> list[str]:
    """What axe finds on this page, and what runs off it, at every width that pages are seen at."""
    found = []
    for width in (320, 360, 1280):
        await page.set_viewport_size({"width": width, "height": 900})
        found += await _violations(page, AXE.read_text()) + await _runs_off(page)
    return found


async def _code(page: Page, world: World, button: str) -> None:
    first, second = world.code(world.account(NOOR)["mobile"]).split("-")
    await page.locator("input[name=code1]").fill(first)
    await page.locator("input[name=code2]").fill(second)
    await page.get_by_role("button", name=button).click()


async def _until(page: Page, address: str, label: str) -> None:
    """Look again until the status is there; the simulators answer within seconds."""
    for _ in range(120):
        await page.goto(address)
        if await page.locator("dd .state").inner_text() == label:
            return
        await page.wait_for_timeout(500)
    raise AssertionError(await page.locator("main").inner_text())


async def _proof(page: Page, address: str, folder: Path) -> dict[str, object]:
    """The bundle, saved as a client does and verified without the server."""
    folder.mkdir(exist_ok=True)
    for ending in ("json", "pdf"):
        answer = await page.request.get(f"{address}/bewijs.{ending}")
        assert answer.status == 200
        (folder / f"bewijs.{ending}").write_bytes(await answer.body())
    assert (folder / "bewijs.pdf").read_bytes().startswith(b"%PDF")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAP_", "DATABASE"))}
    told = subprocess.run(
        [sys.executable, "-m", "gateway", "proof", "verify", str(folder / "bewijs.json")],
        capture_output=True, text=True, env=env, cwd=folder, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    return json.loads((folder / "bewijs.json").read_text())


def _mails(world: World) -> list[dict[str, str]]:
    with urllib.request.urlopen(world.told["mail"]) as answer:
        return list(json.load(answer))


def _operations(world: World, *words: str) -> None:
    """A command of operations on this world."""
    lines = (world.home / "env").read_text().splitlines()
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
    env = {**os.environ, **{k: v.strip("'") for k, v in pairs}}
    subprocess.run([sys.executable, "-m", "gateway", *words], env=env, check=True, timeout=60)


async def test_every_route_to_its_end(world: World, browser: Browser, tmp_path: Path):
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    tab = await open_tab(context)
    page = tab.page
    await sign_in(page, world, NOOR, "/kantoor/lindehof/inloggen")

    # A batch that is sent later, with one code.
    later = []
    for klant, periode in (("400101", "2e kwartaal 2026"), ("400102", "3e kwartaal 2026")):
        address = await _open(page, world, klant, OB, periode)
        later.append(address)
        await _see_everything(page, address)
        await page.get_by_role("button", name="goedkeuren, later verzenden").click()
    await expect(page.get_by_role("heading", name="klaar om te verzenden")).to_be_visible()
    await page.get_by_role("button", name="verzend alle").click()
    assert await _faults(page) == []
    await _code(page, world, "Akkoord en verzenden")
    await expect(page.get_by_role("heading", name="De documenten zijn verwerkt")).to_be_visible()
    assert await _faults(page) == []
    await page.get_by_role("link", name="Betaalgegevens en QR-code").first.click()
    await expect(page.get_by_role("img", name="QR-code voor uw bank")).to_be_in_viewport()

    # A rejection.
    rejected = await _open(page, world, "400101", OB, "3e kwartaal 2026")
    await _see_everything(page, rejected)
    assert await _faults(page) == []
    await page.locator("main summary", has_text="afkeuren").click()
    assert await _faults(page) == []
    await page.evaluate("for (const form of document.forms) form.noValidate = true")
    await page.locator("main details form button").click()
    await expect(page.get_by_label("Wat klopt er niet?")).to_have_attribute("aria-invalid", "true")
    assert await _faults(page) == []
    await page.get_by_label("Wat klopt er niet?").fill("De omzet van september ontbreekt.")
    await page.locator("main details form button").click()
    await expect(page.get_by_role("heading", name="Afkeuren met SMS code")).to_be_visible()
    assert await _faults(page) == []
    await page.locator("input[name=code1]").fill("12")
    await page.get_by_role("button", name="afkeuren").click()
    await expect(page.get_by_text("Vul de code van zes cijfers in.").first).to_be_visible()
    assert await _faults(page) == []
    await _code(page, world, "afkeuren")
    await expect(page.locator("dd .state")).to_have_text("Afgekeurd")

    # Publication at the KvK and a credit report to a bank, at once.
    kvk = await _open(page, world, "400101", "Publicatiestukken", "2025")
    await _see_everything(page, kvk)
    await expect(page.get_by_text("kan dit niet meer worden teruggedraaid")).to_be_visible()
    await page.get_by_role("button", name="goedkeuren", exact=True).click()
    await _code(page, world, "Akkoord en verzenden")
    bank = await _open(page, world, "400102", "Kredietrapportage", "2025")
    await _see_everything(page, bank)
    await page.get_by_role("button", name="goedkeuren", exact=True).click()
    await expect(page.get_by_text("Kies ten minste één bank").first).to_be_visible()
    await page.get_by_label("Polderbank").check()
    await page.get_by_role("button", name="goedkeuren", exact=True).click()
    await _code(page, world, "Akkoord en verzenden")

    # A return that the fiscal package files.
    package = await _open(page, world, "400101", "Aangifte vennootschapsbelasting", "2025")
    await _see_everything(page, package)
    await page.get_by_role("button", name="goedkeuren", exact=True).click()
    await _code(page, world, "Akkoord en verzenden")
    await expect(page.get_by_text("met het fiscale pakket").first).to_be_visible()

    for address in (*later, kvk):
        await _until(page, address, "Akkoord Digipoort")
    assert await _faults(page) == []
    await _until(page, bank, "Afgerond")
    await _until(page, package, "Goedgekeurd")
    _operations(world, "stuk", "report", package[-36:], "--firm", "lindehof",
                "--config", str(Path(__file__).parents[2] / "config"))  # fmt: skip
    await _until(page, package, "Afgerond")

    for number, address in enumerate((*later, kvk, bank, package)):
        bundle = await _proof(page, address, tmp_path / str(number))
        assert bundle is not None
    subjects = [m["subject"] for m in _mails(world) if m["to"] == NOOR]
    assert sum("Akkoord Digipoort" in s for s in subjects) >= 3
    assert any(re.match("Kredietrapportage: Afgerond", s) for s in subjects)
    office = [m["subject"] for m in _mails(world) if m["to"] == "eva@lindehof.example"]
    assert any(s.startswith("Afgekeurd: Aangifte omzetbelasting") for s in office)

    await page.goto(f"{world.portal}/accordering/overzicht")
    await page.get_by_label("Status").select_option(label="Afgekeurd")
    await page.get_by_role("button", name="Toepassen filter").click()
    await expect(page.get_by_role("heading", name="Gevonden: 1")).to_be_visible()
    assert await _faults(page) == []
    # Answers of 400: no reason, half a code, and the credit report without a bank.
    assert [c for c in tab.complaints if "400 (Bad Request)" not in c] == []
    await context.close()
