"""Back offices that hang, cut, talk nonsense or refuse: one line each, never the page."""

import asyncio
import io
import zipfile

import aiohttp
import pytest

from gateway.domain.dossier import handle
from tests.faults.conftest import PIECE, Office


def _address(source: str, name: str) -> str:
    return f"/dossier/{source}/{handle(f'Map/{name}')}"


@pytest.mark.parametrize("mood", ["hang", "garbage", "auth", "away", "surprise"])
async def test_a_sick_source_is_one_line(office: Office, browser, register, sign_in, mood: str):
    office.stub("ziek").mood = mood
    await register()
    await sign_in()
    await browser.get("/dossier")
    for name in ("goed", "ander"):
        for i in range(3):
            assert f"{name} eikenhof {i}.pdf" in browser.text
    assert browser.text.count("Bron ziek") == 1
    assert "opnieuw" in browser.text
    assert "traag" in browser.text if mood == "hang" else "niet bereikbaar" in browser.text


async def test_what_is_slow_is_filled_in(office: Office, browser, register, sign_in):
    office.stub("ziek").mood = "hang"
    await register()
    await sign_in()
    page = await browser.get("/dossier")
    assert 'data-fill="/dossier/inhoud' in page
    # The question goes on by itself: when the source answers, the next look has it.
    office.stub("ziek").mood = "ok"
    await office.portal.listings.aclose()
    await browser.get("/dossier/inhoud")
    assert "ziek eikenhof 0.pdf" in browser.text
    assert "bijgewerkt om" in browser.text


async def test_another_firm_does_not_notice(office: Office, browser, register, sign_in):
    for name in ("goed", "ander", "ziek"):
        office.stub(name, "wilgenhof").mood = "hang"
    await register()
    await sign_in()
    await browser.get("/dossier")
    assert "bijgewerkt om" in browser.text
    assert "traag" not in browser.text


@pytest.mark.parametrize(
    ("mood", "status"),
    [("hang", 504), ("garbage", 502), ("auth", 503), ("away", 503), ("surprise", 502)],
)
async def test_a_document_that_cannot_be_opened_is_a_page(
    office: Office, browser, register, sign_in, mood: str, status: int
):
    await register()
    await sign_in()
    office.stub("ziek").mood = mood
    await browser.get(_address("ziek", "ziek eikenhof 0.pdf"), status=status)
    assert "<h1" in browser.page
    assert office.stub("ziek").open_readers == 0


async def test_a_cut_after_the_first_byte_breaks_the_connection(
    office: Office, browser, register, sign_in
):
    await register()
    await sign_in()
    office.stub("ziek").documents["Map/ziek eikenhof 0.pdf"] = PIECE * 40
    office.stub("ziek").cut_after = 8 * len(PIECE)
    answer = await browser.client.get(_address("ziek", "ziek eikenhof 0.pdf"))
    assert answer.status == 200
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, OSError)):
        await answer.read()
    assert office.stub("ziek").open_readers == 0


async def test_a_small_document_that_is_cut_is_a_page(office: Office, browser, register, sign_in):
    await register()
    await sign_in()
    office.stub("ziek").cut_after = len(PIECE)
    await browser.get(_address("ziek", "ziek eikenhof 0.pdf"), status=503)
    assert "<h1" in browser.page
    assert office.stub("ziek").open_readers == 0


async def test_a_browser_that_leaves_frees_the_source(office: Office, browser, register, sign_in):
    await register()
    await sign_in()
    stub = office.stub("goed")
    stub.documents["Map/groot.pdf"] = PIECE * 2000
    stub.slow = 0.01
    answer = await browser.client.get(_address("goed", "groot.pdf"))
    await answer.content.readexactly(10)
    assert stub.open_readers == 1
    answer.close()
    for _ in range(500):
        if stub.open_readers == 0:
            break
        await asyncio.sleep(0.01)
    assert stub.open_readers == 0


async def test_a_zip_tells_what_a_source_refused(office: Office, browser, register, sign_in):
    await register()
    await sign_in()
    await browser.get("/dossier")
    office.stub("ziek").mood = "away"
    office.stub("ander").cut_after = len(PIECE)
    chosen = [
        ("bestand", f"{source}:{handle(f'Map/{source} eikenhof 1.pdf')}")
        for source in ("goed", "ander", "ziek")
    ]
    answer = await browser.client.post(
        "/dossier/zip", data=[("form_token", browser.token), ("klant", "400100"), *chosen]
    )
    with zipfile.ZipFile(io.BytesIO(await answer.read())) as archive:
        names = archive.namelist()
        assert archive.read("Bron goed/goed eikenhof 1.pdf") == PIECE * 4
        with pytest.raises(zipfile.BadZipFile):  # half of it came: nobody takes it for whole
            archive.read("Bron ander/ander eikenhof 1.pdf")
        told = archive.read("NIET OPGEHAALD.txt").decode()
    assert "Bron ziek / ziek eikenhof 1.pdf" in told
    assert "Bron ander / ander eikenhof 1.pdf" in told
    assert not any("ziek" in n for n in names)
