"""Kind `webdav` on Apache and on wsgidav, and on servers that lie."""

import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.webdav import Webdav
from gateway import log
from gateway.connector import walk
from gateway.connector.conformance import (
    MIB,
    NESTED,
    PERMANENT,
    Conformance,
    content,
    everything,
    proxied,
)
from gateway.connector.contract import Capability, Place, Scope
from gateway.connector.egress import EgressPolicy
from gateway.connector.webdav import wire
from gateway.connector.webdav.rows import moment_of, rows, version_of
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConditionFailed,
    ConfigInvalid,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RangeNotSatisfiable,
    RateLimited,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from tests.connectors.worlds import (
    LOOPBACK,
    FolderWorld,
    away_is_not_empty,
    body,
    both_refuse,
    drafts,
    fail_to_put,
    hostile_names,
    pages_of_a_large_folder,
    port_of,
    survives_a_restart,
    until,
)
from tests.servers.process import HOST, serve
from tests.servers.tls import certificate, context
from tests.servers.webdav import Apache, DavServer, Wsgidav


class DavWorld(FolderWorld):
    """A folder of its own, filled past the server."""

    def __init__(self, server: DavServer, base: Path, **options: Any) -> None:
        self.name = f"kantoor {uuid.uuid4().hex[:12]}"
        super().__init__(server.path / self.name, base)
        self.server, self.options = server, options
        self.path.mkdir()
        self.path.chmod(0o777)
        self._stack.callback(shutil.rmtree, self.path, ignore_errors=True)
        self.keep_password(server.password)

    async def open(self, **options: Any) -> Webdav:
        told = {"url": self._url(self.server.port), "username": self.server.user}
        told |= {"password": "file:wachtwoord", **self.options}
        return await self.opened(Webdav, told | options)

    def _url(self, port: int) -> str:
        return f"http://{HOST}:{port}/dav/{self.name.replace(' ', '%20')}"

    def at(self, place: Place, folder: str, name: str = "") -> Path:
        path = super().at(place, folder, name)
        for made in path.parents:  # for Apache, which is somebody else
            if made == self.server.path:
                break
            made.chmod(0o777)
        return path

    def wrong_credentials(self) -> dict[str, Any]:
        return {"password": "file:verkeerd"}

    def upstream(self) -> tuple[str, int]:
        return HOST, self.server.port

    def through(self, port: int) -> dict[str, Any]:
        return {"url": self._url(port)}


@pytest.fixture(scope="session")
def apache() -> Iterator[DavServer]:
    with serve(Apache) as server:
        yield server


@pytest.fixture(scope="session")
def wsgidav() -> Iterator[DavServer]:
    with serve(Wsgidav) as server:
        yield server


@pytest.fixture
async def world(apache: DavServer, tmp_path: Path) -> AsyncIterator[DavWorld]:
    async with aclosing(DavWorld(apache, tmp_path)) as made:
        yield made


