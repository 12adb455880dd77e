"""Kind `ftps` on vsftpd and on pyftpdlib, and on servers that lie."""

import asyncio
import contextlib
import hashlib
import ipaddress
import os
import posixpath
import shutil
import socket
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.ftps import Ftps
from gateway.connector import conformance, walk
from gateway.connector.conformance import (
    MIB,
    NESTED,
    PERMANENT,
    Conformance,
    content,
    everything,
    hostile_ids,
    proxied,
    resident,
)
from gateway.connector.contract import Capability, Place, Scope
from gateway.connector.egress import EgressPolicy
from gateway.connector.faultproxy import FaultProxy, Mode
from gateway.connector.ftps import line as ftpsline
from gateway.connector.ftps import rows
from gateway.connector.ftps.line import Line
from gateway.connector.ftps.tls import Trust
from gateway.connector.ftps.words import ERRORS, error_of, failure, wire
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConditionFailed,
    ConfigInvalid,
    DeadlineExceeded,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from tests.connectors.worlds import (
    FolderWorld,
    body,
    changes_are_told,
    drafts,
    fail_to_put,
    hangs_and_goes_on,
    hostile_names,
    leave_early,
    names_lead_nowhere,
    pages_of_a_large_folder,
    port_of,
    survives_a_restart,
    until,
)
from tests.servers.ftp import PROXY, FtpServer, Implicit, Pyftpd, Vsftpd
from tests.servers.process import HOST, serve
from tests.servers.tls import certificate, context

LOOPBACK = EgressPolicy((f"{HOST}:*", f"{PROXY}:*"), (ipaddress.ip_network("127.0.0.0/8"),))


class Followed(FaultProxy):
    """On a port for data, in the mode of the proxy of the server."""

    def __init__(self, leader: "FtpProxy", port: int) -> None:
        self._leader = leader
        super().__init__(leader.host, port)

    def __getattribute__(self, name: str) -> Any:
        at = "_leader" if name in ("mode", "after") else ""
        found = object.__getattribute__(self, at or name)
        return getattr(found, name) if at else found

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._accept, PROXY, self.port)
        return self.port


class FtpProxy(FaultProxy):
    """Before an FTP server, for its data connections too: on the same ports of another address."""

    def __init__(self, server: FtpServer) -> None:
        super().__init__(HOST, server.port)
        self.data = [Followed(self, port) for port in server.data]

    async def start(self) -> int:
        for proxy in self.data:
            await proxy.start()
        self._server = await asyncio.start_server(self._accept, PROXY, 0)
        return port_of(self)

    async def stop(self) -> None:
        await asyncio.gather(super().stop(), *(proxy.stop() for proxy in self.data))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.GARBAGE:  # the server speaks first
            reader.feed_data(b"x")
        await super()._serve(reader, writer)


class FtpWorld(FolderWorld):
    """A folder of its own, filled past the server."""

    def __init__(self, server: FtpServer, base: Path) -> None:
        super().__init__(server.path / f"kantoor-{uuid.uuid4().hex[:12]}", base, LOOPBACK)
        self.server = server
        self.path.mkdir()
        self._stack.callback(shutil.rmtree, self.path, ignore_errors=True)
        self.keep_password(server.password)

    async def open(self, **options: Any) -> Ftps:
        told = {"host": HOST, "port": self.server.port, "path": self.server.at(self.path)}
        told |= {"username": self.server.user, "password": "file:wachtwoord"}
        told |= {"ca": str(self.server.folder / "cert.pem")}
        return await self.opened(Ftps, told | options)

    def wrong_credentials(self) -> dict[str, Any]:
        return {"password": "file:verkeerd"}

    def upstream(self) -> tuple[str, int]:
        return HOST, self.server.port

    def through(self, port: int) -> dict[str, Any]:
        return {"host": PROXY, "port": port}


async def settled(connector: Ftps) -> None:
    """Comes back when everything that nobody waits for has ended."""
    lines = connector._lines
    await asyncio.gather(*lines._ending, *lines._tasks, return_exceptions=True)


@pytest.fixture(scope="session", params=[Vsftpd, Pyftpd])
def server(request: pytest.FixtureRequest) -> Iterator[FtpServer]:
    with serve(request.param) as server:
        yield server


@pytest.fixture
async def world(
    server: FtpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FtpWorld]:
    monkeypatch.setattr(conformance, "FaultProxy", lambda *_: FtpProxy(server))
    async with aclosing(FtpWorld(server, tmp_path)) as made:
        yield made


