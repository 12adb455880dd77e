"""Kind `smb` on a real smbd, and on servers that lie."""

import asyncio
import contextlib
import os
import resource
import shutil
import socket
import struct
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smbprotocol.open import CreateDisposition

from connectors.smb import Smb
from gateway.connector.conformance import (
    MIB,
    NESTED,
    PERMANENT,
    Conformance,
    content,
    everything,
    proxied,
)
from gateway.connector.contract import Connector, Place, Scope
from gateway.connector.egress import EgressPolicy
from gateway.connector.smb import put as smbput
from gateway.connector.smb.file import (
    READ_DATA,
    WRITE_DATA,
    Found,
    Opened,
    creating,
    look,
    rows,
)
from gateway.connector.smb.share import Link
from gateway.connector.smb.tree import is_plain
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConfigInvalid,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    SourceError,
    Unavailable,
)
from tests.connectors.worlds import (
    LOOPBACK,
    FolderWorld,
    body,
    both_refuse,
    hangs_and_goes_on,
    hostile_names,
    names_lead_nowhere,
    pages_of_a_large_folder,
    port_of,
    until,
)
from tests.servers.process import HOST, serve
from tests.servers.samba import Samba, has_module


class SambaWorld(FolderWorld):
    """A folder of its own in a share, filled past Samba."""

    def __init__(self, samba: Samba, base: Path, share: str = "dossiers", user: int = 0) -> None:
        self.samba, self.share, self.user = samba, share, samba.users[user]
        self.inside = f"kantoor/{uuid.uuid4().hex[:12]}"
        super().__init__(samba.path / share / self.inside, base)
        self._stack.callback(shutil.rmtree, self.path, ignore_errors=True)
        self.keep_password(self.user.password)

    async def open(self, **options: Any) -> Smb:
        told = {"host": HOST, "port": self.samba.port, "share": self.share, "path": self.inside}
        told |= {"username": self.user.name, "password": "file:wachtwoord"}
        return await self.opened(Smb, told | options)

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        await super().seed(place, folder, name, body)
        path = self.at(place, folder, name)
        for made in (path, *path.parents):  # for Samba's second user too
            if made == self.samba.path / self.share:
                return
            made.chmod(0o666 if made == path else 0o777)

    def wrong_credentials(self) -> dict[str, Any]:
        return {"password": "file:verkeerd"}

    def upstream(self) -> tuple[str, int]:
        return HOST, self.samba.port

    def through(self, port: int) -> dict[str, Any]:
        return {"port": port}


@pytest.fixture(scope="session")
def samba() -> Iterator[Samba]:
    with serve(Samba) as server:
        yield server


@pytest.fixture
async def world(samba: Samba, tmp_path: Path) -> AsyncIterator[SambaWorld]:
    async with aclosing(SambaWorld(samba, tmp_path)) as made:
        yield made


class TestSmb(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


class TestSmbReadOnly(Conformance):
    """The same share, not to be written to."""


class TestSmbEncrypted(Conformance):
    """Everything encrypted."""

    @pytest.fixture
    async def connector(self, world: SambaWorld) -> Connector[Any]:
        return await world.open(encrypt=True)

    def _writing(self) -> dict[str, Any]:
        return {"writable": True, "encrypt": True}


# --- the session


async def test_a_restart_of_the_server_is_survived(world: SambaWorld, samba: Samba) -> None:
    connector = await world.open()
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    await world.seed(world.place, PERMANENT, "groot.bin", os.urandom(8 * MIB))
    assert len(await everything(connector, world.place)) == 2
    reader = await connector.read(world.place, f"{PERMANENT}/groot.bin")
    pieces = aiter(reader)
    await anext(pieces)
    samba.restart()  # from this thread: it ends with the thread that started it
    with pytest.raises(SourceError):
        async for _ in pieces:
            pass
    await reader.aclose()
    assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"a"


async def test_two_sources_never_share_a_session(samba: Samba, tmp_path: Path) -> None:
    (tmp_path / "twee").mkdir()
    async with (
        aclosing(SambaWorld(samba, tmp_path)) as first,
        aclosing(SambaWorld(samba, tmp_path / "twee", "elders", 1)) as second,
    ):
        await first.seed(first.place, PERMANENT, "een.txt", b"een")
        await second.seed(second.place, PERMANENT, "twee.txt", b"twee")
        one, two = await first.open(), await second.open()
        # The second user at the first one's share, while that one is signed in there.
        across = await second.open(share="dossiers", path=first.inside)
        for _ in range(3):
            assert [e.name for e in await everything(one, first.place)] == ["een.txt"]
            assert [e.name for e in await everything(two, second.place)] == ["twee.txt"]
            with pytest.raises(ConfigInvalid) as told:
                await across.list(first.place)
            assert told.value.field == "share"


async def test_twenty_calls_are_one_attempt_to_sign_in(world: SambaWorld) -> None:
    async with proxied(world) as behind:
        assert behind is not None
        proxy, _ = behind
        wrong = await world.open(**world.through(port_of(proxy)), **world.wrong_credentials())
        calls = [wrong.list(world.place) for _ in range(20)]
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(e) for e in found} == {AuthFailed}
        assert proxy.connections == 1