class TestWebdavOnApache(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


class TestWebdavOnWsgidav(Conformance):
    """Its ETags tell whole seconds, so its documents have no version."""

    @pytest.fixture
    async def world(self, wsgidav: DavServer, tmp_path: Path) -> AsyncIterator[DavWorld]:
        async with aclosing(DavWorld(wsgidav, tmp_path, etags=False)) as made:
            yield made

    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


# --- the server


async def test_a_restart_of_the_server_is_survived(world: DavWorld) -> None:
    await survives_a_restart(world, world.server, 8 * MIB, IntegrityError, Unavailable)


async def test_a_folder_is_no_document(world: DavWorld) -> None:
    """A server may give a page about a folder for GET, or redirect to it."""
    await world.seed(world.place, f"{PERMANENT}/Akten", "a.txt", b"a")
    connector = await world.open()
    await both_refuse(connector, world.place, f"{PERMANENT}/Akten")


async def test_a_folder_is_no_document_where_get_gives_a_page(
    wsgidav: DavServer, tmp_path: Path
) -> None:
    async with aclosing(DavWorld(wsgidav, tmp_path, etags=False)) as world:
        await world.seed(world.place, f"{PERMANENT}/Akten", "a.txt", b"a")
        await both_refuse(await world.open(), world.place, f"{PERMANENT}/Akten")


async def test_a_folder_that_is_away_is_no_empty_dossier(world: DavWorld) -> None:
    await away_is_not_empty(world, "url", url=f"http://{HOST}:{world.server.port}/dav/weg")


async def test_a_server_without_webdav(tmp_path: Path) -> None:
    async with Liar(tmp_path) as liar:
        liar.answers = lambda _: web.Response(status=405)
        connector = await liar.open()
        with pytest.raises(ConfigInvalid) as told:
            await connector.list(liar.place)
        assert told.value.field == "url"
        liar.answers = lambda _: web.Response(text="<html><body>Welkom</body></html>")
        with pytest.raises(ProtocolError):
            await connector.list(liar.place)


async def test_paging_through_a_large_folder(world: DavWorld) -> None:
    await pages_of_a_large_folder(world)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://10.0.0.1/dav"}, {"url": "http://elders.example/"}, {"url": "ftp://x/"},
        {"url": f"http://kantoor:geheim@{HOST}:1/"}, {"url": f"http://{HOST}:1/?a=b"},
        {"username": ""}, {"password": None}, {"token": "file:wachtwoord"}, {"username": "a:b"},
        {"password": "geheim"}, {"ca": "bestaat-niet.pem"}, {"ca": "wachtwoord"},
        {"username": "", "password": None, "token": "file:regels"},
    ],
)  # fmt: skip
async def test_options_that_cannot_work(world: DavWorld, options: dict[str, Any]) -> None:
    (world.base / "regels").write_text("twee\nregels")
    with pytest.raises((ConfigInvalid, ValidationError)) as told:
        await world.open(**options)
    assert "geheim" not in str(told.value)