class TestFtps(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


# --- TLS


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_every_data_connection_resumes_the_session(
    world: FtpWorld, version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vsftpd takes no other; the first one does, and so does the twentieth."""
    connector = await world.open(writable=True)
    trust = connector._lines._make.__self__.trust  # type: ignore[attr-defined]
    trust._context.minimum_version = trust._context.maximum_version = version
    real, seen = Trust.check, list[ssl.SSLSocket]()

    def check(self: Any, wrapped: ssl.SSLSocket) -> None:
        real(self, wrapped)
        seen.append(wrapped)
        resumed.append(wrapped.session_reused)
        assert wrapped.version() == version.name.replace("_", ".")

    resumed = list[bool | None]()
    monkeypatch.setattr(Trust, "check", check)
    for n in range(10):
        await connector.put(world.place, PERMANENT, f"{n}.txt", body(b"x" * n))
        assert await content(connector, world.place, f"{PERMANENT}/{n}.txt") == b"x" * n
    assert resumed == [False] + [True] * (len(resumed) - 1)
    assert len(resumed) > 20


async def test_vsftpd_refuses_who_does_not_resume(
    world: FtpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(world.server, Pyftpd):
        return
    real = Trust.wrap
    monkeypatch.setattr(Trust, "wrap", lambda s, plain, host, _: real(s, plain, host, None))
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    with pytest.raises(SourceError):
        await (await world.open()).list(world.place)


@pytest.fixture(scope="session")
def implicit() -> Iterator[FtpServer]:
    with serve(Implicit) as server:
        yield server


async def test_tls_from_the_first_byte(implicit: FtpServer, tmp_path: Path) -> None:
    world = FtpWorld(implicit, tmp_path)
    connector = await world.open(tls="implicit", writable=True)
    await connector.put(world.place, PERMANENT, "a.txt", body(b"een"))
    assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"een"
    assert (await connector.check(Scope.READ, world.place)).ok
    await world.aclose()


async def test_tls_that_is_not_what_was_configured(world: FtpWorld) -> None:
    with pytest.raises(ProtocolError):
        await (await world.open(tls="implicit")).list(world.place)


async def test_only_the_certificates_that_are_named(world: FtpWorld) -> None:
    """By who signed them, or by their fingerprints; nobody signs in at another."""
    pem = (world.server.folder / "cert.pem").read_text()
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    dotted = ":".join(pin.upper()[i : i + 2] for i in range(0, 64, 2))
    for pins in ([pin], [dotted, "00" * 32], ["ab" * 32, dotted]):
        connector = await world.open(ca="", fingerprints=pins)
        assert await everything(connector, world.place) == []
    (world.base / "ander").mkdir()
    certificate(world.base / "ander")
    for options, field in (
        ({"ca": ""}, "ca"), ({"ca": "ander/cert.pem"}, "ca"),
        ({"ca": "", "fingerprints": ["ab" * 32]}, "fingerprints"),
        ({"fingerprints": ["ab" * 32]}, "fingerprints"),
    ):  # fmt: skip
        connector = await world.open(**options)
        with pytest.raises(AuthFailed) as told:
            await connector.list(world.place)
        assert told.value.field == field
        (*_, last) = (await connector.check(Scope.LIST, world.place)).findings
        assert (last.ok, last.scope, last.field) == (False, Scope.CONNECTIVITY, field)


async def test_options_that_cannot_work(world: FtpWorld, tmp_path: Path) -> None:
    (tmp_path / "regels").write_text("geheim\r\nDELE alles")
    for options, field in (
        ({"ca": "nergens.pem"}, "ca"), ({"ca": str(tmp_path / "regels")}, "ca"),
        ({"path": "/a/../b"}, "path"), ({"host": "elders.example"}, "host"),
        ({"password": "file:regels"}, "password"), ({"password": "file:nergens"}, "password"),
    ):  # fmt: skip
        with pytest.raises(ConfigInvalid) as told:
            await world.open(**options)
        assert told.value.field in (field, "")
    for wrong in (
        {"host": "a b"}, {"username": ""}, {"username": "jan\r\nQUIT"}, {"path": "a\nb"},
        {"path": "a\\b"}, {"fingerprints": ["kort"]}, {"tls": "none"}, {"connections": 2},
        {"onbekend": 1}, {"port": 0},
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            await world.open(**wrong)


# --- connections


async def test_a_restart_of_the_server_is_survived(world: FtpWorld) -> None:
    await survives_a_restart(world, world.server, 24 * MIB, Unavailable, IntegrityError)


async def test_a_dozen_calls_that_are_refused_are_one_attempt(world: FtpWorld) -> None:
    async with proxied(world) as behind:
        assert behind is not None
        proxy, connector = behind
        await asyncio.gather(*(connector.list(world.place) for _ in range(40)))
        assert 1 <= proxy.connections <= 6
        count = proxy.connections
        options = {**world.through(port_of(proxy)), **world.wrong_credentials()}
        wrong = await world.open(**options)
        calls = [wrong.list(world.place) for _ in range(20)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(e) for e in found} == {AuthFailed}
        assert proxy.connections == count + 1


async def test_who_leaves_early_leaves_the_connection_in_order(world: FtpWorld) -> None:
    """Also for a part of a document, which FTP cannot end by itself."""
    data = os.urandom(24 * MIB)
    await world.seed(world.place, PERMANENT, "groot.bin", data)
    async with proxied(world) as behind:
        assert behind is not None
        proxy, connector = behind
        id = f"{PERMANENT}/groot.bin"
        for n in range(10):
            at = n * 2 * MIB
            assert await content(connector, world.place, id, offset=at, length=7) == data[at:][:7]
            await connector._lines.settled()
            reader = await connector.read(world.place, id)
            await anext(aiter(reader))
            await reader.aclose()
            await connector._lines.settled()
        assert proxy.connections == 1


async def test_what_is_left_is_closed_at_the_server(world: FtpWorld) -> None:
    connector = await leave_early(world, world.server, 24 * MIB)
    await connector._lines.settled()
    await until(lambda: world.server.open_files() == 0)
    assert len(connector._lines._known) <= 6


async def test_a_server_that_hangs_can_be_left_and_goes_on(
    world: FtpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.connector.ftps.lines._LEFT", 0.2)
    await hangs_and_goes_on(world, world.server, lambda connector: connector._lines.settled())


async def test_connections_that_nobody_needs_are_closed(
    world: FtpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.connector.ftps.lines._IDLE", 0.05)
    connector = await world.open()
    for _ in range(3):
        assert await everything(connector, world.place) == []
        await until(lambda: not connector._lines._known)


async def test_readers_leave_a_connection_for_questions(world: FtpWorld) -> None:
    await world.seed(world.place, PERMANENT, "groot.bin", os.urandom(24 * MIB))
    connector, id = await world.open(connections=3), f"{PERMANENT}/groot.bin"
    readers = [await connector.read(world.place, id) for _ in range(2)]
    third = asyncio.ensure_future(connector.read(world.place, id))
    assert len(await everything(connector, world.place)) == 1
    assert not third.done()
    await readers[0].aclose()
    async with asyncio.timeout(60):
        readers[0] = await third
    for reader in readers:
        await reader.aclose()


async def test_closing_breaks_what_is_under_way(world: FtpWorld) -> None:
    await world.seed(world.place, PERMANENT, "groot.bin", os.urandom(24 * MIB))
    connector, id = await world.open(), f"{PERMANENT}/groot.bin"
    reader = await connector.read(world.place, id)
    await anext(aiter(reader))
    await connector.aclose()
    with pytest.raises(SourceError):
        async for _ in reader:
            pass
    await reader.aclose()
    with pytest.raises(Unavailable):
        await connector.list(world.place)
    assert not connector._lines._known


async def test_the_address_is_the_one_that_was_checked(
    world: FtpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that egress allows and that leads to the machine itself leads nowhere."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, world.server.port))]
    world.policy = EgressPolicy(("archief.example:*",))
    connector = await world.open(host="archief.example")
    with monkeypatch.context() as patched:
        patched.setattr("gateway.connector.egress.socket.getaddrinfo", lambda *_, **__: found)
        with pytest.raises(Unavailable, match="egress"):
            await connector.list(world.place)
    with monkeypatch.context() as patched:
        # A resolver that changed its mind since: the last look is at the socket.
        patched.setattr(EgressPolicy, "resolve", lambda *_: [HOST])
        with pytest.raises(Unavailable, match="egress refuses"):
            await connector.list(world.place)


# --- names


async def test_links_pipes_and_sockets_are_not_listed(world: FtpWorld) -> None:
    """pyftpdlib tells links as what they lead to; nothing tells them there."""
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    os.mkfifo(world.at(world.place, PERMANENT, "pijp"))
    if isinstance(world.server, Vsftpd):
        await world.seed(world.other, PERMANENT, "geheim.txt", b"geheim")
        theirs = world.at(world.other, PERMANENT, "geheim.txt")
        world.at(world.place, PERMANENT, "link.txt").symlink_to(theirs)
        world.at(world.place, PERMANENT, "map").symlink_to(theirs.parent)
    connector = await world.open()
    async with asyncio.timeout(60):
        names = [e.name for e in await everything(connector, world.place)]
        assert names == ["a.txt"] or isinstance(world.server, Pyftpd)
        if isinstance(world.server, Vsftpd):
            with pytest.raises(SourceError):
                await content(connector, world.place, f"{PERMANENT}/pijp")


async def test_five_thousand_hostile_names_lead_nowhere(world: FtpWorld) -> None:
    await names_lead_nowhere(world, world.path, hostile_names(7, 5_000))


async def test_names_that_only_unix_can_hold(world: FtpWorld) -> None:
    """What ends a command, or a server may cut off, is no document."""
    folder = os.fsencode(world.at(world.place, PERMANENT, "x").parent)
    kept = [b"a:b.txt", b"vraag?.txt", b"eind.", b"$(id)", b"-la", b"~root", b"*", b"a  b -> c",
            b"[a]{b}", b"-rw-r--r-- 1 a b 5 Nov 24 18:41 c"]  # fmt: skip
    for name in (*kept, b"\xff\xfe.txt", b"terug\\streep", b"...", b" blank ", b"eind ",
                 b"twee\nregels.txt", b"cr\r.txt", b"tab\t.txt", b".map-part-1"):  # fmt: skip
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(name)
    connector = await world.open(writable=True)
    found = {e.name.encode() for e in await everything(connector, world.place)}
    if isinstance(world.server, Pyftpd):
        found -= {b"??.txt"}  # it has no other word for it
    assert found == set(kept)
    for name in kept:
        assert await content(connector, world.place, f"{PERMANENT}/{name.decode()}") == name
    for name in kept:
        moved = await connector.move(world.place, f"{PERMANENT}/{name.decode()}", NESTED, "x")
        back = await connector.move(world.place, moved.id, PERMANENT, name.decode())
        assert await content(connector, world.place, back.id) == name
    for name in ("twee\nregels.txt", "cr\r.txt", "\r\nDELE a:b.txt", " blank ", ".map-part-1"):
        for call in (
            connector.stat(world.place, f"{PERMANENT}/{name}"),
            connector.put(world.place, PERMANENT, name, body(b"x")),
            connector.move(world.place, f"{PERMANENT}/eind.", PERMANENT, name),
        ):
            with pytest.raises(NotFound):
                await call


async def test_paging_through_a_large_folder(world: FtpWorld) -> None:
    found = await pages_of_a_large_folder(world)
    assert all(e.modified is not None for e in found)


async def test_a_folder_below_the_accounts_own(world: FtpWorld) -> None:
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    connector = await world.open(path=f"/{world.path.name}/".strip("/"))
    assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"a"
    nowhere = await world.open(path="bestaat/niet")
    for call in (nowhere.list(world.place), nowhere.stat(world.place, f"{PERMANENT}/a.txt")):
        with pytest.raises(Unavailable) as told:
            await call
        assert told.value.field == "path"
    there = Place("", world.path.name, (f"klanten/300001/{PERMANENT}",))
    assert len(await everything(await world.open(path=""), there)) == 1


# --- reading and writing


async def test_a_document_that_changes_while_it_is_read(world: FtpWorld) -> None:
    await changes_are_told(world, 24 * MIB, 20 * MIB)


async def test_a_source_that_is_not_to_be_written_to(world: FtpWorld) -> None:
    connector = await world.open()
    await world.seed(world.place, PERMANENT, "b.txt", b"b")
    assert not (Capability.WRITE | Capability.MOVE) & connector.capabilities
    with pytest.raises(Unsupported):
        await connector.put(world.place, PERMANENT, "a.txt", body(b"a"))
    with pytest.raises(Unsupported):
        await connector.move(world.place, f"{PERMANENT}/b.txt", PERMANENT, "c.txt")
    assert world.names() == ["b.txt"]


async def test_nobody_sees_a_document_before_it_is_whole(world: FtpWorld) -> None:
    async with proxied(world) as behind:
        assert behind is not None
        proxy, _ = behind
        assert isinstance(proxy, FtpProxy)
        connector = await world.open(**world.through(port_of(proxy)), writable=True)
        other, seen = await world.open(), list[list[str]]()

        async def cut() -> AsyncIterator[bytes]:
            yield bytes(3 * MIB)
            seen.append(world.names())
            assert await everything(other, world.place) == []
            for data in proxy.data:
                for task in data._tasks:
                    task.cancel()
            for _ in range(40):
                yield bytes(3 * MIB)
            raise AssertionError("a cut goes unseen")

        with pytest.raises(Unavailable):
            await connector.put(world.place, PERMANENT, "a.bin", cut())
        assert len(seen[0]) == 1
        assert seen[0][0].startswith(walk.PARTIAL)
        await until(lambda: world.names() == [])


async def test_what_fails_leaves_nothing_at_the_server(world: FtpWorld) -> None:
    connector = await world.open(writable=True)
    await fail_to_put(world, connector)
    await settled(connector)
    await until(lambda: not [n for n in world.names() if n.startswith(walk.PARTIAL)])
    await until(lambda: world.server.open_files() == 0)
    folder = world.at(world.place, PERMANENT)
    assert {p.stat().st_size for p in folder.iterdir()} <= {2 * MIB}
    assert await everything(connector, world.place) is not None


async def test_a_closed_source_leaves_no_transfer_at_the_server(world: FtpWorld) -> None:
    """Nor when a reader of it was never closed."""
    connector = await world.open()
    await world.seed(world.place, PERMANENT, "groot.bin", bytes(64 * MIB))
    reader = await connector.read(world.place, f"{PERMANENT}/groot.bin")
    pieces = aiter(reader)
    await anext(pieces)
    assert world.server.open_files() == 1
    # It has sent what the network holds, and waits for us: only a reset would wake it.
    seen = [-1]
    while len(seen) < 6 or len({*seen[-5:]}) > 1:
        await asyncio.sleep(0.1)
        seen.append(world.server.position())
    await connector.aclose()
    await until(lambda: world.server.open_files() == 0)
    await pieces.aclose()
    await reader.aclose()


async def test_what_a_dead_writer_left_goes_with_the_next(world: FtpWorld) -> None:
    connector = await world.open(writable=True)
    kept = drafts(world.at(world.place, PERMANENT, "x").parent)
    await connector.put(world.place, PERMANENT, "a.txt", body(b"a"))
    assert set(world.names()) == {"a.txt", *kept}


async def test_a_mover_who_leaves_does_not_let_another_overwrite(world: FtpWorld) -> None:
    """One turn a name lasts until the server has answered, also when nobody waits for it."""
    connector = await world.open(writable=True)
    for n in range(20):
        await world.seed(world.place, PERMANENT, f"{n}.txt", str(n).encode())
    calls = [
        asyncio.ensure_future(
            connector.move(world.place, f"{PERMANENT}/{n}.txt", NESTED, "een.txt")
        )
        for n in range(20)
    ]
    await asyncio.sleep(0.001)
    for call in calls[::2]:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await settled(connector)
    moved = world.at(world.place, NESTED, "een.txt").read_bytes().decode()
    assert sorted([*world.names(), f"{moved}.txt"]) == sorted(f"{n}.txt" for n in range(20))


async def test_a_server_that_replaces_nothing_says_so(
    world: FtpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = await world.open(writable=True)
    await connector.put(world.place, PERMANENT, "a.txt", body(b"een"))
    real = Line.ask

    def ask(self: Line, verb: str, path: str | None = None, *, wanted: str = "2") -> str:
        if verb == "RNTO" and path is not None and path.endswith("a.txt"):
            raise error_of(verb, "550 File exists", private=True)
        return real(self, verb, path, wanted=wanted)

    monkeypatch.setattr(Line, "ask", ask)
    with pytest.raises(Unsupported):
        await connector.put(world.place, PERMANENT, "a.txt", body(b"twee"), if_absent=False)
    assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"een"
    monkeypatch.setattr("gateway.connector.ftps.put._is_there", _once_absent(Line))
    with pytest.raises(AlreadyExists):  # who looked just before another made it
        await connector.put(world.place, PERMANENT, "a.txt", body(b"twee"))
    await until(lambda: world.names() == ["a.txt"])


def _once_absent(_: object) -> Callable[..., bool]:
    """Not there before the rename, there after it."""
    told = iter((False, False, True))
    return lambda *_: next(told)


@pytest.mark.slow
async def test_writing_half_a_gibibyte_in_bounded_memory(world: FtpWorld) -> None:
    connector, size = await world.open(writable=True), 512 * MIB
    before, most = resident(), 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal most
        for _ in range(size // MIB):
            yield bytes(MIB)
            most = max(most, resident())

    entry = await connector.put(world.place, PERMANENT, "groot.bin", pieces(), size=size)
    assert entry.size == size
    assert most - before < 64 * MIB


# --- a server that lies


FACT = "type=file;size=5;modify=20260101000000;"
DOCUMENTS = ("/a.txt", "/b.txt")


def told(facts: str) -> str:
    """An answer to MLST."""
    return f"250-Dit\r\n {facts} x\r\n250 Einde"


class Liar(FtpServer):
    """In this process, a thread for each connection. What it answers and gives, a test says.

    answers: by command, "" for no answer and an end; said: every command that came.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.answers: dict[str, str | Callable[[str], str]] = {
            "AUTH": "234 ja", "USER": "331 en?", "PASS": "230 welkom", "PWD": '257 "/"',
            "FEAT": "211-Kan\r\n MLST type*;size*;modify*;\r\n REST STREAM\r\n211 Einde",
            "MLST": lambda said: told(FACT if said.endswith(DOCUMENTS) else "type=dir;"),
            "REST": "350 goed", "RNFR": "350 goed", "EPSV": "",
        }  # fmt: skip
        self.greeting = "220 hallo"
        self.given: Mapping[str, bytes] = {"MLSD": b"", "LIST": b"", "RETR": b"xxxxx"}
        self.after, self.last = "150 komt", "226 klaar"
        self.said: list[str] = []
        self.taken = bytearray()
        self._tls = context(folder)
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def at(self, path: Path) -> str:
        return "/"

    def command(self) -> list[str]:
        raise AssertionError

    def start(self) -> "Liar":
        self._run(self._listen, socket.create_server((HOST, self.port)))
        return self

    def stop(self) -> None:
        for one in self._sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(one, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)

    def _run(self, work: Callable[[socket.socket], None], with_: socket.socket) -> None:
        self._sockets.append(with_)
        self._threads.append(threading.Thread(target=work, args=(with_,), daemon=True))
        self._threads[-1].start()

    def _listen(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError), listening:
            while True:
                self._run(self._serve, listening.accept()[0])

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
            control = stack.enter_context(plain)
            control.sendall(f"{self.greeting}\r\n".encode())
            lines = stack.enter_context(control.makefile("rb"))
            data: socket.socket | None = None
            while line := lines.readline():
                text = line.decode().removesuffix("\r\n")
                self.said.append(text)
                verb = text.partition(" ")[0]
                given = self.answers.get(verb, "200 goed")
                answer = given if isinstance(given, str) else given(text)
                if verb in ("EPSV", "PASV") and not answer:
                    data = stack.enter_context(socket.create_server((HOST, 0)))
                    self._sockets.append(data)
                    port = data.getsockname()[1]
                    answer = f"229 ja (|||{port}|)"
                    if verb == "PASV":
                        answer = f"227 ja (192,0,2,1,{port >> 8},{port & 255})"
                if verb in ("MLSD", "LIST", "RETR", "STOR") and verb not in self.answers:
                    assert data is not None
                    self._transfer(control, data, verb)
                    continue
                if not answer:
                    break
                control.sendall(f"{answer}\r\n".encode())
                if verb == "AUTH" and answer[0] == "2":
                    wrapped = self._tls.wrap_socket(
                        control, server_side=True, do_handshake_on_connect=False
                    )
                    control = stack.enter_context(wrapped)
                    self._sockets.append(control)
                    wrapped.do_handshake()
                    lines = stack.enter_context(control.makefile("rb"))

    def _transfer(self, control: socket.socket, data: socket.socket, verb: str) -> None:
        control.sendall(f"{self.after}\r\n".encode())
        plain, _ = data.accept()
        self._sockets.append(plain)
        with (
            plain,
            self._tls.wrap_socket(plain, server_side=True) as one,
            contextlib.suppress(OSError),
        ):
            if verb == "STOR":
                while piece := one.recv(65536):
                    self.taken += piece
            one.sendall(self.given.get(verb, b""))
            one.unwrap()
        control.sendall(f"{self.last}\r\n".encode())


@pytest.fixture
async def lying(tmp_path: Path) -> AsyncIterator[tuple[Liar, FtpWorld]]:
    with serve(Liar) as liar:
        async with aclosing(FtpWorld(liar, tmp_path)) as made:
            yield liar, made


@pytest.mark.parametrize(
    "answers",
    [{"AUTH": "500 wat?"}, {"AUTH": "502 nee"}, {"AUTH": "530 nee"}, {"AUTH": "534 nee"}],
)
async def test_nobody_signs_in_without_tls(
    lying: tuple[Liar, FtpWorld], answers: dict[str, str]
) -> None:
    liar, world = lying
    liar.answers |= answers
    with pytest.raises(ConfigInvalid) as told:
        await (await world.open()).list(world.place)
    assert told.value.field == "tls"
    assert liar.said == ["AUTH TLS"]


async def test_what_is_said_before_tls_counts_for_nothing(
    lying: tuple[Liar, FtpWorld],
) -> None:
    """Answers that somebody on the way puts behind the one to AUTH."""
    liar, world = lying
    liar.answers |= {"AUTH": "234 ja\r\n230 welkom\r\n200 goed", "PASS": "530 nee"}
    with pytest.raises(SourceError) as told:
        await (await world.open()).list(world.place)
    assert isinstance(told.value, (AuthFailed, ProtocolError, Unavailable))
    assert not [s for s in liar.said if s.startswith("MLSD")]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"PROT": "536 nee"}, ConfigInvalid), ({"PBSZ": "500 nee"}, ConfigInvalid),
        ({"USER": "530 nee"}, AuthFailed), ({"PASS": "530 nee"}, AuthFailed),
        ({"PASS": "332 rekening?"}, AuthFailed), ({"PASS": "421 dicht"}, Unavailable),
        ({"PASS": "530 Sorry, the maximum number of clients"}, Unavailable),
        ({"PASS": "230 ja", "FEAT": "500 wat?"}, ProtocolError),
        ({"FEAT": "211-Kan\r\n REST STREAM\r\n211 Einde"}, ProtocolError),
        ({"FEAT": "211-Kan" + "\r\n meer" * 3000}, ProtocolError),
        ({"PWD": "257 geen pad"}, ProtocolError), ({"TYPE": "x" * 9000}, ProtocolError),
        ({"EPSV": "229 ja (|||22|)"}, ProtocolError), ({"EPSV": "229 (|||x|)"}, ProtocolError),
        ({"EPSV": "229 ja (|||99999|)"}, ProtocolError), ({"EPSV": "200 nee"}, ProtocolError),
        ({"EPSV": "500 nee", "PASV": "500 nee"}, Unsupported),
        ({"EPSV": "500 nee", "PASV": "227 nee"}, ProtocolError),
        ({"MLSD": "425 geen verbinding"}, Unavailable), ({"MLSD": "226 klaar"}, ProtocolError),
        ({"MLSD": "550 Permission denied"}, PermissionDenied), ({"MLSD": ""}, Unavailable),
        ({"MLSD": "522 resume"}, ProtocolError),
    ],
)  # fmt: skip
async def test_what_refusals_mean(
    lying: tuple[Liar, FtpWorld], answers: dict[str, str], error: type[SourceError]
) -> None:
    liar, world = lying
    liar.answers |= answers
    connector = await world.open(path="map" if "PWD" in answers else "/")
    async with asyncio.timeout(60):
        with pytest.raises(error):
            await connector.list(world.place)


