"""What every answer keeps to: hosts, origins, forms, headers, cookies, ways out."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from structlog.testing import capture_logs

from gateway.api.soap.operations import OPERATIONS as SOAP
from gateway.domain.package import Scope
from gateway.pages import assets, dossier, inloggen, kantoor, welkom
from gateway.pages.accordering import afkeuren, akkoord, overzicht, stuk
from gateway.pages.beheer import acties, lijst, vervangen
from gateway.pages.beheer import stuk as beheer
from gateway.pages.routing import Access, local_path
from tests.pages.conftest import PASSWORD, Browser, Register, SignIn, Telephone

MODULES = (
    assets, kantoor, inloggen, welkom, dossier, overzicht, stuk, akkoord, afkeuren, lijst, beheer,
    acties, vervangen,
)  # fmt: skip
ROUTES = [route for module in MODULES for route in module.ROUTES.all]
_FORM = "application/x-www-form-urlencoded"
HEADERS = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def filled(path: str) -> str:
    """The path with something in each of its places."""
    path = path.replace("{firm}", "eikenhof").replace("{name:.+}", "portal.css")
    return re.sub(r"\{[a-z]+\}", "x", path)


def test_every_route_has_an_access_rule(portal_app: web.Application) -> None:
    open_ways = ("/health", "/metrics")
    for route in portal_app.router.routes():
        path = route.resource.canonical if route.resource else ""
        if path.startswith("/api/"):
            told_to_all = path.endswith(("/openapi.json", "/soap")) or route.method == "*"
            assert told_to_all or isinstance(getattr(route.handler, "scope", None), Scope), path
        elif not path.startswith(open_ways):
            assert isinstance(getattr(route.handler, "access", None), Access), path


def test_every_soap_operation_has_an_access_rule() -> None:
    assert all(isinstance(one.scope, Scope) for one in SOAP.values())


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
async def test_headers_on_every_answer(route: Any, client: TestClient[Any, Any]) -> None:
    answer = await client.request(route.method, filled(route.path), allow_redirects=False)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    policy = answer.headers["Content-Security-Policy"]
    if "/beeld/" not in route.path:
        for rule in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert rule in policy
    assert "unsafe-eval" not in policy
    assert "Python" not in answer.headers["Server"]
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-Id"])
    if not route.path.startswith("/static"):
        assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.access is not Access.PUBLIC], ids=lambda r: r.path
)
async def test_nobody_gets_in_without_a_session(
    route: Any, browser: Browser, client: TestClient[Any, Any]
) -> None:
    await browser.get("/inloggen")
    answer = await client.request(
        route.method,
        filled(route.path),
        data={"form_token": browser.token} if route.method == "POST" else None,
        allow_redirects=False,
    )
    assert answer.status == 303
    assert answer.headers["Location"].startswith("/inloggen")


async def test_half_a_session_opens_nothing(
    browser: Browser, register: Register, client: TestClient[Any, Any]
) -> None:
    await browser.get("/inloggen")
    await browser.post("/inloggen", gebruikersnaam=await register(), wachtwoord=PASSWORD)
    for route in ROUTES:
        if route.access is Access.SESSION:
            answer = await client.request(
                route.method,
                filled(route.path),
                data={"form_token": browser.token} if route.method == "POST" else None,
                allow_redirects=False,
            )
            assert answer.status == 303, route.path
            assert answer.headers["Location"].startswith("/inloggen"), route.path


@pytest.mark.parametrize("route", [r for r in ROUTES if r.method == "POST"], ids=lambda r: r.path)
@pytest.mark.parametrize("token", [None, "", "verkeerd", "é"])
async def test_a_form_without_its_token_does_nothing(
    route: Any, token: str | None, client: TestClient[Any, Any]
) -> None:
    data = {"a": "b"} | ({} if token is None else {"form_token": token})
    answer = await client.post(filled(route.path), data=data, allow_redirects=False)
    assert answer.status == 403
    assert "niet verwerkt" in await answer.text()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1.evil.example"},
        {"Origin": "https://127.0.0.1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_another_site_cannot_send_our_forms(
    headers: dict[str, str], browser: Browser, client: TestClient[Any, Any]
) -> None:
    await browser.get("/inloggen")
    data = {"form_token": browser.token, "taal": "en", "terug": "/"}
    answer = await client.post("/taal", data=data, headers=headers, allow_redirects=False)
    assert answer.status == 403
    for good in ({"Origin": "http://127.0.0.1"}, {"Sec-Fetch-Site": "same-origin"}):
        answer = await client.post("/taal", data=data, headers=good, allow_redirects=False)
        assert answer.status == 303


async def test_a_token_of_somebody_else_is_no_token(
    browser: Browser, register: Register, sign_in: SignIn, client: TestClient[Any, Any]
) -> None:
    await browser.get("/inloggen")
    before = browser.token
    await sign_in(await register())
    answer = await client.post(
        "/organisatie", data={"form_token": before, "klant": "400100"}, allow_redirects=False
    )
    assert answer.status == 403


async def test_what_a_form_may_be(browser: Browser, client: TestClient[Any, Any]) -> None:
    await browser.get("/inloggen")
    assert (await client.post("/taal", json={"taal": "en"})).status == 415
    too_large = {"form_token": browser.token, "taal": "x" * 70_000}
    assert (await client.post("/taal", data=too_large)).status == 413


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"form_token=+2AA-", {"Content-Type": f"{_FORM}; charset=utf-7"}),
        (b"taal=%ED%A0%80", {}), (b"\xed\xa0\x80=a", {}),
        (b"geen deflate", {"Content-Encoding": "deflate"}),
        (b"taal=en", {"Content-Type": f"{_FORM}; charset=geen"}),
    ],
)  # fmt: skip
async def test_a_form_that_cannot_be_read(
    body: bytes, headers: dict[str, str], client: TestClient[Any, Any]
) -> None:
    """Half a character, an encoding that is none."""
    given = {"Content-Type": _FORM} | headers

    async def slowly() -> AsyncIterator[bytes]:
        yield b""
        await asyncio.sleep(0.05)  # the header comes first: aiohttp answers by itself otherwise
        yield body

    with capture_logs() as logs:
        async with client.post("/taal", data=slowly(), headers=given) as r:
            assert r.status in (400, 403)
    assert not [one for one in logs if one["log_level"] == "error"]


async def raw(client: TestClient[Any, Any], *lines: str) -> str:
    """The status line and headers of a request written by hand."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(("\r\n".join((*lines, "Connection: close", "", ""))).encode())
    answer = (await reader.read()).decode(errors="replace")
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "lines",
    [
        ("GET /inloggen HTTP/1.1", "Host: evil.example"),
        ("GET /inloggen HTTP/1.1", "Host: 127.0.0.1.evil.example"),
        ("GET /inloggen HTTP/1.1", "Host: 127.0.0.1", "Host: evil.example"),
        ("GET http://evil.example/inloggen HTTP/1.1", "Host: 127.0.0.1"),
        ("GET http://127.0.0.1/inloggen HTTP/1.1", "Host: evil.example"),
        ("GET /inloggen HTTP/1.0",),
        ("GET /inloggen HTTP/1.1", "Host: "),
    ],
    ids=str,
)
async def test_only_our_own_hosts_are_answered(
    lines: tuple[str, ...], client: TestClient[Any, Any]
) -> None:
    answer = await raw(client, *lines)
    assert answer.startswith(("HTTP/1.1 421", "HTTP/1.1 400", "HTTP/1.0 421", "HTTP/1.0 400"))
    assert "evil.example" not in answer


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-URL", "X-Rewrite-URL"]
)
async def test_other_headers_about_the_host_do_nothing(
    name: str, browser: Browser, register: Register
) -> None:
    await browser.get("/inloggen", **{name.replace("-", "_"): "evil.example"})
    assert "evil.example" not in browser.page


