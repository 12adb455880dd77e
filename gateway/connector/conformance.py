"""The contract of a connector, as tests.

A kind's test file is a fixture and a class line::

    @pytest.fixture
    async def world():
        async with MyWorld() as world:
            yield world

    class TestMine(Conformance):
        pass

`World` describes a real back office that the suite may fill; everything in it that is not
abstract has a sensible default. A test that does not apply (no range, read-only, no network)
asserts that the connector does not claim the capability, and ends: nothing is skipped.

Needs pytest with pytest-asyncio in auto mode.
"""

import asyncio
import contextlib
import hashlib
import os
import sys
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.connector.contract import CHUNK, Capability, Connector, Entry, Place, Reader, Scope
from gateway.connector.faultproxy import FaultProxy, Mode
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConditionFailed,
    IntegrityError,
    NotFound,
    RangeNotSatisfiable,
    SourceError,
    Unavailable,
    Unsupported,
)

PERMANENT = "Permanent"
NESTED = "Aangiften/2025"
MIB = 1024 * 1024


class World(ABC):
    """A back office with two klanten. `place` and `other` publish the folders PERMANENT and
    NESTED of klant 300001 and 300002; the suite fills them by `seed`, past our connector."""

    place: Place
    other: Place

    @abstractmethod
    async def open(self, **options: Any) -> Connector[Any]:
        """A connector; `options` override those of the configuration. The world closes it."""

    @abstractmethod
    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        """Put a document in, or another body under the same name. `folder` may be one that is
        not published, and need not exist yet."""

    @abstractmethod
    async def remove(self, place: Place, folder: str, name: str) -> None:
        """Take a document out."""

    async def seed_large(self, place: Place, folder: str, name: str, size: int) -> bytes | None:
        """Put in `size` bytes without holding them; their SHA-256. None: this back office
        cannot, and the test of very large documents ends there."""
        return None

    def wrong_credentials(self) -> dict[str, Any] | None:
        """Options that the back office refuses; None when it knows no credentials."""
        return None

    def upstream(self) -> tuple[str, int] | None:
        """Host and port of the server, for the fault proxy; None for a kind without network."""
        return None

    def through(self, port: int) -> dict[str, Any]:
        """Options that lead over a proxy on that port of 127.0.0.1."""
        raise NotImplementedError

    def holds_name(self, name: str) -> bool:
        """Whether this back office can store a document of that name."""
        return True

    #: Whether the back office can hold a document without bytes, and folders in folders.
    holds_empty = True
    nests = True


async def everything(connector: Connector[Any], place: Place, limit: int = 1000) -> list[Entry]:
    """Every entry of a place, page by page."""
    found: list[Entry] = []
    page: str | None = None
    for _ in range(10_000):
        got = await connector.list(place, page=page, limit=limit)
        assert len(got.entries) <= limit
        found += got.entries
        page = got.next
        if page is None:
            return found
    raise AssertionError("the listing does not end")


async def named(connector: Connector[Any], place: Place, name: str) -> Entry:
    """The one entry of that name (compared as people read: NFC)."""
    wanted = unicodedata.normalize("NFC", name)
    found = [
        e
        for e in await everything(connector, place)
        if unicodedata.normalize("NFC", e.name) == wanted
    ]
    assert len(found) == 1, f"{name!r}: {len(found)} entries"
    return found[0]


async def whole(reader: Reader) -> bytes:
    """All bytes; pieces must be non-empty and at most CHUNK long."""
    pieces = []
    try:
        async for piece in reader:
            assert 0 < len(piece) <= CHUNK
            pieces.append(bytes(piece))
    finally:
        await reader.aclose()
    return b"".join(pieces)


async def content(connector: Connector[Any], place: Place, id: str, **options: Any) -> bytes:
    """The bytes of a document."""
    return await whole(await connector.read(place, id, **options))


@contextlib.asynccontextmanager
async def proxied(world: World) -> AsyncIterator[tuple[FaultProxy, Connector[Any]] | None]:
    """A connector behind a fault proxy; None for a kind without network."""
    at = world.upstream()
    if at is None:
        yield None
        return
    proxy = FaultProxy(*at)
    port = await proxy.start()
    try:
        yield proxy, await world.open(**world.through(port))
    finally:
        await proxy.stop()


