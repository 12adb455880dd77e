"""One message as it comes over HTTP: the envelope alone, or MTOM with parts beside it.

Nothing of a document is kept: whoever asks for the documents gets them one after the other, with
the bytes as they come, and reads each to its end before the next.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from email.message import Message as Headers
from urllib.parse import unquote

from aiohttp import BodyPartReader, web

from gateway.api.multipart import Body, in_time
from gateway.api.problem import Problem
from gateway.api.soap.names import SOAP11, SOAP12, Version
from gateway.api.soap.reader import AROUND, Attached, Begin, Event, Reader
from gateway.connector.soap.stream import Base64Stream
from gateway.domain.xml import Element
from gateway.errors import IntegrityError, ProtocolError

_PLAIN = {v.media_type: v for v in (SOAP11, SOAP12)}
_ROOTS = ("application/xop+xml", *_PLAIN)


@dataclass(slots=True)
class Kind:
    """What the header Content-Type says. action: of the operation; "" when it is not said."""

    version: Version
    action: str
    related: bool
    start: str

    @classmethod
    def of(cls, request: web.Request) -> "Kind":
        """Raises Problem 415."""
        name, params = _typed(request.headers.get("Content-Type", ""))
        related = name == "multipart/related"
        inner = params.get("start-info", params.get("type", "")) if related else name
        inner, more = _typed(inner)
        version = _PLAIN.get(inner) or (SOAP11 if related and inner in _ROOTS else None)
        charset = params.get("charset", "utf-8").lower()
        if version is None or charset not in ("utf-8", "us-ascii"):
            raise Problem(
                415, "Verwacht: text/xml of application/soap+xml in UTF-8, of multipart/related."
            )
        action = request.headers.get("SOAPAction", "") if version is SOAP11 else ""
        action = action or params.get("action", "") or more.get("action", "")
        start = params.get("start", "").strip("<>")
        return cls(version, action.strip().strip('"'), related, start)


def _typed(value: str) -> tuple[str, dict[str, str]]:
    headers = Headers()
    headers["Content-Type"] = value.replace("\r", " ").replace("\n", " ")
    found = headers.get_params() or []
    return headers.get_content_type(), {
        k.lower(): v for k, v in found[1:] if isinstance(v, str) and v
    }


@dataclass(slots=True)
class Document:
    """The bytes that an element names. holder: that element."""

    holder: Element
    _pieces: AsyncIterator[bytes]

    async def pieces(self) -> AsyncIterator[bytes]:
        """What is still to come of it."""
        while (piece := await anext(self._pieces, None)) is not None:
            yield piece


@dataclass(slots=True)
class Message:
    """faults: what is wrong with the parts, by field; complete when the documents have ended."""

    kind: Kind
    reader: Reader
    faults: dict[str, str]
    _source: AsyncIterator[bytes]
    _body: Body | None
    _events: deque[Event] = field(default_factory=deque)
    _attached: dict[str, Element] = field(default_factory=dict)
    _ended: bool = False

    @classmethod
    async def of(cls, request: web.Request, kind: Kind) -> "Message":
        """Raises Problem."""
        if not kind.related:
            return cls(kind, Reader(), {}, in_time(request.content.iter_any()), None)
        body = await Body.any(request)
        part = await body.next()
        if part is None or (kind.start and _content_id(part) != kind.start):
            raise Problem(400, "Het eerste deel van de multipart is niet de envelop.")
        if _typed(part.headers.get("Content-Type", "text/plain"))[0] not in _ROOTS:
            raise Problem(400, "Het eerste deel van de multipart is niet application/xop+xml.")
        return cls(kind, Reader(), {}, _bounded(_decoded(body, part)), body)

    async def head(self) -> Element:
        """The operation's element, as far as it came before the first document. Raises Problem."""
        while not self._ended and not self._events:
            await self._more()
        found = self.reader.operation
        if found is None:
            raise Problem(400, "De Body is leeg.")
        return found

    @property
    def with_documents(self) -> bool:
        """Whether documents came, or are to come: known after `head`."""
        return bool(self._events or self._attached)

    async def documents(self) -> AsyncIterator[Document]:
        """Those in the envelope, then those in the other parts."""
        while (event := await self._next()) is not None:
            if isinstance(event, Begin):
                one = Document(event.holder, self._inline())
                yield one
                await _past(one)
        if self._body is not None:
            async for one in self._parts(self._body):
                yield one
                await _past(one)

    async def _parts(self, body: Body) -> AsyncIterator[Document]:
        waiting = dict(self._attached)
        while (part := await body.next()) is not None:
            cid = _content_id(part)
            holder = waiting.pop(cid, None)
            pieces = _decoded(body, part)
            if holder is not None:
                yield Document(holder, pieces)
                continue
            twice = cid in self._attached
            self.faults[f"bijlagen.{cid}"] = (
                "Dit deel staat er tweemaal." if twice else "Geen xop:Include wijst dit deel aan."
            )
            async for _ in pieces:
                pass
        for cid in waiting:
            self.faults[f"bijlagen.{cid}"] = "Dit deel ontbreekt."

    async def _inline(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next(), bytes):
            yield event

    async def _next(self) -> Event | None:
        while not self._events and not self._ended:
            await self._more()
        return self._events.popleft() if self._events else None

    async def _more(self) -> None:
        piece = await anext(self._source, None)
        events: Iterable[Event]
        if piece is None:
            events, self._ended = self.reader.close(), True
        else:
            events = self.reader.feed(piece)
        if self.reader.version not in (None, self.kind.version):
            raise Problem(415, "De envelop is een andere SOAP-versie dan Content-Type zegt.")
        for event in events:
            if not isinstance(event, Attached):
                self._events.append(event)
                continue
            cid = unquote(event.cid)
            if self._body is None:
                raise Problem(400, "Een xop:Include kan alleen in een multipart (MTOM).")
            if cid in self._attached:
                self.faults[f"bijlagen.{cid}"] = "Twee documenten wijzen dit deel aan."
            self._attached.setdefault(cid, event.holder)


async def _past(one: Document) -> None:
    async for _ in one.pieces():
        pass


def _content_id(part: BodyPartReader) -> str:
    return part.headers.get("Content-ID", "").strip().strip("<>")


async def _bounded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The part with the envelope. With documents beside it, it is small."""
    length = 0
    async for piece in pieces:
        length += len(piece)
        if length > AROUND:
            raise Problem(413, "Het deel met de envelop is groter dan 4 MiB.")
        yield piece


async def _decoded(body: Body, part: BodyPartReader) -> AsyncIterator[bytes]:
    """The bytes of a part, whose Content-Transfer-Encoding may be base64."""
    encoding = part.headers.get("Content-Transfer-Encoding", "binary").strip().lower()
    if encoding not in ("binary", "8bit", "7bit", "base64"):
        raise Problem(415, "Een deel is binary, 8bit, 7bit of base64.")
    stream = Base64Stream() if encoding == "base64" else None
    try:
        async for piece in body.pieces(part):
            yield piece if stream is None else stream.feed(piece)
        if stream is not None:
            stream.close()
    except (ProtocolError, IntegrityError):
        raise Problem(422, faults={"inhoud": "Dit is geen base64."}) from None
