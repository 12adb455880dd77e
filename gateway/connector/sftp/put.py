"""Writing to an SFTP server: under a name of ours, which becomes the document's own at the end.

Nothing is overwritten that should not be: a second name for the finished file (link) fails when
there is one already, and so does the protocol's own rename. Where a document is to be replaced,
OpenSSH's rename does it in one step. A document of another account is moved by the protocol's
rename alone: who may not link it may rename it, and whoever dies leaves it under one name.
Source: draft-ietf-secsh-filexfer-02, 6.5; [OpenSSH] PROTOCOL, 4.3 (posix-rename), 4.5 (hardlink),
4.6 (fsync), and sftp-server.c, process_rename: a link and an unlink, and where a file system has
no links a look and a rename.
"""

import asyncio
import contextlib
import re
import secrets
import time
from dataclasses import dataclass

import asyncssh

from gateway.connector.body import Announced, blocks
from gateway.connector.sftp.file import FOLDER, Path, enter, look, names
from gateway.connector.sftp.line import Line
from gateway.connector.walk import ABANDONED, PARTIAL
from gateway.errors import AlreadyExists, NotFound, Unsupported

_OURS = re.compile(PARTIAL.encode() + b"[0-9a-f]{32}")
#: Bytes that are on their way to the server at a time.
BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Draft:
    """A document that is being written. path: its name until it is finished."""

    line: Line
    file: asyncssh.SFTPClientFile
    path: bytes

    async def take(self, sent: Announced) -> None:
        """Write the whole body. Raises IntegrityError, and what the body raises."""
        at = 0
        async for block in blocks(sent, BLOCK):
            await self.line.ask(self._write(at, block))
            at += len(block)

    async def _write(self, at: int, block: bytes) -> None:
        step = min(self.line.client.limits.max_write_len, 128 * 1024)
        await asyncio.gather(
            *(self.file.write(block[i : i + step], at + i) for i in range(0, len(block), step))
        )

    async def finish(self, to: Path, replace: bool) -> None:
        """Give it its name, when every byte is on the disk. Raises AlreadyExists, and Unsupported
        when there is one to replace and the server cannot."""
        with contextlib.suppress(asyncssh.SFTPOpUnsupported):
            await self.file.fsync()
        await self.file.close()
        client, path = self.line.client, bytes(to)
        if not replace:
            return await _name(client, self.path, path)
        try:
            await client.posix_rename(self.path, path)
        except asyncssh.SFTPOpUnsupported:
            try:
                await _name(client, self.path, path)
            except AlreadyExists:
                raise Unsupported("this server cannot replace a document") from None

    async def discard(self) -> None:
        """Close it and take it away."""
        with contextlib.suppress(asyncssh.Error):
            await self.file.close()
        await remove(self.line, self.path)


async def remove(line: Line, path: bytes) -> None:
    """Take away what was being written."""
    with contextlib.suppress(asyncssh.SFTPNoSuchFile):
        await line.client.remove(path)


async def begin(line: Line, to: Path) -> Draft:
    """A new, empty file in a folder, which is made when it is not there. Raises NotFound."""
    await _make(line, to)
    await _sweep(line, to)
    path = bytes(to) + f"/{PARTIAL}{secrets.token_hex(16)}".encode()
    return Draft(line, await line.client.open(path, "xb", block_size=None), path)


async def move(line: Line, old: Path, to: Path) -> None:
    """Give a document another path, whose folder is made when it is not there. Raises NotFound,
    AlreadyExists."""
    await look(line, old)
    await _make(line, to.folder)
    if await _there(line.client, bytes(to)):  # some servers do overwrite
        raise AlreadyExists
    await _rename(line.client, bytes(old), bytes(to))


async def _make(line: Line, to: Path) -> None:
    await enter(line, to.base)
    for path in to.way:
        await _enter(line.client, path)


async def _enter(client: asyncssh.SFTPClient, path: bytes) -> None:
    """Make a folder unless there is one. Raises NotFound for a link, and for a document."""
    if not await _there(client, path):
        with contextlib.suppress(asyncssh.SFTPFailure):  # another made it at the same moment
            await client.mkdir(path)
    if (await client.lstat(path)).type != FOLDER:
        raise NotFound


async def _name(client: asyncssh.SFTPClient, draft: bytes, path: bytes) -> None:
    try:
        await client.link(draft, path)
    except asyncssh.SFTPOpUnsupported:
        pass
    except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        if await _there(client, path):
            raise AlreadyExists from None
        # A file system where no file has two names.
    else:
        await client.remove(draft)
        return
    await _rename(client, draft, path)


async def _rename(client: asyncssh.SFTPClient, old: bytes, path: bytes) -> None:
    try:
        await client.rename(old, path)
    except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists):
        if await _there(client, path):
            raise AlreadyExists from None
        raise


async def _there(client: asyncssh.SFTPClient, path: bytes) -> bool:
    try:
        await client.lstat(path)
    except asyncssh.SFTPNoSuchFile:
        return False
    return True


async def _sweep(line: Line, to: Path) -> None:
    """Take away what writers left that died; who may write may not always look."""
    old, left = time.time() - ABANDONED, list[bytes]()
    with contextlib.suppress(asyncssh.SFTPPermissionDenied):
        async with contextlib.aclosing(names(line, bytes(to))) as some:
            async for name, attributes in some:
                if _OURS.fullmatch(name) and (attributes.mtime or old) < old:
                    left.append(name)
    for name in left:
        with contextlib.suppress(asyncssh.SFTPError):  # somebody else may be sweeping
            await line.client.remove(bytes(to) + b"/" + name)