ELSEWHERE = [
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%09/evil.example\t",
    "javascript:alert(1)",
    "/\r\nSet-Cookie: a=b",
    "/ evil",
    " //evil.example",
    "evil.example",
    "/" + "a" * 600,
]


@pytest.mark.parametrize("way", ELSEWHERE)
def test_a_way_out_is_not_a_path_of_ours(way: str) -> None:
    assert local_path(way) is None


@pytest.mark.parametrize("way", ELSEWHERE)
async def test_no_redirect_leads_elsewhere(
    way: str, browser: Browser, register: Register, sign_in: SignIn, phone: Telephone
) -> None:
    username = await register()
    await browser.get("/inloggen")
    await browser.post("/inloggen", gebruikersnaam=username, wachtwoord=PASSWORD, verder=way)
    await browser.post("/inloggen/token", code1=phone.code)
    assert browser.path == "/welkom"
    await browser.post("/taal", taal="nl", terug=way)
    assert browser.path == "/welkom"
    await browser.post("/organisatie", klant="400100", terug=way)
    assert browser.path == "/welkom"


@pytest.mark.parametrize("way", ["/inloggen/token", "/inloggen?verder=/inloggen"])
async def test_signing_in_does_not_lead_back_into_signing_in(
    way: str, browser: Browser, register: Register, sign_in: SignIn
) -> None:
    await sign_in(await register())
    await browser.get(f"/inloggen?verder={way}")
    assert browser.path == "/welkom"


