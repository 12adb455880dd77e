"""The `soap` kind keeps the contract: on node-soap, and on our simulator."""

import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from connectors.soap import Soap, SoapConfig
from gateway.connector.conformance import MIB, NESTED, PERMANENT, Conformance, World
from gateway.connector.context import Context
from gateway.connector.contract import Place, Scope
from gateway.errors import AuthFailed
from gateway.simulators import backoffice
from tests.servers import node_soap
from tests.servers.node_soap import TOKEN, NodeSoap
from tests.servers.soap_kit import CONFIG, EGRESS, ROWS, serving


class SoapWorld(World):
    """What both servers have in common."""

    place = Place("300001", "300001", (PERMANENT, NESTED))
    other = Place("300002", "300002", (PERMANENT, NESTED))

    def __init__(self, url: str, **options: Any) -> None:
        self._url, self._options = url, options
        self._contexts: list[Context] = []

    async def open(self, **options: Any) -> Soap:
        context = Context("firma/soap", egress=EGRESS, base=CONFIG)
        self._contexts.append(context)
        told = {"url": self._url, "token": "env:SOAP_TEST_TOKEN"} | self._options | options
        return await Soap.open(SoapConfig.model_validate(told), context)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for context in self._contexts:
            await context.aclose()

    def wrong_credentials(self) -> dict[str, Any]:
        return {"token": "env:SOAP_TEST_WRONG"}

    def upstream(self) -> tuple[str, int]:
        parts = urlsplit(self._url)
        assert parts.port is not None
        return "127.0.0.1", parts.port

    def through(self, port: int) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{port}/profitservices"}


class NodeWorld(SoapWorld):
    """A dossier item for each document, in the memory of node-soap."""

    #: A type of dossier item is one word, which may hold "/"; V8 holds no gigabyte in a string.
    nests = False

    def __init__(self, server: NodeSoap) -> None:
        super().__init__(server.url)
        self._server = server
        self._ids: dict[tuple[str, str, str], str] = {}

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        await self.remove(place, folder, name)
        key = place.root, folder, name
        self._ids[key] = self._server.put(place.root, folder, name, body)

    async def remove(self, place: Place, folder: str, name: str) -> None:
        known = self._ids.pop((place.root, folder, name), None)
        if known is not None:
            self._server.remove(known)


class OfficeWorld(SoapWorld):
    """Files in the folder of the simulator."""

    def __init__(self, url: str, folder: Path, **options: Any) -> None:
        super().__init__(url, **options)
        self._folder = folder

    def _path(self, place: Place, folder: str, name: str) -> Path:
        return self._folder / place.root / folder.replace("/", "%2F") / name

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        path = self._path(place, folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    async def remove(self, place: Place, folder: str, name: str) -> None:
        self._path(place, folder, name).unlink()

    async def seed_large(self, place: Place, folder: str, name: str, size: int) -> bytes:
        await self.seed(place, folder, name, b"")
        digest, block = hashlib.sha256(), bytes(MIB)
        with self._path(place, folder, name).open("wb") as file:
            file.truncate(size)
        for _ in range(size // MIB):
            digest.update(block)
        return digest.digest()


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOAP_TEST_TOKEN", TOKEN)
    monkeypatch.setenv("SOAP_TEST_WRONG", "B" * 64)


class Kept(Conformance):
    """An id that could not stand in a filter is NotFound without a call, so an id that could is
    asked for."""

    def _writing(self) -> dict[str, Any]:
        return {"writable": True}

    async def test_wrong_credentials(self, world: SoapWorld) -> None:
        connector = await world.open(**world.wrong_credentials())
        for call in (connector.list(world.place), connector.read(world.place, "7/F")):
            with pytest.raises(AuthFailed):
                await call
        report = await connector.check(Scope.CONNECTIVITY)
        assert {f.code for f in report.findings if not f.ok} == {AuthFailed.code}


@pytest.fixture(scope="module")
def node() -> Iterator[NodeSoap]:
    with node_soap.serve() as server:
        yield server


class TestOnNodeSoap(Kept):
    @pytest.fixture
    async def world(self, node: NodeSoap) -> AsyncIterator[NodeWorld]:
        node.clear()
        async with NodeWorld(node) as world:
            yield world


class TestOnTheSimulator(Kept):
    @pytest.fixture(params=[{}, ROWS], ids=["two-steps", "one-step"])
    async def world(
        self, request: pytest.FixtureRequest, tmp_path: Path
    ) -> AsyncIterator[OfficeWorld]:
        folder = tmp_path / "kantoor"
        folder.mkdir()
        async with (
            serving(backoffice.build(folder, TOKEN)) as url,
            OfficeWorld(url, folder, **request.param) as world,
        ):
            yield world