async def test_a_hung_server_frees_its_threads(world: SambaWorld, samba: Samba) -> None:
    await hangs_and_goes_on(world, samba)


async def test_a_guest_is_refused(tmp_path: Path) -> None:
    with serve(Samba, "map to guest = bad user\nguest ok = yes") as lenient:
        async with aclosing(SambaWorld(lenient, tmp_path)) as world:
            connector = await world.open(username="niemand-die-bestaat")
            with pytest.raises(AuthFailed, match="guest"):
                await connector.list(world.place)


async def test_more_open_files_than_select_takes(world: SambaWorld) -> None:
    await world.seed(world.place, PERMANENT, "a.txt", b"a")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        connector = await world.open()
        assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"a"
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("size", [600, 160_000, 3_000_000])
@pytest.mark.parametrize("encrypt", [False, True])
@pytest.mark.parametrize("how", ["flip", "unsign"])
async def test_a_changed_answer_is_never_believed(
    world: SambaWorld, how: str, encrypt: bool, size: int
) -> None:
    """A man in the middle who alters the bytes, and who takes the signature off as well."""
    body = b"w" * size
    await world.seed(world.place, PERMANENT, "stuk.txt", body)
    async with Meddler(world.samba.port, how) as port:
        connector = await world.open(port=port, encrypt=encrypt)
        with pytest.raises((ProtocolError, Unavailable)):
            await content(connector, world.place, f"{PERMANENT}/stuk.txt")


class Meddler:
    """A proxy that changes the answers to READ (in what is encrypted: every larger answer)."""

    def __init__(self, port: int, how: str) -> None:
        self._port, self._how = port, how

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        self._tasks: set[asyncio.Task[None]] = set()
        return int(self._server.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection(HOST, self._port)
        for pair in ((reader, out, False), (there, writer, True)):
            self._tasks.add(asyncio.create_task(self._hand_on(*pair)))

    async def _hand_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bool
    ) -> None:
        try:
            while True:
                size = await reader.readexactly(4)
                message = bytearray(await reader.readexactly(int.from_bytes(size, "big")))
                if answer:
                    self._change(message)
                writer.write(size + message)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _change(self, message: bytearray) -> None:
        last = 0  # where the last of the answers in it starts
        while message[:4] == b"\xfeSMB" and (next_one := message[last + 20]):
            last += next_one
        reading = message[:4] == b"\xfeSMB" and message[last + 12] == 8
        if (reading or message[:4] == b"\xfdSMB") and len(message) > 600:
            message[-10] ^= 0x20
            if self._how == "unsign":
                message[last + 16] &= ~0x08
                message[last + 48 : last + 64] = bytes(16)


# --- what is a document

OF_WINDOWS = [
    "\u29f8", "~1", "KLANTE~1", "GEHEIM~1.TXT", "::$DATA", ":$I30:$INDEX_ALLOCATION", "<", ">",
    '"', "|", "con", "nul", " ", "IPC$", "\\\\127.0.0.1\\elders", "@GMT-2020.01.01-00.00.00",
    "~map-",
]  # fmt: skip


async def test_five_thousand_hostile_names_lead_nowhere(world: SambaWorld) -> None:
    top = world.samba.path / world.share
    await names_lead_nowhere(world, top, hostile_names(11, 5_000, *OF_WINDOWS))


async def test_alternate_streams_are_no_documents(tmp_path: Path) -> None:
    """Where Samba has its module for them, the server does hold one."""
    kept = has_module("streams_xattr")
    with serve(Samba, "vfs objects = streams_xattr" if kept else "") as streams:
        async with aclosing(SambaWorld(streams, tmp_path)) as world:
            await world.seed(world.place, PERMANENT, "a.txt", b"zichtbaar")
            connector = await world.open()
            if kept:
                plant(connector, f"{world.inside}/{world.place.root}/{PERMANENT}/a.txt:geheim")
            assert [e.name for e in await everything(connector, world.place)] == ["a.txt"]
            for stream in ("a.txt:geheim", "a.txt:geheim:$DATA", "a.txt::$DATA", "a.txt:"):
                await both_refuse(connector, world.place, f"{PERMANENT}/{stream}")


