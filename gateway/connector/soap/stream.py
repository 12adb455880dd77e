"""Reads a document that a SOAP answer carries as base64 text, while it comes.

expat reads what stands around the document, so namespaces, entities, CDATA, comments and
Faults are read by a real parser; only the plain run of base64 in between is taken without it.
That is many times cheaper than giving 67 MB of text to a parser, needs the memory of one
packet, and the first byte of the document is there with the first packet. A document type
is refused.
"""

import binascii
from collections.abc import Sequence
from xml.parsers import expat

import pybase64

from gateway.errors import IntegrityError, ProtocolError

#: Bytes that may stand before the document, and after it.
AROUND = 256 * 1024

_NIL = "http://www.w3.org/2001/XMLSchema-instance nil"
_BLANKS = b" \t\r\n"


class Base64Stream:
    """Decodes base64 that comes in pieces cut anywhere, with or without line breaks."""

    def __init__(self) -> None:
        self._rest = b""
        self._blanks = False  # seen any: then every piece is cleaned first
        self._ended = False  # padding seen: nothing may follow

    def feed(self, data: bytes) -> bytes:
        """The bytes that are complete by now. Raises ProtocolError when it is no base64."""
        data = self._rest + data
        if self._blanks:
            data = data.translate(None, _BLANKS)
        try:
            return self._decode(data)
        except binascii.Error:
            if self._blanks:
                raise ProtocolError("the content is not base64") from None
        self._blanks = True
        self._rest = b""
        return self.feed(data)

    def _decode(self, data: bytes) -> bytes:
        whole = len(data) & ~3
        if self._ended and data.strip(_BLANKS):
            raise ProtocolError("base64 goes on after its end")
        decoded = pybase64.b64decode(memoryview(data)[:whole], validate=True)
        self._rest = data[whole:]
        self._ended = self._ended or data[whole - 1 : whole] == b"="
        return decoded

    def close(self) -> None:
        """Raises IntegrityError when the end is missing."""
        if self._rest.strip(_BLANKS):
            raise IntegrityError("the base64 of the document is cut off")


class ContentScanner:
    """Finds one element in a SOAP answer that comes in pieces, and decodes its base64 text.

    path: names of the elements below soap:Body that lead to it, without namespaces.
    started: the element has begun. head: what came before it; a Fault stands there.
    ended: the element is complete.
    """

    def __init__(self, path: Sequence[str]) -> None:
        self._path = ("Envelope", "Body", *path)
        self._depth = self._matched = self._fed = self._after = 0
        self._base64 = Base64Stream()
        self._out: list[bytes] = []
        self._feed = self._head
        self.head = bytearray()
        self.started = self.ended = False
        self._parser = self._make()

    def _make(self) -> expat.XMLParserType:
        # A fixed encoding: UTF-16 would make the search for "<" below meaningless.
        parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.buffer_size = 64 * 1024
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)
        return parser

    def feed(self, data: bytes) -> bytes:
        """The document's bytes that are complete by now. Raises ProtocolError."""
        return self._feed(data)

    def close(self) -> None:
        """After the last piece. Raises IntegrityError when the answer is cut off."""
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError:
            raise IntegrityError("the answer is cut off") from None

    # --- three ways of feeding, in this order

    def _head(self, data: bytes) -> bytes:
        """Before the element: tag by tag, so that its beginning is noticed at once."""
        at = 0
        while at < len(data) and not self.started:
            end = data.find(b">", at) + 1 or len(data)
            self._parse(data[at:end])
            at = end
        if not self.started:
            self.head += data
            if len(self.head) > AROUND:
                raise ProtocolError("the answer holds no document where it should")
            return b""
        # Only when expat has read all it was given, the next byte is the element's own.
        clean = self._parser.CurrentByteIndex == self._fed and not self.ended
        self._feed = self._run if clean else self._tail
        return self._taken() + self._feed(data[at:])

    def _run(self, data: bytes) -> bytes:
        """Inside: plain base64 up to the first mark, which ends this way for good."""
        end = data.find(b"<")
        text = data if end < 0 else data[:end]
        if b"&" in text:
            end = text.find(b"&")
            text = data[:end]
        if end < 0:
            return self._base64.feed(text)
        self._feed = self._tail
        return self._base64.feed(text) + self._tail(data[end:])

    def _tail(self, data: bytes) -> bytes:
        """The rest, and contents with CDATA, comments or entities: all to expat."""
        if self.ended:
            self._after += len(data)
            if self._after > AROUND:
                raise ProtocolError("the answer goes on after the document")
        self._parse(data)
        return self._taken()

    def _parse(self, data: bytes) -> None:
        self._fed += len(data)
        try:
            self._parser.Parse(data, False)
        except expat.ExpatError as e:
            raise ProtocolError(f"not XML: {expat.ErrorString(e.code)}") from None

    def _taken(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out

    # --- what expat tells

    def _doctype(self, *_: object) -> None:
        raise ProtocolError("a document type is refused")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self.started and not self.ended:
            raise ProtocolError("elements stand inside the document")
        self._depth += 1
        if self._depth != self._matched + 1 or self._matched == len(self._path):
            return
        if name.rpartition(" ")[2] != self._path[self._matched]:
            return
        self._matched += 1
        if self._matched == len(self._path) and attributes.get(_NIL) not in ("true", "1"):
            if self.started:
                raise ProtocolError("the answer holds two documents")
            self.started = True

    def _end(self, _: str) -> None:
        if self._depth == self._matched:
            if self._matched == len(self._path) and self.started and not self.ended:
                self._base64.close()
                self.ended = True
            self._matched -= 1
        self._depth -= 1

    def _text(self, text: str) -> None:
        if self.started and not self.ended:
            try:
                self._out.append(self._base64.feed(text.encode("ascii")))
            except UnicodeEncodeError:
                raise ProtocolError("the content is not base64") from None
