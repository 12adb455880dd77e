"""A folder of this machine, or a share that is mounted on it.

A document's id is its path below the klant's place. Paths are walked one part at a time from an
open folder, never following a link (openat(2), O_NOFOLLOW), so neither an id nor a link that
somebody left in the folder leads outside. Only ordinary files are documents.
"""

import asyncio
import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import Field

from gateway.connector.context import Context, Threads
from gateway.connector.contract import (
    CHUNK,
    Capability,
    Connector,
    ConnectorConfig,
    Entry,
    Finding,
    Page,
    Place,
    Report,
    Scope,
)
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigInvalid,
    IntegrityError,
    NotFound,
    PermissionDenied,
    RangeNotSatisfiable,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)

T = TypeVar("T")

#: Bytes read in one visit to a thread.
BLOCK = 1024 * 1024
#: Documents being written have such names, and are not there yet for anyone.
_PARTIAL = ".map-part-"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MISSING = (FileNotFoundError, NotADirectoryError)


class LocalConfig(ConnectorConfig):
    """Options of a `local` source."""

    path: str = Field(
        description="the folder; a relative path starts from the folder of the configuration"
    )
    writable: bool = Field(default=False, description="whether documents may be put into it")
    threads: int = Field(
        default=8, ge=1, le=64, description="files handled at once; a hung mount holds these only"
    )


def _error(error: OSError) -> SourceError:
    """What an operating system's error means."""
    native = os.strerror(error.errno) if error.errno else type(error).__name__
    if isinstance(error, _MISSING) or error.errno in (36, 40):  # ENAMETOOLONG, ELOOP (a link)
        return NotFound(native=native)
    if isinstance(error, PermissionError):
        return PermissionDenied(native=native)
    if isinstance(error, FileExistsError):
        return AlreadyExists(native=native)
    if error.errno in (27, 28):  # EFBIG, ENOSPC
        return TooLarge(native=native)
    return Unavailable(native=native)


def _parts(path: str) -> tuple[str, ...]:
    """The parts of a relative path. Raises NotFound for anything that is not plainly one."""
    parts = tuple(path.split("/"))
    if any(p in ("", ".", "..") or "\0" in p or "\\" in p for p in parts):
        raise NotFound
    if len(path.encode("utf-8", "surrogatepass")) > 1024 or parts[-1].startswith(_PARTIAL):
        raise NotFound
    return parts