async def test_every_script_and_style_is_ours(
    browser: Browser, register: Register, sign_in: SignIn
) -> None:
    await browser.get("/kantoor/eikenhof/inloggen")
    pages = [(browser.page, browser.answer)]
    await sign_in(await register())
    pages.append((browser.page, browser.answer))
    for page, answer in pages:
        assert answer is not None
        nonce = re.search(r"'nonce-([^']+)'", answer.headers["Content-Security-Policy"])
        assert nonce
        assert re.findall(r"<style([^>]*)>", page) == [f' nonce="{nonce[1]}"']
        assert all('src="/static/' in s for s in re.findall(r"<script[^>]*>", page))
        assert not re.search(r"\son[a-z]+=", page)
        assert not re.search(r"\sstyle=", page)
        for address in re.findall(r'(?:src|href)="([^"]+)"', page):
            assert address.startswith(("/", "#", "tel:", "mailto:")), address
    assert pages[0][1] is not None
    first = pages[0][1].headers["Content-Security-Policy"]
    await browser.get("/inloggen")
    assert browser.answer is not None
    assert browser.answer.headers["Content-Security-Policy"] != first


async def test_cookies_over_http(browser: Browser, client: TestClient[Any, Any]) -> None:
    answer = await client.get("/inloggen")
    told = answer.headers.getall("Set-Cookie")
    assert len(told) == 1
    assert re.fullmatch(r"map-formulier=[\w-]{43}; HttpOnly; Path=/; SameSite=Lax", told[0])


class TestHttps:
    """The address that a real installation has."""

    @pytest.fixture
    def base_url(self) -> str:
        return "https://127.0.0.1"

    async def test_cookies(self, client: TestClient[Any, Any], register: Register) -> None:
        username = await register()
        answer = await client.get("/inloggen")
        [told] = answer.headers.getall("Set-Cookie")
        form = re.fullmatch(
            r"(__Host-formulier=[\w-]{43}); HttpOnly; Path=/; SameSite=Lax; Secure", told
        )
        token = re.search(r'name="form_token" value="([^"]+)"', await answer.text())
        assert form
        assert token
        answer = await client.post(
            "/inloggen",
            data={"form_token": token[1], "gebruikersnaam": username, "wachtwoord": PASSWORD},
            headers={"Cookie": form[1]},
            allow_redirects=False,
        )
        [told] = answer.headers.getall("Set-Cookie")
        assert re.fullmatch(
            r"__Host-sessie=eikenhof\.[\w-]{43}; HttpOnly; Path=/; SameSite=Lax; Secure", told
        )


async def test_static_files(client: TestClient[Any, Any]) -> None:
    answer = await client.get(assets.url("portal.css"))
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.content_type == "text/css"
    etag = {"If-None-Match": answer.headers["ETag"]}
    assert (await client.get(assets.url("portal.css"), headers=etag)).status == 304
    other = await client.get("/static/old/portal.css")
    assert other.status == 200
    assert other.headers["Cache-Control"] == "no-store"
    css = await answer.text()
    for address in re.findall(r'url\("([^"]+)"\)', css):
        assert (await client.get(address)).status == 200, address


@pytest.mark.parametrize(
    "name", ["../render.py", "..%2frender.py", "%2e%2e/render.py", "vendor/manifest.json", ""]
)
async def test_only_listed_files_are_given(name: str, client: TestClient[Any, Any]) -> None:
    assert (await client.get(f"/static/x/{name}")).status == 404