async def test_the_address_is_the_one_that_was_checked(
    world: DavWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that egress allows and that leads to the machine itself leads nowhere."""

    async def resolve(_: Any, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        family = socket.AF_INET
        return [{"hostname": host, "host": HOST, "port": port, "family": family, "proto": 6,
                 "flags": socket.AI_NUMERICHOST}]  # fmt: skip

    monkeypatch.setattr("gateway.connector.egress.ThreadedResolver.resolve", resolve)
    url = world._url(world.server.port).replace(HOST, "wolk.example")
    world.policy = EgressPolicy(("wolk.example:*",))
    with pytest.raises(Unavailable):
        await (await world.open(url=url)).list(world.place)
    world.policy = EgressPolicy(("wolk.example:*",), LOOPBACK.networks)
    assert await everything(await world.open(url=url), world.place) == []


# --- writing


async def test_a_source_that_is_not_to_be_written_to(world: DavWorld) -> None:
    connector = await world.open()
    assert not Capability.WRITE & connector.capabilities
    with pytest.raises(Unsupported):
        await connector.put(world.place, PERMANENT, "a.txt", body(b"a"))
    assert list(world.path.iterdir()) == []


async def test_nobody_sees_a_document_before_it_is_whole(world: DavWorld) -> None:
    async with proxied(world) as behind:
        assert behind is not None
        proxy, _ = behind
        connector = await world.open(**world.through(port_of(proxy)), writable=True)
        other, seen = await world.open(), list[bool]()
        folder = world.at(world.place, PERMANENT, "x").parent

        async def cut() -> AsyncIterator[bytes]:
            yield bytes(3 * MIB)
            seen.append((folder / "a.bin").exists())
            assert await everything(other, world.place) == []
            await proxy.stop()
            for _ in range(20):
                yield bytes(MIB)

        with pytest.raises(Unavailable):
            await connector.put(world.place, PERMANENT, "a.bin", cut())
    assert seen == [False]
    await asyncio.sleep(0.2)
    assert await everything(other, world.place) == []
    assert not (folder / "a.bin").exists()


async def test_what_fails_leaves_nothing_at_the_server(world: DavWorld) -> None:
    connector = await world.open(writable=True)
    folder = world.at(world.place, PERMANENT, "x").parent
    await fail_to_put(world, connector)
    await until(lambda: not [n for n in world.names() if not n[0].isdigit()])
    assert {p.stat().st_size for p in folder.iterdir()} <= {2 * MIB}


async def test_what_a_dead_writer_left_goes_with_the_next(world: DavWorld) -> None:
    connector = await world.open(writable=True)
    kept = drafts(world.at(world.place, PERMANENT, "x").parent)
    await connector.put(world.place, PERMANENT, "a.txt", body(b"a"))
    assert set(world.names()) == {"a.txt", *kept}


async def test_a_folder_is_not_replaced_by_a_document(world: DavWorld) -> None:
    """MOVE would take away all that is in it."""
    await world.seed(world.place, f"{PERMANENT}/Akten", "a.txt", b"a")
    connector = await world.open(writable=True)
    for if_absent in (True, False):
        with pytest.raises(AlreadyExists):
            await connector.put(world.place, PERMANENT, "Akten", body(b"x"), if_absent=if_absent)
    assert [e.name for e in await everything(connector, world.place)] == ["a.txt"]
    with pytest.raises(SourceError):
        await connector.put(world.place, f"{PERMANENT}/Akten/a.txt", "b.txt", body(b"x"))


# --- moving


async def test_a_source_that_is_not_to_be_written_to_moves_nothing(world: DavWorld) -> None:
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    connector = await world.open()
    assert not Capability.MOVE & connector.capabilities
    with pytest.raises(Unsupported):
        await connector.move(world.place, f"{PERMANENT}/a.txt", PERMANENT, "b.txt")


@pytest.fixture(params=["apache", "wsgidav"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DavWorld]:
    """One of the two servers."""
    async with aclosing(DavWorld(request.getfixturevalue(request.param), tmp_path)) as made:
        yield made


async def test_a_folder_is_not_moved_nor_moved_onto(either: DavWorld) -> None:
    world = either
    for folder, name in ((f"{PERMANENT}/Akten", "a.txt"), (PERMANENT, "b.txt")):
        await world.seed(world.place, folder, name, name.encode())
    connector = await world.open(writable=True)
    for id in (f"{PERMANENT}/Akten", NESTED):
        with pytest.raises(NotFound):
            await connector.move(world.place, id, NESTED, "c.txt")
    id = f"{PERMANENT}/b.txt"
    for name in ("Akten", "b.txt"):  # the document itself is there too
        with pytest.raises(AlreadyExists):
            await connector.move(world.place, id, PERMANENT, name)
    with pytest.raises(SourceError):
        await connector.move(world.place, id, f"{PERMANENT}/Akten/a.txt", "c.txt")
    found = [e.id for e in await everything(connector, world.place)]
    assert found == [f"{PERMANENT}/Akten/a.txt", id]


async def test_another_version_comes_just_before_the_move(
    either: DavWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server looks at the version last; it says 412 to both, and we tell which."""
    world = either
    await world.seed(world.place, PERMANENT, "a.txt", b"een")
    await world.seed(world.place, PERMANENT, "b.txt", b"b")
    connector = await world.open(writable=True)
    id = f"{PERMANENT}/a.txt"
    os.utime(world.at(world.place, PERMANENT, "a.txt"), (1e9, 1e9))  # Apache's ETags begin weak
    entry = await connector.stat(world.place, id)
    with pytest.raises(AlreadyExists):
        await connector.move(world.place, id, PERMANENT, "b.txt", version=entry.version)
    move = connector._writer.move

    async def late(*told: Any) -> None:
        await world.seed(world.place, PERMANENT, "a.txt", b"anders")
        await move(*told)

    monkeypatch.setattr(connector._writer, "move", late)
    with pytest.raises(ConditionFailed):
        await connector.move(world.place, id, NESTED, "a.txt", version=entry.version)
    assert await content(connector, world.place, id) == b"anders"
    assert len(await everything(connector, world.place)) == 2


# --- a server that lies


class Liar(FolderWorld):
    """A server in this process. answers: what it says to a request, set by a test."""

    def __init__(self, base: Path, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(base, base)
        self._tls = tls
        self.seen: list[web.Request] = []
        self.answers: Callable[[web.Request], Any] = tree({})

    async def open(self, **options: Any) -> Webdav:
        (self.base / "geheim").write_text("wachtwoord van het kantoor")
        told = {"url": str(self.server.make_url("/dav")), "password": "file:geheim"}
        return await self.opened(Webdav, told | {"username": "kantoor"} | options)

    async def __aenter__(self) -> "Liar":
        app = web.Application(client_max_size=100 * MIB)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app, host=HOST, scheme="https" if self._tls else "http")
        await self.server.start_server(ssl=self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
        await self.server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        found = self.answers(request)
        return await found if isinstance(found, Awaitable) else found


@pytest.fixture
async def liar(tmp_path: Path) -> AsyncIterator[Liar]:
    async with Liar(tmp_path) as made:
        yield made


FOLDER = "<D:resourcetype><D:collection/></D:resourcetype>"
ROOT = "/dav/klanten/300001/Permanent"


def response(href: str, told: str, status: str = "HTTP/1.1 200 OK") -> str:
    return (
        f"<D:response><D:href>{href}</D:href><D:propstat><D:prop>{told}</D:prop>"
        f"<D:status>{status}</D:status></D:propstat></D:response>"
    )


def listing(*responses: str) -> bytes:
    text = "".join(responses)
    return f'<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">{text}</D:multistatus>'.encode()


def document(size: int = 5, tag: str = '"een"') -> str:
    return (
        f"<D:resourcetype/><D:getcontentlength>{size}</D:getcontentlength>"
        f"<D:getlastmodified>Tue, 24 Nov 2026 16:00:00 GMT</D:getlastmodified>"
        f"<D:getetag>{tag}</D:getetag>"
    )


def tree(documents: dict[str, str], data: bytes = b"xxxxx", **headers: str) -> Callable[..., Any]:
    """A server with these documents (href: properties) in Permanent; each has the same bytes."""

    def answer(request: web.Request) -> web.Response:
        path = request.raw_path.rstrip("/")
        if request.method == "PROPFIND":
            found = documents.get(path, FOLDER)
            inside = [response(h, d) for h, d in documents.items()] if path == ROOT else []
            deep = request.headers["Depth"] == "1"
            text = listing(response(path + "/", found), *(inside if deep else []))
            return web.Response(status=207, body=text)
        return web.Response(body=data, headers={"ETag": '"een"', **headers})

    return answer


async def test_names_of_a_hostile_server(liar: Liar) -> None:
    names = [
        "..", ".", "%2e%2e", "..%2fgeheim.txt", "%2Fetc%2Fpasswd", "a%5Cb.txt", "nul%00.txt",
        "%ff%fe.txt", "l" * 2_000, "..%20", "%252e%252e", "%252e%252e%252fgeheim", "goed.txt",
        "goed.txt", "goed%2Etxt", "twee%0Aregels", ".map-part-" + "0" * 32, "50%2525.txt",
        "a;x.txt", "?vraag", "#hash",
    ]  # fmt: skip
    liar.answers = tree({f"{ROOT}/{name}": document() for name in names})
    connector = await liar.open(writable=True)
    found = await everything(connector, liar.place, 1)
    assert sorted(e.name for e in found) == ["50%25.txt", "a;x.txt", "goed.txt"]
    with contextlib.suppress(SourceError):
        await connector.put(liar.place, PERMANENT, "a.txt", body(b"x"))
    assert not [r for r in liar.seen if r.method == "DELETE" and ".map-part-0" not in r.raw_path]


@pytest.mark.parametrize(
    "href",
    ["/dav/klanten/300002/Permanent/geheim.txt", "/dav/klanten/300001/Intern/a.txt", "/etc/passwd",
     "/dav/klanten/300001/Permanent/../Intern/a.txt", "http://elders.example/a.txt", "a.txt"],
)  # fmt: skip
async def test_a_listing_of_another_place_is_none(liar: Liar, href: str) -> None:
    liar.answers = tree({href: document()})
    connector = await liar.open()
    with contextlib.suppress(ProtocolError):
        assert await everything(connector, liar.place) == []


async def test_addresses_as_other_servers_write_them(liar: Liar) -> None:
    """With another host, other escapes, doubled slashes; and more than was asked for."""
    hrefs = [
        f"https://binnen.example:8443{ROOT}/een.txt", f"{ROOT}//twee.txt",
        "/%64av/klanten/300001/%50ermanent/drie%2Etxt", f"{ROOT}/map/vier.txt",
    ]  # fmt: skip
    liar.answers = tree({href: document() for href in hrefs})
    connector = await liar.open()
    found = await everything(connector, liar.place)
    assert sorted(e.name for e in found) == ["drie.txt", "een.txt", "twee.txt"]


async def test_a_listing_without_an_end(liar: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        made = web.StreamResponse(status=207)
        await made.prepare(request)
        await made.write(b'<D:multistatus xmlns:D="DAV:">')
        with contextlib.suppress(ConnectionError):
            for number in itertools.count():
                await made.write(response(f"{ROOT}/{number}", document()).encode() * 100)
        return made

    connector = await liar.open()
    liar.answers = endless
    with pytest.raises(TooLarge):
        await connector.list(liar.place)
    monkeypatch.setattr(walk, "MOST", 5_000)
    liar.answers = tree({f"{ROOT}/{i}.txt": document() for i in range(6_000)})
    with pytest.raises(TooLarge):
        await connector.list(liar.place, limit=1)


async def test_folders_without_an_end(liar: Liar) -> None:
    """As where the server follows a link to the folder above it."""

    def itself(request: web.Request) -> web.Response:
        path = request.raw_path.rstrip("/")
        inside = [response(f"{path}/nog-een/", FOLDER), response(f"{path}/a.txt", document())]
        return web.Response(status=207, body=listing(response(path, FOLDER), *inside))

    liar.answers = itself
    connector = await liar.open()
    found = await everything(connector, Place("300001", "klanten/300001", (PERMANENT,)))
    assert 20 < len(found) < 40


@pytest.mark.parametrize(
    "text",
    [
        b"", b"<", b"{}", b"<html/>", b'<multistatus xmlns="elders:"/>', b"\xff\xfe\x00",
        b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><D:multistatus xmlns:D="DAV:">'
        b"<D:response><D:href>&y;</D:href></D:response></D:multistatus>",
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
        b'<D:multistatus xmlns:D="DAV:">&b;</D:multistatus>',
    ],
)  # fmt: skip
async def test_answers_that_are_no_listing(liar: Liar, text: bytes) -> None:
    liar.answers = lambda _: web.Response(status=207, body=text)
    connector = await liar.open()
    for call in (connector.list(liar.place), connector.read(liar.place, f"{PERMANENT}/a.txt")):
        with pytest.raises(ProtocolError):
            await call


async def test_a_redirect_is_not_followed(liar: Liar, tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    async with Liar(tmp_path / "val") as trap:
        for status in (301, 302, 303, 307, 308):
            to = str(trap.server.make_url("/dav"))
            liar.answers = lambda _, s=status, to=to: web.Response(
                status=s, headers={"Location": to}
            )
            connector = await liar.open(writable=True)
            for call in (
                connector.list(liar.place),
                connector.read(liar.place, f"{PERMANENT}/a.txt"),
                connector.put(liar.place, PERMANENT, "a.txt", body(b"x")),
            ):
                with pytest.raises(ConfigInvalid) as told:
                    await call
                assert told.value.field == "url"
        assert trap.seen == []


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"username": "kantoor"}, "Basic a2FudG9vcjp3YWNodHdvb3JkIHZhbiBoZXQga2FudG9vcg=="),
        ({"username": "", "password": None, "token": "file:token"}, "Bearer abc.def"),
    ],
)
async def test_who_we_are(liar: Liar, options: dict[str, Any], header: str) -> None:
    (liar.base / "token").write_text("abc.def\n")
    connector = await liar.open(**options)
    await connector.list(liar.place)
    assert {r.headers["Authorization"] for r in liar.seen} == {header}


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (401, {}, AuthFailed), (403, {}, PermissionDenied), (404, {}, NotFound),
        (410, {}, NotFound), (412, {}, ConditionFailed), (416, {}, RangeNotSatisfiable),
        (423, {}, RateLimited), (429, {"Retry-After": "7"}, RateLimited), (500, {}, Unavailable),
        (503, {}, Unavailable), (503, {"Retry-After": "7"}, RateLimited), (507, {}, TooLarge),
        (418, {}, ProtocolError), (400, {}, ProtocolError), (204, {}, ProtocolError),
        (503, {"Retry-After": "9" * 400}, RateLimited), (407, {}, ConfigInvalid),
    ],
)  # fmt: skip
async def test_what_a_status_means(
    liar: Liar, status: int, headers: dict[str, str], error: type[SourceError]
) -> None:
    known = tree({f"{ROOT}/a.txt": document()})

    def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.Response(status=status, headers=headers, text="" if status == 204 else "x")
        made: web.Response = known(request)
        return made

    liar.answers = answer
    connector = await liar.open()
    with pytest.raises(error) as told:
        await connector.read(liar.place, f"{PERMANENT}/a.txt", offset=1)
    assert type(told.value) is error
    assert str(told.value) == f"{status} to GET"
    assert told.value.retry_after in (None, 7.0)


