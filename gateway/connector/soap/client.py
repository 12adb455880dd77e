"""Calls the operations of a SOAP profile over HTTP, and reads what comes back.

Answers with rows are read as a whole, in a thread when they are large. A document comes as a
stream. What a service says instead of answering (a status, a Fault, a flag that is not ok)
becomes an error of the contract, by the profile's own table.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import aiohttp
from yarl import URL

from gateway import errors
from gateway.connector.context import Threads
from gateway.connector.contract import CHUNK
from gateway.connector.soap import mtom as soapmtom
from gateway.connector.soap import tree as soaptree
from gateway.connector.soap.mtom import MtomContent, Read
from gateway.connector.soap.profile import Profile
from gateway.connector.soap.session import Keeper, SessionEnded
from gateway.connector.soap.stream import ContentScanner
from gateway.connector.soap.upload import Upload
from gateway.connector.soap.wsdl import Operation
from gateway.domain import xml
from gateway.errors import (
    AuthFailed,
    DeadlineExceeded,
    IntegrityError,
    NotFound,
    ProtocolError,
    RateLimited,
    SourceError,
    TooLarge,
    Unavailable,
)

#: What stays as it is in an address that a service tells, with or without %XX in it.
_ADDRESS = "/:%?&=+;,@!$'()*[]~"

Row = dict[str, str]
T = TypeVar("T")

#: Bytes of an answer that is read as a whole, and of one that tells a refusal.
MOST = 16 * 1024 * 1024
REFUSAL = 64 * 1024

#: An answer above this is read in a thread; below, the thread would cost more than the reading.
SMALL = 128 * 1024

_MTOM = {"Accept": 'multipart/related; type="application/xop+xml", text/xml'}

_STATUS: Mapping[int, type[SourceError]] = {
    401: AuthFailed,
    403: AuthFailed,
    408: Unavailable,
    413: TooLarge,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
_BY_CODE: Mapping[str, type[SourceError]] = {
    c.code: c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, SourceError)
} | {"session_ended": SessionEnded}


@contextmanager
def _outside() -> Iterator[None]:
    """What the network does, in the words of the contract."""
    try:
        yield
    except TimeoutError:
        raise DeadlineExceeded(phase="connect") from None
    except aiohttp.ClientPayloadError as e:
        raise IntegrityError(f"the answer is cut off: {e}") from None
    except (aiohttp.ClientConnectionError, OSError) as e:
        raise Unavailable(str(e) or type(e).__name__) from None
    except (aiohttp.ClientError, ValueError) as e:
        raise ProtocolError(f"{type(e).__name__}: {e}") from None


async def _whole(response: aiohttp.ClientResponse, most: int) -> bytes:
    data = bytearray()
    with _outside():
        while piece := await response.content.read(CHUNK):
            data += piece
            if len(data) > most:
                raise ProtocolError(f"the answer is larger than {most} bytes")
    return bytes(data)


class Answer(NamedTuple):
    """The rows of an answer, and what it says of whether there are more."""

    rows: list[Row]
    more: str


class _Envelope:
    """A document that stands in the envelope as base64."""

    def __init__(self, read: Read, path: Sequence[str]) -> None:
        self._piece, self._scanner = read, ContentScanner(path)
        self._first = b""

    async def prime(self) -> bytes | None:
        """Read up to the document. What came instead, when there is none; else None."""
        while not self._scanner.started:
            piece = await self._piece()
            if not piece:
                self._scanner.close()
                return bytes(self._scanner.head)
            self._first += self._scanner.feed(piece)
        return None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The document. Raises IntegrityError, ProtocolError, Unavailable."""
        decoded = self._first
        while True:
            if decoded:
                yield decoded
            piece = await self._piece()
            if not piece:
                break
            decoded = self._scanner.feed(piece)
        self._scanner.close()


