"""What the manual describes in 2.1, 3.1 and 3.7, in a real browser."""

import hashlib
import io
import re
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import World, open_tab, sign_in

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

NOOR = "noor@korenaar.example"


async def _names(page: Page) -> list[str]:
    return await page.locator("table.files a.document").all_inner_texts()


async def test_from_sign_in_to_sign_out(world: World, browser: Browser):
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    tab = await open_tab(context)
    page = tab.page
    await sign_in(page, world, NOOR, "/kantoor/lindehof/inloggen")
    await expect(page.get_by_text("400101").first).to_be_visible()

    await page.get_by_role("link", name="Dossier", exact=True).first.click()
    await page.get_by_role("heading", name="Dossier", exact=True).wait_for()
    names = await _names(page)
    assert "Uittreksel handelsregister.pdf" in names  # file share
    assert "Jaarrekening 2024.pdf" in names  # S3
    assert "Loonoverzicht 2025-03.pdf" in names  # SOAP
    assert "Niet gepubliceerd.pdf" not in names
    await expect(page.get_by_text(re.compile(r"bijgewerkt om \d\d:\d\d"))).to_be_visible()

    await page.get_by_role("button", name="toon categorie").click()
    await page.get_by_role("link", name=re.compile(r"^Permanent \(5\)")).click()
    assert set(await _names(page)) >= {"Akte van oprichting.pdf", "Btw-nummer.pdf"}
    assert "Jaarrekening 2024.pdf" not in await _names(page)
    await page.get_by_role("link", name="Dossier", exact=True).first.click()
    await expect(page.get_by_role("button", name="Verberg categorie")).to_be_visible()
    await page.get_by_role("button", name="Verberg categorie").click()

    await page.get_by_role("button", name="Vernieuwen").click()
    await expect(page.get_by_text(re.compile(r"bijgewerkt om \d\d:\d\d"))).to_be_visible()

    await page.get_by_text("Noor de Wit").first.click()
    await page.get_by_role("button", name="Uitloggen").click()
    await expect(page.get_by_role("button", name="Ga verder")).to_be_visible()
    await page.goto(world.portal + "/dossier")
    await expect(page.get_by_role("button", name="Ga verder")).to_be_visible()
    assert tab.complaints == []
    await context.close()


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("Akte van oprichting.pdf", "backoffice/lindehof/400101/Permanent"),
        ("Loonoverzicht 2025-03.pdf", "package/lindehof/400101/Loon"),
    ],
)
async def test_what_is_saved_is_what_the_back_office_has(
    world: World, browser: Browser, name: str, folder: str
):
    context = await browser.new_context(accept_downloads=True)
    page = await context.new_page()
    await sign_in(page, world, NOOR)
    await page.goto(world.portal + "/dossier")
    async with page.expect_download() as download:
        await page.get_by_role("link", name=f"{name} opslaan op uw PC").click()
    saved = await (await download.value).path()
    there = (world.home / folder / name).read_bytes()
    assert hashlib.sha256(Path(saved).read_bytes()).digest() == hashlib.sha256(there).digest()
    assert (await download.value).suggested_filename == name
    await context.close()


async def test_a_pdf_is_shown_and_html_runs_nothing(world: World, browser: Browser):
    folder = world.home / "package" / "lindehof" / "400102" / "Aangiften"
    (folder / "Script.html").write_text(
        "<!DOCTYPE html><title>oud</title><h1>Leesbaar</h1>"
        "<script>document.title = 'gelopen ' + document.cookie; parent.name = 'x'</script>"
        "<img src=x onerror=\"document.title='gelopen'\">"
    )
    context = await browser.new_context()
    page = await context.new_page()
    await sign_in(page, world, NOOR)
    await page.goto(world.portal + "/dossier?klant=400102")
    href = await page.get_by_role("link", name="Jaarrekening 2024.pdf", exact=True).get_attribute(
        "href"
    )
    answer = await context.request.get(world.portal + str(href))
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("inline")
    assert (await answer.body())[:5] == b"%PDF-"
    href = await page.get_by_role("link", name="Script.html", exact=True).get_attribute("href")
    await page.goto(world.portal + str(href))
    await expect(page.get_by_role("heading", name="Leesbaar")).to_be_visible()
    assert await page.title() == "oud"
    await context.close()


