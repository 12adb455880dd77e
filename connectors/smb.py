"""Documents on a Windows or Samba share (SMB 2 and 3), signed and where wished encrypted.

A document's id is its path below the place's root. Paths that a server could take for another
path (``..``, a backslash, a colon: an alternate stream, a wildcard, an end in a dot or blank) are
neither listed nor read. Links (reparse points that stand for another place) are not followed,
nor DFS referrals. Samba follows the symbolic links on its own disk without telling anyone: there
``follow symlinks = no`` in the share's configuration is what keeps klanten apart.
A session belongs to one source; two firms never share one.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Any, Self, TypeVar

from pydantic import Field

from gateway.connector.body import Announced, blocks
from gateway.connector.context import Context, Threads
from gateway.connector.contract import (
    CHUNK,
    Capability,
    Connector,
    ConnectorConfig,
    Entry,
    Page,
    Place,
    length_of,
)
from gateway.connector.secret import Secret
from gateway.connector.smb import put as smbput
from gateway.connector.smb.file import Blocks, Opened, folder, look, open_document
from gateway.connector.smb.share import Address, Link, Share
from gateway.connector.smb.tree import NAME, entry_of, is_plain, is_safe, walk, ways
from gateway.connector.walk import outermost
from gateway.errors import (
    ConditionFailed,
    ConfigInvalid,
    NotFound,
    RangeNotSatisfiable,
)

_THREADS = 12  # the guard's places for reads and listings
_PATIENCE = 20.0  # seconds without a sign of life
_FAST = 0.25  # seconds in which a block is taken by who can take more


T = TypeVar("T")


class SmbConfig(ConnectorConfig):
    """The options of a source of kind smb."""

    host: str = Field(pattern=r"^[A-Za-z0-9._:-]+$", description="Name or address of the server")
    port: int = Field(445, ge=1, le=65535, description="TCP port")
    share: str = Field(pattern=NAME, description="Name of the share, without backslashes")
    path: str = Field("", description='Folder of the share that the places are below ("a/b")')
    username: str = Field(pattern=NAME, description="Who signs in, without the domain")
    domain: str = Field("", description="Windows domain or workgroup of the user")
    password: Secret = Field(description="Password, as env:NAME or file:/path")
    encrypt: bool = Field(False, description="Encrypt all traffic (SMB 3); refuse who cannot")
    writable: bool = Field(False, description="Documents may be written")


class Smb(Connector[SmbConfig]):
    """One share, or a folder of it."""

    kind = "smb"
    title = {"nl": "Bestandsserver (SMB)", "en": "File server (SMB)"}
    Config = SmbConfig

    def __init__(self, config: SmbConfig, share: Share, threads: Threads) -> None:
        self._config, self._share, self._threads = config, share, threads
        self._base = tuple(part for part in config.path.split("/") if part)
        self._tasks: set[asyncio.Future[Any]] = set()

    @classmethod
    async def open(cls, config: SmbConfig, context: Context) -> Self:
        """See Connector.open."""
        context.egress.check_host(config.host, config.port, option="host")
        if not all(is_plain(part) for part in config.path.split("/") if part):
            raise ConfigInvalid("a path below the share is expected", field="path")
        user = f"{config.domain}\\{config.username}" if config.domain else config.username
        share = Share(
            Address(
                config.host,
                config.port,
                config.share,
                user,
                context.secret(config.password),
                config.encrypt,
            ),
            lambda: context.egress.resolve(config.host, config.port),
            connecting=context.connect_timeout,
            patience=_PATIENCE,
        )
        return cls(config, share, context.threads(_THREADS))

    @property
    def capabilities(self) -> Capability:
        """See Connector.capabilities."""
        can = Capability.RANGE | Capability.SIZE_KNOWN | Capability.VERSION
        can |= Capability.MODIFIED | Capability.STREAMS
        if self._config.writable:
            can |= Capability.WRITE | Capability.IF_ABSENT | Capability.ATOMIC_WRITE
            can |= Capability.MOVE
        return can

    def target(self) -> str:
        """See Connector.target."""
        return rf"\\{self._config.host}\{self._config.share}"

    async def reach(self) -> str:
        """See Connector.reach."""
        await self._run(self._look)
        return "it answers and takes our credentials"

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list. Page.next is the id of the last document given."""
        after = tuple(page.split("/")) if page else ()
        entries = await self._run(lambda link, stop: self._some(link, place, after, limit, stop))
        more = len(entries) > limit
        return Page(entries[:limit], entries[limit - 1].id if more else None)

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat."""
        path, parents = self._path(place, id)
        found = await self._run(lambda link, stop: look(link, path, parents, stop))
        return entry_of(id, found)

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> "SmbReader":
        """See Connector.read."""
        path, parents = self._path(place, id)
        if offset < 0:
            raise RangeNotSatisfiable
        most = Blocks.FIRST if length is None else length
        opened = await self._run(
            lambda link, stop: open_document(link, path, parents, offset, most, stop)
        )
        try:
            entry = entry_of(id, opened.found)
            if version is not None and version != entry.version:
                raise ConditionFailed
            length = length_of(opened.found.size, offset, length)
        except BaseException:
            self.drop(opened)
            raise
        return SmbReader(self, entry, opened, offset, length)

    async def put(
        self,
        place: Place,
        folder: str,
        name: str,
        body: AsyncIterable[bytes],
        *,
        size: int | None = None,
        media_type: str | None = None,
        sha256: bytes | None = None,
        if_absent: bool = True,
    ) -> Entry:
        """See Connector.put."""
        id = self.new_id(folder, name)
        path, _ = self._path(place, id)
        parts, root = path.split("\\")[:-1], len(self._root(place))
        opened = await self._run(lambda link, stop: smbput.begin(link, parts, root, stop))
        try:
            at = 0
            async for block in blocks(Announced(body, size, sha256), smbput.BLOCK):
                await self._block(opened, at, block)
                at += len(block)
            await self._run(lambda _, stop: smbput.finish(opened, path, not if_absent, stop))
        except BaseException:
            self.drop(opened)
            raise
        return await self.stat(place, id)

    async def move(
        self, place: Place, id: str, folder: str, name: str, *, version: str | None = None
    ) -> Entry:
        """See Connector.move: one rename, at the server."""
        new = self.new_id(folder, name)
        (old, parents), (path, _) = self._path(place, id), self._path(place, new)
        parts, root = path.split("\\")[:-1], len(self._root(place))

        def rename(link: Link, stop: threading.Event) -> None:
            found = look(link, old, parents, stop)
            if version is not None and entry_of(id, found).version != version:
                raise ConditionFailed
            smbput.make(link, parts, root, stop)
            smbput.rename(link, old, path, stop)

        await self._run(rename)
        return await self.stat(place, new)

    async def aclose(self) -> None:
        """See Connector.aclose."""
        with contextlib.suppress(RuntimeError):  # the pool is gone already
            await self._threads.run(self._share.close)

    # --- for its readers

    def drop(self, opened: Opened) -> None:
        """Close a document at the server, some time soon."""
        self._later(opened.close)

    def finish(self, blocks: Blocks) -> None:
        """The same for a document that is being read."""
        self._later(blocks.close)

    async def call(self, work: Callable[[threading.Event], T]) -> T:
        """`work(stop)` in a thread; `stop` is set when nobody waits for it any more."""
        stop = threading.Event()
        task = asyncio.ensure_future(self._threads.run(work, stop))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.set()
            task.add_done_callback(self._unwanted)
            raise

    # --- how

    async def _run(self, work: Callable[[Link, threading.Event], T]) -> T:
        """`work` with the link that works."""
        asked = time.monotonic()  # before it waits for a thread
        return await self.call(lambda stop: work(self._share.link(asked), stop))

    def _unwanted(self, task: asyncio.Future[Any]) -> None:
        if not task.cancelled() and task.exception() is None and isinstance(task.result(), Opened):
            self.drop(task.result())

    def _later(self, work: Callable[[], None]) -> None:
        task = asyncio.ensure_future(self._threads.run(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a broken link has closed everything by itself

    def _root(self, place: Place) -> Sequence[str]:
        return (*self._base, *(part for part in place.root.split("/") if part))

    def _path(self, place: Place, id: str) -> tuple[str, Sequence[str]]:
        """The path, and its parents below the root. NotFound outside the published part."""
        root, parts = self._root(place), tuple(id.split("/"))
        if not is_safe(root, parts) or not place.holds(parts[:-1]):
            raise NotFound
        return "\\".join((*root, *parts)), ways(root, parts)

    def _some(
        self, link: Link, place: Place, after: tuple[str, ...], limit: int, stop: threading.Event
    ) -> Sequence[Entry]:
        """Up to one document more than `limit`."""
        root, found = self._root(place), list[Entry]()
        for published in outermost(place.folders):
            if is_safe(root, published) and published >= after[: len(published)]:
                for entry in walk(link, root, published, after, stop):
                    found.append(entry)
                    if len(found) > limit:
                        return found
        return found

    async def _block(self, opened: Opened, at: int, block: bytes) -> None:
        await self.call(lambda stop: smbput.write(opened, at, block, stop))

    def _look(self, link: Link, stop: threading.Event) -> None:
        """Raises ConfigInvalid when the configured folder cannot be opened."""
        try:
            next(folder(link, "\\".join(self._base), stop), None)
        except NotFound as e:
            raise ConfigInvalid(str(e), native=e.native, field="path") from None


class SmbReader:
    """One document being read; see Reader."""

    def __init__(self, source: Smb, entry: Entry, opened: Opened, offset: int, length: int):
        self._source = source
        self._blocks = Blocks(opened, offset, length)
        self._next: asyncio.Future[memoryview] | None = None
        self._closed = False
        self.entry, self.offset, self.length = entry, offset, length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader. While a quick reader takes a block, a thread waits for the next."""
        clock = asyncio.get_running_loop().time
        fast = False
        try:
            while not self._closed and (self._next or not self._blocks.done):
                block = await (self._next or self._fetch())
                self._next = self._fetch() if fast and not self._blocks.done else None
                given = clock()
                for start in range(0, len(block), CHUNK):
                    yield bytes(block[start : start + CHUNK])
                fast = clock() - given < _FAST
                self._blocks.pace(fast)
        finally:
            self._leave()

    def _fetch(self) -> asyncio.Future[memoryview]:
        return asyncio.ensure_future(self._source.call(self._blocks.next))

    def _leave(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None

    async def aclose(self) -> None:
        """See Reader."""
        if not self._closed:
            self._closed = True
            self._leave()
            self._source.finish(self._blocks)
