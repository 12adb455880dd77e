"""The profile `cmis-ws` on the WSDL of OASIS: the suite, MTOM, and servers that lie."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connectors.soap import Soap
from gateway.connector.conformance import (
    PERMANENT,
    Conformance,
    content,
    everything,
)
from gateway.connector.contract import Capability, Scope
from gateway.connector.soap.mtom import MtomContent, Parts, boundary
from gateway.errors import (
    ConfigInvalid,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    SourceError,
)
from tests.connectors.worlds import FolderWorld, UrlWorld
from tests.servers.app import serving
from tests.servers.cmis_ws_server import (
    PARTS,
    PASSWORD,
    REPOSITORY,
    USER,
    CmisWs,
    envelope,
    fault,
    parts,
    wrapped,
)
from tests.servers.soap_kit import opened, pinned

PLACE = FolderWorld.place


@pytest.fixture(scope="module")
def base(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration with the WSDL of OASIS pinned; `test_wsdl_pin` fetches it for real."""
    made = tmp_path_factory.mktemp("config")
    folder = shared / "backoffice" / "cmis11"
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    pinned(made, "cmis11", "CMISWS-Service.wsdl", files)
    return made


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CMIS_PASSWORD", PASSWORD)
    monkeypatch.setenv("CMIS_WRONG", "wrong")


class WsWorld(FolderWorld, UrlWorld):
    """Files of the repository."""

    def __init__(self, server: CmisWs, url: str, base: Path) -> None:
        super().__init__(server.folder, base)
        self.server, self.url = server, url

    async def open(self, **options: Any) -> Soap:
        told: dict[str, Any] = {
            "profile": "cmis-ws",
            "url": self.url,
            "username": USER,
            "token": "env:CMIS_PASSWORD",
            "words": {"repository": REPOSITORY},
            **options,
        }
        return await self._stack.enter_async_context(
            opened(told.pop("url"), base=self.base, **told)
        )

    def wrong_credentials(self) -> dict[str, Any]:
        return {"token": "env:CMIS_WRONG"}


@pytest.fixture
async def world(base: Path, tmp_path: Path) -> AsyncIterator[WsWorld]:
    server = CmisWs(tmp_path / "repository")
    server.folder.mkdir()
    async with (
        serving(server.app(), "/services11") as url,
        aclosing(WsWorld(server, url, base)) as made,
    ):
        yield made


class TestBeside(Conformance):
    """Content beside the envelope."""


class TestInTheEnvelope(Conformance):
    """A server that knows no MTOM."""

    @pytest.fixture
    async def world(self, world: WsWorld) -> WsWorld:
        world.server.mtom = False
        return world


async def test_what_is_claimed_and_asked(world: WsWorld) -> None:
    for number in range(45):
        await world.seed(PLACE, PERMANENT, f"{number}.pdf", b"abc")
    source = await world.open(page_size=20)
    told = Capability.RANGE | Capability.SIZE_KNOWN | Capability.VERSION | Capability.MODIFIED
    assert source.capabilities == told | Capability.MEDIA_TYPE | Capability.STREAMS
    found = await everything(source, PLACE)
    assert len(found) == 45
    assert found[0].media_type == "application/pdf"
    asked = [a for n, a in world.server.calls if n == "getChildren"]
    assert [(a["maxItems"], a["skipCount"]) for a in asked] == [
        ("20", "0"),
        ("20", "20"),
        ("20", "40"),
    ]
    assert await content(source, PLACE, found[0].id, offset=1, length=1) == b"b"
    name, part = world.server.calls[-1]
    assert (name, part["offset"], part["length"]) == ("getContentStream", "1", "1")


async def test_the_repository_must_be_said(world: WsWorld) -> None:
    with pytest.raises(ConfigInvalid, match="repository") as told:
        await world.open(words={})
    assert told.value.field == "words"
    source = await world.open(words={"repository": "anders"})
    assert not (await source.check(Scope.CONNECTIVITY)).ok


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: fault("permissionDenied", "nee"), PermissionDenied),
        (lambda _: fault("constraint", "nee"), ProtocolError),
        (lambda _: fault("streamNotSupported", "nee"), NotFound),
        (lambda _: envelope("<m:getContentStreamResponse/>"), NotFound),
    ],
)
async def test_refusals_of_content(world: WsWorld, answer: Any, error: type[SourceError]) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"abc")
    source = await world.open()
    world.server.answers["getContentStream"] = answer
    with pytest.raises(SourceError) as told:
        await content(source, PLACE, f"{PERMANENT}/a")
    assert type(told.value) is error


