"""The profile `sharepoint-lists` on the WSDL of SharePoint: the suite, positions, addresses."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from connectors.soap import Soap
from gateway.connector.conformance import (
    PERMANENT,
    Conformance,
    content,
    everything,
)
from gateway.connector.contract import Place
from gateway.errors import ProtocolError
from tests.connectors.worlds import OTHER, PLACE, UrlWorld, nobody_comes_in
from tests.servers.app import serving
from tests.servers.sharepoint_server import LIST, PASSWORD, USER, SharePoint
from tests.servers.soap_kit import opened, pinned


class SharePointWorld(UrlWorld):
    """An item for each document."""

    place, other = PLACE, OTHER
    nests = False  # a Map is one word

    def __init__(self, url: str, folder: Path, stack: AsyncExitStack) -> None:
        self.server, self.url, self._folder, self._stack = SharePoint(), url, folder, stack

    async def open(self, **options: Any) -> Soap:
        told: dict[str, Any] = {
            "url": self.url, "profile": "sharepoint-lists", "username": USER,
            "token": "env:SP_PASSWORD", "words": {"list": LIST}, **options,
        }  # fmt: skip
        source = opened(told.pop("url"), base=self._folder, **told)
        return await self._stack.enter_async_context(source)

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        for klant, map, files in self.server.items.values():
            if (klant, map) == (place.root, folder) and name in files:
                files[name] = body
                return
        number = max(self.server.items, default=0) + 1
        self.server.items[number] = (place.root, folder, {name: body})

    async def remove(self, place: Place, folder: str, name: str) -> None:
        for klant, map, files in self.server.items.values():
            if (klant, map) == (place.root, folder):
                files.pop(name, None)

    def wrong_credentials(self) -> dict[str, Any]:
        return {"token": "env:SP_WRONG"}


@pytest.fixture
async def world(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SharePointWorld]:
    monkeypatch.setenv("SP_PASSWORD", PASSWORD)
    monkeypatch.setenv("SP_WRONG", "wrong")
    data = (shared / "backoffice" / "sharepoint" / "Lists.wsdl").read_bytes()
    pinned(tmp_path, "sharepoint-lists", "Lists.wsdl", {"Lists.wsdl": data})
    async with AsyncExitStack() as stack:
        made = SharePointWorld("", tmp_path, stack)
        made.url = await stack.enter_async_context(serving(made.server.app(), "/services11"))
        yield made


class TestSharePoint(Conformance):
    async def test_wrong_credentials(self, world: SharePointWorld) -> None:
        """An id that could not be one is NotFound without a call."""
        await nobody_comes_in(world, "7/a")

    async def test_a_gibibyte_in_bounded_memory(self, world: Any, connector: Any) -> None:
        """The list stands in memory here; the bytes come by the plain GET that kind s3 has."""


async def test_pages_by_their_position(world: SharePointWorld) -> None:
    for number in range(7):
        world.server.items[number + 1] = ("300001", PERMANENT, {"a": b"a", "b": b"b"})
    source = await world.open(page_size=3)
    for limit in (1, 2, 3, 5, 6, 14, 1000):
        assert len(await everything(source, PLACE, limit)) == 14
    world.server.calls.clear()
    await source.list(PLACE)
    assert world.server.calls.count("GetListItems") == 3


async def test_credentials_go_to_the_configured_host_alone(world: SharePointWorld) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"a")
    source = await world.open()
    for elsewhere in (
        "http://127.0.0.1:9",
        "https://elders.example",
        "//elders.example",
        "file://",
    ):
        world.server.elsewhere = elsewhere
        with pytest.raises(ProtocolError, match="another host"):
            await content(source, PLACE, "1/a")
