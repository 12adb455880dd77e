"""The `cmis` kind: the suite on a repository, and repositories that lie."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from blockbuster import blockbuster_ctx

from connectors.cmis import Cmis, CmisConfig
from gateway.connector.conformance import (
    NESTED,
    PERMANENT,
    Conformance,
    content,
    everything,
    named,
)
from gateway.connector.context import Context
from gateway.connector.contract import Capability, Place, Scope
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConditionFailed,
    ConfigInvalid,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from tests.connectors.worlds import (
    LOOPBACK,
    OTHER,
    PLACE,
    FolderWorld,
    UrlWorld,
    body,
    both_refuse,
)
from tests.servers.app import serving
from tests.servers.cmis_server import PASSWORD, REPOSITORY, TOKEN, USER, CmisServer


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMIS_PASSWORD", PASSWORD)
    monkeypatch.setenv("CMIS_TOKEN", TOKEN)
    monkeypatch.setenv("CMIS_WRONG", "wrong")


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Cmis]:
    context = Context("firma/cmis", egress=LOOPBACK, base=Path())
    told = {"url": url, "username": USER, "password": "env:CMIS_PASSWORD", **options}
    try:
        yield await Cmis.open(CmisConfig.model_validate(told), context)
    finally:
        await context.aclose()


class CmisWorld(FolderWorld, UrlWorld):
    """Files of the repository; klanten below "klanten"."""

    place, other = PLACE, OTHER

    def __init__(self, server: CmisServer, url: str) -> None:
        super().__init__(server.folder / "klanten", Path())
        self.server, self.url = server, url

    async def open(self, **options: Any) -> Cmis:
        told = {"url": self.url, "folder": "klanten", **options}
        return await self._stack.enter_async_context(opened(**told))

    def wrong_credentials(self) -> dict[str, Any]:
        return {"password": "env:CMIS_WRONG"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[CmisWorld]:
    folder = tmp_path / "repository"
    (folder / "klanten").mkdir(parents=True)
    server = CmisServer(folder)
    async with (
        serving(server.app(), "/cmis/browser", auto_decompress=False) as url,
        aclosing(CmisWorld(server, url)) as made,
    ):
        yield made


class TestCmis(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


class TestCmisThatTellsMore(Conformance):
    """Lengths, an order, and another name for itself, as behind a proxy."""

    @pytest.fixture
    async def world(self, world: CmisWorld) -> CmisWorld:
        world.server.length, world.server.order = True, "common"
        world.server.root_url = f"http://intern.example:9/cmis/browser/{REPOSITORY}/root"
        return world

    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


# --- listing


async def test_a_listing_asks_once_a_folder(world: CmisWorld) -> None:
    for number in range(30):
        await world.seed(PLACE, PERMANENT, f"{number}.pdf", b"x")
        await world.seed(PLACE, f"{PERMANENT}/Akten {number % 5}", f"{number}.pdf", b"x")
    source = await world.open()
    assert len((await source.list(PLACE)).entries) == 60
    assert world.server.asked.count("GET children") == 7  # of them one that is not there
    assert set(world.server.asked) == {"GET service", "GET children"}


@pytest.mark.parametrize("limit", [1, 3, 19, 20, 21, 59, 60, 61])
async def test_pages_join_up(world: CmisWorld, limit: int) -> None:
    for number in range(60):
        await world.seed(
            PLACE, [PERMANENT, f"{PERMANENT}/Z/Y", NESTED][number % 3], f"{number}", b"x"
        )
    source = await world.open()
    found = await everything(source, PLACE, limit)
    assert len({e.id for e in found}) == len(found) == 60
    last = await source.list(PLACE, limit=60)
    assert last.next is None


async def test_what_no_id_could_lead_back_to(world: CmisWorld) -> None:
    for name in ("a%2fb.pdf", "%2e%2e", "\\..\\x.pdf", "...", " ..", "goed %25 ok.pdf"):
        await world.seed(PLACE, PERMANENT, name, b"x")
    source = await world.open()
    assert [e.name for e in await everything(source, PLACE)] == ["goed %25 ok.pdf"]


async def test_one_repository_of_several_must_be_named(world: CmisWorld) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"a")
    async with opened(world.url, folder="klanten", repository=REPOSITORY) as source:
        assert len(await everything(source, PLACE)) == 1
    async with opened(world.url, repository="archief") as source:
        with pytest.raises(ConfigInvalid, match=REPOSITORY) as told:
            await source.list(PLACE)
        assert told.value.field == "repository"


async def test_a_bearer_token(world: CmisWorld) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"a")
    source = await world.open(password=None, token="env:CMIS_TOKEN")
    assert len(await everything(source, PLACE)) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"password": None},
        {"token": "env:CMIS_TOKEN"},
        {"url": "http://192.0.2.1/cmis"},
        {"url": "ftp://127.0.0.1/cmis"},
        {"folder": "klanten/../intern"},
    ],
)
async def test_what_can_never_work(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid):
        async with opened(**{"url": "http://127.0.0.1:1/cmis", **options}):
            pass


async def test_a_closed_document_is_no_wrong_password(world: CmisWorld) -> None:
    await world.seed(PLACE, PERMANENT, "a.pdf", b"a")
    source = await world.open()
    entry = await named(source, PLACE, "a.pdf")
    world.server.closed.add("a.pdf")
    for ask in (source.stat, source.read):
        with pytest.raises(PermissionDenied):
            await ask(PLACE, entry.id)


async def test_a_password_that_was_changed(world: CmisWorld, monkeypatch: Any) -> None:
    await world.seed(PLACE, PERMANENT, "a.pdf", b"a")
    source = await world.open()
    assert len(await everything(source, PLACE)) == 1
    monkeypatch.setattr(world.server, "_knows", lambda _: False)
    for call in (source.list(PLACE), source.stat(PLACE, f"{PERMANENT}/a.pdf")):
        with pytest.raises(AuthFailed):
            await call


async def test_a_folder_is_no_document(world: CmisWorld) -> None:
    await world.seed(PLACE, f"{PERMANENT}/Akten", "a", b"a")
    source = await world.open()
    await both_refuse(source, PLACE, f"{PERMANENT}/Akten")


async def test_a_repository_without_ranges(world: CmisWorld) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"abc")
    world.server.ranges = False
    source = await world.open()
    with pytest.raises(ProtocolError, match="ranges"):
        await content(source, PLACE, f"{PERMANENT}/a", offset=1)
    source = await world.open(ranges=False)
    assert Capability.RANGE not in source.capabilities
    with pytest.raises(Unsupported):
        await source.read(PLACE, f"{PERMANENT}/a", length=1)
    assert await content(source, PLACE, f"{PERMANENT}/a") == b"abc"


async def test_a_check_of_a_folder_that_is_not_there(world: CmisWorld) -> None:
    source = await world.open(folder="bestaat niet")
    report = await source.check(Scope.READ, PLACE)
    assert [(f.scope, f.field) for f in report.findings if not f.ok] == [
        (Scope.CONNECTIVITY, "folder")
    ]


# --- writing


def kept(world: CmisWorld) -> list[str]:
    return [p.name for p in world.server.folder.parent.rglob("*") if p.is_file()]


@pytest.mark.parametrize("size", [None, 4])
async def test_a_failed_put_leaves_nothing(world: CmisWorld, size: int | None) -> None:
    source = await world.open(writable=True)
    with pytest.raises(ConnectionResetError):
        await source.put(PLACE, PERMANENT, "a", body(b"ab", fail=ConnectionResetError()))
    for wrong in (body(b"ab"), body(b"abcdef")):
        with pytest.raises(IntegrityError):
            await source.put(PLACE, PERMANENT, "a", wrong, size=4)
    with pytest.raises(IntegrityError):
        await source.put(PLACE, PERMANENT, "a", body(b"abcd"), size=size, sha256=bytes(32))
    await asyncio.sleep(0.05)
    assert kept(world) == []
    assert [e.name for e in await everything(source, PLACE)] == []
    await source.put(PLACE, PERMANENT, "a", body(b"abcd"), size=size)
    assert kept(world) == ["a"]


async def test_a_put_tells_its_length_when_it_knows(world: CmisWorld) -> None:
    source = await world.open(writable=True)
    entry = await source.put(PLACE, PERMANENT, 'é "1".pdf', body(b"abcd"), size=4)
    assert (entry.name, entry.size, entry.media_type) == ('é "1".pdf', 4, "application/pdf")
    assert world.server.form_lengths[-1]
    assert world.at(PLACE, PERMANENT, 'é "1".pdf').read_bytes() == b"abcd"
    await source.put(PLACE, PERMANENT, "b.pdf", body(b"abcd"), media_type="a/b\r\nX: y")
    assert world.server.form_lengths[-1] is None


async def test_a_namesake_is_told_before_a_byte_is_sent(world: CmisWorld) -> None:
    source = await world.open(writable=True)
    await source.put(PLACE, PERMANENT, "a", body(b"een"))
    with pytest.raises(AlreadyExists):
        await source.put(PLACE, PERMANENT, "a", body(fail=AssertionError("was asked for")))


async def test_nothing_of_it_blocks_the_loop(world: CmisWorld) -> None:
    source = await world.open(writable=True)
    trap = _Trap({})
    async with trap.serving() as url, opened(url, writable=True) as other:
        with blockbuster_ctx(), pytest.raises(SourceError):
            await other.list(PLACE)
    await source.put(PLACE, PERMANENT, "a", body(b"een"))


# --- repositories that lie

OBJECT = {
    "cmis:objectId": "1",
    "cmis:name": "a.pdf",
    "cmis:baseTypeId": "cmis:document",
    "cmis:lastModificationDate": 1_700_000_000_000,
    "cmis:contentStreamLength": 3,
}


def row(**changed: Any) -> dict[str, Any]:
    told = {**OBJECT, **{f"cmis:{k}": v for k, v in changed.items()}}
    return {"object": {"succinctProperties": told}, "pathSegment": told["cmis:name"]}


class _Trap:
    """Answers by selector; the service is as it should be unless said."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers, self.asked = answers, list[web.Request]()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        told = self.answers.get(request.query.get("cmisselector", "service"))
        if told is None and request.path == "/cmis":
            told = {"r": {"rootFolderUrl": f"http://{request.host}/root"}}
        if callable(told):
            told = told(request)
        return told if isinstance(told, web.StreamResponse) else web.json_response(told)

    def serving(self) -> AbstractAsyncContextManager[str]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        return serving(app, "/cmis")