def descriptors() -> int:
    """Files and sockets that this process holds."""
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def hostile_ids(place: Place, other: Place, mine: str, theirs: str) -> list[str]:
    """Ids that name nothing of the place, some made of ids that do exist."""
    escapes = ["..", "../", "../..", "./..", "..\\", "%2e%2e/", "..%2f", "..;/", "....//"]
    ids = ["", ".", "/", "//", "\\", "\0", " ", "-", "~", "*", "?", "%00", "\u202e", "\ufeff"]
    ids += ["/etc/passwd", "C:\\Windows\\win.ini", "\\\\host\\share\\x", "file:///etc/passwd"]
    ids += [f"{e}{theirs}" for e in escapes] + [f"{e}{other.root}/{theirs}" for e in escapes]
    ids += [f"{PERMANENT}/{e}{other.root}/{theirs}" for e in escapes]
    ids += [f"{other.root}/{theirs}", f"/{other.root}/{theirs}", f"{place.root}/{mine}"]
    ids += [
        f"{mine}\0",
        f"\0{mine}",
        f"{mine}/",
        f"/{mine}",
        f"{mine}/..",
        f"{mine}\\",
        f"{mine} ",
    ]
    ids += [f"{mine}\n", f"{mine}%00", f"{mine};x", mine.swapcase() + "x", mine * 40, "a" * 5000]
    ids += [f"{PERMANENT}/" + "../" * n + theirs for n in range(1, 12)]
    ids += [f"{PERMANENT}/" + "a/" * n for n in range(1, 12)]
    ids += ["' or '1'='1", "<x/>", "]]>", "&amp;", "${x}", "{klant.number}", "\ud800"]
    # Dots and slashes as other readers write them, between what exists on both sides.
    dots = ["..", "%2e%2e", "%252e%252e", "..%00", ".%2e", "\uff0e\uff0e", "\u2025", ".. ", "..."]
    slashes = [
        "/",
        "//",
        "\\",
        "%2f",
        "%5c",
        "%252f",
        "%c0%af",
        "\u2215",
        "\u2044",
        "\uff0f",
        "\0",
    ]
    for dot in dots:
        for slash in slashes:
            ids.append(slash.join([mine, dot, dot, other.root, theirs]))
            ids.append(slash.join([dot, other.root.rpartition("/")[2], theirs]))
    return [i for i in ids if i != mine]


