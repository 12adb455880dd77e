"""Viruses on their way in, with a real clamd; and scanners that are not there."""

import asyncio
import dataclasses
import io
import zipfile
from collections.abc import AsyncIterator

import pytest

from gateway import app as application
from gateway.errors import PortalError
from gateway.scan import Infected, Scanner, ScannerDown
from tests.packages.conftest import Package, ob, ob_files
from tests.servers.clamd import EICAR, Clamd
from tests.servers.process import serve


@pytest.fixture(scope="module")
def address():
    with serve(Clamd) as server:
        yield server.address


async def body(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def through(scanner: Scanner, *pieces: bytes) -> bytes:
    return b"".join([piece async for piece in scanner.passing(body(*pieces))])


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a.txt", data)
    return out.getvalue()


async def test_clean_bytes_pass_unchanged(address):
    scanner = Scanner(address)
    await scanner.ping()
    data = [b"a" * 200_000, b"", b"b" * 70_000, b"c"]
    assert await through(scanner, *data) == b"".join(data)


@pytest.mark.parametrize("make", [bytes, zipped])
async def test_a_virus_is_found_at_the_end(address, make):
    data = make(EICAR)
    with pytest.raises(Infected, match="Eicar"):
        await through(Scanner(address), data[:20], data[20:])


async def test_more_than_the_scanner_takes_is_not_let_through(address):
    with pytest.raises(ScannerDown):
        await through(Scanner(address), *[b"x" * 2**20] * 40)


async def test_an_infected_stuk_is_refused_and_not_written(
    office, proef, address, aiohttp_client, tmp_path
):  # fmt: skip
    scanned = dataclasses.replace(office.portal, scanner=Scanner(address))
    app = application.build(scanned, pictures=tmp_path / "config" / "firms")
    proef = Package(await aiohttp_client(app), proef.key)
    told = await proef.put_up(ob(), ob_files() | {"pdf": ("ob.txt", EICAR)})
    assert told.status == 422
    assert "virus" in told.faults["onderdelen.1.inhoud"]
    assert not list(office.folder.rglob("*.txt"))
    assert (await proef.put_up(ob(), ob_files(2))).status == 201


@pytest.mark.parametrize("where", ["unix:/nowhere/clamd.ctl", "tcp://127.0.0.1:1"])
async def test_without_the_scanner_nothing_is_taken(where):
    scanner = Scanner(where)
    with pytest.raises(ScannerDown):
        await scanner.ping()
    with pytest.raises(PortalError):
        await through(scanner, b"x")


async def test_a_scanner_that_says_nothing(tmp_path):
    over = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        await writer.wait_closed()
        left.set()

    left = asyncio.Event()
    server = await asyncio.start_unix_server(silent, tmp_path / "s")
    with pytest.raises(ScannerDown, match="in time"):
        await through(Scanner(f"unix:{tmp_path}/s", timeout=0.1), b"x")
    over.set()
    await left.wait()
    server.close()
    await server.wait_closed()
