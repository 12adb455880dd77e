"""A document on its way to a source: in blocks, counted, and compared with what was announced."""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator

from gateway.errors import IntegrityError


class Announced:
    """A body and what it was said to be: its size in bytes, its SHA-256, or neither.

    size: as it was said; count: bytes that have passed.
    """

    def __init__(
        self, body: AsyncIterable[bytes], size: int | None = None, sha256: bytes | None = None
    ) -> None:
        self._body, self.size, self._sha256 = body, size, sha256
        self._digest = hashlib.sha256() if sha256 is not None else None
        self.count = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Never more than was announced. Raises IntegrityError, at the end too, and what the body
        raises."""
        async for piece in self._body:
            self.count += len(piece)
            if self.size is not None and self.count > self.size:
                raise IntegrityError(f"more than the {self.size} bytes that were announced")
            if self._digest is not None:
                self._digest.update(piece)
            yield piece
        self.judge()

    def judge(self) -> None:
        """Raises IntegrityError when it is not what was announced."""
        if self.size not in (None, self.count):
            raise IntegrityError(f"{self.count} bytes came of {self.size}")
        if self._digest is not None and self._digest.digest() != self._sha256:
            raise IntegrityError("the bytes are not the ones that were announced")


async def blocks(body: AsyncIterable[bytes], least: int) -> AsyncIterator[bytes]:
    """The body in blocks of at least so many bytes, but for the last: each costs a visit to a
    thread, or a round trip."""
    waiting = bytearray()
    async for piece in body:
        waiting += piece
        if len(waiting) >= least:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)
