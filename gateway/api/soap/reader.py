"""Reads an envelope that comes in pieces: a small tree, and the documents in it as bytes.

expat reads it, because it gives text away while an element is still open; lxml's parsers keep an
element's text until its end, which is a whole document. What gateway.domain.xml forbids its
parser is forbidden here too: a document type ends the reading, so there are no entities but the
five of XML and nothing is ever fetched. What may be kept is bounded: the bytes around the
documents, the elements, their depth, and the one tag that has not ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

from lxml import etree

from gateway.api.problem import Problem
from gateway.api.soap.faults import Refused
from gateway.api.soap.names import OURS, VERSIONS, XOP, XSI, Version
from gateway.connector.soap.stream import Base64Stream
from gateway.domain.xml import Element
from gateway.errors import IntegrityError, ProtocolError

#: Bytes around the documents; of one tag; elements; levels of them.
AROUND, TAG, ELEMENTS, DEPTH = 4 * 1024 * 1024, 64 * 1024, 5000, 24
_PIECE = 64 * 1024

#: Where documents stand, below the body.
_CONTENTS = frozenset(
    tuple(f"{{{OURS}}}{name}" for name in path)
    for path in (("UploadMessage", "document", "inhoud"), ("UploadDocument", "inhoud"))
)
_INCLUDE = f"{{{XOP}}}Include"
_NIL = f"{{{XSI}}}nil"


@dataclass(frozen=True, slots=True)
class Begin:
    """A document begins. holder: the element that says whose bytes they are."""

    holder: Element


@dataclass(frozen=True, slots=True)
class Attached:
    """A document that stands in another part. cid: its Content-ID."""

    holder: Element
    cid: str


@dataclass(frozen=True, slots=True)
class End:
    """A document is complete."""


Event = Begin | Attached | End | bytes


@dataclass(slots=True)
class _Content:
    """The document that is being read. begun: bytes of it were seen."""

    holder: Element
    base64: Base64Stream = field(default_factory=Base64Stream)
    begun: bool = False
    cid: str | None = None


class Reader:
    """One envelope. Its faults are Problems of status 400, 413 and 422."""

    def __init__(self) -> None:
        self.version: Version | None = None
        self.headers: list[Element] = []
        self.operation: Element | None = None
        self._root: Element | None = None
        self._stack: list[Element] = []
        self._texts: list[list[str]] = []
        self._content: _Content | None = None
        self._events: list[Event] = []
        self._elements = self._fed = self._around = self._mark = 0
        self._parser = self._make()

    def _make(self) -> expat.XMLParserType:
        # A fixed encoding: what the XML declaration says is not looked at.
        parser = expat.ParserCreate("utf-8", " ")
        parser.buffer_text = True
        parser.buffer_size = _PIECE
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.CommentHandler = self._aside
        parser.ProcessingInstructionHandler = self._aside
        if hasattr(parser, "SetReparseDeferralEnabled"):  # TAG bounds what it is for
            parser.SetReparseDeferralEnabled(False)
        return parser

    def feed(self, data: bytes) -> Sequence[Event]:
        """What became of these bytes."""
        for at in range(0, len(data), _PIECE):
            piece = data[at : at + _PIECE]
            self._fed += len(piece)
            self._parse(piece, False)
            if self._fed - max(self._parser.CurrentByteIndex, 0) > TAG:
                raise Problem(413, "Een element of attribuut in de XML is te groot.")
            self._bounded(self._fed)
        return self._taken()

    def close(self) -> Sequence[Event]:
        """After the last piece."""
        self._parse(b"", True)
        return self._taken()

    def _parse(self, data: bytes, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as e:
            told = f"De XML is niet te lezen: {expat.ErrorString(e.code)} (regel {e.lineno})."
            raise Problem(400, told) from None
        except ValueError:  # lxml: a name that is none
            raise Problem(400, "De XML is niet te lezen.") from None

    def _bounded(self, at: int) -> None:
        """Raises Problem when too much stands around the documents. at: as far as was read."""
        if self._content is None and self._around + at - self._mark > AROUND:
            raise Problem(413, "Het bericht is te groot: 4 MiB, de documenten niet meegeteld.")

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    # --- what expat tells

    def _doctype(self, *_: object) -> None:
        raise Problem(400, "Een DOCTYPE is niet toegestaan.")

    def _aside(self, *_: object) -> None:
        if self._content is not None:
            raise Problem(400, "In een document staat iets anders dan base64.")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = _tag(name)
        if self._content is not None:
            self._include(self._content, tag, attributes)
            return
        self._elements += 1
        if self._elements > ELEMENTS or len(self._stack) >= DEPTH:
            raise Problem(413, "De XML heeft te veel elementen.")
        self._in_place(tag)
        if self._stack:
            element = etree.SubElement(self._stack[-1], tag)
        else:
            element = self._root = etree.Element(tag)
        for key, value in attributes.items():
            # No type or place of a schema is taken from what comes in.
            if not key.startswith(f"{XSI} ") or _tag(key) == _NIL:
                element.set(_tag(key), value)
        self._found(element)
        self._stack.append(element)
        self._texts.append([])
        if tuple(e.tag for e in self._stack[2:]) in _CONTENTS:
            self._content = _Content(self._stack[-2])
            self._around += self._parser.CurrentByteIndex - self._mark

    def _in_place(self, tag: str) -> None:
        """Raises Problem when an envelope has no such element here."""
        if not self._stack:
            namespace, _, name = tag[1:].rpartition("}")
            self.version = VERSIONS.get(namespace)
            if name != "Envelope" or self.version is None:
                raise Refused("VersionMismatch", "Dit is geen envelop van SOAP 1.1 of 1.2.")
        elif len(self._stack) == 1 and self.version is not None:
            space = f"{{{self.version.namespace}}}"
            before = [one.tag for one in self._stack[0]]
            if not (
                (tag == f"{space}Header" and not before)
                or (tag == f"{space}Body" and before in ([], [f"{space}Header"]))
            ):
                raise Problem(400, "Een envelop bestaat uit een Header en een Body.")

    def _found(self, element: Element) -> None:
        """Keep the headers and the operation at hand."""
        if len(self._stack) != 2:
            return
        if str(self._stack[1].tag).endswith("}Header"):
            self.headers.append(element)
        elif self.operation is None:
            self.operation = element
        else:
            raise Problem(400, "De Body heeft meer dan één element.")

    def _include(self, content: _Content, tag: str, attributes: dict[str, str]) -> None:
        if tag != _INCLUDE or content.begun or content.cid is not None:
            raise Problem(400, "In een document staat iets anders dan base64.")
        href = attributes.get("href", "")
        if not href.startswith("cid:"):
            raise Problem(400, "Een xop:Include heeft een href die met cid: begint.")
        content.cid = href.removeprefix("cid:")

    def _end(self, name: str) -> None:
        content = self._content
        if content is not None and _tag(name) == _INCLUDE:
            return
        element, text = self._stack.pop(), "".join(self._texts.pop())
        if content is not None:
            self._ended(content)
            return
        if text.strip() or not len(element):
            element.text = text
        if element.get(_NIL) in ("true", "1") and self._stack:
            self._stack[-1].remove(element)

    def _ended(self, content: _Content) -> None:
        self._content, self._mark = None, self._parser.CurrentByteIndex
        if content.cid is not None:
            self._events.append(Attached(content.holder, content.cid))
            return
        if not content.begun:
            self._events.append(Begin(content.holder))
        try:
            content.base64.close()
        except IntegrityError:
            raise _not_base64() from None
        self._events.append(End())

    def _text(self, text: str) -> None:
        content = self._content
        if content is None:
            if self._texts:
                self._texts[-1].append(text)
            return
        if not content.begun:
            if not text.strip():
                return
            if content.cid is not None:
                raise Problem(400, "In een document staat iets anders dan base64.")
            content.begun = True
            self._events.append(Begin(content.holder))
        try:
            piece = content.base64.feed(text.encode("ascii"))
        except (ProtocolError, UnicodeEncodeError):
            raise _not_base64() from None
        if piece:
            self._events.append(piece)


def _not_base64() -> Problem:
    return Problem(422, faults={"inhoud": "Dit is geen base64."})


def _tag(name: str) -> str:
    """expat's "namespace name" as lxml writes it."""
    space, _, plain = name.rpartition(" ")
    return f"{{{space}}}{plain}" if space else plain
