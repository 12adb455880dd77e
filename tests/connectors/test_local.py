"""Kind `local` on real folders."""

import asyncio
import contextlib
import errno
import os
import random
import socket
import stat
import tempfile
import threading
import time
import unicodedata
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from connectors.local import LocalConnector
from gateway.connector.conformance import (
    MIB,
    PERMANENT,
    Conformance,
    content,
    descriptors,
    everything,
    whole,
)
from gateway.connector.contract import HasFile, Place, Scope
from gateway.connector.egress import EgressPolicy
from gateway.connector.local import file as localfile
from gateway.connector.local.file import Root, Walk
from gateway.connector.local.read import SMALL
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    IntegrityError,
    NotFound,
    PermissionDenied,
    RangeNotSatisfiable,
    SourceError,
    TooLarge,
    Unavailable,
)
from tests.connectors.worlds import (
    FOLDERS,
    FolderWorld,
    body,
    both_refuse,
    hostile_names,
)


class Folder(FolderWorld):
    """A folder with two klanten in it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, path.parent, EgressPolicy())

    async def open(self, **options: Any) -> LocalConnector:
        return await self.opened(LocalConnector, {"path": str(self.path), **options})


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Folder]:
    (tmp_path / "share").mkdir()
    async with aclosing(Folder(tmp_path / "share")) as made:
        yield made


class TestLocal(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


class TestLocalReadOnly(Conformance):
    """The same folder, not to be written to."""


async def test_a_folder_that_is_away(tmp_path: Path):
    connector = await Folder(tmp_path / "weg").open()
    with pytest.raises(Unavailable):
        await connector.list(Place("300001", "300001", FOLDERS))


async def test_links_and_devices_are_no_documents(world: Folder, tmp_path: Path):
    trap = tmp_path / "geheim.txt"
    trap.write_text("GEHEIM")
    (tmp_path / "buiten").mkdir()
    (tmp_path / "buiten" / "geheim.txt").write_text("GEHEIM")
    await world.seed(world.place, PERMANENT, "echt.txt", b"echt")
    folder = world.path / world.place.root / PERMANENT
    (folder / "link.txt").symlink_to(trap)
    (folder / "map").symlink_to(tmp_path / "buiten")
    (folder / "rel.txt").symlink_to("../../../../geheim.txt")
    os.mkfifo(folder / "pijp")
    connector = await world.open()
    assert [e.name for e in await everything(connector, world.place)] == ["echt.txt"]
    for id in ("link.txt", "map/geheim.txt", "rel.txt", "pijp", "map"):
        await both_refuse(connector, world.place, f"{PERMANENT}/{id}")


async def test_a_published_folder_that_is_a_link(world: Folder, tmp_path: Path):
    (tmp_path / "buiten").mkdir()
    (tmp_path / "buiten" / "geheim.txt").write_text("GEHEIM")
    await world.seed(world.place, "Intern", "geheim.txt", b"GEHEIM")
    for link, target in (("Permanent", tmp_path / "buiten"), ("Aangiften", Path("Intern"))):
        (world.path / world.place.root / link).symlink_to(target)
    connector = await world.open()
    for folder in (PERMANENT, "Aangiften"):
        place = Place("300001", world.place.root, (folder,))
        assert await everything(connector, place) == []
        with pytest.raises(NotFound):
            await connector.read(place, f"{folder}/geheim.txt")


async def test_a_klant_whose_folder_is_a_link(world: Folder, tmp_path: Path):
    (tmp_path / "buiten" / PERMANENT).mkdir(parents=True)
    (tmp_path / "buiten" / PERMANENT / "geheim.txt").write_text("GEHEIM")
    (world.path / "klanten").mkdir()
    (world.path / world.place.root).symlink_to(tmp_path / "buiten")
    connector = await world.open()
    assert await everything(connector, world.place) == []
    with pytest.raises(NotFound):
        await connector.read(world.place, f"{PERMANENT}/geheim.txt")


OF_THIS_MACHINE = [
    "\u29f8", "\ufe52", "::$DATA", "|", "con", "nul", " ", "\r", "a", "300001", "etc", "passwd",
]  # fmt: skip


def climbing_names(seed: int, count: int) -> list[str]:
    """Ids that begin inside a published folder and climb; an open() would follow many of them."""
    chance = random.Random(seed)
    ends = [
        "../Intern/geheim.txt", f"../../300002/{PERMANENT}/geheim.txt", "../../../../geheim.txt",
        "../../../klanten/300002/Permanent/geheim.txt", "map/../../Intern/geheim.txt",
    ]  # fmt: skip
    noise = ["./", "/", "map/../", "map/./../", f"../{PERMANENT}/", "../../300001/Permanent/", ""]

    def one() -> str:
        way = "".join(chance.choices(noise, k=chance.randint(0, 5)))
        return f"{PERMANENT}/{way}{chance.choice(ends)}"

    return [one() for _ in range(count)]


async def test_five_thousand_hostile_names_lead_nowhere(world: Folder, tmp_path: Path):
    (tmp_path / "geheim.txt").write_text("GEHEIM")
    await world.seed(world.other, PERMANENT, "geheim.txt", b"GEHEIM")
    await world.seed(world.place, "Intern", "geheim.txt", b"GEHEIM")
    await world.seed(world.place, f"{PERMANENT}/map", "mijn.txt", b"mijn")
    connector = await world.open()
    climbing = climbing_names(13, 2_500)
    for id in hostile_names(7, 2_500, *OF_THIS_MACHINE) + climbing:
        await both_refuse(connector, world.place, id)
    # Not in vain: who simply opens them finds what is not his, every time.
    root = world.path / world.place.root
    assert all((root / id).read_text() == "GEHEIM" for id in climbing)


async def test_names_that_cannot_be_shown_are_left_out(world: Folder):
    await world.seed(world.place, PERMANENT, "goed.txt", b"x")
    folder = os.fsencode(world.path / world.place.root / PERMANENT)
    with open(folder + b"/\xff\xfe.txt", "wb") as out:
        out.write(b"x")
    connector = await world.open()
    assert [e.name for e in await everything(connector, world.place)] == ["goed.txt"]


# --- the border, under attack


async def test_five_thousand_hostile_names_write_nothing_outside(world: Folder, tmp_path: Path):
    (tmp_path / "geheim.txt").write_text("GEHEIM")
    connector = await world.open(writable=True)
    for name in hostile_names(11, 5_000, *OF_THIS_MACHINE):
        with contextlib.suppress(SourceError):
            sent = body(b"INDRINGER")
            await connector.put(world.place, PERMANENT, name, sent, if_absent=False)
    inside = world.path / world.place.root / PERMANENT
    found = [p for p in tmp_path.rglob("*") if p.is_file() and p.parent != inside]
    assert [p.read_text() for p in found] == ["GEHEIM"]
    for entry in await everything(connector, world.place):
        assert await content(connector, world.place, entry.id) == b"INDRINGER"


@settings(max_examples=300)
@given(st.text(max_size=40))
def test_any_text_is_not_found(id: str):
    with tempfile.TemporaryDirectory() as made, pytest.raises((OSError, NotFound)) as told:
        localfile.open_document(Root(made), (), id)
    if isinstance(told.value, OSError):
        assert isinstance(localfile.error_of(told.value), NotFound)


async def test_a_folder_that_becomes_a_link_meanwhile(world: Folder, tmp_path: Path):
    """Somebody swaps a folder and a link as fast as he can: no byte from outside is read."""
    (tmp_path / "buiten").mkdir()
    (tmp_path / "buiten" / "stuk.txt").write_bytes(b"GEHEIM")
    await world.seed(world.place, f"{PERMANENT}/map", "stuk.txt", b"mijn")
    connector = await world.open()
    at = world.path / world.place.root / PERMANENT / "map"
    kept, link, stop = at.with_name("kept"), at.with_name("link"), threading.Event()
    link.symlink_to(tmp_path / "buiten")

    def swap() -> None:
        while not stop.is_set():
            at.rename(kept)
            link.rename(at)
            at.rename(link)
            kept.rename(at)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(1500):
            try:
                seen.add(await content(connector, world.place, f"{PERMANENT}/map/stuk.txt"))
            except NotFound:
                seen.add(b"")
            for entry in (await connector.list(world.place)).entries:
                assert entry.size == 4
    finally:
        stop.set()
        thread.join()
    assert seen == {b"mijn", b""}


async def test_devices_sockets_and_folders_are_not_found(tmp_path: Path):
    connector = await Folder(Path("/")).open()
    dev = Place("dev", "dev", ("",))
    for id in ("null", "zero", "full", "random", "tty", "fd", "stdin", "fd/0", "shm"):
        await both_refuse(connector, dev, id)
    here = Folder(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        path = here.at(here.place, PERMANENT, "s")
        with contextlib.chdir(path.parent):
            listening.bind("s")
        connector = await here.open()
        with pytest.raises(NotFound):
            await connector.read(here.place, f"{PERMANENT}/s")
        assert await everything(connector, here.place) == []
    await here.aclose()


async def test_nothing_is_written_through_a_link(world: Folder, tmp_path: Path):
    (tmp_path / "buiten").mkdir()
    await world.seed(world.place, PERMANENT, "echt.txt", b"echt")
    (world.path / world.place.root / PERMANENT / "map").symlink_to(tmp_path / "buiten")
    (world.path / world.place.root / PERMANENT / "link.txt").symlink_to(tmp_path / "nieuw.txt")
    connector = await world.open(writable=True)
    with pytest.raises(NotFound):
        await connector.put(world.place, f"{PERMANENT}/map", "a.txt", body(b"x"))
    with pytest.raises(AlreadyExists):
        await connector.put(world.place, PERMANENT, "link.txt", body(b"x"))
    await connector.put(world.place, PERMANENT, "link.txt", body(b"x"), if_absent=False)
    assert await content(connector, world.place, f"{PERMANENT}/link.txt") == b"x"
    assert list((tmp_path / "buiten").iterdir()) == []
    assert not (tmp_path / "nieuw.txt").exists()


# --- listing

WIDE = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=6)
NAMES = WIDE | st.text("ab.-é", min_size=1, max_size=2)  # few, so that folders hold several
PATHS = st.lists(NAMES.filter(lambda n: n not in (".", "..")), min_size=1, max_size=3)


@settings(max_examples=100)
@given(st.lists(PATHS, max_size=25), st.integers(1, 4))
def test_pages_hold_exactly_what_is_there(paths: list[list[str]], limit: int):
    with tempfile.TemporaryDirectory() as made:
        root, there = Path(made), set()
        for parts in paths:
            with contextlib.suppress(OSError):  # one is a folder where another is a file
                (root / "m").joinpath(*parts[:-1]).mkdir(parents=True, exist_ok=True)
                (root / "m").joinpath(*parts).write_bytes(b"x")
                there.add("/".join(["m", *parts]))
        found, after = [], ""
        while True:
            way = localfile.walk(Root(made), (), [("m",)], Walk(after, limit))
            found += [e.id for e in way.found[:limit]]
            if not way.full:
                break
            after = found[-1]
        assert found == sorted(there, key=str.encode)


async def test_what_changes_between_pages_doubles_nothing(world: Folder):
    for i in range(20):
        await world.seed(world.place, PERMANENT, f"{i:02}.txt", b"x")
    connector = await world.open()
    first = await connector.list(world.place, limit=7)
    await world.remove(world.place, PERMANENT, "06.txt")
    await world.remove(world.place, PERMANENT, "08.txt")
    await world.seed(world.place, PERMANENT, "00b.txt", b"x")
    rest = await connector.list(world.place, page=first.next)
    assert [e.name for e in rest.entries] == [f"{i:02}.txt" for i in (7, *range(9, 20))]


@pytest.mark.parametrize("page", ["x", "..", "/etc", "a" * 5000, "\0", "\ud800", f"{PERMANENT}/"])
async def test_a_page_that_was_not_ours(world: Folder, page: str):
    await world.seed(world.place, PERMANENT, "a.txt", b"x")
    connector = await world.open()
    with contextlib.suppress(ConditionFailed):
        for entry in (await connector.list(world.place, page=page)).entries:
            assert entry.name == "a.txt"


async def test_names_that_are_no_documents_are_counted(world: Folder):
    await world.seed(world.place, PERMANENT, "goed.txt", b"x")
    await world.seed(world.place, "/".join([PERMANENT] + ["d" * 200] * 6), "te lang.txt", b"x")
    await world.seed(world.place, "/".join([PERMANENT] + ["d"] * 70), "te diep.txt", b"x")
    await world.seed(world.place, PERMANENT, "a\\b.txt", b"x")
    await world.seed(world.place, PERMANENT, ".map-part-0", b"x")
    connector = await world.open()
    with capture_logs() as logs:
        found = await everything(connector, world.place)
        assert (await connector.list(world.place)).left_out == 3  # told once, until it changes
        (world.path / world.place.root / PERMANENT / "link.txt").symlink_to("goed.txt")
        assert (await connector.list(world.place)).left_out == 4
    assert [(e["event"], e["count"]) for e in logs] == [
        ("names_left_out", 3), ("names_left_out", 4)
    ]  # fmt: skip
    assert [e.name for e in found] == ["goed.txt"]
    for id in ("a\\b.txt", ".map-part-0", "/".join(["d"] * 70) + "/te diep.txt"):
        with pytest.raises(NotFound):
            await connector.read(world.place, f"{PERMANENT}/{id}")


async def test_one_name_in_two_spellings(world: Folder):
    names = [unicodedata.normalize(form, "café.txt") for form in ("NFC", "NFD")]
    for name in names:
        await world.seed(world.place, PERMANENT, name, name.encode())
    connector = await world.open()
    found = await everything(connector, world.place)
    assert {e.name for e in found} == set(names)
    for entry in found:
        assert await content(connector, world.place, entry.id) == entry.name.encode()


@pytest.mark.parametrize("what", ["longer", "another file", "later"])
async def test_a_version_is_of_size_file_and_moment(world: Folder, what: str):
    await world.seed(world.place, PERMANENT, "a.txt", b"x")
    path = world.at(world.place, PERMANENT, "a.txt")
    os.utime(path, ns=(10**18, 10**18))
    connector = await world.open()
    before = await connector.stat(world.place, f"{PERMANENT}/a.txt")
    if what == "another file":
        path.with_name("b.txt").write_bytes(b"y")
        path.with_name("b.txt").rename(path)
    else:
        path.write_bytes(b"xx" if what == "longer" else b"y")
    later = 1 if what == "later" else 0
    os.utime(path, ns=(10**18 + later, 10**18 + later))
    after = await connector.stat(world.place, f"{PERMANENT}/a.txt")
    assert after.version != before.version


async def test_the_date_is_the_files_own(world: Folder):
    await world.seed(world.place, PERMANENT, "a.txt", b"x")
    os.utime(world.at(world.place, PERMANENT, "a.txt"), (0, 1_700_000_000))
    entry = await (await world.open()).stat(world.place, f"{PERMANENT}/a.txt")
    assert entry.modified == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


async def test_a_date_that_is_none(world: Folder):
    await world.seed(world.place, PERMANENT, "a.txt", b"x")
    os.utime(world.at(world.place, PERMANENT, "a.txt"), (0, 10**11))
    connector = await world.open()
    entry = (await everything(connector, world.place))[0]
    assert entry.modified is None or entry.modified.year > 2400  # as far as the disk can count
    assert await content(connector, world.place, entry.id) == b"x"


async def test_a_folder_below_that_may_not_be_read(world: Folder, monkeypatch: pytest.MonkeyPatch):
    await world.seed(world.place, PERMANENT, "goed.txt", b"x")
    await world.seed(world.place, f"{PERMANENT}/dicht", "a.txt", b"x")
    connector, real = await world.open(), os.open

    def refuse(path: str, *args: Any, **kwargs: Any) -> int:
        if path == "dicht":
            raise PermissionError(errno.EACCES, "")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    assert [e.name for e in await everything(connector, world.place)] == ["goed.txt"]
    inner = Place("300001", world.place.root, (f"{PERMANENT}/dicht",))
    with pytest.raises(PermissionDenied):
        await connector.list(inner)


async def test_a_source_that_is_away_is_told_in_every_call(world: Folder):
    await world.seed(world.place, PERMANENT, "a.txt", b"x")
    connector = await world.open(writable=True)
    world.path.rename(world.path.with_name("weg"))
    for call in (
        connector.list(world.place),
        connector.stat(world.place, f"{PERMANENT}/a.txt"),
        connector.read(world.place, f"{PERMANENT}/a.txt"),
        connector.put(world.place, PERMANENT, "b.txt", body(b"x")),
    ):
        with pytest.raises(Unavailable):
            await call
    report = await connector.check(Scope.CONNECTIVITY)
    assert [(f.field, f.code) for f in report.findings if not f.ok] == [("path", "unavailable")]


async def test_a_share_that_is_not_mounted(world: Folder):
    await world.seed(world.place, PERMANENT, "a.txt", b"x")
    connector = await world.open(mounted=True)
    with pytest.raises(Unavailable):
        await connector.list(world.place)
    assert (await (await world.open(path="/proc", mounted=True)).check(Scope.CONNECTIVITY)).ok


# --- reading


async def test_an_offset_before_the_begin(world: Folder):
    await world.seed(world.place, PERMANENT, "a.bin", bytes(1000))
    connector = await world.open()
    with pytest.raises(RangeNotSatisfiable):
        await connector.read(world.place, f"{PERMANENT}/a.bin", offset=-1)


@pytest.mark.parametrize("size", [1000, SMALL, SMALL + 1, 3 * MIB])
async def test_what_changes_while_it_is_read_is_told(world: Folder, size: int):
    await world.seed(world.place, PERMANENT, "a.bin", bytes(size))
    connector = await world.open()
    reader = await connector.read(world.place, f"{PERMANENT}/a.bin")
    got = await anext(aiter(reader))
    with world.at(world.place, PERMANENT, "a.bin").open("r+b") as out:
        out.seek(size - 1)
        out.write(b"!")
    if size <= SMALL:  # it was here already, whole
        assert got + await whole(reader) != b""
        return
    with pytest.raises(IntegrityError):
        await whole(reader)


async def test_a_small_document_that_changes_while_it_is_read(
    world: Folder, monkeypatch: pytest.MonkeyPatch
):
    await world.seed(world.place, PERMANENT, "a.bin", b"een")
    connector, real = await world.open(), os.pread

    def change(file: int, count: int, at: int) -> bytes:
        data = real(file, count, at)
        world.at(world.place, PERMANENT, "a.bin").write_bytes(b"twee")
        return data

    monkeypatch.setattr(os, "pread", change)
    with pytest.raises(IntegrityError):
        await connector.read(world.place, f"{PERMANENT}/a.bin")


async def test_no_file_is_touched_on_the_event_loop(
    world: Folder, monkeypatch: pytest.MonkeyPatch
):
    await world.seed(world.place, PERMANENT, "a.bin", bytes(MIB))
    connector = await world.open(writable=True)
    seen: dict[str, set[threading.Thread]] = {}

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            seen.setdefault(name, set()).add(threading.current_thread())
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, watched)

    names = ("open", "close", "scandir", "stat", "pread", "write", "fsync", "link", "unlink")
    for name in names:
        watch(name)
    await everything(connector, world.place)
    await connector.stat(world.place, f"{PERMANENT}/a.bin")
    await content(connector, world.place, f"{PERMANENT}/a.bin")
    await connector.put(world.place, PERMANENT, "b.bin", body(bytes(MIB)))
    assert threading.main_thread() not in set().union(*seen.values())
    assert seen.keys() >= {"open", "scandir", "pread", "write", "fsync", "link"}


async def test_a_check_reads_a_document(world: Folder, monkeypatch: pytest.MonkeyPatch):
    await world.seed(world.place, PERMANENT, "a.bin", b"x")
    connector = await world.open()

    def refuse(*_: Any) -> bytes:
        raise OSError(errno.EIO, "")

    monkeypatch.setattr(os, "pread", refuse)
    report = await connector.check(Scope.READ, world.place)
    assert [(f.scope, f.code) for f in report.findings if not f.ok] == [
        (Scope.READ, Unavailable.code)
    ]


async def test_what_becomes_shorter_is_told(world: Folder):
    await world.seed(world.place, PERMANENT, "a.bin", bytes(3 * MIB))
    connector = await world.open()
    reader = await connector.read(world.place, f"{PERMANENT}/a.bin")
    os.truncate(world.at(world.place, PERMANENT, "a.bin"), 200_000)
    with pytest.raises(IntegrityError):
        await whole(reader)


async def test_a_document_that_is_replaced_is_read_as_it_was(world: Folder):
    await world.seed(world.place, PERMANENT, "a.bin", b"oud" * MIB)
    connector = await world.open()
    reader = await connector.read(world.place, f"{PERMANENT}/a.bin")
    path = world.at(world.place, PERMANENT, "a.bin")
    path.with_name("nieuw").write_bytes(b"nieuw")
    path.with_name("nieuw").rename(path)
    assert await whole(reader) == b"oud" * MIB


async def test_a_host_may_send_the_file_itself(world: Folder):
    body = os.urandom(MIB)
    await world.seed(world.place, PERMANENT, "a.bin", body)
    connector = await world.open()
    reader = await connector.read(world.place, f"{PERMANENT}/a.bin", offset=1000)
    assert isinstance(reader, HasFile)
    assert reader.length is not None
    with tempfile.TemporaryFile() as out:
        assert os.sendfile(out.fileno(), reader.fileno(), reader.offset, reader.length)
        out.seek(0)
        assert out.read() == body[1000:]
    await reader.verify()
    os.utime(world.at(world.place, PERMANENT, "a.bin"))
    with pytest.raises(IntegrityError):
        await reader.verify()
    await reader.aclose()
    small = await connector.read(world.place, f"{PERMANENT}/a.bin", length=1000)
    assert not isinstance(small, HasFile)  # it is in memory already


async def test_a_reader_that_is_left_while_its_thread_hangs(
    world: Folder, monkeypatch: pytest.MonkeyPatch
):
    await world.seed(world.place, PERMANENT, "a.bin", bytes(MIB))
    connector, real = await world.open(), os.pread
    free, began = threading.Event(), threading.Event()
    reader = await connector.read(world.place, f"{PERMANENT}/a.bin")
    assert isinstance(reader, HasFile)
    number = reader.fileno()

    def hang(file: int, count: int, at: int) -> bytes:
        began.set()
        free.wait(10)
        os.fstat(file)  # still open, and no other's
        return real(file, count, at)

    monkeypatch.setattr(os, "pread", hang)
    task = asyncio.create_task(whole(reader))
    await asyncio.to_thread(began.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.05)
    os.fstat(number)  # the thread has it
    free.set()
    await gone(number)


async def gone(number: int) -> None:
    """Wait until a descriptor is closed."""
    for _ in range(400):
        try:
            os.fstat(number)
        except OSError:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it stays open")


async def test_leaving_while_it_is_opened_leaks_nothing(
    world: Folder, monkeypatch: pytest.MonkeyPatch
):
    await world.seed(world.place, PERMANENT, "a.bin", bytes(MIB))
    connector = await world.open(writable=True)
    await content(connector, world.place, f"{PERMANENT}/a.bin")
    await asyncio.sleep(0.05)
    before = descriptors()
    for pause in (0, 0.0001, 0.0005, 0.001) * 25:
        tasks = [
            asyncio.create_task(connector.read(world.place, f"{PERMANENT}/a.bin")),
            asyncio.create_task(connector.put(world.place, PERMANENT, "b", slowly(b"x" * MIB))),
        ]
        await asyncio.sleep(pause)
        for task in tasks:
            task.cancel()
        for told in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(told, BaseException) and hasattr(told, "aclose"):
                await told.aclose()
    for _ in range(400):
        if descriptors() <= before:
            break
        await asyncio.sleep(0.005)
    assert descriptors() <= before
    names = os.listdir(world.path / world.place.root / PERMANENT)
    assert names == ["a.bin"]


# --- writing


async def slowly(body: bytes) -> AsyncIterator[bytes]:
    while True:
        yield body
        await asyncio.sleep(0)


async def test_sixteen_write_one_name_and_one_wins(world: Folder):
    connector = await world.open(writable=True)
    told = await asyncio.gather(
        *(
            connector.put(world.place, PERMANENT, "a.txt", body(b"%d" % i * 100_000))
            for i in range(16)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(t, AlreadyExists) for t in told) == 15
    winner = next(i for i, t in enumerate(told) if not isinstance(t, AlreadyExists))
    got = await content(connector, world.place, f"{PERMANENT}/a.txt")
    assert got == b"%d" % winner * 100_000
    await asyncio.sleep(0.05)
    assert os.listdir(world.path / world.place.root / PERMANENT) == ["a.txt"]


async def test_bytes_are_on_the_disk_before_the_name_is(
    world: Folder, monkeypatch: pytest.MonkeyPatch
):
    connector, did = await world.open(writable=True), []

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            folder = name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode)
            did.append("fsync of the folder" if folder else name)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, watched)

    for name in ("write", "fsync", "link", "replace"):
        watch(name)
    for if_absent in (True, False):
        await connector.put(world.place, PERMANENT, "a", body(b"x"), if_absent=if_absent)
    assert did == [
        *("write", "fsync", "link", "fsync of the folder"),
        *("write", "fsync", "replace", "fsync of the folder"),
    ]


async def test_nobody_sees_half_of_it(world: Folder):
    connector = await world.open(writable=True)
    seen: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield bytes(MIB)
            seen.append(len(await everything(connector, world.place)))

    entry = await connector.put(world.place, PERMANENT, "a.bin", body())
    assert seen == [0] * 4
    assert await everything(connector, world.place) == [entry]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
async def test_a_file_system_without_links(
    world: Folder, monkeypatch: pytest.MonkeyPatch, number: int
):
    def link(*_: Any, **__: Any) -> None:
        raise OSError(number, "")

    monkeypatch.setattr(os, "link", link)
    connector = await world.open(writable=True)
    await connector.put(world.place, PERMANENT, "a.txt", body(b"een"))
    with pytest.raises(AlreadyExists):
        await connector.put(world.place, PERMANENT, "a.txt", body(b"twee"))
    assert await content(connector, world.place, f"{PERMANENT}/a.txt") == b"een"
    assert os.listdir(world.path / world.place.root / PERMANENT) == ["a.txt"]


async def test_who_hears_of_a_failed_put_finds_nothing_of_it(world: Folder):
    connector = await world.open(writable=True)
    # What is done "some time later" never is.
    connector._threads.soon = lambda *_: None  # type: ignore[attr-defined]
    with pytest.raises(IntegrityError):
        await connector.put(world.place, PERMANENT, "a.txt", body(b"x"), size=2)
    assert os.listdir(world.path / world.place.root / PERMANENT) == []


async def test_what_a_writer_left_that_died_goes_with_the_next(world: Folder):
    connector = await world.open(writable=True)
    await connector.put(world.place, PERMANENT, "a.txt", body(b"x"))
    folder = world.path / world.place.root / PERMANENT
    for name, hours in ((".map-part-oud", 25), (".map-part-bezig", 23)):
        (folder / name).write_bytes(b"half")
        at = time.time() - hours * 3600
        os.utime(folder / name, (at, at))
    await connector.put(world.place, PERMANENT, "b.txt", body(b"x"))
    there = os.listdir(folder)
    assert ".map-part-bezig" in there
    assert ".map-part-oud" not in there


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, TooLarge),
        (errno.EDQUOT, TooLarge),
        (errno.EROFS, PermissionDenied),
        (errno.EIO, Unavailable),
        (errno.ESTALE, Unavailable),
    ],
)
async def test_a_disk_that_takes_no_more(
    world: Folder, monkeypatch: pytest.MonkeyPatch, number: int, error: type[SourceError]
):
    connector = await world.open(writable=True)

    def refuse(*_: Any) -> int:
        raise OSError(number, "")

    monkeypatch.setattr(localfile.os, "write", refuse)
    with pytest.raises(error) as told:
        await connector.put(world.place, PERMANENT, "a.txt", body(b"x"))
    assert told.value.native == errno.errorcode[number]
    await asyncio.sleep(0.05)
    assert os.listdir(world.path / world.place.root / PERMANENT) == []