def answer(status: int, body: Any = None, **headers: str) -> Callable[[Any], web.Response]:
    text = json.dumps(body) if isinstance(body, dict) else (body or "")
    return lambda _: web.Response(status=status, text=text, headers=headers)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (answer(200, "<html>"), ProtocolError),
        (answer(200, "[" * 100_000), ProtocolError),
        (answer(200, "[]"), ProtocolError),
        ({"objects": "geen"}, ProtocolError),
        ({"objects": [7]}, ProtocolError),
        ({"objects": [{"object": {}}]}, ProtocolError),
        ({"objects": [row(name=7)]}, ProtocolError),
        ({"objects": [row(objectId=None)]}, ProtocolError),
        ({"objects": [row(lastModificationDate="gisteren")]}, ProtocolError),
        ({"objects": [row(lastModificationDate=10**30)]}, ProtocolError),
        ({"objects": [row(contentStreamLength="3")]}, ProtocolError),
        ({"objects": [row()] * 501}, ProtocolError),
        ({"objects": [], "hasMoreItems": True}, ProtocolError),
        ({"objects": [row()] * 20, "hasMoreItems": True}, ProtocolError),
        (answer(200, "{}", **{"Content-Encoding": "gzip"}), ProtocolError),
        (answer(302, Location="http://127.0.0.1:1/"), ConfigInvalid),
        (answer(401), AuthFailed),
        (answer(403), PermissionDenied),
        (answer(404), ProtocolError),
        (answer(404, {"exception": "notSupported"}), Unsupported),
        (answer(400, {"exception": "invalidArgument"}), ProtocolError),
        (answer(409, {"exception": "updateConflict"}), ConditionFailed),
        (answer(413), TooLarge),
        (answer(429, **{"Retry-After": "3"}), RateLimited),
        (answer(503, **{"Retry-After": "3"}), RateLimited),
        (answer(503), Unavailable),
        (answer(500, {"exception": "runtime"}), Unavailable),
    ],
)  # fmt: skip
async def test_listings_of_a_liar(told: Any, error: type[SourceError]) -> None:
    trap = _Trap({"children": told})
    async with trap.serving() as url, opened(url) as source:
        with pytest.raises(SourceError) as caught:
            await source.list(PLACE)
        assert type(caught.value) is error
        assert error is not RateLimited or caught.value.retry_after == 3


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({}, ConfigInvalid),
        ({"a": {}, "b": {}}, ConfigInvalid),
        ({"a": {}}, ProtocolError),
        ({"a": {"rootFolderUrl": "/root"}}, ProtocolError),
        ({"a": {"rootFolderUrl": "http://[::"}}, ProtocolError),
        ({"a": {"rootFolderUrl": "http://x/?y=z"}}, ProtocolError),
        (answer(404, {"exception": "objectNotFound"}), ConfigInvalid),
        (answer(302, Location="http://127.0.0.1:1/"), ConfigInvalid),
        (answer(403), AuthFailed),
        (answer(401), AuthFailed),
    ],
)
async def test_services_of_a_liar(told: Any, error: type[SourceError]) -> None:
    trap = _Trap({"service": told})
    async with trap.serving() as url, opened(url) as source:
        with pytest.raises(SourceError) as caught:
            await source.list(PLACE)
        assert type(caught.value) is error
        assert not (await source.check(Scope.CONNECTIVITY)).ok