class SoapStream:
    """A document that is decoded while it comes."""

    def __init__(self, response: aiohttp.ClientResponse, path: Sequence[str]) -> None:
        self._response = response
        mark = soapmtom.boundary(response.headers.get("Content-Type", ""))
        self._content: _Envelope | MtomContent = (
            _Envelope(self._piece, path) if mark is None else MtomContent(self._piece, mark, path)
        )

    async def prime(self) -> bytes | None:
        """Read up to the document. What came instead, when there is none; else None."""
        return await self._content.prime()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pieces of at most CHUNK. Raises IntegrityError, ProtocolError, Unavailable."""
        async for decoded in self._content:
            # Not a slice when it fits: that would copy every byte of the document.
            if len(decoded) <= CHUNK:
                yield decoded
            for at in range(0, len(decoded) if len(decoded) > CHUNK else 0, CHUNK):
                yield decoded[at : at + CHUNK]

    async def _piece(self) -> bytes:
        with _outside():
            return await self._response.content.read(CHUNK)

    def close(self) -> None:
        """Cut the connection, unless the answer has been read to its end."""
        self._response.close()


class Plain:
    """A document that comes as it is."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response, self.length = response, response.content_length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pieces of at most CHUNK. Raises IntegrityError, Unavailable."""
        while True:
            with _outside():
                piece = await self._response.content.read(CHUNK)
            if not piece:
                return
            yield piece

    def close(self) -> None:
        """Cut the connection, unless all of it has been read."""
        self._response.close()