async def test_several_as_a_zip(world: World, browser: Browser):
    context = await browser.new_context(accept_downloads=True)
    page = await context.new_page()
    await sign_in(page, world, NOOR)
    await page.goto(world.portal + "/dossier")
    for name in ("Akte van oprichting.pdf", "Jaarrekening 2024.pdf", "Loonoverzicht 2025-03.pdf"):
        await page.get_by_role("checkbox", name=f"{name} kiezen").check()
    async with page.expect_download() as download:
        await page.get_by_role("button", name=re.compile("opslaan als ZIP")).click()
    saved = await (await download.value).path()
    with zipfile.ZipFile(io.BytesIO(Path(saved).read_bytes())) as archive:
        assert archive.testzip() is None
        inside = {n.rpartition("/")[2]: archive.read(n) for n in archive.namelist()}
    deed = world.home / "backoffice/lindehof/400101/Permanent/Akte van oprichting.pdf"
    assert inside["Akte van oprichting.pdf"] == deed.read_bytes()
    assert set(inside) == {
        "Akte van oprichting.pdf",
        "Jaarrekening 2024.pdf",
        "Loonoverzicht 2025-03.pdf",
    }
    await context.close()


async def test_switching_organisation(world: World, browser: Browser):
    context = await browser.new_context()
    page = await context.new_page()
    await sign_in(page, world, NOOR)
    await page.goto(world.portal + "/dossier")
    await page.locator("details summary", has_text="400101").click()
    await page.get_by_role("button", name=re.compile("Korenaar Vastgoed")).click()
    await expect(page.locator("header", has_text="400102").first).to_be_visible()
    await expect(page.get_by_role("heading", name="Dossier", exact=True)).to_be_visible()
    await context.close()


async def test_the_whole_code_pasted_into_one_box(world: World, browser: Browser):
    account = world.account("daan@korenaar.example")
    context = await browser.new_context()
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    await page.goto(world.portal + "/inloggen")
    await page.get_by_label("Gebruikersnaam", exact=True).fill(account["email"])
    await page.get_by_label("Wachtwoord", exact=True).fill(account["password"])
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Identiteitsbevestiging").wait_for()
    await page.evaluate(
        "text => navigator.clipboard.writeText(text)", world.code(account["mobile"])
    )
    await page.locator("input[name=code1]").focus()
    await page.keyboard.press("Control+V")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Welkom").first.wait_for()
    await context.close()


async def test_without_javascript(world: World, browser: Browser):
    context = await browser.new_context(java_script_enabled=False, accept_downloads=True)
    page = await context.new_page()
    await sign_in(page, world, "mila@noordkaap.example", "/kantoor/zeewind/inloggen")
    await page.get_by_role("link", name="Dossier", exact=True).first.click()
    names = await _names(page)
    assert "Begroting 2026.pdf" in names
    assert "Publicatiestukken 2024.pdf" in names
    await page.get_by_role("checkbox", name="Begroting 2026.pdf kiezen").check()
    async with page.expect_download() as download:
        await page.get_by_role("button", name=re.compile("opslaan als ZIP")).click()
    assert (await download.value).suggested_filename == "Dossier 70012.zip"
    await context.close()


async def test_by_keyboard_alone(world: World, browser: Browser):
    """Sign in, open the dossier and reach a document with Tab and Enter only."""
    account = world.account(NOOR)
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    page = await context.new_page()

    async def tab_to(selector: str) -> None:
        for _ in range(60):
            if await page.evaluate("s => document.activeElement?.matches(s) ?? false", selector):
                return
            await page.keyboard.press("Tab")
        raise AssertionError(f"Tab never reaches {selector}")

    await page.goto(world.portal + "/kantoor/lindehof/inloggen")
    await tab_to("[name=gebruikersnaam]")
    await page.keyboard.type(account["email"])
    await tab_to("[name=wachtwoord]")
    await page.keyboard.type(account["password"])
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Identiteitsbevestiging").wait_for()
    await tab_to("[name=code1]")
    first, second = world.code(account["mobile"]).split("-")
    await page.keyboard.type(first)
    await tab_to("[name=code2]")
    await page.keyboard.type(second)
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Welkom").first.wait_for()
    await tab_to("nav a[href='/dossier']")
    await page.keyboard.press("Enter")
    await page.get_by_role("heading", name="Dossier", exact=True).wait_for()
    await tab_to("a.document")
    outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    await context.close()


async def test_each_firm_has_its_own_look(world: World, browser: Browser):
    context = await browser.new_context()
    page = await context.new_page()
    seen = {}
    for firm in ("lindehof", "zeewind"):
        await page.goto(f"{world.portal}/kantoor/{firm}/inloggen")
        colour = await page.get_by_role("button", name="Ga verder").evaluate(
            "e => getComputedStyle(e).backgroundColor"
        )
        logo = await page.locator("header img").first.get_attribute("src")
        seen[firm] = (await page.title(), colour, logo)
    assert all(a != b for a, b in zip(*seen.values(), strict=True))
    await context.close()
