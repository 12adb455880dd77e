"""A form with a document in it (multipart/form-data), made while the document comes.

Source: CMIS 1.1, 5.4.4 (HTML forms of the Browser binding); RFC 7578.
"""

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from urllib.parse import quote

from gateway.connector.body import Announced


class Form:
    """The fields of a form, and perhaps content. error: what the document's sender raised."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields
        self._boundary = f"map-{secrets.token_hex(16)}"
        self.error: Exception | None = None
        self.count = 0

    def headers(self) -> dict[str, str]:
        """Of the form without a document."""
        return self._sized(len(self._head()) + len(self._end()))

    def document_headers(self, name: str, kind: str, size: int | None) -> dict[str, str]:
        """Of the form with one; they tell the length when the document's is known."""
        if size is None:
            return self._sized(None)
        around = len(self._head()) + len(self._content(name, kind)) + len(b"\r\n" + self._end())
        return self._sized(around + size)

    async def plain(self) -> AsyncIterator[bytes]:
        """Without a document."""
        yield self._head() + self._end()

    async def document(
        self,
        name: str,
        kind: str,
        body: AsyncIterable[bytes],
        size: int | None,
        sha256: bytes | None,
    ) -> AsyncIterator[bytes]:
        """With one. The form stays without its end when the document is not the promised one."""
        yield self._head() + self._content(name, kind)
        try:
            async for piece in Announced(body, size, sha256):
                self.count += len(piece)
                yield piece
        except Exception as e:
            self.error = e
            raise
        yield b"\r\n" + self._end()

    def _head(self) -> bytes:
        return b"".join(
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
            f"Content-Type: text/plain; charset=utf-8\r\n\r\n{value}\r\n".encode()
            for name, value in self._fields.items()
        )

    def _content(self, name: str, kind: str) -> bytes:
        plain = name.isascii() and name.isprintable() and not set(name) & {'"', "\\"}
        told = f'filename="{name}"' if plain else f"filename*=UTF-8''{quote(name, safe='')}"
        return (
            f'--{self._boundary}\r\nContent-Disposition: form-data; name="content"; {told}\r\n'
            f"Content-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        ).encode()

    def _end(self) -> bytes:
        return f"--{self._boundary}--\r\n".encode()

    def _sized(self, length: int | None) -> dict[str, str]:
        found = {"Content-Type": f'multipart/form-data; boundary="{self._boundary}"'}
        return found if length is None else {**found, "Content-Length": str(length)}
