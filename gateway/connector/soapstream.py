"""Reads SOAP answers for connectors: small ones as a tree, a document in base64 as it comes.

Nothing of the network is trusted by its shape. `parse` takes no DTD, no entities and fetches
nothing. `ContentScanner` lets expat read what stands around the document (so namespaces,
entities, CDATA, comments and Faults are read by a real parser) and takes only the plain run
of base64 in between itself: seven times cheaper than giving 67 MB of text to a parser, and
the first byte of the document is there with the first packet.
"""

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from xml.parsers import expat

import pybase64
from lxml import etree

from gateway.errors import IntegrityError, ProtocolError

#: Bytes that may stand before the document, and after it.
AROUND = 256 * 1024

_NIL = "http://www.w3.org/2001/XMLSchema-instance nil"
_SCHEMA = "{http://www.w3.org/2001/XMLSchema}"
_BLANKS = b" \t\r\n"
_DECLARATION = re.compile(r"^<\?xml[^>]*\?>")


def parse(data: bytes) -> etree._Element:
    """The root of a small document. Raises ProtocolError; also for any document type."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True,
        remove_pis=True, huge_tree=False,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as e:
        raise ProtocolError(f"not XML: {e}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise ProtocolError("a document type is refused")
    return root


def local(tag: object) -> str:
    """An element's name without its namespace."""
    return str(tag).rpartition("}")[2]


def child(element: etree._Element, name: str) -> etree._Element | None:
    """The first child of that local name."""
    return next((c for c in element if local(c.tag) == name), None)


def below(element: etree._Element, path: Sequence[str]) -> etree._Element | None:
    """The first element at a path of local names."""
    found: etree._Element | None = element
    for name in path:
        found = child(found, name) if found is not None else None
    return found


def body(root: etree._Element) -> etree._Element:
    """The soap:Body of an answer. Raises ProtocolError."""
    found = child(root, "Body") if local(root.tag) == "Envelope" else None
    if found is None:
        raise ProtocolError("not a SOAP answer")
    return found


def fault(root: etree._Element) -> tuple[str, str] | None:
    """Code and text of the Fault in an answer, of SOAP 1.1 or 1.2; None when it holds none."""
    found = child(body(root), "Fault")
    if found is None:
        return None
    code = child(found, "faultcode")
    if code is None:
        code = below(found, ("Code", "Value"))
    text = " ".join(" ".join(str(t) for t in found.itertext()).split())
    return (code.text or "" if code is not None else ""), text


def inner(element: etree._Element | None) -> etree._Element | None:
    """The document that stands as text in an element; None when there is no text."""
    text = "" if element is None else (element.text or "").strip()
    # .NET writes encoding="utf-16" into strings, which was true for the string only.
    text = _DECLARATION.sub("", text, count=1)
    return parse(text.encode("utf-8", "surrogatepass")) if text else None


def rows(element: etree._Element, path: Sequence[str]) -> Iterator[etree._Element]:
    """The elements at a path below an element; a last part "*" is any but an XML Schema."""
    *way, last = path
    within = below(element, way)
    for found in within if within is not None else ():
        if local(found.tag) == last or (last == "*" and not str(found.tag).startswith(_SCHEMA)):
            yield found


class Fields:
    """Reads the fields of a row: `paths` maps a field's name to its place in the row."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        split = {name: path.split("/") for name, path in paths.items()}
        self._near = {p[0]: n for n, p in split.items() if len(p) == 1 and not p[0].startswith("@")}
        # Two fields of one column, attributes, and deeper paths: one at a time.
        self._rest = [(n, p) for n, p in split.items() if self._near.get(p[0]) != n]
        self._known: dict[str, str | None] = {}

    def read(self, row: etree._Element) -> dict[str, str]:
        """The fields that the row has."""
        found: dict[str, str] = {}
        known = self._known
        for cell in row:
            tag = str(cell.tag)
            if tag not in known:
                known[tag] = self._near.get(local(tag))
            name = known[tag]
            if name is not None:
                found[name] = cell.text or ""
        for name, path in self._rest:
            value = self._one(row, path)
            if value is not None:
                found[name] = value
        return found

    def _one(self, row: etree._Element, path: Sequence[str]) -> str | None:
        *way, last = path
        element = below(row, way if last.startswith("@") else path)
        if element is None or not last.startswith("@"):
            return None if element is None else element.text or ""
        return next((str(v) for k, v in element.attrib.items() if local(k) == last[1:]), None)


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
        decoded = pybase64.b64decode(data[:whole], validate=True)
        self._rest = data[whole:]
        self._ended = self._ended or data[:whole].endswith(b"=")
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
