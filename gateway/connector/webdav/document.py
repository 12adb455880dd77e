"""A WebDAV document being read: what is asked for, and whether the answer is that.

A server that knows no ranges or versions must not give wrong bytes: its answer is compared with
what was asked for. Source: RFC 9110, 13.1.1 (If-Match) and 14.4 (Content-Range).
"""

import re
from collections.abc import AsyncIterator, Mapping

import aiohttp

from gateway.connector.contract import CHUNK, Entry
from gateway.connector.outside import translated
from gateway.connector.walk import Row
from gateway.connector.webdav.rows import moment_of, version_of
from gateway.errors import (
    ConditionFailed,
    IntegrityError,
    ProtocolError,
    RangeNotSatisfiable,
)

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_VERSION = re.compile(r"[!#-~]{1,502}")


class DavReader:
    """One open GET. The connection goes back after the last byte, and is closed before it."""

    def __init__(
        self, entry: Entry, response: aiohttp.ClientResponse, offset: int, length: int | None
    ) -> None:
        self.entry, self.offset, self.length = entry, offset, length
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader. Raises IntegrityError, Unavailable."""
        count = 0
        while True:
            with translated(IntegrityError):
                piece = await self._response.content.read(CHUNK)
            if not piece:
                break
            count += len(piece)
            if self.length is not None and count > self.length:
                raise IntegrityError(f"more than the {self.length} bytes that were promised")
            yield piece
        if self.length is not None and count != self.length:
            raise IntegrityError(f"{count} bytes came of {self.length}")

    async def aclose(self) -> None:
        """See Reader."""
        self._response.close()


def wishes(offset: int, length: int | None, version: str | None) -> Mapping[str, str]:
    """Range and If-Match. Raises RangeNotSatisfiable, ConditionFailed.

    A weak ETag matches nothing; the answer's own is compared instead.
    """
    headers: dict[str, str] = {}
    if offset < 0 or (length is not None and length < 1):
        raise RangeNotSatisfiable
    if offset or length is not None:
        headers["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
    if version is not None:
        if not _VERSION.fullmatch(version):
            raise ConditionFailed  # no ETag of theirs: it came from outside
        if not version.startswith("W/"):
            headers["If-Match"] = f'"{version}"'
    return headers


def part_of(
    response: aiohttp.ClientResponse, offset: int, length: int | None
) -> tuple[int | None, int | None]:
    """How many bytes will come, and how many the whole has. Raises ProtocolError."""
    if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise ProtocolError("the bytes come in another form than was asked for")
    came = response.content_length
    if response.status == 206:
        match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None:
            raise ProtocolError("a range without its place")
        first, count = int(match[1]), int(match[2]) - int(match[1]) + 1
        if first != offset or count < 1 or (length is not None and count > length):
            raise ProtocolError("another range came than was asked for")
        return count, None if match[3] == "*" else int(match[3])
    if offset or (length is not None and (came is None or came > length)):
        raise ProtocolError("the server does not know ranges")
    return came, came


def as_opened(row: Row, response: aiohttp.ClientResponse, size: int | None) -> Row:
    """The document of this answer, which may be newer than what was told of it."""
    version = version_of(response.headers.get("ETag"))
    if version is not None and row.version is not None and not same(version, row.version):
        modified = moment_of(response.headers.get("Last-Modified"))
        row = row._replace(size=size, version=version, modified=modified or row.modified)
    return row if size is None else row._replace(size=size)


def same(one: str | None, other: str | None) -> bool:
    """Whether two versions are one, weak or not."""
    if one is None or other is None:
        return False
    return one.removeprefix("W/") == other.removeprefix("W/")