def _version(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"


def _entry(parts: tuple[str, ...], found: os.stat_result) -> Entry:
    return Entry(
        id="/".join(parts),
        name=parts[-1],
        folder=parts[:-1],
        size=found.st_size,
        modified=datetime.fromtimestamp(found.st_mtime, UTC),
        version=_version(found),
    )


class _Reader:
    """An open file, read a block at a time."""

    def __init__(
        self, threads: Threads, file: int, entry: Entry, offset: int, length: int
    ) -> None:
        self.entry, self.offset, self.length = entry, offset, length
        self._threads, self._file = threads, file
        self._busy: asyncio.Future[bytes] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at, end = self.offset, self.offset + self.length
        while at < end:
            block = await self._read(min(BLOCK, end - at), at)
            if not block:
                raise IntegrityError("the file became shorter while it was being read")
            for start in range(0, len(block), CHUNK):
                yield block[start : start + CHUNK]
            at += len(block)

    async def _read(self, count: int, at: int) -> bytes:
        self._busy = asyncio.ensure_future(self._threads.run(os.pread, self._file, count, at))
        try:
            return await asyncio.shield(self._busy)
        except OSError as e:
            raise _error(e) from e

    async def aclose(self) -> None:
        """Close the file, once no thread reads it any more: its number is soon another's."""
        file, self._file = self._file, -1
        if file < 0:
            return
        if self._busy is not None and not self._busy.done():
            self._busy.add_done_callback(lambda done: _close_after(done, file))
        else:
            os.close(file)


def _close_after(done: "asyncio.Future[bytes]", file: int) -> None:
    if not done.cancelled():
        done.exception()  # nobody waits for it any more
    os.close(file)


class LocalConnector(Connector[LocalConfig]):
    """See the module."""

    kind = "local"
    title = {"nl": "Map of gekoppelde schijf", "en": "Folder or mounted share"}
    Config = LocalConfig

    def __init__(self, config: LocalConfig, context: Context) -> None:
        self._path = context.base / Path(config.path)
        self._writable = config.writable
        self._threads = context.threads(config.threads)
        self._log = context.log

    @classmethod
    async def open(cls, config: LocalConfig, context: Context) -> Self:
        if "\0" in config.path or not config.path:
            raise ConfigInvalid("a path is expected", field="path")
        return cls(config, context)

    @property
    def capabilities(self) -> Capability:
        told = Capability.RANGE | Capability.SIZE_KNOWN | Capability.VERSION
        told |= Capability.MODIFIED | Capability.STREAMS
        if self._writable:
            told |= Capability.WRITE | Capability.IF_ABSENT | Capability.ATOMIC_WRITE
        return told

    async def check(self, scope: Scope, place: Place | None = None) -> Report:
        return Report(tuple([f async for f in self._findings(scope, place)]))

    async def _findings(self, scope: Scope, place: Place | None) -> AsyncIterator[Finding]:
        yield Finding(True, Scope.PARAMETERS, "the options can work")
        if scope is Scope.PARAMETERS:
            return
        if not await self._threads.run(os.access, self._path, os.R_OK | os.X_OK):
            text = "the folder is not there or may not be read"
            yield Finding(False, Scope.CONNECTIVITY, text, "path", Unavailable.code)
            return
        yield Finding(True, Scope.CONNECTIVITY, "the folder can be read")
        if place is None or scope is Scope.CONNECTIVITY:
            return
        try:
            page = await self.list(place, limit=1)
            yield Finding(True, Scope.LIST, f"{len(page.entries)} or more documents")
            if scope is Scope.READ and page.entries:
                reader = await self.read(place, page.entries[0].id)
                await reader.aclose()
                yield Finding(True, Scope.READ, "the first document can be opened")
        except SourceError as e:
            yield Finding(False, scope, str(e), code=e.code)

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        return await self._do(self._list, place, page, limit)

    def _list(self, place: Place, after: str | None, limit: int) -> Page:
        """Walk the published folders in order; the last id of a page is the next one's start."""
        entries: list[Entry] = []
        if not self._path.is_dir():
            raise Unavailable("the folder is not there")
        for folder in sorted(set(place.folders), key=lambda f: f"{f}/".encode()):
            if any(folder != f and Place("", "", (f,)).holds((folder,)) for f in place.folders):
                continue  # it lies in another published folder, which is walked as a whole
            for entry in self._walk(place, tuple(folder.split("/")) if folder else ()):
                if after is not None and entry.id.encode() <= after.encode():
                    continue
                if len(entries) == limit:
                    return Page(entries, entries[-1].id)
                entries.append(entry)
        return Page(entries)

    def _walk(self, place: Place, folder: tuple[str, ...]) -> Iterator[Entry]:
        """Files below a folder; order is that of their ids in UTF-8."""
        try:
            opened = self._open_folder(place, folder)
        except (*_MISSING, NotFound):
            return
        try:
            with os.scandir(opened) as found:
                names = sorted(
                    found, key=lambda e: _order(e.name, e.is_dir(follow_symlinks=False))
                )
                for one in names:
                    if not _readable(one.name):
                        self._log.info("name_left_out", klant=place.klant)
                    elif one.is_dir(follow_symlinks=False):
                        yield from self._walk(place, (*folder, one.name))
                    elif one.is_file(follow_symlinks=False):
                        with contextlib.suppress(FileNotFoundError):
                            yield _entry((*folder, one.name), one.stat(follow_symlinks=False))
        finally:
            os.close(opened)

    def _open_folder(self, place: Place, folder: tuple[str, ...]) -> int:
        """A descriptor of a folder below the klant's place, without following a link."""
        opened = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in (*_parts(place.root), *folder):
                inner = os.open(part, _FOLDER, dir_fd=opened)
                os.close(opened)
                opened = inner
        except BaseException:
            os.close(opened)
            raise
        return opened

    def _open(self, place: Place, id: str) -> tuple[int, Entry]:
        parts = _parts(id)
        if not place.holds(parts[:-1]):
            raise NotFound
        folder = self._open_folder(place, parts[:-1])
        try:
            file = os.open(parts[-1], _FILE, dir_fd=folder)
        finally:
            os.close(folder)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            os.close(file)
            raise NotFound
        return file, _entry(parts, found)

    async def _opened(self, place: Place, id: str) -> tuple[int, Entry]:
        try:
            return await self._do(self._open, place, id)
        except ValueError as e:  # text that no path can be
            raise NotFound from e

    async def stat(self, place: Place, id: str) -> Entry:
        file, entry = await self._opened(place, id)
        os.close(file)
        return entry

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> _Reader:
        file, entry = await self._opened(place, id)
        size = entry.size or 0
        try:
            if version is not None and version != entry.version:
                raise ConditionFailed
            if offset and offset >= size:
                raise RangeNotSatisfiable
        except SourceError:
            os.close(file)
            raise
        rest = size - offset
        return _Reader(
            self._threads, file, entry, offset, rest if length is None else min(rest, length)
        )

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
        if not self._writable:
            raise Unsupported("the source is read-only")
        parts = (*_parts(folder), *_parts(name)) if folder else _parts(name)
        if not place.holds(parts[:-1]) or "/" in name:
            raise NotFound
        target = await self._do(self._make_folder, place, parts[:-1])
        try:
            return await self._write(target, parts, body, size, sha256, if_absent)
        finally:
            os.close(target)

    def _make_folder(self, place: Place, folder: tuple[str, ...]) -> int:
        """The folder's descriptor; what is missing of it is made."""
        opened = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in (*_parts(place.root), *folder):
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o750, dir_fd=opened)
                inner = os.open(part, _FOLDER, dir_fd=opened)
            finally:
                os.close(opened)
            opened = inner
        return opened

    async def _write(
        self,
        folder: int,
        parts: tuple[str, ...],
        body: AsyncIterable[bytes],
        size: int | None,
        sha256: bytes | None,
        if_absent: bool,
    ) -> Entry:
        """Write under a name that nobody sees, then give it the real one in one step."""
        partial = _PARTIAL + secrets.token_hex(8)
        file = await self._do(_create, partial, folder)
        try:
            digest, count = hashlib.sha256(), 0
            async for piece in body:
                digest.update(piece)
                count += len(piece)
                await self._do(_write_all, file, piece)
            if size not in (None, count) or sha256 not in (None, digest.digest()):
                raise IntegrityError("what came is not what was announced")
            await self._do(os.fsync, file)
            return await self._do(_settle, folder, partial, parts, if_absent)
        finally:
            os.close(file)
            with contextlib.suppress(OSError):
                os.unlink(partial, dir_fd=folder)

    async def _do(self, call: Callable[..., T], *args: Any) -> T:
        """In a thread, with the operating system's errors as ours."""
        try:
            return await self._threads.run(call, *args)
        except OSError as e:
            raise _error(e) from e

    async def aclose(self) -> None:
        """Nothing is held between calls."""


def _order(name: str, is_folder: bool) -> bytes:
    """Sorts names as their whole paths sort: what is in "a" comes where "a/" would."""
    return os.fsencode(name) + (b"/" if is_folder else b"")


def _readable(name: str) -> bool:
    """Whether a name can be shown and read back."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return "\\" not in name and not name.startswith(_PARTIAL)


def _create(name: str, folder: int) -> int:
    """A new file in an open folder."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, 0o640, dir_fd=folder)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _settle(folder: int, partial: str, parts: tuple[str, ...], if_absent: bool) -> Entry:
    """The real name; with if_absent by a link, which fails when somebody was first."""
    if if_absent:
        os.link(partial, parts[-1], src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    else:
        os.replace(partial, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)
    return _entry(parts, os.stat(parts[-1], dir_fd=folder, follow_symlinks=False))