def plant(connector: Smb, path: str) -> None:
    """Write past our checks."""
    link, name, stop = session(connector), path.replace("/", "\\"), threading.Event()
    made = link.call(creating(name, WRITE_DATA, 0, CreateDisposition.FILE_CREATE))
    opened = Opened(link, made[64:80], Found("", False, 0, 0, 0))
    smbput.write(opened, 0, b"GEHEIM", stop)
    opened.close()
    assert look(link, name, (), stop).size == 6


def session(connector: Smb) -> Link:
    return connector._share.link(time.monotonic())


async def test_links_at_the_server_are_no_documents(world: SambaWorld, tmp_path: Path) -> None:
    await world.seed(world.place, PERMANENT, "echt.txt", b"echt")
    await world.seed(world.other, PERMANENT, "geheim.txt", b"GEHEIM")
    folder = world.at(world.place, PERMANENT)
    (folder / "link.txt").symlink_to(world.at(world.other, PERMANENT, "geheim.txt"))
    (folder / "map").symlink_to(world.at(world.other, PERMANENT))
    (folder / "buiten").symlink_to(tmp_path)
    connector = await world.open()
    assert [e.name for e in await everything(connector, world.place)] == ["echt.txt"]
    for id in ("link.txt", "map", "map/geheim.txt", "buiten/wachtwoord"):
        await both_refuse(connector, world.place, f"{PERMANENT}/{id}")


async def test_a_folder_that_holds_itself(tmp_path: Path) -> None:
    """Samba that follows links shows no difference; the listing has to end all the same."""
    with serve(Samba) as lenient:
        lenient.configure("follow symlinks = no", "follow symlinks = yes")
        lenient.restart()
        async with aclosing(SambaWorld(lenient, tmp_path)) as world:
            await world.seed(world.place, PERMANENT, "a.txt", b"a")
            for name in ("een", "twee", "drie"):
                (world.at(world.place, PERMANENT) / name).symlink_to(".")
            connector = await world.open()
            async with asyncio.timeout(5):
                found = [e.id for e in await everything(connector, world.place)]
            assert found[0] == f"{PERMANENT}/a.txt"
            assert len(found) < 20


async def test_a_referral_to_another_server_is_not_followed(tmp_path: Path) -> None:
    with serve(Samba) as dfs:
        dfs.configure("follow symlinks = no", "follow symlinks = yes\n  msdfs root = yes")
        dfs.restart()
        trap = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.2", 0)
        port = trap.sockets[0].getsockname()[1]
        async with trap, aclosing(SambaWorld(dfs, tmp_path)) as world:
            await world.seed(world.place, PERMANENT, "a.txt", b"a")
            folder = world.at(world.place, PERMANENT)
            (folder / "elders").symlink_to(rf"msdfs:127.0.0.2@{port}\elders")
            connector = await world.open()
            assert [e.name for e in await everything(connector, world.place)] == ["a.txt"]
            with pytest.raises((NotFound, ConfigInvalid)):
                await connector.read(world.place, f"{PERMANENT}/elders/a.txt")
            assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"a"


async def test_names_that_only_unix_can_hold(world: SambaWorld) -> None:
    """Samba shows them under short names; what is shown can be read, and leads nowhere else."""
    for name in ("a:b.txt", "vraag?.txt", "eind.", "blank "):
        await world.seed(world.place, PERMANENT, name, name.encode())
    connector = await world.open()
    found = await everything(connector, world.place)
    bodies = {await content(connector, world.place, e.id) for e in found}
    assert bodies == {b"a:b.txt", b"vraag?.txt", b"eind.", b"blank "}


async def test_a_document_that_another_program_holds(world: SambaWorld) -> None:
    await world.seed(world.place, PERMANENT, "open.docx", b"x")
    connector = await world.open()
    message = creating(
        f"{world.inside}/{world.place.root}/{PERMANENT}/open.docx".replace("/", "\\"), READ_DATA, 0
    )
    message["share_access"] = 0
    session(connector).call(message)
    with pytest.raises(RateLimited) as told:
        await connector.read(world.place, f"{PERMANENT}/open.docx")
    assert told.value.native == "STATUS_SHARING_VIOLATION"


async def test_paging_through_a_large_folder(world: SambaWorld) -> None:
    await pages_of_a_large_folder(world)


async def test_a_folder_that_may_not_be_opened(world: SambaWorld, samba: Samba) -> None:
    """Below a published folder it is left out; the published folder itself is an error."""
    if os.geteuid() != 0:
        pytest.skip("not here: root, to make a folder that Samba's second user may not open")
    async with aclosing(SambaWorld(samba, world.base, "elders", 1)) as closed:
        await closed.seed(closed.place, PERMANENT, "a.txt", b"a")
        await closed.seed(closed.place, f"{PERMANENT}/dicht", "b.txt", b"b")
        closed.at(closed.place, f"{PERMANENT}/dicht").chmod(0o700)
        connector = await closed.open()
        assert [e.name for e in await everything(connector, closed.place)] == ["a.txt"]
        with pytest.raises(PermissionDenied):
            await connector.read(closed.place, f"{PERMANENT}/dicht/b.txt")
        closed.at(closed.place, PERMANENT).chmod(0o700)
        with pytest.raises(PermissionDenied):
            await connector.list(closed.place)


