"""A document on its way out: its base64 inside an envelope, made while it comes."""

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Mapping

import pybase64

from gateway.connector.body import Announced
from gateway.errors import ProtocolError, TooLarge


class Upload:
    """One document. mark: stands in the envelope where it belongs. error: what its sender raised;
    the envelope is not ended then. headers: known when `body` was called."""

    def __init__(
        self,
        document: AsyncIterable[bytes],
        *,
        size: int | None,
        sha256: bytes | None,
        largest: int,
    ) -> None:
        if size is not None and size > largest:
            raise TooLarge(f"{size} bytes, and {largest} are taken")
        self._document, self._size = Announced(document, size, sha256), size
        self._largest = largest
        self.mark = f"MAP{secrets.token_hex(16)}"
        self.headers: Mapping[str, str] = {}
        self.error: Exception | None = None

    def body(self, envelope: bytes) -> AsyncIterator[bytes]:
        """The envelope with the document in it."""
        parts = envelope.split(self.mark.encode())
        if len(parts) != 2:
            raise ProtocolError("an envelope without one place for the document")
        if self._size is not None:
            length = sum(map(len, parts)) + 4 * -(-self._size // 3)
            self.headers = {"Content-Length": str(length)}
        return self._written(*parts)

    async def _written(self, before: bytes, after: bytes) -> AsyncIterator[bytes]:
        yield before
        try:
            rest = b""
            async for piece in self._document:
                if self._document.count > self._largest:
                    raise TooLarge(f"more than {self._largest} bytes")
                data = rest + piece
                whole = len(data) // 3 * 3
                rest = data[whole:]
                if whole:
                    yield pybase64.b64encode(data[:whole])
            if rest:
                yield pybase64.b64encode(rest)
        except Exception as e:
            self.error = e
            raise
        yield after
