"""A multipart body, streamed: a part in JSON first, then the bytes of documents.

Nothing is kept but a part that is being read. What identifies the body for its Idempotency-Key
is what is in the parts, because a boundary is another one each time.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.api.operation import MOST_JSON
from gateway.api.problem import Problem

#: Seconds without a byte of a body. After GRACE seconds of waiting, LEAST bytes a second have to
#: come, on average: who sends slower keeps a place at a source from others.
IDLE, GRACE, LEAST = 60.0, 60.0, 16 * 1024
#: A stuk has 20 documents at the most.
MOST_PARTS = 64
T = TypeVar("T")
#: What aiohttp's reader raises for a body that is no multipart.
_BROKEN = (ValueError, AssertionError, TypeError, HttpProcessingError)


class Pace:
    """How a body comes in. What the receiver of the bytes takes is not timed."""

    def __init__(self) -> None:
        self._waited, self._came = 0.0, 0

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """What comes next. Raises Problem 408 after `IDLE`."""
        clock = asyncio.get_running_loop().time
        begin = clock()
        try:
            async with asyncio.timeout(IDLE):
                return await awaitable
        except TimeoutError:
            raise Problem(408) from None
        finally:
            self._waited += clock() - begin

    def took(self, count: int) -> None:
        """So many bytes came. Raises Problem 408 when that goes too slowly."""
        self._came += count
        if self._waited > GRACE and self._came < LEAST * self._waited:
            raise Problem(408, f"Er kwamen minder dan {LEAST // 1024} KiB per seconde binnen.")


@dataclass(slots=True)
class Body:
    """One multipart body. name, filename: of the part that came last ("" without); aiohttp works
    them out anew each time. seen: what its parts were, so far."""

    reader: Any
    name: str = ""
    filename: str = ""
    seen: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    _count: int = 0
    _pace: Pace = field(default_factory=Pace)

    @classmethod
    async def of(cls, request: web.Request) -> "Body":
        """Raises Problem 415."""
        if request.content_type != "multipart/form-data":
            raise Problem(415, "Verwacht: application/json of multipart/form-data.")
        return await cls.any(request)

    @classmethod
    async def any(cls, request: web.Request) -> "Body":
        """A multipart of whatever kind. Raises Problem 400."""
        try:
            return cls(await request.multipart())
        except _BROKEN:
            raise Problem(400, "De multipart is niet te lezen.") from None

    async def json(self, name: str) -> bytes:
        """The first part, which has this name. Raises Problem."""
        part = await self.next()
        if part is None or self.name != name:
            raise Problem(422, faults={name: "Het eerste deel van de multipart is dit niet."})
        data = bytearray()
        try:
            async for piece in self.pieces(part):
                data += piece
                if len(data) > MOST_JSON:
                    raise Problem(413)
            return bytes(data)
        finally:
            data.clear()  # see operation._data

    async def next(self) -> BodyPartReader | None:
        """The next part; None after the last. Raises Problem 400."""
        try:
            part = await self._pace.wait(self.reader.next())
        except _BROKEN:
            raise Problem(400, "De multipart is niet te lezen.") from None
        if part is None:
            return None
        self._count += 1
        if self._count > MOST_PARTS:
            raise Problem(400, f"Een multipart heeft ten hoogste {MOST_PARTS} delen.")
        if not isinstance(part, BodyPartReader):
            raise Problem(400, "Een multipart in een multipart kan hier niet.")
        self.name, self.filename = part.name or "", part.filename or ""
        self._see(self.name, self.filename)
        return part

    async def pieces(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        """The bytes of a part, as they come."""
        digest = hashlib.sha256()
        try:
            while piece := await self._pace.wait(part.read_chunk(256 * 1024)):
                self._pace.took(len(piece))
                digest.update(piece)
                yield piece
        except _BROKEN:
            raise Problem(400, "De multipart is niet te lezen.") from None
        self._see(digest.hexdigest())

    async def drain(self) -> None:
        """Read on to the end, so that the sender hears the answer."""
        while (part := await self.next()) is not None:
            async for _ in self.pieces(part):
                pass

    def _see(self, *texts: str) -> None:
        for text in texts:
            data = text.encode("utf-8", "surrogateescape")
            self.seen.update(len(data).to_bytes(8, "big") + data)

    @property
    def digest(self) -> str:
        """What identifies all parts that were read."""
        return self.seen.hexdigest()


async def in_time(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, at a pace. Raises Problem 408."""
    pieces, pace = aiter(body), Pace()
    while (piece := await pace.wait(anext(pieces, None))) is not None:
        pace.took(len(piece))
        yield piece