async def test_the_address_for_data_is_never_the_servers_to_choose(
    lying: tuple[Liar, FtpWorld],
) -> None:
    """It says 192.0.2.1, which nobody answers at."""
    liar, world = lying
    liar.answers |= {"EPSV": "522 alleen PASV", "PASV": ""}
    liar.given = {"MLSD": f"{FACT} a.txt\r\n".encode()}
    connector = await world.open()
    for _ in range(3):
        assert [e.name for e in await everything(connector, world.place)] == ["a.txt", "a.txt"]
    assert len([s for s in liar.said if s == "EPSV"]) <= 6


async def test_names_of_a_hostile_server(lying: tuple[Liar, FtpWorld]) -> None:
    liar, world = lying
    names = [
        "", ".", "..", "../geheim.txt", "/etc/passwd", "a/b.txt", "a\\b.txt", "nul\0.txt",
        "l" * 2_000, ".. ", "goed.txt", "goed.txt", "cr\rDELE x", " blank", "blank ", "\x85",
        ".map-part-" + "0" * 32 + "/../../geheim.txt",
    ]  # fmt: skip
    rows = [f"{FACT} {name}" for name in names]
    rows += [f"type=OS.unix=slink:/etc; {n}" for n in ("link",)] + ["type=cdir; x", "type=pdir; y"]
    liar.given = {"MLSD": "\r\n".join([*rows, ""]).encode() + FACT.encode() + b" \xff\xff\r\n"}
    connector = await world.open(writable=True)
    place = Place("300001", "klanten/300001", (PERMANENT,))
    assert [e.name for e in await everything(connector, place, 1)] == ["goed.txt"]
    with contextlib.suppress(SourceError):
        await connector.put(place, PERMANENT, "a.txt", body(b"x"))
    assert not [s for s in liar.said if s.startswith("DELE") and ".." in s]


