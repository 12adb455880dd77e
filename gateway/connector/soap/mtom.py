"""Reads a document that a SOAP answer carries beside the envelope (MTOM), while it comes.

The envelope comes first and is small; a document that it holds itself, as base64, is taken too.
Source: W3C SOAP Message Transmission Optimization Mechanism; XOP; RFC 2046, 5.1 and RFC 2392.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from email.message import Message
from urllib.parse import unquote

from gateway.connector.soap import tree as soaptree
from gateway.connector.soap.stream import ContentScanner
from gateway.domain import xml
from gateway.errors import IntegrityError, ProtocolError

#: Bytes of the envelope, and of the headers of a part.
LONGEST = 1024 * 1024
_LONGEST_HEADERS = 16 * 1024

#: Gives the next bytes, and none at the end.
Read = Callable[[], Awaitable[bytes]]


def boundary(content_type: str) -> bytes | None:
    """Of an answer in parts; None for an answer that is one. Raises ProtocolError."""
    if not content_type.lower().startswith("multipart/"):
        return None
    told = Message()
    told["Content-Type"] = content_type
    found = told.get_param("boundary")
    if not isinstance(found, str) or not 0 < len(found) <= 200 or not found.isascii():
        raise ProtocolError("an answer in parts without a boundary")
    return found.encode()


class Parts:
    """The parts of a multipart answer, one after the other."""

    def __init__(self, read: Read, boundary: bytes) -> None:
        self._read, self._mark = read, b"\r\n--" + boundary
        self._held = b"\r\n"  # the first boundary has no line before it
        self._inside = True  # of what stands before the first part, at first

    async def next(self) -> Mapping[str, str] | None:
        """The headers of the next part, by names in small letters; None after the last."""
        async for _ in self.body():
            pass
        await self._need(2)
        if self._held.startswith(b"--"):
            return None
        head = await self._until(b"\r\n\r\n", _LONGEST_HEADERS)
        self._inside = True
        lines = (line.partition(b":") for line in head.split(b"\r\n"))
        return {
            name.decode("latin-1").strip().lower(): value.decode("latin-1").strip()
            for name, _, value in lines
        }

    async def body(self) -> AsyncIterator[bytes]:
        """What is left of the part. Raises IntegrityError when its end does not come."""
        if not self._inside:
            return
        keep = len(self._mark) - 1
        while (at := self._held.find(self._mark)) < 0:
            ready, self._held = self._held[:-keep], self._held[-keep:]
            if ready:
                yield ready
            await self._need(len(self._held) + 1)
        ready, self._held = self._held[:at], self._held[at + len(self._mark) :]
        self._inside = False
        if ready:
            yield ready

    async def _until(self, end: bytes, most: int) -> bytes:
        while (at := self._held.find(end)) < 0 and len(self._held) <= most:
            await self._need(len(self._held) + 1)
        if not 0 <= at <= most:
            raise ProtocolError("the headers of a part do not end")
        found, self._held = self._held[:at], self._held[at + len(end) :]
        return found

    async def _need(self, count: int) -> None:
        while len(self._held) < count:
            piece = await self._read()
            if not piece:
                raise IntegrityError("the answer is cut off")
            self._held += piece


class MtomContent:
    """One document. `head`: the envelope, when it has begun and there is no document in it."""

    def __init__(self, read: Read, boundary: bytes, path: Sequence[str]) -> None:
        self._parts, self._path = Parts(read, boundary), path
        self._inline: bytes | None = None

    async def prime(self) -> bytes | None:
        """Read up to the document. What came instead, when there is none; else None."""
        if await self._parts.next() is None:
            raise ProtocolError("an answer in no parts")
        envelope = bytearray()
        async for piece in self._parts.body():
            envelope += piece
            if len(envelope) > LONGEST:
                raise ProtocolError("the envelope goes on and on")
        data = bytes(envelope)
        content = xml.below(soaptree.body(xml.parse(data)), self._path)
        if content is None:
            return data
        include = xml.child(content, "Include")
        if include is None:
            return self._take(data)
        href = include.get("href", "")
        if not href.startswith("cid:"):
            raise ProtocolError("a document that stands elsewhere")
        await self._find(f"<{unquote(href[4:])}>")
        return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The document. Raises IntegrityError, ProtocolError."""
        if self._inline is not None:
            if self._inline:
                yield self._inline
            return
        async for piece in self._parts.body():
            yield piece

    def _take(self, data: bytes) -> bytes | None:
        """A document inside the envelope."""
        scanner = ContentScanner(self._path)
        self._inline = scanner.feed(data)
        scanner.close()
        return None if scanner.started else data

    async def _find(self, id: str) -> None:
        while (headers := await self._parts.next()) is not None:
            told = headers.get("content-id", "")
            if told == id or f"<{told}>" == id:
                if headers.get("content-transfer-encoding", "binary").lower() not in _AS_IT_IS:
                    raise ProtocolError("a document in an encoding that MTOM does not have")
                return
        raise ProtocolError("the document that the envelope names is not there")


_AS_IT_IS = ("binary", "8bit", "7bit")
