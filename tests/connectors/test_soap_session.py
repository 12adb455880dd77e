"""Profiles with a login: the session dies, is kept, and is left; a Result in place of a Fault."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connectors.soap import Soap
from gateway.connector.conformance import (
    NESTED,
    PERMANENT,
    Conformance,
    World,
    content,
    everything,
)
from gateway.connector.contract import Place, Scope
from gateway.connector.soap import pin as soappin
from gateway.errors import AuthFailed, ProtocolError, Unavailable
from tests.servers.cmis_ws_server import serving
from tests.servers.session_server import PASSWORD, PROFILE, USER, Kantoor, wsdl
from tests.servers.soap_kit import opened

PLACE = Place("300001", "300001", (PERMANENT, NESTED))


class SessionWorld(World):
    """Stukken in memory."""

    place = PLACE
    other = Place("300002", "300002", (PERMANENT, NESTED))
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

    def upstream(self) -> tuple[str, int]:
        return "127.0.0.1", urlsplit(self.url).port or 0

    def through(self, port: int) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{port}/services11"}


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: Any) -> AsyncIterator[SessionWorld]:
    monkeypatch.setenv("KANTOOR_PASSWORD", PASSWORD)
    monkeypatch.setenv("KANTOOR_WRONG", "wrong")
    data = wsdl().encode()
    digest = hashlib.sha256(data).hexdigest()
    about = {"kantoor.wsdl": soappin.File(sha256=digest, url="x", came=digest)}
    manifest = soappin.Manifest(main="kantoor.wsdl", files=about)
    fetched = soappin.Fetched(manifest, {"kantoor.wsdl": data})
    soappin.write(tmp_path / "wsdl" / "kantoor", fetched, replace=False)
    async with AsyncExitStack() as stack:
        made = SessionWorld("", tmp_path, stack)
        made.url = await stack.enter_async_context(serving(made.server))
        yield made


class TestSession(Conformance):
    async def test_wrong_credentials(self, world: SessionWorld) -> None:
        """An id that could not be one is NotFound without a call."""
        source = await world.open(**world.wrong_credentials())
        for call in (source.list(world.place), source.read(world.place, "7")):
            with pytest.raises(AuthFailed):
                await call
        report = await source.check(Scope.CONNECTIVITY)
        assert {f.code for f in report.findings if not f.ok} == {AuthFailed.code}


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
