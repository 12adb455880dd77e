"""Files and folders of an SFTP server: looked at, listed, opened and read.

A server follows links by itself, so every part of a path is looked at with LSTAT, before a
document is opened or a folder listed and again after it. Times are whole seconds in this
version of the protocol. Source: draft-ietf-secsh-filexfer-02, 5 and 6; [OpenSSH] PROTOCOL, 4.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncssh

from gateway.connector.sftp.line import Line
from gateway.connector.walk import MOST, Row
from gateway.errors import IntegrityError, NotFound, ProtocolError, TooLarge, Unavailable

FOLDER, FILE = asyncssh.FILEXFER_TYPE_DIRECTORY, asyncssh.FILEXFER_TYPE_REGULAR
#: Bytes that are asked for at a time; OpenSSH gives at most 255 KiB.
BLOCK = 128 * 1024


@dataclass(frozen=True, slots=True)
class Path:
    """A document or folder. base: the source's own folder, which may be a link. parts: the names
    below that, of which none may be one."""

    base: str
    parts: Sequence[str]

    @property
    def folder(self) -> "Path":
        """What it lies in."""
        return Path(self.base, self.parts[:-1])

    @property
    def way(self) -> Sequence[bytes]:
        """The paths of all parts, the last one's too."""
        before = self.base if self.base in ("", "/") else f"{self.base}/"
        return [
            (before + "/".join(self.parts[:n])).encode() for n in range(1, len(self.parts) + 1)
        ]

    def __bytes__(self) -> bytes:
        return self.way[-1] if self.parts else self.base.encode() or b"."


@dataclass(frozen=True, slots=True)
class Opened:
    """An open document. first: its first bytes from where the reading starts."""

    line: Line
    file: asyncssh.SFTPClientFile
    row: Row
    first: bytes = b""

    async def read(self, at: int, count: int) -> bytes:
        """As many bytes. Raises IntegrityError at an early end."""
        data = await self._read(at, count)
        while len(data) < count:
            more = await self._read(at + len(data), count - len(data))
            if not more:
                raise IntegrityError(f"{len(data)} bytes came of {count}")
            data += more
        return data

    async def verify(self) -> None:
        """Raises IntegrityError when it is not the document any more that was opened."""
        now = await self.line.ask(self.file.stat())
        if (now.size, _moment(now)) != (self.row.size, self.row.modified):
            raise IntegrityError("the document changed while it was being read")

    async def _read(self, at: int, count: int) -> bytes:
        data: bytes = await self.line.ask(self.file.read(count, at))
        if len(data) > count:
            raise ProtocolError(f"{len(data)} bytes came of {count}")
        return data


async def enter(line: Line, base: str) -> None:
    """Raises Unavailable when the source's own folder is not there."""
    try:
        found = await line.client.stat(bytes(Path(base, ())))
    except asyncssh.SFTPNoSuchFile:
        raise Unavailable("the folder is not there", field="path") from None
    if found.type != FOLDER:
        raise Unavailable("it is no folder", field="path")


async def look(line: Line, to: Path) -> Row:
    """What is told of a document that no link leads to. Raises NotFound."""
    try:
        found, _ = await asyncio.gather(
            line.client.lstat(bytes(to)), _refuse_links(line, to.folder)
        )
        return _document(to, found)
    except (asyncssh.SFTPNoSuchFile, NotFound):
        await enter(line, to.base)
        raise NotFound from None


async def _refuse_links(line: Line, to: Path) -> None:
    """Raises NotFound when a part is no folder, and also when it is a link to one."""
    found = await asyncio.gather(*(line.client.lstat(path) for path in to.way))
    if any(attributes.type != FOLDER for attributes in found):
        raise NotFound


async def open_document(line: Line, to: Path, offset: int, most: int) -> Opened:
    """Open it, and read up to `most` bytes from `offset` on. Raises NotFound.

    Looked at before: opening a pipe would hang the server, and with it every other call.
    """
    await look(line, to)
    file = await line.client.open(bytes(to), "rb", block_size=None)
    try:
        first: bytes
        attributes, first, _ = await asyncio.gather(
            file.stat(), file.read(min(most, BLOCK), offset), _refuse_links(line, to.folder)
        )
        if len(first) > min(most, BLOCK):
            raise ProtocolError(f"{len(first)} bytes came of {min(most, BLOCK)}")
        return Opened(line, file, _document(to, attributes), first)
    except BaseException:
        await file.close()
        raise


async def folder(line: Line, to: Path, stop: asyncio.Event) -> Sequence[Row]:
    """What is in a folder, without links and names that are no Unicode.

    Raises NotFound when there is none, or a link. `stop`: nobody waits any more.
    """
    await _refuse_links(line, to)
    found = list[Row]()
    async with aclosing(names(line, bytes(to))) as some:
        async for name, attributes in some:
            if stop.is_set():
                return ()
            if (row := _row(name, attributes)) is not None:
                found.append(row)
    await _refuse_links(line, to)
    return found


async def names(line: Line, path: bytes) -> AsyncGenerator[tuple[bytes, asyncssh.SFTPAttrs], None]:
    """All that a folder holds, in the server's order. Raises TooLarge when it does not end."""
    found, count = line.client.scandir(path), 0
    try:
        async for name in found:
            count += 1
            if count > MOST:
                raise TooLarge(f"a folder of more than {MOST} names")
            if count % 100 == 0:
                line.heard()
            if isinstance(name.filename, bytes):
                yield name.filename, name.attrs
    finally:
        await found.aclose()  # type: ignore[attr-defined]  # it is a generator


def _document(to: Path, attributes: asyncssh.SFTPAttrs) -> Row:
    if attributes.type != FILE:
        raise NotFound
    return Row(to.parts[-1], False, _size(attributes), _moment(attributes))


def _row(name: bytes, attributes: asyncssh.SFTPAttrs) -> Row | None:
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return None
    if attributes.type == asyncssh.FILEXFER_TYPE_UNKNOWN:
        raise ProtocolError("a listing that does not tell documents from folders")
    if attributes.type == FOLDER:
        return Row(text, True)
    if attributes.type != FILE:
        return None
    return Row(text, False, _size(attributes), _moment(attributes))


def _size(attributes: asyncssh.SFTPAttrs) -> int:
    if attributes.size is None:
        raise ProtocolError("a document without a size")
    return attributes.size


def _moment(attributes: asyncssh.SFTPAttrs) -> datetime | None:
    if attributes.mtime is None:
        return None
    return datetime.fromtimestamp(attributes.mtime, UTC)
