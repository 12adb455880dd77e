"""The Browser binding of CMIS 1.1 over HTTP: JSON for what is asked, plain bytes for content.

Everything is addressed by its path below the repository's root folder; the repository tells
where that is. Only the path of that address is taken: our credentials go to the configured host
and to no other, also when a repository behind a proxy calls itself something else.
Source: OASIS CMIS 1.1, section 5 (Browser Binding); RFC 9110, 14 (Range).
"""

import json
from collections.abc import AsyncIterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp
from yarl import URL

from gateway.connector.outside import body as drained
from gateway.connector.outside import translated
from gateway.errors import (
    AlreadyExists,
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

#: What the exceptions of CMIS mean to us (5.2.10 names them).
EXCEPTIONS: Mapping[str, type[SourceError]] = {
    "objectNotFound": NotFound,
    "permissionDenied": PermissionDenied,
    "nameConstraintViolation": AlreadyExists,
    "contentAlreadyExists": AlreadyExists,
    "updateConflict": ConditionFailed,
    "versioning": ConditionFailed,
    "notSupported": Unsupported,
    "streamNotSupported": NotFound,  # a kind of document that has no content
    "invalidArgument": ProtocolError,
    "filterNotValid": ProtocolError,
    "constraint": ProtocolError,
    "runtime": Unavailable,
    "storage": Unavailable,
    "serviceUnavailable": Unavailable,
    "tooManyRequests": RateLimited,
}
#: The same for an answer without an exception; what is missing here is not CMIS at all.
STATUSES: Mapping[int, type[SourceError]] = {
    401: AuthFailed,
    403: PermissionDenied,
    413: TooLarge,
    416: RangeNotSatisfiable,
    429: RateLimited,
}

#: What is asked of an object; all of it is part of the standard's own types.
PROPERTIES = (
    "cmis:objectId,cmis:name,cmis:baseTypeId,cmis:objectTypeId,cmis:changeToken,"
    "cmis:lastModificationDate,cmis:contentStreamLength,cmis:contentStreamMimeType"
)
_ABOUT = {"succinct": "true", "filter": PROPERTIES}

_LONGEST = 16 * 1024 * 1024
_LONGEST_ERROR = 64 * 1024

Properties = Mapping[str, Any]


class Child(NamedTuple):
    """One object in a folder. segment: its part of the path, which need not be its name."""

    segment: str
    properties: Properties


class _Root(NamedTuple):
    path: str  # as in an address, without a "/" at the end
    order: Mapping[str, str]


class Repository:
    """One repository. session: the source's, which minds the egress policy.

    url: the address of the service. name: the repository's id; empty when it is the only one.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, name: str, authorization: str
    ) -> None:
        self._session, self._url, self._name = session, URL(url), name
        self._headers = {"Authorization": authorization, "Accept-Encoding": "identity"}
        self._known: _Root | None = None

    async def find(self) -> None:
        """Ask the service for the repository. Raises AuthFailed, ConfigInvalid."""
        try:
            response = await self._send("GET", self._url)
        except PermissionDenied as e:  # nothing but the credentials was asked about
            raise AuthFailed(str(e), native=e.native) from None
        except NotFound as e:
            raise ConfigInvalid(str(e), native=e.native, field="url") from None
        told = await _json(response)
        infos = {k: v for k, v in told.items() if isinstance(v, dict)}
        if not self._name and len(infos) != 1:
            raise ConfigInvalid(f"one is to be named of: {_names(infos)}", field="repository")
        info = infos.get(self._name) if self._name else next(iter(infos.values()))
        if info is None:
            raise ConfigInvalid(f"there are: {_names(infos)}", field="repository")
        self._known = _root(info)

    async def get(self, path: Sequence[str]) -> Properties:
        """The object at a path. Raises NotFound, also for a path that it thinks is none."""
        try:
            response = await self._ask("GET", path, {"cmisselector": "object", **_ABOUT})
        except ProtocolError as e:
            if e.native in ("invalidArgument", "400"):  # or the web server before it says so
                raise NotFound(str(e), native=e.native) from None
            raise
        return _properties(await _json(response))

    async def children(
        self, path: Sequence[str], skip: int, most: int
    ) -> tuple[Sequence[Child], bool]:
        """At most `most` objects in a folder, and whether there are more. Raises NotFound."""
        root = await self._root()
        query = {"cmisselector": "children", "includePathSegment": "true", **_ABOUT, **root.order}
        query |= {"maxItems": str(most), "skipCount": str(skip)}
        told = await _json(await self._ask("GET", path, query))
        rows = told.get("objects")
        if not isinstance(rows, list) or len(rows) > most:
            raise ProtocolError("a folder's children were expected")
        found = [_child(row) for row in rows]
        more = told.get("hasMoreItems")
        more = len(rows) == most if more is None else more is True
        if more and not rows:
            raise ProtocolError("there would be more, but nothing comes")
        return found, more

    async def content(self, id: str, range: str) -> aiohttp.ClientResponse:
        """The content of an object by its own id: 200, or 206 when a range was asked for."""
        query = {"cmisselector": "content", "objectId": id}
        return await self._ask("GET", (), query, {"Range": range} if range else {})

    async def act(
        self,
        path: Sequence[str],
        body: AsyncIterable[bytes],
        headers: Mapping[str, str],
    ) -> None:
        """A form to an object. Raises AlreadyExists, and what else the repository says."""
        response = await self._ask("POST", path, {}, headers, body)
        try:
            with translated(Unavailable):
                await drained(response, _LONGEST)
        finally:
            response.close()

    async def _root(self) -> _Root:
        if self._known is None:
            await self.find()
        if self._known is None:
            raise ProtocolError("no repository was told")
        return self._known

    async def _ask(
        self,
        method: str,
        path: Sequence[str],
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        body: AsyncIterable[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        root = await self._root()
        encoded = "".join(f"/{quote(part, safe='')}" for part in path)
        text = "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())
        origin = self._url.origin()
        url = URL(f"{origin}{root.path}{encoded}{'?' if text else ''}{text}", encoded=True)
        try:
            return await self._send(method, url, headers, body)
        except PermissionDenied:
            # Some repositories say the same of a wrong password and of a closed document.
            await self.find()
            raise

    async def _send(
        self,
        method: str,
        url: URL,
        headers: Mapping[str, str] | None = None,
        body: AsyncIterable[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """The answer, its body still to come. Raises SourceError for any that is no success."""
        with translated(Unavailable):
            response = await self._session.request(
                method,
                url,
                headers={**self._headers, **(headers or {})},
                data=body,
                allow_redirects=False,
            )
        if response.status not in (200, 201, 204, 206):
            raise await _failure(response)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise ProtocolError("the answer is compressed, which was not asked for")
        return response


async def _json(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The object in an answer. Raises ProtocolError for anything else."""
    try:
        with translated(Unavailable):
            data = await drained(response, _LONGEST)
    finally:
        response.close()
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise ProtocolError("the answer is no JSON") from None
    if not isinstance(found, dict):
        raise ProtocolError("the answer is no JSON object")
    return found


def _names(infos: Mapping[str, Any]) -> str:
    return ", ".join(infos)[:300] or "no repositories"


def _root(info: Mapping[str, Any]) -> _Root:
    """Raises ProtocolError."""
    address, can = info.get("rootFolderUrl"), info.get("capabilities")
    try:
        url = URL(address if isinstance(address, str) else "", encoded=True)
    except ValueError:
        url = URL()
    if not url.absolute or url.raw_query_string:
        raise ProtocolError("a repository without the address of its root folder")
    order = can.get("capabilityOrderBy", "none") if isinstance(can, dict) else "none"
    named = {"orderBy": "cmis:name"} if order in ("common", "custom") else {}
    return _Root(url.raw_path.rstrip("/"), named)


def _properties(told: Any) -> Properties:
    """Of an object, in the short form that was asked for, or in the long one."""
    if isinstance(told, dict):
        short, long = told.get("succinctProperties"), told.get("properties")
        if isinstance(short, dict):
            return short
        if isinstance(long, dict) and all(isinstance(p, dict) for p in long.values()):
            return {name: p.get("value") for name, p in long.items()}
    raise ProtocolError("an object without properties")


def _child(row: Any) -> Child:
    if not isinstance(row, dict):
        raise ProtocolError("a child that is no object")
    properties = _properties(row.get("object"))
    segment = row.get("pathSegment", properties.get("cmis:name"))
    if not isinstance(segment, str):
        raise ProtocolError("a child without a name")
    return Child(segment, properties)


async def _failure(response: aiohttp.ClientResponse) -> SourceError:
    """The exception in an answer; without one, what its status means."""
    status, wait = response.status, response.headers.get("Retry-After", "")
    try:
        with translated(Unavailable):
            told = json.loads(await drained(response, _LONGEST_ERROR))
    except (SourceError, ValueError, RecursionError):
        told = None
    response.close()
    name, text = "", ""
    if isinstance(told, dict):
        name, text = str(told.get("exception") or ""), str(told.get("message") or "")
    kind = EXCEPTIONS.get(name) or STATUSES.get(status) or _by_class(status, wait)
    return kind(
        f"{status} {name or 'without a CMIS exception'} {text}".strip()[:300],
        native=name or str(status),
        field="url" if kind is ConfigInvalid else "",
        retry_after=float(wait) if wait.isdecimal() else None,
    )


def _by_class(status: int, wait: str) -> type[SourceError]:
    if status == 503 and wait:
        return RateLimited
    if status >= 500:
        return Unavailable
    return ConfigInvalid if 300 <= status < 400 else ProtocolError