async def test_credentials_go_to_the_configured_host_alone() -> None:
    other = _Trap({})
    async with other.serving() as elsewhere:
        root = elsewhere.replace("/cmis", "/root")
        trap = _Trap({"service": {"r": {"rootFolderUrl": root}}, "children": {"objects": []}})
        async with trap.serving() as url, opened(url) as source:
            assert (await source.list(PLACE)).entries == []
    assert other.asked == []
    assert {r.path for r in trap.asked} >= {"/cmis", f"/root/300001/{PERMANENT}"}


async def test_the_long_form_of_properties() -> None:
    long = {"properties": {k: {"id": k, "value": v} for k, v in OBJECT.items()}}
    trap = _Trap({"children": {"objects": [{"object": long}]}})
    async with trap.serving() as url, opened(url) as source:
        found = (await source.list(Place("1", "1", ("x",)))).entries
        assert [(e.name, e.size) for e in found] == [("a.pdf", 3)]


async def test_folders_without_end() -> None:
    """A repository in which a folder is in itself: ids have an end, and so has the walk."""
    trap = _Trap({"children": {"objects": [row(name="lus" * 20, baseTypeId="cmis:folder")]}})
    async with trap.serving() as url, opened(url) as source:
        assert (await source.list(PLACE)).entries == []


