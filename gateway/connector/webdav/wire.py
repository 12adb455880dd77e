"""Requests to a WebDAV server, and what its answers mean.

What goes wrong is told by method and status alone: an address holds the names of documents.
Source: RFC 4918 (WebDAV), RFC 9110 (HTTP).
"""

import base64
import ssl
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
from yarl import URL

from gateway.connector.context import Threads
from gateway.connector.outside import translated
from gateway.connector.walk import Parts, Row
from gateway.connector.webdav.rows import ASKED, rows
from gateway.errors import (
    AuthFailed,
    ConditionFailed,
    ConfigInvalid,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RangeNotSatisfiable,
    RateLimited,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)

#: What a status means to us. Of the others those from 500 on are Unavailable, those from 300 on
#: ConfigInvalid (an address that leads elsewhere is not followed), and the rest ProtocolError.
STATUSES: Mapping[int, type[SourceError]] = {
    401: AuthFailed,
    403: PermissionDenied,
    404: NotFound,
    405: Unsupported,
    407: ConfigInvalid,
    409: NotFound,  # the folder that it should be in
    410: NotFound,
    411: Unsupported,
    412: ConditionFailed,
    413: TooLarge,
    414: NotFound,
    415: Unsupported,
    416: RangeNotSatisfiable,
    423: RateLimited,  # somebody has the document open: not for the breaker
    429: RateLimited,
    501: Unsupported,
    507: TooLarge,
}

_LONGEST = 16 * 1024 * 1024  # of a listing: a folder of some 25,000 documents
_SMALL = 64 * 1024  # is read at once; a larger one in a thread


class Dav:
    """One server, or a folder of it. session: the source's, which minds the egress policy."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: URL,
        authorization: str,
        tls: ssl.SSLContext | bool,
        threads: Threads,
    ) -> None:
        """url: of the folder. authorization: the whole header. threads: for large listings."""
        self._session, self._tls, self._threads = session, tls, threads
        self._origin, self._top = str(url.origin()), url.raw_path.rstrip("/")
        self._at = tuple(unquote(part) for part in self._top.split("/") if part)
        self._headers = {"Authorization": authorization, "Accept-Encoding": "identity"}

    def path(self, parts: Parts, *, folder: bool = False) -> str:
        """As it stands in an address; each name percent-encoded as a whole."""
        return "/".join((self._top, *(quote(part, safe="") for part in parts))) + "/" * folder

    def address(self, parts: Parts) -> str:
        """The whole address of a document."""
        return self._origin + self.path(parts)

    async def send(
        self,
        method: str,
        parts: Parts,
        good: Collection[int],
        *,
        folder: bool = False,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> aiohttp.ClientResponse:
        """The answer, its body still to come. Raises SourceError for a status that is not good."""
        url = URL(self._origin + self.path(parts, folder=folder), encoded=True)
        with translated(Unavailable):
            response = await self._session.request(
                method,
                url,
                headers={**self._headers, **(headers or {})},
                data=data,
                ssl=self._tls,
                allow_redirects=False,
            )
        if response.status in good:
            return response
        response.close()
        raise failure(method, response.status, response.headers.get("Retry-After", ""))

    async def done(self, method: str, parts: Parts, good: Collection[int], **more: Any) -> None:
        """The same, where nothing but the status counts."""
        (await self.send(method, parts, good, **more)).release()

    async def look(self, parts: Parts, *, folder: bool = False) -> Row:
        """What the server tells of a document, or of a folder. Raises NotFound for the other."""
        found, _ = await self._ask(parts, "0", folder)
        if found is None or found.is_folder != folder:
            raise NotFound
        return found

    async def folder(self, parts: Parts) -> list[Row]:
        """What is in a folder. Raises NotFound, also for what is none."""
        found, inside = await self._ask(parts, "1", True)
        if found is None or not found.is_folder:
            raise NotFound
        return inside

    async def enter(self) -> None:
        """Raises Unavailable when the source's own folder is not there."""
        try:
            await self.look((), folder=True)
        except PermissionDenied:
            return  # who may not look into the whole may look into a part
        except NotFound as e:
            told = "the folder is not there"
            raise Unavailable(told, native=e.native, field="url") from None

    async def _ask(self, parts: Parts, depth: str, folder: bool) -> tuple[Row | None, list[Row]]:
        headers = {"Depth": depth, "Content-Type": "application/xml; charset=utf-8"}
        try:
            response = await self.send(
                "PROPFIND", parts, (207,), folder=folder, headers=headers, data=ASKED
            )
        except Unsupported as e:
            told = "there is no WebDAV at this address"
            raise ConfigInvalid(told, native=e.native, field="url") from None
        except ProtocolError as e:
            if e.native == "400" and parts:  # of Apache, for what is below a document
                raise NotFound(str(e), native=e.native) from None
            raise
        with translated(Unavailable):
            text = await _body(response)
        if len(text) < _SMALL:
            return rows(text, self._at + parts)
        return await self._threads.run(rows, text, self._at + parts)


def basic(username: str, password: str) -> str:
    """Who we are, for a header."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def bearer(token: str) -> str:
    """The same, by a token. Raises ConfigInvalid."""
    if not (token.isascii() and token.isprintable()):
        raise ConfigInvalid("a character that no token has", field="token")
    return f"Bearer {token}"


def trust(path: str) -> ssl.SSLContext:
    """In the authorities of this file, and no others. Blocking. Raises ConfigInvalid."""
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as e:
        raise ConfigInvalid(f"no authorities there: {type(e).__name__}", field="ca") from None


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """A whole listing. Raises TooLarge."""
    found = bytearray()
    async for piece in response.content.iter_any():
        found += piece
        if len(found) > _LONGEST:
            response.close()
            raise TooLarge(f"a listing of more than {_LONGEST} bytes")
    return bytes(found)


def failure(method: str, status: int, wait: str = "") -> SourceError:
    """What a status means. wait: the Retry-After header."""
    kind = STATUSES.get(status)
    if kind is None:
        if status >= 500:
            kind = RateLimited if status == 503 and wait.isdecimal() else Unavailable
        else:
            kind = ConfigInvalid if 300 <= status < 400 else ProtocolError
    return kind(
        f"{status} to {method}",
        native=str(status),
        field="url" if kind is ConfigInvalid else "",
        retry_after=float(wait) if wait.isdecimal() and len(wait) < 9 else None,
    )
