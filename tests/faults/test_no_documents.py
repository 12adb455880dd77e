"""The rule above all: no document byte at rest.

Canary documents go through every route of a running world; then everything that the portal, the
worker, the simulators and PostgreSQL wrote is searched for any part of them. A canary repeats a
secret mark of 8 bytes every 16 bytes, so every stretch of 32 bytes holds the mark whole.
"""

import asyncio
import base64
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from aiobotocore.session import get_session

from gateway.domain.dossier import handle
from tests.browser import conftest as demo

pytestmark = pytest.mark.xdist_group("browser")

SIZE = 64 * 1024


class Canary:
    """A document with a mark, and what to look for."""

    def __init__(self) -> None:
        self.mark = secrets.token_bytes(8)
        self.body = b"".join(self.mark + secrets.token_bytes(8) for _ in range(SIZE // 16))

    @property
    def traces(self) -> list[bytes]:
        """The mark in clear and in base64, at each of the three places it can fall."""
        found = [self.mark, self.mark.hex().encode()]
        for before in range(3):
            whole = base64.b64encode(bytes(before) + self.mark + bytes(3))
            found.append(whole[(before * 4 + 2) // 3 + 1 : (before + 8) * 4 // 3 - 1])
        return found


@pytest.fixture(scope="module")
def world() -> Iterator[demo.World]:
    """A world of its own, whose temporary files go into its folder too."""
    home = Path(tempfile.mkdtemp(prefix="map-canary-"))
    home.chmod(0o711)
    (home / "tmp").mkdir(mode=0o1777)
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(home / "tmp")
    try:
        process = demo.start(home, demo._port())
    finally:
        os.environ.pop("TMPDIR")
        if before is not None:
            os.environ["TMPDIR"] = before
    yield demo.World(home, json.loads((home / "ready.json").read_text()))
    demo.stop(process)
    shutil.rmtree(home, ignore_errors=True)


async def _sign_in(session: aiohttp.ClientSession, world: demo.World) -> None:
    account = world.account("noor@korenaar.example")

    async def token(path: str) -> str:
        async with session.get(world.portal + path) as answer:
            return re.search(r'name="form_token" value="([^"]+)"', await answer.text())[1]

    fields = {"gebruikersnaam": account["email"], "wachtwoord": account["password"]}
    form = {"form_token": await token("/inloggen"), **fields}
    async with session.post(world.portal + "/inloggen", data=form) as answer:
        again = re.search(r'name="form_token" value="([^"]+)"', await answer.text())[1]
    code = {"form_token": again, "code1": world.code(account["mobile"])}
    async with session.post(world.portal + "/inloggen/token", data=code) as answer:
        assert "Welkom" in await answer.text()


async def _put_canaries(world: demo.World) -> dict[str, tuple[str, Canary]]:
    """One canary in each kind of back office; path of its page by kind."""
    found = {}
    name = "KANARIE-bestandsnaam.pdf"
    share, soap, s3 = Canary(), Canary(), Canary()
    path = world.home / "backoffice/lindehof/400101/Permanent" / name
    path.write_bytes(share.body)
    found["local"] = (f"/dossier/archief/{handle('Permanent/' + name)}", share)
    (world.home / "package/lindehof/400101/Loon" / name).write_bytes(soap.body)
    found["soap"] = ("", soap)
    keys = [
        (world.home / "secrets" / n).read_text().strip()
        for n in ("s3_access_key", "s3_secret_key")
    ]
    async with get_session().create_client(
        "s3",
        endpoint_url=world.told["s3"],
        region_name="eu-central-1",
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
    ) as client:
        key = f"klanten/400101/Aangiften/{name}"
        await client.put_object(Bucket="lindehof", Key=key, Body=s3.body)
    found["s3"] = (f"/dossier/jaarstukken/{handle('Aangiften/' + name)}", s3)
    return found


async def _through_every_route(
    session: aiohttp.ClientSession, world: demo.World, path: str, canary: Canary
) -> None:
    url = world.portal + path
    for query in ("", "?opslaan=1"):
        async with session.get(url + query) as answer:
            assert await answer.read() == canary.body
            tag = answer.headers.get("ETag", "")
    async with session.get(url, headers={"Range": "bytes=100-40000"}) as answer:
        assert await answer.read() in (canary.body[100:40001], canary.body)
    async with session.head(url) as answer:
        assert answer.status == 200
    if tag:
        async with session.get(url, headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
    answer = await session.get(url)  # and a browser that leaves half-way
    await answer.content.readany()
    answer.close()


def _written(world: demo.World, data: Path) -> Iterator[Path]:
    """Every file that the portal's side wrote. The back offices' own folders are not ours."""
    theirs = [world.home / name for name in ("backoffice", "package", "s3")]
    for root in {world.home, data}:
        for path in root.rglob("*"):
            if path.is_file() and not any(path.is_relative_to(t) for t in theirs):
                yield path


async def test_no_document_byte_at_rest(world: demo.World):
    canaries = await _put_canaries(world)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        await _sign_in(session, world)
        async with session.get(world.portal + "/dossier?zoek=KANARIE") as answer:
            page = await answer.text()
        link = re.search(r'href="(/dossier/pakket/[^"?]+)', page)
        canaries["soap"] = (link[1], canaries["soap"][1])
        for path, canary in canaries.values():
            await _through_every_route(session, world, path, canary)
        token = re.search(r'name="form_token" value="([^"]+)"', page)[1]
        chosen = [
            ("bestand", path.removeprefix("/dossier/").replace("/", ":", 1))
            for path, _ in canaries.values()
        ]
        form = [("form_token", token), ("klant", "400101"), *chosen]
        async with session.post(world.portal + "/dossier/zip", data=form) as answer:
            body = await answer.read()
            assert all(canary.body in body for _, canary in canaries.values())
    await _search(world, [canary for _, canary in canaries.values()])


async def _search(world: demo.World, canaries: list[Canary]) -> None:
    dsn = next(
        dict(line.split("=", 1) for line in _environment(pid))["DATABASE_URL"]
        for pid in _pids(world)
    )
    connection = await asyncpg.connect(dsn)
    opened = await connection.fetchval("select count(*) from audit where event='document_opened'")
    assert opened >= 15, "the documents went through, and each left its audit row"
    await connection.execute("checkpoint")
    data = Path(await connection.fetchval("show data_directory"))
    await connection.close()
    traces = [t for c in canaries for t in c.traces]
    searched = 0
    for path in _written(world, data):
        content = await asyncio.to_thread(path.read_bytes)
        searched += len(content)
        for trace in traces:
            assert trace not in content, f"a part of a document stands in {path}"
        if path.suffix in (".log", ".jsonl"):
            assert b"KANARIE" not in content, f"a document's name stands in {path}"
    assert searched > 20_000_000, "the database's files and its WAL were among them"


def _pids(world: demo.World) -> Iterator[int]:
    """The portal's and the worker's processes: those that were told the database."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        words = _environment(int(entry.name))
        if f"MAP_HOME={world.home}" in words and any(w.startswith("DATABASE_URL=") for w in words):
            yield int(entry.name)


def _environment(pid: int) -> list[str]:
    try:
        text = (Path("/proc") / str(pid) / "environ").read_bytes()
    except OSError:
        return []
    return [w for w in text.decode(errors="replace").split("\0") if "=" in w]


async def test_the_search_has_teeth(tmp_path: Path):
    """A part of a canary that does lie about is found, in clear and in base64."""
    canary = Canary()
    for start in (0, 1, 7, 1000, 4099):
        part = canary.body[start : start + 32]
        assert any(t in part for t in canary.traces)
        longer = canary.body[start : start + 96]
        assert any(t in base64.b64encode(longer) for t in canary.traces)