@pytest.mark.parametrize(
    "listing",
    [b"<html>", b"size=5; a", b"type=file; a", b"type=file;size=-1; a", b"type=file;size=1e9; a",
     b"type=file;size=5;modify=gisteren; a", b"type=file;size=5;modify=20269999000000; a"],
)  # fmt: skip
async def test_a_listing_that_is_none(lying: tuple[Liar, FtpWorld], listing: bytes) -> None:
    liar, world = lying
    liar.given = {"MLSD": listing + b"\r\n"}
    connector = await world.open()
    try:
        assert await everything(connector, world.place) == []
    except ProtocolError:
        pass
    else:
        assert b"type=file" not in listing


async def test_a_listing_without_an_end(
    lying: tuple[Liar, FtpWorld], monkeypatch: pytest.MonkeyPatch
) -> None:
    liar, world = lying
    monkeypatch.setattr(ftpsline, "_LONGEST", 100_000)
    liar.given = {"MLSD": f"{FACT} a.txt\r\n".encode() * 10_000}
    connector = await world.open()
    with pytest.raises(TooLarge):
        await connector.list(world.place, limit=1)
    monkeypatch.setattr(ftpsline, "_LONGEST", 10**8)
    monkeypatch.setattr(rows, "MOST", 5_000)
    with pytest.raises(TooLarge):
        await connector.list(world.place, limit=1)
    liar.given = {}
    assert await everything(connector, world.place) == []