class SoapClient:
    """The calls of one source.

    rows, answer: what a call of the profile gives. stream: the document that `read` gives.
    """

    def __init__(
        self,
        profile: Profile,
        calls: Mapping[str, Operation],
        session: aiohttp.ClientSession,
        threads: Threads,
        *,
        secret: str = "",
        username: str = "",
    ) -> None:
        self._profile, self._calls = profile, calls
        self._session, self._threads = session, threads
        self._secret = secret
        self._keeper = Keeper(profile.session, self._root) if profile.session else None
        # Without "identity" aiohttp offers gzip, and the session does not unpack it.
        self._headers = {"Accept-Encoding": "identity", **self._authorization(username)}
        self._readers = {
            name: soaptree.RowReader(t.result, t.rows, t.fields, t.inner_xml, t.more)
            for name, t in profile.tables()
        }
        self._derived = {name: table.derive for name, table in profile.tables()}

    def _authorization(self, username: str) -> dict[str, str]:
        auth = self._profile.auth
        if auth.kind == "basic":
            return {"Authorization": aiohttp.encode_basic_auth(username, self._secret, "utf-8")}
        if auth.kind == "bearer":
            return {"Authorization": f"Bearer {auth.wrapped(self._secret)}"}
        return {}

    async def rows(self, name: str, values: Mapping[str, str]) -> list[Row]:
        """The rows that a call gives. Raises what the source says instead."""
        return (await self.answer(name, values)).rows

    async def answer(self, name: str, values: Mapping[str, str]) -> Answer:
        """The same, with what tells whether there are more."""
        return await self._again(values, lambda v: self._answer(name, v))

    async def aclose(self) -> None:
        """Leave the session, if there is one."""
        if self._keeper is not None:
            await self._keeper.aclose()

    async def _again(
        self, values: Mapping[str, str], call: Callable[[Mapping[str, str]], Awaitable[T]]
    ) -> T:
        """A call, within the session when the profile has one, and once more in a new one."""
        if self._keeper is None:
            return await call(values)
        id = await self._keeper.id(values)
        try:
            return await call({**values, "session.id": id})
        except SessionEnded:
            self._keeper.ended(id)
        id = await self._keeper.id(values)
        return await call({**values, "session.id": id})

    async def _root(self, name: str, values: Mapping[str, str]) -> xml.Element:
        """The answer to a call, when it is no refusal."""
        response = await self._send(self._calls[name], values)
        try:
            root = xml.parse(await _whole(response, MOST))
        finally:
            response.close()
        self._judge(self._calls[name], root)
        return root

    async def _answer(self, name: str, values: Mapping[str, str]) -> Answer:
        call = self._calls[name]
        response = await self._send(call, values)
        try:
            data = await _whole(response, MOST)
        finally:
            response.close()
        if len(data) < SMALL:
            return self._extract(name, data)
        return await self._threads.run(self._extract, name, data)

    def _extract(self, name: str, data: bytes) -> Answer:
        root, reader = xml.parse(data), self._readers[name]
        self._judge(self._calls[name], root)
        rows = reader.read(root)
        for row in rows if self._derived[name] else ():
            for field, derived in self._derived[name].items():
                if (value := derived.value(row.get(derived.of, ""))) is not None:
                    row[field] = value
        return Answer(rows, reader.more(root))

    async def put(self, values: Mapping[str, str], upload: Upload) -> list[Row]:
        """The rows that the call `put` gives. Raises what the document's sender raised, too."""
        call = self._calls["put"]
        if self._keeper is not None:  # what is being sent cannot be sent again
            values = {**values, "session.id": await self._keeper.id(values)}
        body = upload.body(call.body({**values, "put.content": upload.mark}))
        try:
            response = await self._send(call, values, upload.headers, body)
        except SourceError:
            if upload.error is not None:
                raise upload.error from None
            raise
        try:
            data = await _whole(response, MOST)
        finally:
            response.close()
        if upload.error is not None:
            raise upload.error
        return self._extract("put", data).rows

    async def get(self, url: str, base: str) -> "Plain":
        """The document at an address below the source's own. Raises what HTTP says instead."""
        try:
            at = URL(quote(url, safe=_ADDRESS), encoded=True)
            ours = at.origin() == URL(base).origin()
        except ValueError:
            ours = False
        if not ours:
            raise ProtocolError("a document that stands at another host")
        with _outside():
            response = await self._session.get(at, headers=self._headers, allow_redirects=False)
        if response.status != 200 or "Content-Encoding" in response.headers:
            response.close()
            kind = NotFound if response.status == 404 else _STATUS.get(response.status)
            raise (kind or ProtocolError)(f"HTTP {response.status}", native=str(response.status))
        return Plain(response)

    async def stream(self, values: Mapping[str, str]) -> SoapStream:
        """The document, begun. Raises what the source says instead."""
        return await self._again(values, self._stream)

    async def _stream(self, values: Mapping[str, str]) -> SoapStream:
        call = self._calls["read"]
        read = self._profile.read
        response = await self._send(call, values, _MTOM if read.encoding == "mtom" else {})
        try:
            stream = SoapStream(response, read.content.split("/"))
            instead = await stream.prime()
            if instead is not None:
                raise self._refusal(call, instead)
        except BaseException:
            response.close()
            raise
        return stream

    async def _send(
        self,
        call: Operation,
        values: Mapping[str, str],
        more: Mapping[str, str] = MappingProxyType({}),
        body: AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """Status 200, with its body still to be read; anything else is raised. more: headers.
        body: in the place of the call's own."""
        data = call.body(values) if body is None else body
        headers = {**self._headers, **call.headers, **more}
        with _outside():
            response = await self._session.post(
                call.url, data=data, headers=headers, allow_redirects=False
            )
        try:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ProtocolError("the answer is compressed, which was not asked for")
            if response.status != 200:
                raise await self._refused(call, response)
        except BaseException:
            response.close()
            raise
        return response

    async def _refused(self, call: Operation, response: aiohttp.ClientResponse) -> SourceError:
        """A known status; a Fault, which SOAP sends with 500; else not our kind of service."""
        status = response.status
        if status == 500:
            return self._refusal(call, await _whole(response, REFUSAL))
        wait = response.headers.get("Retry-After", "")
        return _STATUS.get(status, ProtocolError)(
            f"HTTP {status}",
            native=str(status),
            retry_after=float(wait) if wait.isdecimal() else None,
        )

    def _refusal(self, call: Operation, data: bytes) -> SourceError:
        """The error of an answer that does not hold what was asked for."""
        try:
            self._judge(call, xml.parse(data))
        except SourceError as e:
            return e
        return NotFound("the source gives no content")

    def _judge(self, call: Operation, root: xml.Element) -> None:
        """Raises the error that a Fault, or an answer that is not ok, stands for."""
        told = soaptree.fault(root)
        if told is None and self._profile.ok is not None:
            told = self._profile.ok.refusal(soaptree.body(root), call.name)
        if told is None:
            return
        code, text = told
        text = text.replace(self._secret, "…") if self._secret else text
        for rule in self._profile.errors:
            if rule.operation in ("", call.name) and rule.match.search(f"{code} {text}"):
                raise _BY_CODE[rule.to](text[:300], native=code)
        raise ProtocolError(text[:300], native=code)
