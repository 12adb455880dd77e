"""One S3 object: what is asked for in a GET, and whether the answer is that.

A service that does not know ranges or versions must not give wrong bytes: its answer is
compared with what was asked for.
Source: Amazon S3 API Reference (GetObject, HeadObject); RFC 9110, 14.4 (Content-Range).
"""

import re
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import aiohttp

from gateway.connector.contract import CHUNK, Entry
from gateway.connector.outside import translated
from gateway.errors import (
    ConditionFailed,
    IntegrityError,
    ProtocolError,
    RangeNotSatisfiable,
)


class S3Reader:
    """One open GET. `response` is there for whoever can pass its bytes on without a look.

    The connection goes back to the session after the last byte, and is closed before it.
    """

    def __init__(
        self, entry: Entry, response: aiohttp.ClientResponse, offset: int, length: int | None
    ) -> None:
        self.entry, self.offset, self.length = entry, offset, length
        self.response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader. Raises IntegrityError, Unavailable."""
        count = 0
        with translated(IntegrityError):
            while piece := await self.response.content.read(CHUNK):
                count += len(piece)
                yield piece
        if self.length is not None and count != self.length:
            raise IntegrityError(f"{count} bytes came of {self.length}")

    async def aclose(self) -> None:
        """See Reader."""
        self.response.close()


def entry_of(id: str, response: aiohttp.ClientResponse, size: int | None) -> Entry:
    """What the headers tell, as far as a listing tells it too: so not the Content-Type.

    Raises ProtocolError for an answer that is not S3's.
    """
    headers = response.headers
    etag, modified = headers.get("ETag"), headers.get("Last-Modified")
    if not etag or not modified:
        raise ProtocolError("an object without ETag or Last-Modified")
    *folder, name = id.split("/")
    at = parsedate_to_datetime(modified)
    return Entry(id, name, tuple(folder), size, at, version=etag.strip('"'))


def wishes(offset: int, length: int | None, version: str | None) -> dict[str, str]:
    """Range and If-Match. Raises RangeNotSatisfiable, ConditionFailed."""
    headers: dict[str, str] = {}
    if offset < 0 or (length is not None and length < 1):
        raise RangeNotSatisfiable
    if offset or length is not None:
        headers["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
    if version is not None:
        if not re.fullmatch(r"[!-~]+", version) or '"' in version:
            raise ConditionFailed  # no ETag of ours: it came from outside
        headers["If-Match"] = f'"{version}"'
    return headers


def opened(
    id: str,
    response: aiohttp.ClientResponse,
    offset: int,
    length: int | None,
    version: str | None,
) -> S3Reader:
    """The reader of an answer that is the part and the version that was asked for."""
    came = response.content_length
    total = came
    if response.status == 206:
        start, came, total = _range(response.headers.get("Content-Range", ""))
        if start != offset or (length is not None and came > length):
            raise ProtocolError("another range came than was asked for")
    elif offset or (length is not None and (came is None or came > length)):
        raise ProtocolError("the service does not know ranges")
    entry = entry_of(id, response, total)
    if version is not None and entry.version != version:
        raise ConditionFailed  # a service that does not know If-Match
    return S3Reader(entry, response, offset, came)


def _range(text: str) -> tuple[int, int, int | None]:
    """First byte, number of bytes and size of the whole. Raises ProtocolError."""
    match = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)", text)
    if match is None:
        raise ProtocolError("a range without its place")
    start, end = int(match[1]), int(match[2])
    return start, end - start + 1, None if match[3] == "*" else int(match[3])
