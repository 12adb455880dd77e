"""A firm's front door."""

from gateway.flows.portal import Portal
from tests.pages.conftest import Browser, Register, SignIn


async def test_the_start_page_knows_where_to_go(
    browser: Browser, register: Register, sign_in: SignIn
) -> None:
    await browser.get("/")
    assert browser.path == "/inloggen"
    await browser.get("/kantoor/eikenhof")
    assert browser.path == "/kantoor/eikenhof/inloggen"
    await sign_in(await register())
    await browser.get("/")
    assert browser.path == "/welkom"
    await browser.get("/inloggen")
    assert browser.path == "/welkom"


async def test_the_host_name_of_a_firm_shows_that_firm(browser: Browser) -> None:
    page = await browser.get("/inloggen", Host="wilgenhof.example")
    assert "Wilgenhof Accountants" in page
    await browser.get("/kantoor/eikenhof/inloggen", 404, Host="wilgenhof.example")
    await browser.get("/kantoor/nergens/inloggen", 404)


async def test_more_information(browser: Browser, portal: Portal) -> None:
    await browser.get("/kantoor/eikenhof/meer-informatie")
    for words in ("Wij zijn Eikenhof.", "Uitleg over het portaal", "000 - 123 45 67"):
        assert words in browser.text
    await browser.get("/meer-informatie")
    assert "Uitleg over het portaal" in browser.text


async def test_the_block_for_the_firms_site_is_a_link_and_no_form(browser: Browser) -> None:
    await browser.get("/kantoor/eikenhof/inlogblok")
    block = browser.page.partition("<pre")[2].partition("</pre>")[0]
    for words in (
        "Portal Login",
        "Direct inloggen op Mijn Accountants Portal",
        "http://eikenhof.example/inloggen",
    ):
        assert words in block
    for never in ("form", "input", "script", "http://127.0.0.1"):
        assert never not in block


async def test_pictures(browser: Browser, register: Register, sign_in: SignIn) -> None:
    await browser.get("/kantoor/eikenhof/beeld/logo")
    assert browser.answer is not None
    assert browser.answer.content_type == "image/svg+xml"
    assert "sandbox" in browser.answer.headers["Content-Security-Policy"]
    assert "script-src" not in browser.answer.headers["Content-Security-Policy"]
    for path in ("eva", "karim", "../gateway.yaml", "..%2fgateway.yaml", "logo.svg"):
        await browser.get(f"/kantoor/eikenhof/beeld/{path}", 404)
    await sign_in(await register())
    await browser.get("/kantoor/eikenhof/beeld/eva")
    await browser.get("/kantoor/wilgenhof/beeld/eva", 404)