def stream(body: bytes, status: int = 200, **headers: str) -> Callable[[Any], web.Response]:
    return lambda _: web.Response(body=body, status=status, headers=headers)


@pytest.mark.parametrize(
    ("told", "options", "error"),
    [
        (stream(b"ab"), {}, IntegrityError),
        (stream(b"abcd"), {}, IntegrityError),
        (stream(b"abc"), {"offset": 1}, ProtocolError),
        (stream(b"bc", 206, **{"Content-Range": "bytes 0-1/3"}), {"offset": 1}, ProtocolError),
        (stream(b"bc", 206, **{"Content-Range": "x"}), {"offset": 1}, ProtocolError),
        (stream(b"bcd", 206), {"offset": 1}, IntegrityError),
        (stream(b"b", 206), {"offset": 1}, IntegrityError),
        (answer(404, {"exception": "objectNotFound"}), {}, NotFound),
        (answer(409, {"exception": "constraint"}), {}, ProtocolError),
    ],
)
async def test_content_of_a_liar(
    told: Any, options: dict[str, Any], error: type[SourceError]
) -> None:
    trap = _Trap({"object": row()["object"], "content": told})
    async with trap.serving() as url, opened(url) as source:
        with pytest.raises(SourceError) as caught:
            await content(source, PLACE, f"{PERMANENT}/a.pdf", **options)
        assert type(caught.value) is error


async def test_sizes_that_are_not_known() -> None:
    about = row(contentStreamLength=-1)["object"]
    trap = _Trap({"object": about, "content": answer(409, {"exception": "constraint"})})
    async with trap.serving() as url, opened(url) as source:
        assert await content(source, PLACE, f"{PERMANENT}/a.pdf") == b""
        trap.answers["content"] = stream(b"abc")
        reader = await source.read(PLACE, f"{PERMANENT}/a.pdf")
        assert (reader.entry.size, reader.length) == (None, 3)
        await reader.aclose()


async def test_bytes_that_were_not_kept(world: CmisWorld, monkeypatch: Any) -> None:
    told = CmisServer._told

    def less(self: CmisServer, path: Path) -> dict[str, Any]:
        found = told(self, path)
        if path.is_file():
            found["succinctProperties"]["cmis:contentStreamLength"] -= 1
        return found

    monkeypatch.setattr(CmisServer, "_told", less)
    source = await world.open(writable=True)
    with pytest.raises(IntegrityError):
        await source.put(PLACE, PERMANENT, "a", body(os.urandom(10)))
    assert kept(world) == []