def in_parts(data: bytes, type: str = PARTS) -> web.Response:
    return web.Response(body=data, headers={"Content-Type": type})


def stream(inner: str) -> str:
    return wrapped(
        f"<m:getContentStreamResponse><m:contentStream><m:stream>{inner}</m:stream>"
        "</m:contentStream></m:getContentStreamResponse>"
    )


INCLUDE = '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="{0}"/>'
ROOT = stream(INCLUDE.format("cid:het%20stuk@dms"))
BEFORE, AFTER = parts(ROOT)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (BEFORE + b"ab" + AFTER, IntegrityError),
        (BEFORE + b"abcd" + AFTER, IntegrityError),
        (BEFORE + b"abc", IntegrityError),
        (BEFORE[:100], IntegrityError),
        (b"", IntegrityError),
        (b"--uuid:een grens--", ProtocolError),
        (parts(ROOT, "<iets anders>")[0] + b"abc" + AFTER, ProtocolError),
        (BEFORE.replace(b"binary", b"base64") + b"YWJj" + AFTER, ProtocolError),
        (parts(stream(INCLUDE.format("http://127.0.0.1/")))[0] + AFTER, ProtocolError),
        (parts("<!DOCTYPE a><a/>")[0] + AFTER, ProtocolError),
        (parts(wrapped("<m:iets/>"))[0] + AFTER, NotFound),
        (parts(" " * 2_000_000)[0] + AFTER, ProtocolError),
        (b"\r\n--uuid:een grens\r\n" + b"a: b\r\n" * 9_000 + AFTER, ProtocolError),
    ],
)
async def test_parts_of_a_liar(world: WsWorld, data: bytes, error: type[SourceError]) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"abc")
    source = await world.open()
    world.server.answers["getContentStream"] = lambda _: in_parts(data)
    with pytest.raises(SourceError) as told:
        await content(source, PLACE, f"{PERMANENT}/a")
    assert type(told.value) is error


@pytest.mark.parametrize("type", ["multipart/related", "multipart/related; boundary=" + "x" * 300])
async def test_parts_without_a_boundary(world: WsWorld, type: str) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"abc")
    source = await world.open()
    world.server.answers["getContentStream"] = lambda _: in_parts(b"x", type)
    with pytest.raises(ProtocolError, match="boundary"):
        await content(source, PLACE, f"{PERMANENT}/a")


async def test_a_document_inside_the_envelope_of_parts(world: WsWorld) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"abc")
    source = await world.open()
    world.server.answers["getContentStream"] = lambda _: in_parts(parts(stream("YWJj"))[0] + AFTER)
    assert await content(source, PLACE, f"{PERMANENT}/a") == b"abc"


@pytest.mark.parametrize("step", [1, 2, 7, 64, 100_000])
async def test_parts_are_cut_anywhere(step: int) -> None:
    body = b"\r\n--uuid:een gren\r\n-" + os.urandom(300) + b"\r\n"
    data = BEFORE + body + AFTER
    pieces = iter([data[i : i + step] for i in range(0, len(data), step)])

    async def read() -> bytes:
        return next(pieces, b"")

    found = MtomContent(
        read, boundary(PARTS) or b"", ["getContentStreamResponse", "contentStream", "stream"]
    )
    assert await found.prime() is None
    assert b"".join([piece async for piece in found]) == body


async def test_parts_one_after_the_other() -> None:
    async def read() -> bytes:
        await asyncio.sleep(0)
        return b""

    made = Parts(read, b"g")
    made._held += b"ervoor\r\n--g\r\n\r\neen\r\n--g  \r\nA: b\r\n\r\n\r\n--g--"
    assert await made.next() is not None
    async with aclosing(made.body()) as body:
        assert [p async for p in body] == [b"een"]
    headers = await made.next()
    assert headers is not None
    assert headers["a"] == "b"
    assert [p async for p in made.body()] == []
    assert await made.next() is None


@pytest.mark.parametrize(
    "rows",
    [
        "<m:hasMoreItems>true</m:hasMoreItems>",
        "<m:objects><m:object/></m:objects><m:hasMoreItems>false</m:hasMoreItems>",
    ],
)
async def test_listings_of_a_liar(world: WsWorld, rows: str) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"abc")
    source = await world.open()
    told = f"<m:getChildrenResponse><m:objects>{rows}</m:objects></m:getChildrenResponse>"
    world.server.answers["getChildren"] = lambda _: envelope(told)
    with pytest.raises(ProtocolError):
        await source.list(PLACE)