@pytest.mark.parametrize(
    ("data", "headers", "part", "error"),
    [
        (b"xxxxx", {"Content-Encoding": "gzip"}, {}, ProtocolError),
        (b"xxxxx", {}, {"offset": 1}, ProtocolError),  # ignores the range
        (b"xxxxx", {}, {"length": 2}, ProtocolError),
        (b"xxxxx", {}, {"version": "ander"}, ConditionFailed),  # ignores If-Match
        (b"xxxxx", {"ETag": '"twee"'}, {"version": "een"}, ConditionFailed),
        (b"", {}, {"version": 'e"en'}, ConditionFailed),
        (b"", {}, {"version": "een\r\nX-Kop: 1"}, ConditionFailed),
        (b"", {}, {"offset": -1}, RangeNotSatisfiable),
    ],
)
async def test_other_answers_than_were_asked_for(
    liar: Liar, data: bytes, headers: dict[str, str], part: dict[str, Any], error: Any
) -> None:
    liar.answers = tree({f"{ROOT}/a.txt": document()}, data, **headers)
    connector = await liar.open()
    with pytest.raises(error):
        await content(connector, liar.place, f"{PERMANENT}/a.txt", **part)


@pytest.mark.parametrize(
    "told", ["", "bytes 0-1/5", "bytes 1-4/5", "bytes 2-1/5", "bytes x-y/5", "bytes 1-2/x", "5"]
)
async def test_a_range_from_elsewhere(liar: Liar, told: str) -> None:
    known = tree({f"{ROOT}/a.txt": document()})

    def answer(request: web.Request) -> web.Response:
        if request.method != "GET":
            made: web.Response = known(request)
            return made
        return web.Response(status=206, body=b"xx", headers={"Content-Range": told, "ETag": "een"})

    liar.answers = answer
    connector = await liar.open()
    with pytest.raises(ProtocolError):
        await connector.read(liar.place, f"{PERMANENT}/a.txt", offset=1, length=2)