@pytest.mark.parametrize(
    ("size", "data", "error"),
    [("4", b"xxx", IntegrityError), ("5", b"", IntegrityError), ("5", b"x" * 6, IntegrityError),
     ("5", b"x" * 500_000, IntegrityError), ("", b"x", ProtocolError),
     ("9" * 18, b"x", IntegrityError), ("9" * 30, b"x", ProtocolError)],
)  # fmt: skip
async def test_other_bytes_than_were_told_of(
    lying: tuple[Liar, FtpWorld], size: str, data: bytes, error: type[SourceError]
) -> None:
    liar, world = lying
    usual = liar.answers["MLST"]
    liar.answers["MLST"] = told(f"type=file;size={size};")
    liar.given = {"RETR": data}
    connector = await world.open()
    with pytest.raises(error):
        await content(connector, world.place, f"{PERMANENT}/a.txt")
    liar.answers["MLST"] = usual
    assert await everything(connector, world.place) == []


async def test_a_document_is_not_whole_until_the_server_says_so(
    lying: tuple[Liar, FtpWorld],
) -> None:
    liar, world = lying
    connector, id = await world.open(writable=True), f"{PERMANENT}/a.txt"
    assert await content(connector, world.place, id) == b"xxxxx"
    liar.last = "426 afgebroken"
    with pytest.raises(Unavailable):
        await content(connector, world.place, id)
    for last, error in (("452 vol", TooLarge), ("552 vol", TooLarge), ("451 kapot", Unavailable)):
        liar.last = last
        with pytest.raises(error):
            await connector.put(world.place, PERMANENT, "b.txt", body(b"x"), if_absent=False)


