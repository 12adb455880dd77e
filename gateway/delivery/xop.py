"""Messages whose files stand beside the envelope: MTOM, with XOP 1.0 in multipart/related.

A signature covers the envelope as if the bytes stood in it as base64 (XOP 1.0, section 2), so
the envelope is the same and only the way it is written differs.
"""

import re
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping
from email.policy import HTTP
from urllib.parse import unquote

from gateway.delivery.names import XOP
from gateway.delivery.wus import PIECE, Binary, Envelope
from gateway.domain.xml import Element
from gateway.errors import ProtocolError

_BREAK = re.compile(rb"\r?\n\r?\n")
_CONTENT_ID = re.compile(rb"(?im)^content-id:[ \t]*(\S+)")
_MOST_PARTS = 64


class Package:
    """A signed envelope as multipart/related: content_type, length and pieces."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._boundary = f"uuid-{uuid.uuid4()}"
        self.content_type = (
            'multipart/related; type="application/xop+xml"; start="<envelope>";'
            f' start-info="text/xml"; boundary="{self._boundary}"'
        )

    def __len__(self) -> int:
        binaries = [p for p in self._envelope.pieces if isinstance(p, Binary)]
        written = sum(len(p) for p in self._written() if isinstance(p, bytes))
        return written + sum(len(b.data) for b in binaries)

    def pieces(self) -> Iterator[bytes]:
        """The whole, in pieces of PIECE bytes at most for what is a file."""
        for part in self._written():
            if isinstance(part, bytes):
                yield part
            else:
                for at in range(0, len(part.data), PIECE):
                    yield part.data[at : at + PIECE]

    def _written(self) -> Iterator[bytes | Binary]:
        yield self._part("envelope", 'application/xop+xml; charset=UTF-8; type="text/xml"', "8bit")
        binaries: list[Binary] = []
        for piece in self._envelope.pieces:
            if isinstance(piece, Binary):
                binaries.append(piece)
                yield _include(len(binaries))
            else:
                yield piece
        for number, binary in enumerate(binaries, 1):
            yield self._part(f"file-{number}", "application/octet-stream", "binary")
            yield binary
        yield f"\r\n--{self._boundary}--\r\n".encode()

    def _part(self, name: str, kind: str, encoding: str) -> bytes:
        return (
            f"\r\n--{self._boundary}\r\nContent-Type: {kind}\r\n"
            f"Content-Transfer-Encoding: {encoding}\r\nContent-ID: <{name}>\r\n\r\n"
        ).encode()


def _include(number: int) -> bytes:
    return f'<xop:Include xmlns:xop="{XOP}" href="cid:file-{number}"></xop:Include>'.encode()


def split(content_type: str, data: bytes) -> tuple[bytes, Mapping[str, bytes]]:
    """The envelope's XML and the other parts by Content-ID; all that is not multipart is XML.

    Raises ProtocolError.
    """
    header = HTTP.header_factory("content-type", content_type)
    if header.content_type != "multipart/related":
        return data, {}
    parts = dict(_parts(data, header.params.get("boundary", "")))
    start = header.params.get("start", next(iter(parts), "")).strip("<>")
    if start not in parts:
        raise ProtocolError("a multipart without its envelope")
    return parts.pop(start), parts


def inline(root: Element, parts: Mapping[str, bytes]) -> None:
    """Puts each part where an xop:Include names it. Raises ProtocolError."""
    for include in list(root.iter(f"{{{XOP}}}Include")):
        holder, name = include.getparent(), unquote(include.get("href", "").removeprefix("cid:"))
        if holder is None or len(holder) != 1 or name not in parts:
            raise ProtocolError("an xop:Include of a part that is not there")
        holder.remove(include)
        holder.text = b64encode(parts[name]).decode()


def _parts(data: bytes, boundary: str) -> list[tuple[str, bytes]]:
    """Content-ID and bytes of each part, in their order."""
    if not boundary:
        raise ProtocolError("a multipart without boundary")
    pieces = (b"\r\n" + data).split(b"\r\n--" + boundary.encode(), _MOST_PARTS)
    if not pieces[-1].startswith(b"--"):
        raise ProtocolError("a multipart that does not end")
    found: list[tuple[str, bytes]] = []
    for piece in pieces[1:-1]:
        head, *body = _BREAK.split(piece, maxsplit=1)
        name = _CONTENT_ID.search(head)
        found.append((name[1].decode("latin-1").strip("<>") if name else "", b"".join(body)))
    return found