async def test_what_changes_between_two_answers_is_the_newest(liar: Liar) -> None:
    liar.answers = tree({f"{ROOT}/a.txt": document(3)}, b"zeven!!", ETag='"twee"')
    connector = await liar.open()
    reader = await connector.read(liar.place, f"{PERMANENT}/a.txt")
    assert (reader.entry.size, reader.length, reader.entry.version) == (7, 7, "twee")
    assert b"".join([bytes(p) async for p in reader]) == b"zeven!!"
    await reader.aclose()


@pytest.mark.parametrize(("size", "data"), [(5, b"xxxx"), (5, b"xxxxxx")])
async def test_a_document_without_a_length_is_counted(liar: Liar, size: int, data: bytes) -> None:
    known = tree({f"{ROOT}/a.txt": document(size)})

    async def chunked(request: web.Request) -> web.StreamResponse:
        made = web.StreamResponse()
        made.enable_chunked_encoding()
        await made.prepare(request)
        await made.write(data)
        await made.write_eof()
        return made

    liar.answers = lambda r: chunked(r) if r.method == "GET" else known(r)
    connector = await liar.open()
    with pytest.raises(IntegrityError):
        await content(connector, liar.place, f"{PERMANENT}/a.txt")


async def test_weak_tags_are_compared_and_never_sent(liar: Liar) -> None:
    """Apache's are weak for a second after a change; If-Match would never match."""
    liar.answers = tree({f"{ROOT}/a.txt": document(5, 'W/"een"')})
    connector = await liar.open()
    entry = await connector.stat(liar.place, f"{PERMANENT}/a.txt")
    assert entry.version == "W/een"
    for version in ("W/een", "een"):
        got = await content(connector, liar.place, f"{PERMANENT}/a.txt", version=version)
        assert got == b"xxxxx"
    sent = [r.headers.get("If-Match") for r in liar.seen if r.method == "GET"]
    assert sent == [None, '"een"']


