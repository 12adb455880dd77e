"""What the tests of several kinds share: worlds to fill, helpers, and what must hold for each.

A kind's own test names what it is about and calls one of the checks at the end of this file.
"""

import asyncio
import contextlib
import hashlib
import ipaddress
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import pytest

from gateway.connector import walk
from gateway.connector.conformance import MIB, NESTED, PERMANENT, World, content, everything
from gateway.connector.context import Context
from gateway.connector.contract import Connector, Entry, Place, Scope
from gateway.connector.egress import EgressPolicy
from gateway.connector.faultproxy import FaultProxy
from gateway.errors import AuthFailed, IntegrityError, NotFound, SourceError, Unavailable

FOLDERS = (PERMANENT, NESTED)
#: Klanten whose folders stand at the top of the source.
PLACE, OTHER = Place("300001", "300001", FOLDERS), Place("300002", "300002", FOLDERS)
LOOPBACK = EgressPolicy(("127.0.0.1:*",), (ipaddress.ip_network("127.0.0.0/8"),))
K = TypeVar("K", bound=Connector[Any])


class FolderWorld(World):
    """A back office that keeps its documents in a folder here, which is filled past it.

    path: the folder; base: where secrets are; policy: where the sources may lead.
    """

    place = Place("300001", "klanten/300001", FOLDERS)
    other = Place("300002", "klanten/300002", FOLDERS)

    def __init__(self, path: Path, base: Path, policy: EgressPolicy = LOOPBACK) -> None:
        self.path, self.base, self.policy = path, base, policy
        self._stack = AsyncExitStack()

    async def opened(self, kind: type[K], options: Mapping[str, object]) -> K:
        """A source, until `aclose`."""
        context = Context(f"kantoor/{kind.kind}", egress=self.policy, base=self.base)
        self._stack.push_async_callback(context.aclose)
        source = await kind.open(kind.Config.model_validate(options), context)
        self._stack.push_async_callback(source.aclose)
        return source

    def keep_password(self, right: str) -> None:
        """In the file "wachtwoord"; and another in "verkeerd"."""
        (self.base / "wachtwoord").write_text(right)
        (self.base / "verkeerd").write_text("verkeerd")

    def at(self, place: Place, folder: str, name: str = "") -> Path:
        """Where a document is, in a folder that is there."""
        path = self.path / place.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def names(self) -> list[str]:
        """What stands in the first folder."""
        return sorted(p.name for p in self.at(self.place, PERMANENT, "x").parent.iterdir())

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        self.at(place, folder, name).write_bytes(body)

    async def seed_large(self, place: Place, folder: str, name: str, size: int) -> bytes:
        path, digest, block = self.at(place, folder, name), hashlib.sha256(), os.urandom(MIB)
        self._stack.callback(path.unlink, missing_ok=True)
        with path.open("wb") as out:
            for _ in range(size // MIB):
                out.write(block)
                digest.update(block)
        return digest.digest()

    async def remove(self, place: Place, folder: str, name: str) -> None:
        self.at(place, folder, name).unlink()

    async def aclose(self) -> None:
        await self._stack.aclose()


class UrlWorld(World):
    """A back office at an address."""

    url: str

    def upstream(self) -> tuple[str, int]:
        return "127.0.0.1", urlsplit(self.url).port or 0

    def through(self, port: int) -> dict[str, Any]:
        return {"url": urlsplit(self.url)._replace(netloc=f"127.0.0.1:{port}").geturl()}


# --- helpers


async def body(*pieces: bytes, fail: Exception | None = None) -> AsyncIterator[bytes]:
    """A document that is sent, and may go wrong at its end."""
    for piece in pieces:
        yield piece
    if fail is not None:
        raise fail


async def until(true: Callable[[], bool]) -> None:
    """Wait for what happens soon."""
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


def port_of(proxy: FaultProxy) -> int:
    """Where it listens."""
    assert proxy._server is not None
    return int(proxy._server.sockets[0].getsockname()[1])


async def both_refuse(connector: Connector[Any], place: Place, id: str) -> None:
    """Neither stat nor read knows it."""
    for ask in (connector.stat, connector.read):
        with pytest.raises(NotFound):
            await ask(place, id)


def hostile_names(seed: int, count: int, *more: str) -> list[str]:
    """Paths of every sort that a server might take for another path, from their pieces; `more`
    are pieces that mean something to one kind."""
    chance = random.Random(seed)
    pieces = [
        "..", ".", "/", "\\", "//", "\0", "%2e", "%2f", "\u2215", "\u202e", "\uff0e", "~",
        "~root", ":", "*", "?", "$HOME", "`id`", "\n", "\x7f", "/etc/passwd", PERMANENT,
        PERMANENT + "/", "geheim.txt", "klanten", "300002", "Intern", "mijn.txt ", "mijn.txt.",
        walk.PARTIAL, "\udcff", ".. ", "...", "/C:/", "/proc/self/root", *more,
    ]  # fmt: skip
    return ["".join(chance.choices(pieces, k=chance.randint(1, 9))) for _ in range(count)]


def drafts(folder: Path) -> set[str]:
    """What writers left: one that died, one that may be at work, and what is none of ours.
    Gives the names that have to stay."""
    dead, busy, strange = (f"{walk.PARTIAL}{end}" for end in ("0" * 32, "1" * 32, "x"))
    for name, days in ((dead, 2), (busy, 0), (strange, 2)):
        (folder / name).touch()
        then = time.time() - days * 24 * 3600
        os.utime(folder / name, (then, then))
    return {busy, strange}


# --- what must hold for several kinds


class Server(Protocol):
    """A server that keeps its port and its files."""

    def start(self) -> Any: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def open_files(self) -> int: ...


async def nobody_comes_in(world: World, id: str) -> None:
    """With wrong credentials; `id` is one that a document could have."""
    source = await world.open(**world.wrong_credentials() or {})
    for call in (
        source.list(world.place),
        source.read(world.place, id),
        source.stat(world.place, id),
    ):
        with pytest.raises(AuthFailed):
            await call
    report = await source.check(Scope.CONNECTIVITY)
    assert {f.code for f in report.findings if not f.ok} == {AuthFailed.code}


async def names_lead_nowhere(world: FolderWorld, top: Path, ids: Iterable[str]) -> None:
    """With a secret around the klant's published folders on every side; `top`: of the server."""
    for place, folder in ((world.other, PERMANENT), (world.place, "Intern")):
        await world.seed(place, folder, "geheim.txt", b"GEHEIM")
    await world.seed(world.place, PERMANENT, "mijn.txt", b"mijn")
    (top / "geheim.txt").write_bytes(b"GEHEIM")
    connector, refused = await world.open(), 0
    for id in ids:
        with pytest.raises(NotFound):
            await connector.read(world.place, id)
        refused += 1
    assert refused == 5_000


async def pages_of_a_large_folder(world: FolderWorld) -> list[Entry]:
    """Each document once, and in order."""
    for i in range(2_500):
        world.at(world.place, PERMANENT, f"{i}.txt").touch()
    found = await everything(await world.open(), world.place)
    assert [e.id for e in found] == sorted({e.id for e in found})
    assert len(found) == 2_500
    return found


async def away_is_not_empty(world: World, field: str, **options: Any) -> None:
    """A source whose folder is away has no empty dossiers: it is told in every call."""
    connector = await world.open(**options, writable=True)
    for call in (
        connector.list(world.place),
        connector.stat(world.place, f"{PERMANENT}/x"),
        connector.read(world.place, f"{PERMANENT}/x"),
        connector.put(world.place, PERMANENT, "x", body(b"x")),
    ):
        with pytest.raises(Unavailable):
            await call
    report = await connector.check(Scope.CONNECTIVITY)
    assert [(f.ok, f.field) for f in report.findings] == [(True, ""), (False, field)]


async def survives_a_restart(
    world: FolderWorld, server: Server, size: int, *cut: type[SourceError]
) -> None:
    """While a document of `size` bytes is read, which ends with an error of the kinds `cut`."""
    connector = await world.open()
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    await world.seed(world.place, PERMANENT, "groot.bin", os.urandom(size))
    assert len(await everything(connector, world.place)) == 2
    reader = await connector.read(world.place, f"{PERMANENT}/groot.bin")
    pieces = aiter(reader)
    await anext(pieces)
    await asyncio.to_thread(server.stop)
    try:
        with pytest.raises(cut):
            async for _ in pieces:
                pass
        await reader.aclose()
        with pytest.raises(Unavailable):
            await connector.list(world.place)
    finally:
        server.start()  # from this thread: it ends with the thread that started it
    assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"a"


async def hangs_and_goes_on(
    world: World, server: Server, settle: Callable[[Any], Awaitable[None]] | None = None
) -> None:
    """Twenty calls leave a server that hangs, and all is as before once it goes on.

    settle: waits for what the connector still has to end.
    """
    connector = await world.open()
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    assert len(await everything(connector, world.place)) == 1
    server.pause()
    try:
        calls = [asyncio.create_task(connector.list(world.place)) for _ in range(20)]
        await asyncio.sleep(0.3)
        for call in calls:
            call.cancel()
        async with asyncio.timeout(60):
            await asyncio.gather(*calls, return_exceptions=True)
            if settle is not None:
                await settle(connector)
    finally:
        server.resume()
    async with asyncio.timeout(60):
        assert len(await everything(connector, world.place)) == 1


async def leave_early(world: FolderWorld, server: Server, size: int) -> Any:
    """Readers and calls that are left at every moment; gives the connector, which still works."""
    await world.seed(world.place, PERMANENT, "groot.bin", os.urandom(size))
    for i in range(300):
        world.at(world.place, f"{PERMANENT}/Map {i % 20}", f"{i}.txt").touch()
    connector, id = await world.open(), f"{PERMANENT}/groot.bin"
    readers = [await connector.read(world.place, id) for _ in range(5)]
    await anext(aiter(readers[0]))
    assert server.open_files() == 5
    for reader in readers:
        await reader.aclose()
    for pause in (0, 0.0005, 0.001, 0.002, 0.005, 0.02) * 8:
        for call in (connector.list(world.place), connector.read(world.place, id)):
            task = asyncio.ensure_future(call)
            await asyncio.sleep(pause)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                if not isinstance(found := await task, walk.Page):
                    await found.aclose()
    assert len(await everything(connector, world.place)) == 301
    return connector


async def changes_are_told(world: FolderWorld, size: int, short: int) -> None:
    """Of a document while it is read: it loses what comes after `short`, is touched, grows."""
    connector, id = await world.open(), f"{PERMANENT}/groot.bin"
    path = world.at(world.place, PERMANENT, "groot.bin")
    for change in (
        lambda: os.truncate(path, short),
        lambda: os.utime(path, (1, 1)),
        lambda: os.truncate(path, size + MIB),
    ):
        path.write_bytes(os.urandom(size))
        reader, count = await connector.read(world.place, id), 0
        with pytest.raises(IntegrityError):  # noqa: PT012
            async for piece in reader:
                count += len(piece)
                if count == len(piece):
                    change()
        assert count < size
        await reader.aclose()


async def fail_to_put(world: World, connector: Connector[Any]) -> None:
    """Documents that break off or are not what was said, and calls that are left."""
    for sent, options, error in (
        (body(bytes(MIB), fail=ConnectionResetError()), {}, ConnectionResetError),
        (body(bytes(MIB), fail=ConnectionResetError()), {"size": 2 * MIB}, ConnectionResetError),
        (body(b"x"), {"size": 2}, IntegrityError),
        (body(b"xyz", b"x"), {"size": 3}, IntegrityError),
        (body(b"x"), {"sha256": bytes(32)}, IntegrityError),
    ):
        with pytest.raises(error):
            await connector.put(world.place, PERMANENT, "a.bin", sent, **options)
    for pause in (0, 0.001, 0.003, 0.01, 0.03) * 5:
        call = connector.put(world.place, PERMANENT, f"{pause}.bin", body(bytes(2 * MIB)))
        task = asyncio.ensure_future(call)
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