async def test_what_a_server_says_of_what_it_was_given(lying: tuple[Liar, FtpWorld]) -> None:
    """It has other bytes than were sent, will not rename, or does not let us look."""
    liar, world = lying
    connector, there = await world.open(writable=True), "550 weg"

    def looked(said: str) -> str:
        if walk.PARTIAL in said:
            return told(FACT)
        return there if said.endswith(DOCUMENTS) else told("type=dir;")

    def put(text: bytes) -> Any:
        return connector.put(world.place, PERMANENT, "b.txt", body(text))

    liar.answers["MLST"] = looked
    with pytest.raises(IntegrityError):
        await put(b"vier")
    for refusal, error in (("550 nee", NotFound), ("451 nee", Unavailable)):
        liar.answers["RNTO"] = refusal
        with pytest.raises(error):
            await put(b"vijf.")
    there = "550 Permission denied"
    with pytest.raises(AlreadyExists):
        await put(b"vijf.")
    await settled(connector)
    drafts = {s.partition(" ")[2] for s in liar.said if s.startswith("STOR")}
    assert drafts <= {s.partition(" ")[2] for s in liar.said if s.startswith("DELE")}
    assert bytes(liar.taken) == b"viervijf.vijf."


async def test_folders_that_are_made_at_the_same_moment(lying: tuple[Liar, FtpWorld]) -> None:
    liar, world = lying
    liar.answers |= {"MKD": "550 bestaat al", "RNFR": "550 klaar"}
    looks = {"klanten": 1, "300001": 10**6, PERMANENT: 1}  # how often they are not there yet

    def looked(said: str) -> str:
        last = said.rpartition("/")[2]
        looks[last] = looks.get(last, 0) - 1
        return told("type=dir;") if looks[last] < 0 else "550 weg"

    liar.answers["MLST"] = looked
    connector = await world.open(writable=True)
    with pytest.raises(NotFound):
        await connector.put(world.place, PERMANENT, "b.txt", body(b"x"))
    made = [s for s in liar.said if s.startswith("MKD")]
    assert made == ["MKD /klanten", "MKD /klanten/300001"]