async def test_a_server_without_tags_is_told_by_the_check(liar: Liar) -> None:
    liar.answers = tree({f"{ROOT}/a.txt": document(5, "")}, ETag="")
    report = await (await liar.open()).check(Scope.READ, liar.place)
    assert [(f.scope, f.field) for f in report.findings if not f.ok] == [(Scope.READ, "etags")]
    without = await liar.open(etags=False)
    assert (await without.check(Scope.READ, liar.place)).ok
    assert not Capability.VERSION & without.capabilities
    assert (await without.stat(liar.place, f"{PERMANENT}/a.txt")).version is None


def test_tags_and_dates() -> None:
    for text, version in (
        ('"een"', "een"), ('W/"een"', "W/een"), ("een", "een"), ('""', None), ("", None),
        (None, None), ('"a"b"', None), ('"é"', None), (f'"{"a" * 600}"', None), ('"a\nb"', None),
    ):  # fmt: skip
        assert version_of(text) == version
    moment = datetime(2026, 11, 24, 16, tzinfo=UTC)
    assert moment_of("Tue, 24 Nov 2026 16:00:00 GMT") == moment
    for text in (None, "", "gisteren", "Tue, 99 Nov 2026 16:00:00 GMT", "0"):
        assert moment_of(text) is None
    early = moment_of("Tue, 24 Nov 2026 16:00:00 -0000")
    assert early is not None
    assert early.utcoffset() == timedelta(0)