# --- writing, and options


async def test_nobody_sees_a_document_before_it_is_whole(world: SambaWorld) -> None:
    async with proxied(world) as behind:
        assert behind is not None
        proxy, _ = behind
        connector = await world.open(**world.through(port_of(proxy)), writable=True)
        other = await world.open()
        assert world.names() == []
        seen = list[list[str]]()

        async def cut() -> AsyncIterator[bytes]:
            yield bytes(3 * MIB)
            seen.append(world.names())
            assert await everything(other, world.place) == []
            await proxy.stop()
            yield bytes(3 * MIB)

        with pytest.raises(SourceError):
            await connector.put(world.place, PERMANENT, "a.bin", cut())
        assert len(seen[0]) == 1
        await until(lambda: world.names() == [])


async def test_a_race_of_writers_has_one_winner(world: SambaWorld) -> None:
    connector = await world.open(writable=True)
    calls = [
        connector.put(world.place, NESTED, "a.bin", body(f"schrijver {n}".encode() * 1000))
        for n in range(8)
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(r, AlreadyExists) for r in results) == 7
    assert len(await everything(connector, world.place)) == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [({"share": "bestaat-niet"}, "share"), ({"path": "bestaat/niet"}, "path")],
)
async def test_a_check_names_the_option(
    world: SambaWorld, options: dict[str, Any], field: str
) -> None:
    connector = await world.open(**options)
    report = await connector.check(Scope.CONNECTIVITY)
    assert [(f.ok, f.field) for f in report.findings] == [(True, ""), (False, field)]


@pytest.mark.parametrize(
    "options", [{"host": "10.0.0.1"}, {"host": "elders.example"}, {"path": "a/../b"}]
)
async def test_options_that_cannot_work(world: SambaWorld, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid):
        await world.open(**options)


async def test_the_address_is_the_one_that_was_checked(
    world: SambaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that egress allows and that leads to the machine itself leads nowhere."""
    asked: list[str] = []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, world.samba.port))]

    monkeypatch.setattr(world, "policy", EgressPolicy(("nas.example:*",)))
    connector = await world.open(host="nas.example")
    monkeypatch.setattr("gateway.connector.egress.socket.getaddrinfo", resolve)
    with pytest.raises(Unavailable, match="egress"):
        await connector.list(world.place)
    monkeypatch.setattr(world, "policy", EgressPolicy(("nas.example:*",), LOOPBACK.networks))
    again = await world.open(host="nas.example")
    assert await everything(again, world.place) == []
    assert asked == ["nas.example", "nas.example", HOST]  # the last is told by its number


# --- what this Samba has none of: reparse points, as a Windows server shows them


def row(name: str, attributes: int, tag: int = 0, more: bool = True) -> bytes:
    """One row of a listing, [MS-FSCC] 2.4.22."""
    encoded = name.encode("utf-16-le")
    size = (104 + len(encoded) + 7) // 8 * 8
    head = struct.pack(
        "<I20xQ8xQ8xIII28xQ", size if more else 0, 0, 5, attributes, len(encoded), tag, 9
    )
    return (head + encoded).ljust(size, b"\0")


def test_links_of_windows_are_left_out_and_kept_files_are_not() -> None:
    junction, symlink, dfs, dedup, cloud = (
        0xA0000003, 0xA000000C, 0x8000000A, 0x80000013, 0x9000001A,
    )  # fmt: skip
    listing = b"".join(
        (
            row(".", 0x10),
            row("map", 0x10),
            row("naar-elders", 0x410, junction),
            row("snelkoppeling.pdf", 0x420, symlink),
            row("naamruimte", 0x410, dfs),
            row("ontdubbeld.pdf", 0x420, dedup),
            row("wolk.pdf", 0x420, cloud),
            row("gewoon.pdf", 0x20, more=False),
        )
    )
    found = {f.name: f.is_folder for f in rows(listing)}
    assert found == {
        "map": True, "ontdubbeld.pdf": False, "wolk.pdf": False, "gewoon.pdf": False,
    }  # fmt: skip


@given(st.binary(max_size=400))
def test_a_listing_of_anything_is_a_listing_or_an_error(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        for found in rows(data):
            assert found.name not in (".", "..")


@given(st.text(max_size=20))
def test_a_plain_name_has_nothing_that_leads_elsewhere(name: str) -> None:
    if is_plain(name):
        assert not set('\\/:*?"<>|\0\n') & set(name)
        assert name.strip(" .") != ""