async def test_answers_that_come_too_often_end_the_connection(
    lying: tuple[Liar, FtpWorld],
) -> None:
    """After a transfer that was broken off a server may say one thing or two: what follows must
    not be taken for the answer to the next command."""
    liar, world = lying
    connector, id = await world.open(), f"{PERMANENT}/a.txt"
    liar.last = "426 afgebroken\r\n226 klaar"
    reader = await connector.read(world.place, id)
    await reader.aclose()
    await connector._lines.settled()
    assert not connector._lines._known
    liar.last = "226 klaar"
    assert await content(connector, world.place, id) == b"xxxxx"


async def test_the_border_holds_without_a_border_at_the_server(
    lying: tuple[Liar, FtpWorld],
) -> None:
    """Everything exists at this one, under each name that it is asked for."""
    liar, world = lying
    liar.answers["MLST"] = told(FACT)
    connector = await world.open()
    for id in hostile_ids(world.place, world.other, f"{PERMANENT}/a", f"{PERMANENT}/b"):
        with contextlib.suppress(NotFound):  # or it is an odd name in the klant's own folder
            await connector.stat(world.place, id)
    asked = [s.partition(" ")[2] for s in liar.said if s.startswith("MLST")]
    assert len(asked) > 20
    assert {posixpath.normpath(path) for path in asked} == set(asked)
    assert all(path.startswith(f"/klanten/300001/{PERMANENT}/") for path in asked)