async def test_what_was_kept_is_looked_at_before_it_gets_its_name(liar: Liar) -> None:
    """A server that keeps half; and the draft goes."""
    liar.answers = tree({})
    known = liar.answers

    def answer(request: web.Request) -> Any:
        if request.method == "PROPFIND" and walk.PARTIAL in request.path:
            text = listing(response(request.raw_path, document(2)))
            return web.Response(status=207, body=text)
        return known(request) if request.method == "PROPFIND" else taken(request)

    async def taken(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=201)

    liar.answers = answer
    connector = await liar.open(writable=True)
    with pytest.raises(IntegrityError):
        await connector.put(liar.place, PERMANENT, "a.txt", body(b"xxxxx"))
    await until(lambda: liar.seen[-1].method == "DELETE")
    assert "MOVE" not in {r.method for r in liar.seen}


async def test_a_server_behind_one_that_ends_tls(liar: Liar) -> None:
    """It takes https for another server, and says so with 502; a path it understands."""
    stored: list[str] = []
    known = tree({})

    def answer(request: web.Request) -> web.Response:
        if request.method == "MOVE":
            to = request.headers["Destination"]
            if not to.startswith("/"):
                return web.Response(status=502)
            assert request.headers["Overwrite"] == "F"
            stored.append(unquote(to))
            return web.Response(status=201)
        if request.method != "PROPFIND":
            return web.Response(status=201)
        if walk.PARTIAL in request.path or unquote(request.path) in stored:
            return web.Response(status=207, body=listing(response(request.raw_path, document())))
        made: web.Response = known(request)
        return made

    liar.answers = answer
    connector = await liar.open(writable=True)
    entry = await connector.put(liar.place, PERMANENT, "één stuk.txt", body(b"xxxxx"))
    assert entry.name == "één stuk.txt"
    assert stored == [f"{ROOT}/één stuk.txt"]