class Conformance:
    """Some forty promises. Subclass it beside a fixture `world`."""

    @pytest.fixture
    async def connector(self, world: World) -> Connector[Any]:
        """The connector as configured."""
        return await world.open()

    # --- listing

    async def test_an_empty_place_has_no_documents(
        self, world: World, connector: Connector[Any]
    ) -> None:
        page = await connector.list(world.place)
        assert (list(page.entries), page.next) == ([], None)

    async def test_a_place_that_does_not_exist_has_no_documents(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT, "a.txt", b"a")
        nowhere = Place("399999", world.place.root.replace("300001", "399999"), (PERMANENT,))
        assert await everything(connector, nowhere) == []

    async def test_a_folder_that_does_not_exist_has_no_documents(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT, "a.txt", b"a")
        place = Place(world.place.klant, world.place.root, ("Bestaat niet",))
        assert await everything(connector, place) == []

    async def test_nothing_is_published_unless_said(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT, "a.txt", b"a")
        place = Place(world.place.klant, world.place.root, ())
        assert await everything(connector, place) == []

    async def test_lists_what_is_there(self, world: World, connector: Connector[Any]) -> None:
        await world.seed(world.place, PERMANENT, "akte.pdf", b"%PDF-1")
        await world.seed(world.place, NESTED, "ob.xbrl", b"<xbrl/>")
        found = {e.name: e for e in await everything(connector, world.place)}
        assert set(found) == {"akte.pdf", "ob.xbrl"}
        assert found["akte.pdf"].folder == (PERMANENT,)
        assert found["ob.xbrl"].folder == tuple(NESTED.split("/"))

    async def test_unpublished_folders_do_not_exist(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT, "mag.txt", b"mag")
        await world.seed(world.place, "Intern", "mag-niet.txt", b"geheim")
        assert [e.name for e in await everything(connector, world.place)] == ["mag.txt"]
        inner = Place(world.place.klant, world.place.root, ("Intern",))
        secret = await named(connector, inner, "mag-niet.txt")
        for ask in (connector.stat, connector.read):
            with pytest.raises(NotFound):
                await ask(world.place, secret.id)

    async def test_folders_whose_names_begin_alike(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT + " intern", "nee.txt", b"x")
        await world.seed(world.place, PERMANENT, "ja.txt", b"x")
        assert [e.name for e in await everything(connector, world.place)] == ["ja.txt"]
        alike = Place(world.place.klant, world.place.root, (PERMANENT + " intern",))
        secret = await named(connector, alike, "nee.txt")
        for ask in (connector.stat, connector.read):
            with pytest.raises(NotFound):
                await ask(world.place, secret.id)

    @pytest.mark.parametrize("limit", [1, 2, 1000])
    async def test_a_folder_that_is_published_twice(
        self, world: World, connector: Connector[Any], limit: int
    ) -> None:
        """Once by itself, and once as part of another."""
        folders: tuple[str, ...] = (PERMANENT, PERMANENT)
        await world.seed(world.place, PERMANENT, "boven.txt", b"x")
        if world.nests:
            await world.seed(world.place, f"{PERMANENT}/Akten", "onder.txt", b"x")
            folders = (f"{PERMANENT}/Akten", PERMANENT, f"{PERMANENT}/Akten")
        place = Place(world.place.klant, world.place.root, folders)
        found = sorted(e.name for e in await everything(connector, place, limit))
        assert found == (["boven.txt", "onder.txt"] if world.nests else ["boven.txt"])

    async def test_documents_in_folders_below(
        self, world: World, connector: Connector[Any]
    ) -> None:
        if not world.nests:
            return
        await world.seed(world.place, f"{PERMANENT}/Akten/Oud", "diep.txt", b"diep")
        entry = await named(connector, world.place, "diep.txt")
        assert entry.folder == (PERMANENT, "Akten", "Oud")
        assert await content(connector, world.place, entry.id) == b"diep"

    @pytest.mark.parametrize("limit", [1, 2, 7, 1000])
    async def test_paging_loses_and_doubles_nothing(
        self, world: World, connector: Connector[Any], limit: int
    ) -> None:
        for i in range(9):
            await world.seed(world.place, PERMANENT, f"{i} stuk.txt", b"x")
        for i in range(4):
            await world.seed(world.place, NESTED, f"{i} aangifte.txt", b"x")
            if world.nests:
                await world.seed(world.place, f"{PERMANENT}/Akten", f"{i} akte.txt", b"x")
        for name in ("Akten-los.txt", "Akten0.txt"):  # before and after "Akten/", by code point
            await world.seed(world.place, PERMANENT, name, b"x")
        found = [e.id for e in await everything(connector, world.place, limit)]
        assert len(found) == len(set(found)) == (19 if world.nests else 15)

    @pytest.mark.parametrize("page", ["x", "..", "/", "1:x", "\0", "\ud800", "a" * 5000])
    async def test_a_page_that_was_never_given(
        self, world: World, connector: Connector[Any], page: str
    ) -> None:
        await world.seed(world.place, PERMANENT, "ja.txt", b"x")
        await world.seed(world.place, "Intern", "nee.txt", b"x")
        with contextlib.suppress(ConditionFailed, NotFound):
            found = await connector.list(world.place, page=page)
            assert {e.name for e in found.entries} <= {"ja.txt"}

    async def test_the_order_is_stable(self, world: World, connector: Connector[Any]) -> None:
        for i in (3, 1, 2):
            await world.seed(world.place, PERMANENT, f"{i}.txt", b"x")
        first = [e.id for e in await everything(connector, world.place)]
        assert [e.id for e in await everything(connector, world.place, 1)] == first

    @pytest.mark.parametrize(
        "name",
        [
            "Café – jaarrekening (concept) 100% & co.pdf",
            "Cafe\u0301 NFD.pdf",
            "日本語 отчёт ρ.pdf",
            "🧾 bon.pdf",
            "l" * 180 + ".pdf",
            "komma,punt;haakjes[1]'s.pdf",
            "plus+is=en%20procent.pdf",
            "hash#vraag.pdf",
            "geen-ending",
            ".verborgen",
        ],
    )
    async def test_names(self, world: World, connector: Connector[Any], name: str) -> None:
        if not world.holds_name(name):
            return
        await world.seed(world.place, PERMANENT, name, name.encode())
        entry = await named(connector, world.place, name)
        assert len(entry.id.encode()) <= 1024
        assert await content(connector, world.place, entry.id) == name.encode()
        assert await connector.stat(world.place, entry.id) == entry

    # --- one document

    async def test_stat_says_what_the_listing_says(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT, "akte.pdf", b"12345")
        entry = await named(connector, world.place, "akte.pdf")
        assert await connector.stat(world.place, entry.id) == entry

    @pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, MIB, 10 * MIB])
    async def test_bytes_come_as_they_are(
        self, world: World, connector: Connector[Any], size: int
    ) -> None:
        if size == 0 and not world.holds_empty:
            return
        body = os.urandom(min(size, 4096)) * (size // 4096 + 1)
        body = body[:size]
        await world.seed(world.place, PERMANENT, "stuk.bin", body)
        entry = await named(connector, world.place, "stuk.bin")
        reader = await connector.read(world.place, entry.id)
        assert reader.offset == 0
        assert reader.length in (None, size)
        got = await whole(reader)
        assert hashlib.sha256(got).digest() == hashlib.sha256(body).digest()
        if Capability.SIZE_KNOWN in connector.capabilities:
            assert (entry.size, reader.length) == (size, size)
        assert entry.size in (None, size)

    @pytest.mark.slow
    async def test_a_gibibyte_in_bounded_memory(
        self, world: World, connector: Connector[Any]
    ) -> None:
        size = 1024 * MIB
        digest = await world.seed_large(world.place, PERMANENT, "groot.bin", size)
        if digest is None:
            assert Capability.STREAMS not in connector.capabilities or not world.nests
            return
        entry = await named(connector, world.place, "groot.bin")
        before = most = resident()
        reader, seen, count = await connector.read(world.place, entry.id), hashlib.sha256(), 0
        async for piece in reader:
            seen.update(piece)
            count += len(piece)
            most = max(most, resident() if count % (4 * MIB) < len(piece) else 0)
        await reader.aclose()
        assert (count, seen.digest()) == (size, digest)
        assert most - before < 64 * MIB, f"{(most - before) // MIB} MiB more memory"

    async def test_ranges(self, world: World, connector: Connector[Any]) -> None:
        body = bytes(range(256)) * 2000
        await world.seed(world.place, PERMANENT, "stuk.bin", body)
        entry = await named(connector, world.place, "stuk.bin")
        if Capability.RANGE not in connector.capabilities:
            with pytest.raises(Unsupported):
                await content(connector, world.place, entry.id, offset=1)
            return
        size = len(body)
        for offset, length in (
            (0, 1), (0, size), (1, 10), (CHUNK - 1, 2), (size - 1, 1), (100, None), (size - 5, 50),
            (300_000, 150_000), (0, size + 1),
        ):  # fmt: skip
            reader = await connector.read(world.place, entry.id, offset=offset, length=length)
            wanted = body[offset:] if length is None else body[offset : offset + length]
            assert reader.offset == offset
            assert reader.length in (None, len(wanted))
            assert await whole(reader) == wanted, (offset, length)
        for offset in (size, size + 1, 10 * size):
            with pytest.raises(RangeNotSatisfiable):
                await content(connector, world.place, entry.id, offset=offset)

    async def test_the_version_changes_with_the_bytes(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT, "stuk.txt", b"een")
        first = await named(connector, world.place, "stuk.txt")
        if Capability.VERSION not in connector.capabilities:
            assert first.version is None
            return
        assert first.version
        same = await content(connector, world.place, first.id, version=first.version)
        assert same == b"een"
        await world.seed(world.place, PERMANENT, "stuk.txt", b"twee")
        second = await connector.stat(world.place, first.id)
        assert second.version != first.version
        with pytest.raises(ConditionFailed):
            await content(connector, world.place, first.id, version=first.version)
        assert await content(connector, world.place, first.id) == b"twee"
        await asyncio.sleep(0.05)  # as coarse as the clocks of file systems are
        await world.seed(world.place, PERMANENT, "stuk.txt", b"drie")
        assert (await connector.stat(world.place, first.id)).version != second.version

    async def test_a_document_that_is_gone(self, world: World, connector: Connector[Any]) -> None:
        await world.seed(world.place, PERMANENT, "weg.txt", b"x")
        entry = await named(connector, world.place, "weg.txt")
        await world.remove(world.place, PERMANENT, "weg.txt")
        for ask in (connector.stat, connector.read):
            with pytest.raises(NotFound):
                await ask(world.place, entry.id)

    async def test_what_is_told_of_a_document(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT, "akte.pdf", b"%PDF-1.7 x")
        entry = await named(connector, world.place, "akte.pdf")
        told = connector.capabilities
        assert (entry.version is not None) == (Capability.VERSION in told)
        assert (entry.modified is not None) == (Capability.MODIFIED in told)
        assert entry.modified is None or entry.modified.tzinfo is not None
        assert (entry.checksum is not None) == (Capability.CHECKSUM in told)
        if entry.checksum is not None:
            name, digest = entry.checksum
            assert hashlib.new(name, b"%PDF-1.7 x").digest() == digest

    # --- the border

    async def test_another_klant_is_not_found(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.other, PERMANENT, "van-een-ander.txt", b"geheim")
        await world.seed(world.place, PERMANENT, "van-mij.txt", b"mijn")
        theirs = await named(connector, world.other, "van-een-ander.txt")
        mine = await named(connector, world.place, "van-mij.txt")
        assert await content(connector, world.other, theirs.id) == b"geheim"
        for ask in (connector.stat, connector.read):
            with pytest.raises(NotFound):
                await ask(world.place, theirs.id)
            with pytest.raises(NotFound):
                await ask(world.other, mine.id)

    async def test_a_klant_whose_number_begins_alike(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT, "stuk.txt", b"x")
        entry = await named(connector, world.place, "stuk.txt")
        short = Place("30000", world.place.root.replace("300001", "30000"), (PERMANENT,))
        assert await everything(connector, short) == []
        for id in (entry.id, f"1/{entry.id}", f"../300001/{entry.id}"):
            with pytest.raises(NotFound):
                await connector.stat(short, id)

    async def test_hostile_ids_are_not_found(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.other, PERMANENT, "geheim.txt", b"geheim van een ander")
        await world.seed(world.place, PERMANENT, "mijn.txt", b"mijn")
        mine = await named(connector, world.place, "mijn.txt")
        theirs = await named(connector, world.other, "geheim.txt")
        for id in hostile_ids(world.place, world.other, mine.id, theirs.id):
            for ask in (connector.stat, connector.read):
                with pytest.raises(NotFound):
                    await ask(world.place, id)
                    raise AssertionError(f"{ask.__name__}({id!r}) found something")

    # --- faults

    async def test_wrong_credentials(self, world: World) -> None:
        wrong = world.wrong_credentials()
        if wrong is None:
            return
        connector = await world.open(**wrong)
        for call in (connector.list(world.place), connector.read(world.place, f"{PERMANENT}/y")):
            with pytest.raises(AuthFailed):
                await call
        report = await connector.check(Scope.CONNECTIVITY)
        assert not report.ok
        assert AuthFailed.code in {f.code for f in report.findings}

    async def test_a_back_office_that_is_away(self, world: World) -> None:
        async with proxied(world) as behind:
            if behind is None:
                return
            proxy, connector = behind
            await world.seed(world.place, PERMANENT, "a.txt", b"a")
            entry = await named(await world.open(), world.place, "a.txt")
            proxy.mode = Mode.REFUSE
            for call in self._calls(world, connector, entry.id):
                with pytest.raises(Unavailable):
                    await call
            assert not (await connector.check(Scope.CONNECTIVITY)).ok
            proxy.mode = Mode.PASS
            await self._works_again(world, connector)

    async def test_garbage(self, world: World) -> None:
        async with proxied(world) as behind:
            if behind is None:
                return
            proxy, connector = behind
            await world.seed(world.place, PERMANENT, "a.txt", b"a")
            entry = await named(await world.open(), world.place, "a.txt")
            proxy.mode = Mode.GARBAGE
            for call in self._calls(world, connector, entry.id):
                with pytest.raises(SourceError) as told:
                    await call
                assert not isinstance(told.value, NotFound)

    async def test_a_slow_line(self, world: World) -> None:
        async with proxied(world) as behind:
            if behind is None:
                return
            proxy, connector = behind
            body = os.urandom(60_000)
            await world.seed(world.place, PERMANENT, "stuk.bin", body)
            proxy.mode = Mode.SLOW
            entry = await named(connector, world.place, "stuk.bin")
            assert await content(connector, world.place, entry.id) == body

    async def test_a_hung_back_office_can_be_left(self, world: World) -> None:
        async with proxied(world) as behind:
            if behind is None:
                return
            proxy, connector = behind
            await world.seed(world.place, PERMANENT, "a.txt", b"a")
            assert len(await everything(connector, world.place)) == 1
            proxy.mode = Mode.HANG
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await connector.list(world.place)
            proxy.mode = Mode.PASS
            await self._works_again(world, connector)

    async def test_a_document_that_stalls_can_be_left(self, world: World) -> None:
        async with proxied(world) as behind:
            if behind is None:
                return
            proxy, connector = behind
            await world.seed(world.place, PERMANENT, "groot.bin", os.urandom(8 * MIB))
            entry = await named(connector, world.place, "groot.bin")
            reader = await connector.read(world.place, entry.id)
            pieces = aiter(reader)
            if Capability.STREAMS in connector.capabilities:
                assert await anext(pieces)
            proxy.mode = Mode.HANG
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    async for _ in pieces:
                        pass
            await reader.aclose()
            proxy.mode = Mode.PASS
            await self._works_again(world, connector)

    async def test_what_streams_gives_what_came(self, world: World) -> None:
        async with proxied(world) as behind:
            if behind is None or Capability.STREAMS not in behind[1].capabilities:
                return
            proxy, connector = behind
            body, came = os.urandom(8 * MIB), 0
            await world.seed(world.place, PERMANENT, "groot.bin", body)
            entry = await named(connector, world.place, "groot.bin")
            proxy.mode, proxy.after = Mode.CUT, 4 * MIB
            reader = await connector.read(world.place, entry.id)
            with pytest.raises(SourceError):
                async for piece in reader:
                    assert piece == body[came : came + len(piece)]
                    came += len(piece)
            await reader.aclose()
            assert 0 < came < len(body)

    def _calls(
        self, world: World, connector: Connector[Any], id: str
    ) -> Iterator[Awaitable[object]]:
        """Every way to ask, one at a time."""
        yield connector.list(world.place)
        yield connector.stat(world.place, id)
        yield content(connector, world.place, id)

    async def _works_again(self, world: World, connector: Connector[Any]) -> None:
        """One failure is allowed: the connection that hung may be found dead only now."""
        try:
            found = await everything(connector, world.place)
        except SourceError as e:
            assert e.retryable
            found = await everything(connector, world.place)
        assert len(found) == 1

    async def test_a_cut_document_is_never_quietly_short(self, world: World) -> None:
        async with proxied(world) as behind:
            if behind is None:
                return
            proxy, connector = behind
            body = os.urandom(MIB)
            await world.seed(world.place, PERMANENT, "groot.bin", body)
            entry = await named(connector, world.place, "groot.bin")
            proxy.mode, proxy.after = Mode.CUT, 300_000
            with pytest.raises(SourceError):
                await content(connector, world.place, entry.id)
            proxy.mode = Mode.PASS
            try:
                got = await content(connector, world.place, entry.id)
            except SourceError as e:
                assert e.retryable
                got = await content(connector, world.place, entry.id)
            assert got == body

    # --- many at once, and leaving

    async def test_sixteen_at_once(self, world: World, connector: Connector[Any]) -> None:
        bodies = {f"{i}.bin": os.urandom(200_000 + i) for i in range(16)}
        for name, body in bodies.items():
            await world.seed(world.place, PERMANENT, name, body)
        entries = await everything(connector, world.place)
        got = await asyncio.gather(*(content(connector, world.place, e.id) for e in entries))
        assert dict(zip((e.name for e in entries), got, strict=True)) == bodies

    async def test_leaving_half_way_leaks_nothing(
        self, world: World, connector: Connector[Any]
    ) -> None:
        body = os.urandom(2 * MIB)
        await world.seed(world.place, PERMANENT, "groot.bin", body)
        entry = await named(connector, world.place, "groot.bin")

        async def leave() -> None:
            reader = await connector.read(world.place, entry.id)
            async for _ in reader:
                break
            await reader.aclose()
            await reader.aclose()

        await self._leaks_nothing(leave)
        assert await content(connector, world.place, entry.id) == body

    async def test_small_reads_and_refusals_leak_nothing(
        self, world: World, connector: Connector[Any]
    ) -> None:
        await world.seed(world.place, PERMANENT, "klein.txt", b"klein")
        entry = await named(connector, world.place, "klein.txt")
        refused: list[dict[str, Any]] = [{"offset": 10**6}]
        if Capability.VERSION in connector.capabilities:
            refused.append({"version": "van-voor-gisteren"})

        async def ask() -> None:
            assert await connector.stat(world.place, entry.id) == entry
            assert await content(connector, world.place, entry.id) == b"klein"
            for options in refused:
                with pytest.raises((RangeNotSatisfiable, ConditionFailed, Unsupported)):
                    await content(connector, world.place, entry.id, **options)

        await self._leaks_nothing(ask)

    async def _leaks_nothing(self, call: Callable[[], Awaitable[None]]) -> None:
        """Thirty times hold no more descriptors than once; what closes later may do so."""
        await call()
        before = descriptors()
        for _ in range(30):
            await call()
        for _ in range(200):
            if descriptors() <= before + 2:
                break
            await asyncio.sleep(0.01)
        assert descriptors() <= before + 2

    async def test_a_cancelled_read_harms_nobody(
        self, world: World, connector: Connector[Any]
    ) -> None:
        body = os.urandom(4 * MIB)
        await world.seed(world.place, PERMANENT, "groot.bin", body)
        entry = await named(connector, world.place, "groot.bin")
        for pause in (0, 0.001, 0.01):
            task = asyncio.create_task(content(connector, world.place, entry.id))
            await asyncio.sleep(pause)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert await content(connector, world.place, entry.id) == body

    async def test_closing_twice(self, world: World) -> None:
        connector = await world.open()
        await connector.aclose()
        await connector.aclose()

    # --- checks and what is told

    async def test_opening_needs_nobody(self, world: World) -> None:
        async with proxied(world) as behind:
            if behind is not None:
                behind[0].mode = Mode.REFUSE
                await world.open(**world.through(1))

    @pytest.mark.parametrize("scope", list(Scope))
    async def test_checks(self, world: World, connector: Connector[Any], scope: Scope) -> None:
        await world.seed(world.place, PERMANENT, "a.txt", b"a")
        before = await everything(connector, world.place)
        report = await connector.check(scope, world.place)
        assert report.ok, report
        assert {f.scope for f in report.findings} >= {scope}
        assert all(f.message for f in report.findings)
        assert await everything(connector, world.place) == before

    async def test_the_kind_describes_itself(self, connector: Connector[Any]) -> None:
        assert set(connector.title) >= {"nl", "en"}
        module = sys.modules[type(connector).__module__]
        assert Path(str(module.__file__)).stem == connector.kind or module.__doc__
        for name, option in connector.Config.model_fields.items():
            assert option.description, f"option {name} has no description"
        assert connector.Config.model_config["extra"] == "forbid"

    # --- writing

    async def test_put(self, world: World) -> None:
        connector = await world.open(**self._writing())
        if Capability.WRITE not in connector.capabilities:
            with pytest.raises(Unsupported):
                await connector.put(world.place, PERMANENT, "a.txt", _pieces(b"a"))
            assert not (Capability.IF_ABSENT | Capability.ATOMIC_WRITE) & connector.capabilities
            assert await everything(connector, world.place) == []
            return
        body = os.urandom(3 * MIB + 7)
        entry = await connector.put(
            world.place, PERMANENT, "Nieuw stuk é.bin", _pieces(body),
            size=len(body), sha256=hashlib.sha256(body).digest(),
        )  # fmt: skip
        assert entry.folder == (PERMANENT,)
        assert await content(connector, world.place, entry.id) == body
        assert (await connector.stat(world.place, entry.id)).name == "Nieuw stuk é.bin"

    async def test_put_overwrites_only_when_asked(self, world: World) -> None:
        connector = await world.open(**self._writing())
        if Capability.IF_ABSENT not in connector.capabilities:
            return
        entry = await connector.put(world.place, PERMANENT, "a.txt", _pieces(b"een"))
        with pytest.raises(AlreadyExists):
            await connector.put(world.place, PERMANENT, "a.txt", _pieces(b"twee"))
        assert await content(connector, world.place, entry.id) == b"een"
        await connector.put(world.place, PERMANENT, "a.txt", _pieces(b"drie"), if_absent=False)
        assert await content(connector, world.place, entry.id) == b"drie"

    async def test_of_many_writers_one_wins(self, world: World) -> None:
        connector = await world.open(**self._writing())
        if Capability.IF_ABSENT not in connector.capabilities:
            return
        bodies = [bytes([i]) * 100_000 for i in range(6)]
        told = await asyncio.gather(
            *(connector.put(world.place, PERMANENT, "a.bin", _pieces(b)) for b in bodies),
            return_exceptions=True,
        )
        won = [i for i, outcome in enumerate(told) if isinstance(outcome, Entry)]
        assert len(won) == 1, told
        assert sum(isinstance(outcome, AlreadyExists) for outcome in told) == len(bodies) - 1, told
        entry = await named(connector, world.place, "a.bin")
        assert await content(connector, world.place, entry.id) == bodies[won[0]]

    async def test_a_failed_put_leaves_nothing(self, world: World) -> None:
        connector = await world.open(**self._writing())
        if Capability.ATOMIC_WRITE not in connector.capabilities:
            return
        body = os.urandom(MIB)

        async def cut() -> AsyncIterator[bytes]:
            yield body[: MIB // 2]
            raise ConnectionResetError("the sender left")

        with pytest.raises(ConnectionResetError):
            await connector.put(world.place, PERMANENT, "a.bin", cut())
        for wrong in ({"size": MIB + 1}, {"sha256": bytes(32)}):
            with pytest.raises(IntegrityError):
                await connector.put(world.place, PERMANENT, "a.bin", _pieces(body), **wrong)
        assert await everything(connector, world.place) == []

    async def test_put_stays_inside(self, world: World) -> None:
        connector = await world.open(**self._writing())
        if Capability.WRITE not in connector.capabilities:
            return
        for folder, name in (
            ("Intern", "a.txt"), ("..", "a.txt"), (f"{PERMANENT}/../Intern", "a.txt"),
            (PERMANENT, "../a.txt"), (PERMANENT, ".."), (PERMANENT, "a/b.txt"), (PERMANENT, ""),
        ):  # fmt: skip
            with pytest.raises(SourceError):
                await connector.put(world.place, folder, name, _pieces(b"x"))
        assert await everything(connector, world.place) == []

    async def test_move(self, world: World) -> None:
        connector = await world.open(**self._writing())
        await world.seed(world.place, PERMANENT, "a.txt", b"een")
        entry = await named(connector, world.place, "a.txt")
        if Capability.MOVE not in connector.capabilities:
            with pytest.raises(Unsupported):
                await connector.move(world.place, entry.id, PERMANENT, "b.txt")
            assert await content(connector, world.place, entry.id) == b"een"
            return
        moved = await connector.move(
            world.place, entry.id, NESTED, "Anders é.txt", version=entry.version
        )
        assert (moved.folder, moved.name) == (tuple(NESTED.split("/")), "Anders é.txt")
        assert await content(connector, world.place, moved.id) == b"een"
        again = await connector.move(world.place, moved.id, NESTED, "b.txt")
        assert [e.id for e in await everything(connector, world.place)] == [again.id]
        for gone in (entry.id, moved.id, f"{PERMANENT}/nooit.txt"):
            with pytest.raises(NotFound):
                await connector.move(world.place, gone, PERMANENT, "c.txt")

    async def test_move_never_overwrites(self, world: World) -> None:
        connector = await world.open(**self._writing())
        if Capability.MOVE not in connector.capabilities:
            return
        for name in ("a.txt", "b.txt", "c.txt"):
            await world.seed(world.place, PERMANENT, name, name.encode())
        await world.seed(world.place, NESTED, "d.txt", b"d")
        ids = {e.name: e.id for e in await everything(connector, world.place)}
        for folder, name in ((PERMANENT, "b.txt"), (NESTED, "d.txt")):
            with pytest.raises(AlreadyExists):
                await connector.move(world.place, ids["a.txt"], folder, name)
        for name, id in ids.items():
            assert (
                await content(connector, world.place, id) == (name.encode(), b"d")[name[0] == "d"]
            )
        told = await asyncio.gather(
            *(connector.move(world.place, ids[n], NESTED, "een.txt") for n in ("a.txt", "b.txt")),
            return_exceptions=True,
        )
        assert sorted(isinstance(t, AlreadyExists) for t in told) == [False, True], told
        assert len(await everything(connector, world.place)) == len(ids)

    async def test_move_stays_inside(self, world: World) -> None:
        connector = await world.open(**self._writing())
        if Capability.MOVE not in connector.capabilities:
            return
        await world.seed(world.place, PERMANENT, "a.txt", b"a")
        await world.seed(world.place, "Intern", "geheim.txt", b"x")
        await world.seed(world.other, PERMANENT, "ander.txt", b"x")
        entry = await named(connector, world.place, "a.txt")
        for folder, name in (
            ("Intern", "a.txt"), ("..", "a.txt"), (f"{PERMANENT}/../Intern", "a.txt"),
            (NESTED, "../a.txt"), (NESTED, ".."), (NESTED, "a/b.txt"), (NESTED, ""),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                await connector.move(world.place, entry.id, folder, name)
        for id in ("Intern/geheim.txt", f"{PERMANENT}/../Intern/geheim.txt", ""):
            with pytest.raises(NotFound):
                await connector.move(world.place, id, NESTED, "b.txt")
        with pytest.raises(NotFound):
            await connector.move(world.place, f"../{world.other.root}/x", NESTED, "b.txt")
        assert [e.name for e in await everything(connector, world.place)] == ["a.txt"]

    async def test_move_of_another_version(self, world: World) -> None:
        connector = await world.open(**self._writing())
        if Capability.MOVE not in connector.capabilities:
            return
        await world.seed(world.place, PERMANENT, "a.txt", b"een")
        entry = await named(connector, world.place, "a.txt")
        await world.seed(world.place, PERMANENT, "a.txt", b"anders")
        with pytest.raises(ConditionFailed):
            await connector.move(
                world.place, entry.id, NESTED, "a.txt", version=entry.version or "x"
            )
        assert await content(connector, world.place, entry.id) == b"anders"

    def _writing(self) -> dict[str, Any]:
        """Options that allow writing, for a kind that can."""
        return {}


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), CHUNK):
        yield body[start : start + CHUNK]
