"""Bad input: slow and large bodies, and handles that mean no good."""

import asyncio
import random

import pytest

from gateway.pages import security
from tests.faults.conftest import Office


async def _raw(browser, head: str, *bodies: bytes, pause: float = 0.0) -> bytes:
    """Speak HTTP by hand; the answer's first line."""
    url = browser.client.make_url("/")
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(head.format(host=f"{url.host}:{url.port}").encode())
        for body in bodies:
            writer.write(body)
            await writer.drain()
            await asyncio.sleep(pause)
        return await reader.readline()
    finally:
        writer.close()


_POST = (
    "POST /inloggen HTTP/1.1\r\nHost: {{host}}\r\nContent-Length: {length}\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
)


async def test_a_body_that_does_not_come_is_left(office: Office, browser, monkeypatch):
    monkeypatch.setattr(security, "FORM_SECONDS", 0.2)
    line = await _raw(browser, _POST.format(length=1000), b"gebruikersnaam=")
    assert b" 408 " in line


async def test_a_body_in_drops_does_not_last_longer(office: Office, browser, monkeypatch):
    monkeypatch.setattr(security, "FORM_SECONDS", 0.3)
    line = await _raw(browser, _POST.format(length=1000), *[b"a"] * 10, pause=0.05)
    assert b" 408 " in line


@pytest.mark.parametrize("length", [security.FORM_BYTES + 1, 10**12])
async def test_a_body_that_is_too_large_is_refused_before_it_comes(
    office: Office, browser, length: int
):
    assert b" 413 " in await _raw(browser, _POST.format(length=length))


async def test_a_chunked_body_that_is_too_large_is_refused(office: Office, browser):
    head = _POST.replace("Content-Length: {length}", "Transfer-Encoding: chunked")
    chunk = b"8000\r\n" + b"a" * 0x8000 + b"\r\n"
    line = await _raw(browser, head.replace("{{host}}", "{host}"), *[chunk] * 4)
    assert b" 413 " in line


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n\r\n",
        "GET http://evil.example/inloggen HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "POST /inloggen HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
async def test_requests_that_are_none(office: Office, browser, head: str):
    line = await _raw(browser, head)
    assert line.split()[1] in (b"400", b"421")


async def test_five_thousand_hostile_handles(office: Office, browser, register, sign_in):
    await register()
    await sign_in()
    chance = random.Random(11)
    pieces = [
        "..",
        "%2e%2e",
        "%2f",
        "/",
        "\\",
        "%00",
        "%5c",
        "AAAA",
        "Li4v",
        "-",
        "_",
        "=",
        "é",
        "~",
    ]
    for stub in office.stubs.values():
        stub.calls = 0
    for _ in range(5_000):
        handle = "".join(chance.choices(pieces, k=chance.randint(1, 8)))
        answer = await browser.client.get(f"/dossier/goed/{handle}", allow_redirects=False)
        await answer.read()
        assert answer.status in (400, 404), (handle, answer.status)
    assert office.stub("goed", "wilgenhof").calls == 0