@given(st.text(st.characters(codec="utf-8")))
def test_no_text_becomes_two_commands(text: str) -> None:
    try:
        sent = wire(text)
    except NotFound:
        assert not Ftps.is_plain(text)
    else:
        assert sent.encode("latin-1") == text.encode()
        assert not {"\r", "\n", "\0", "\xff"} & set(sent)


# --- what is told


@given(st.binary())
def test_any_listing_is_read_or_refused(listing: bytes) -> None:
    for read in (rows.of_facts, rows.of_unix):
        with contextlib.suppress(ProtocolError):
            for row in read(listing):
                assert row.is_folder or row.size is not None


@given(st.text())
def test_any_time_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ProtocolError):
        assert rows.moment_of(text).tzinfo is UTC


def test_a_listing_like_that_of_ls() -> None:
    listing = (
        b"total 12\r\n"
        b"drwxr-xr-x    2 0        0            4096 Nov 24 18:48 .\r\n"
        b"drwxr-xr-x+   2 jan      users        4096 Nov  4  2025 Map met blank\r\n"
        b"-rw-r--r--    1 1000     1000       123456 mrt  1 08:09 a  b.pdf\r\n"
        b"-rw-------    1 0        0               0 Nov 24 18:48  voor\r\n"
        b"lrwxrwxrwx    1 0        0               5 Nov 24 18:48 link -> /etc\r\n"
        b"prw-r--r--    1 0        0               0 Nov 24 18:48 pijp\r\n"
        b"brw-r-----    1 0        6           8,  0 Nov 24 18:48 sda\r\n"
    )
    assert [(r.name, r.is_folder, r.size) for r in rows.of_unix(listing)] == [
        (".", True, None), ("Map met blank", True, None), ("a  b.pdf", False, 123456),
        (" voor", False, 0),
    ]  # fmt: skip
    for other in (b"11-24-26  06:41PM       <DIR>          map", b"a.txt",
                  b"-rw-r--r-- 1 Jan Jansen domain users 5 Nov 24 18:41 a.txt"):  # fmt: skip
        with pytest.raises(ProtocolError, match="ls -l"):
            rows.of_unix(other)


def test_times() -> None:
    assert rows.moment_of("20261124184836") == datetime(2026, 11, 24, 18, 48, 36, tzinfo=UTC)
    assert rows.moment_of("20261124184836.5").microsecond == 500_000
    assert rows.moment_of("20261124184836.123456789").microsecond == 123_456


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("421 dicht", Unavailable), ("425 geen verbinding", Unavailable),
        ("430 naam", AuthFailed), ("450 bezet", Unavailable), ("452 vol", TooLarge),
        ("500 wat?", Unsupported), ("501 geen map", NotFound), ("503 volgorde", ProtocolError),
        ("530 nee", AuthFailed), ("530 Too many users", Unavailable), ("550 weg", NotFound),
        ("550 Access is denied.", PermissionDenied), ("552 vol", TooLarge),
        ("553 naam", PermissionDenied), ("599 ?", ProtocolError), ("5<<<", ProtocolError),
    ],
)  # fmt: skip
def test_what_replies_mean(reply: str, error: type[SourceError]) -> None:
    told = error_of("RETR", reply, private=True)
    assert type(told) is error
    assert reply[4:] not in str(told) or reply[4:] in reply[:3]


def test_every_failure_has_a_meaning() -> None:
    for kind, meaning in ERRORS.items():
        assert type(failure("x", kind("y"))) is meaning
    assert isinstance(failure("x", TimeoutError()), DeadlineExceeded)


async def test_no_secret_and_no_name_is_logged(world: FtpWorld) -> None:
    connector = await world.open()
    server = connector._lines._make.__self__  # type: ignore[attr-defined]
    assert world.server.password not in repr(server)
    with pytest.raises(NotFound) as told:
        await connector.stat(world.place, f"{PERMANENT}/Jansen-echtscheiding.pdf")
    assert "Jansen" not in f"{told.value}{told.value.native}"
    wrong = await world.open(**world.wrong_credentials())
    with pytest.raises(AuthFailed) as refused:
        await wrong.list(world.place)
    assert "verkeerd" not in str(refused.value)


async def test_a_move_of_a_version(world: FtpWorld) -> None:
    connector = await world.open(writable=True)
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    with pytest.raises(ConditionFailed):
        await connector.move(world.place, f"{PERMANENT}/a.txt", PERMANENT, "b.txt", version="1")
    with pytest.raises(Unsupported):
        await connector.read(world.place, f"{PERMANENT}/a.txt", version="1")
    assert world.names() == ["a.txt"]