async def test_five_thousand_hostile_names_ask_for_nothing_outside(liar: Liar) -> None:
    """Whatever the id, the server is only asked for what lies in the klant's published folders,
    also when it decodes an address three times."""
    connector = await liar.open()
    names = hostile_names(
        5,
        5_000,
        "%5c",
        "%25",
        "%252e",
        "%c0%ae",
        "..;",
        "#",
        "@",
        "\r\n",
        "http://elders.example/",
    )
    for n, name in enumerate(names):
        with contextlib.suppress(NotFound):
            await connector.stat(liar.place, f"{PERMANENT}/{name}" if n % 2 else name)
    base = ("/dav/klanten/300001/Permanent/", "/dav/klanten/300001/Aangiften/2025/")
    for request in liar.seen:
        path = request.raw_path
        if path == "/dav/":
            continue  # whether the source is there
        for _ in range(3):
            assert path.startswith(base), request.raw_path
            assert not {"", ".", ".."} & {p.strip() for p in path.split("/")[1:]}, request.raw_path
            path = unquote(path).replace("\\", "/")


async def test_no_secret_and_no_name_is_told(
    liar: Liar, capfd: pytest.CaptureFixture[str]
) -> None:
    log.configure(level="debug")
    connector = await liar.open()
    seen = [repr(connector._config), repr(vars(connector)), repr(vars(connector._dav))[:0]]
    for status in (400, 401, 403, 500, 302):
        liar.answers = lambda _, s=status: web.Response(status=s)
        for call in (
            connector.list(liar.place),
            connector.stat(liar.place, "Permanent/Hypotheek"),
        ):
            with pytest.raises(SourceError) as told:
                await call
            seen += [str(told.value), repr(told.value)]
        seen.append(str(await connector.check(Scope.READ, liar.place)))
    raw = await asyncio.start_server(garbage, HOST, 0)
    port = raw.sockets[0].getsockname()[1]
    other = await liar.open(url=f"http://{HOST}:{port}/dav")
    with pytest.raises(ProtocolError) as told:
        await other.stat(liar.place, "Permanent/Hypotheek")
    raw.close()
    seen.append(str(told.value))
    ours = "\n".join(capfd.readouterr()).splitlines()
    seen += [line for line in ours if "aiohttp.access" not in line]  # the server's own
    for text in seen:
        assert "wachtwoord van" not in text
        assert "Hypotheek" not in text


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 abc\r\n\r\n")
    writer.close()


# --- TLS


async def test_only_the_authorities_that_are_named_are_trusted(tmp_path: Path) -> None:
    certificate(tmp_path)
    async with Liar(tmp_path, context(tmp_path)) as liar:
        liar.answers = tree({f"{ROOT}/a.txt": document()})
        trusting = await liar.open(ca="cert.pem")
        assert await content(trusting, liar.place, f"{PERMANENT}/a.txt") == b"xxxxx"
        count = len(liar.seen)
        (tmp_path / "ander").mkdir()
        certificate(tmp_path / "ander")
        for options in ({}, {"ca": "ander/cert.pem"}):
            with pytest.raises(Unavailable):
                await (await liar.open(**options)).list(liar.place)
        assert len(liar.seen) == count


# --- anything


@given(st.binary(max_size=300))
def test_anything_is_a_listing_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        rows(data, ("dav",))


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=40))
def test_any_listing_has_rows_of_its_own_folder(names: list[str], told: str) -> None:
    hrefs = [f"/dav/{quote(n.encode('utf-8', 'surrogatepass'))}" for n in names]
    safe = "".join(c for c in told if c.isprintable() and c not in "<&" and c < "\ud800")
    text = listing(
        *(response(h, f"<D:getcontentlength>{safe}</D:getcontentlength>") for h in hrefs)
    )
    with contextlib.suppress(ProtocolError):
        _, found = rows(text, ("dav",))
        assert all("/" not in r.name or "%2F" in quote(r.name, safe="") for r in found)
        assert all(r.size is None or r.size >= 0 for r in found)


def test_every_status_is_an_error_of_ours() -> None:
    for status in range(300, 600):
        assert isinstance(wire.failure("GET", status), SourceError)
