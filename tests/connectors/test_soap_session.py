"""Profiles with a login: the session dies, is kept, and is left; a Result in place of a Fault."""

import asyncio
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
from gateway.errors import ProtocolError, Unavailable
from tests.connectors.worlds import OTHER, PLACE, UrlWorld, nobody_comes_in
from tests.servers.app import serving
from tests.servers.session_server import PASSWORD, PROFILE, USER, Kantoor, wsdl
from tests.servers.soap_kit import opened, pinned


class SessionWorld(UrlWorld):
    """Stukken in memory."""

    place, other = PLACE, OTHER
    nests = False  # a Map is one word

    def __init__(self, url: str, folder: Path, stack: AsyncExitStack) -> None:
        self.server, self.url, self._folder, self._stack = Kantoor(), url, folder, stack
        self._numbers = 0

    async def open(self, every: float = 600, idle: float = 1500, **options: Any) -> Soap:
        text = PROFILE.replace("EVERY", str(every)).replace("IDLE", str(idle))
        (self._folder / "kantoor.yaml").write_text(text)
        told: dict[str, Any] = {
            "url": self.url, "profile": "kantoor.yaml", "username": USER,
            "token": "env:KANTOOR_PASSWORD", **options,
        }  # fmt: skip
        source = opened(told.pop("url"), base=self._folder, **told)
        found = await self._stack.enter_async_context(source)
        self._stack.push_async_callback(found.aclose)
        return found

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        for number, (klant, map, called, _) in self.server.stukken.items():
            if (klant, map, called) == (place.root, folder, name):
                self.server.stukken[number] = (klant, map, called, body)
                return
        self._numbers += 1
        self.server.stukken[str(self._numbers)] = (place.root, folder, name, body)

    async def remove(self, place: Place, folder: str, name: str) -> None:
        for number, told in list(self.server.stukken.items()):
            if told[:3] == (place.root, folder, name):
                del self.server.stukken[number]

    def wrong_credentials(self) -> dict[str, Any]:
        return {"token": "env:KANTOOR_WRONG"}


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: Any) -> AsyncIterator[SessionWorld]:
    monkeypatch.setenv("KANTOOR_PASSWORD", PASSWORD)
    monkeypatch.setenv("KANTOOR_WRONG", "wrong")
    pinned(tmp_path, "kantoor", "kantoor.wsdl", {"kantoor.wsdl": wsdl().encode()})
    async with AsyncExitStack() as stack:
        made = SessionWorld("", tmp_path, stack)
        made.url = await stack.enter_async_context(serving(made.server.app(), "/services11"))
        yield made


class TestSession(Conformance):
    async def test_wrong_credentials(self, world: SessionWorld) -> None:
        """An id that could not be one is NotFound without a call."""
        await nobody_comes_in(world, "7")


async def test_one_login_for_all(world: SessionWorld) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"abc")
    source = await world.open()
    await asyncio.gather(*(everything(source, PLACE) for _ in range(8)))
    assert world.server.calls.count("Login") == 1
    await source.aclose()
    await source.aclose()
    assert world.server.calls.count("Logout") == 1
    assert world.server.sessions == set()


async def test_a_session_that_died_is_made_anew(world: SessionWorld) -> None:
    await world.seed(PLACE, PERMANENT, "a", b"abc")
    source = await world.open()
    (entry,) = await everything(source, PLACE)
    for ask in (
        source.list(PLACE),
        source.stat(PLACE, entry.id),
        content(source, PLACE, entry.id),
    ):
        world.server.sessions.clear()
        await ask
    assert world.server.calls.count("Login") == 4


async def test_a_session_that_dies_every_time(world: SessionWorld, monkeypatch: Any) -> None:
    source = await world.open()
    monkeypatch.setattr(world.server, "_login", lambda _: {"SessionId": "dood"})
    with pytest.raises(Unavailable):
        await source.list(PLACE)
    assert world.server.calls == ["Login", "Stukken", "Login", "Stukken"]


async def test_a_login_without_a_session(world: SessionWorld, monkeypatch: Any) -> None:
    source = await world.open()
    monkeypatch.setattr(world.server, "_login", lambda _: {})
    with pytest.raises(ProtocolError, match="session"):
        await source.list(PLACE)


async def test_it_is_kept_while_it_is_used_and_then_left(world: SessionWorld) -> None:
    source = await world.open(every=0.05, idle=0.3)
    await source.list(PLACE)
    for _ in range(100):
        await asyncio.sleep(0.02)
        if "Logout" in world.server.calls:
            break
    kept = world.server.calls.count("KeepSession")
    assert 2 <= kept <= 6
    assert world.server.sessions == set()
    await source.list(PLACE)
    assert world.server.calls.count("Login") == 2
    world.server.sessions.clear()  # it dies: keeping finds out
    await asyncio.sleep(0.15)
    await source.list(PLACE)
    assert world.server.calls[-2:] == ["Login", "Stukken"]
