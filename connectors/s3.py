"""Documents in a bucket of S3 storage: AWS, SeaweedFS, MinIO, Ceph and what speaks like them.

GET, HEAD and listings are signed and read here, on the source's one HTTP session: botocore
takes milliseconds of the event loop for each request and 25 times as long for a listing.
Writing is rare and has many steps; it goes through aiobotocore, on the same session.

A document's id is its key below the place's root. Keys that some servers take for another
key (a ``..``, ``.`` or empty part, a backslash, a NUL) are neither listed nor read; nor are
the objects ending in "/" that show an empty folder in other programs.
Source: Amazon S3 API Reference (ListObjectsV2, GetObject, HeadObject, Error Responses).
"""

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256 as new_sha256
from typing import Any, NoReturn, Self
from urllib.parse import unquote_plus

import aiohttp
from pydantic import Field
from yarl import URL

from gateway.connector.context import Context
from gateway.connector.contract import (
    CHUNK,
    Capability,
    Connector,
    ConnectorConfig,
    Entry,
    Finding,
    Page,
    Place,
    Report,
    Scope,
)
from gateway.connector.secret import Secret
from gateway.connector.sigv4 import Signer, encode_path, encode_query
from gateway.connector.soaptree import local, parse
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConditionFailed,
    ConfigInvalid,
    DeadlineExceeded,
    IntegrityError,
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

_LONGEST_KEY = 1024  # bytes in UTF-8, S3's own limit
_LONGEST_ANSWER = 4 * 1024 * 1024  # a listing of 1,000 keys of that length, each byte as %XX
_AHEAD = 8  # published folders that are listed at the same time
_PART = 5 * 1024 * 1024  # the smallest part that S3 takes
_WRITE_IDLE = 60.0

#: What S3's codes mean to us, and the option at fault.
_CODES: Mapping[str, tuple[type[SourceError], str]] = {
    "NoSuchKey": (NotFound, ""),
    "NoSuchVersion": (NotFound, ""),
    "MethodNotAllowed": (NotFound, ""),  # the newest version is a delete marker
    "KeyTooLongError": (NotFound, ""),
    "NoSuchBucket": (ConfigInvalid, "bucket"),
    "InvalidBucketName": (ConfigInvalid, "bucket"),
    "PermanentRedirect": (ConfigInvalid, "region"),
    "TemporaryRedirect": (ConfigInvalid, "region"),
    "AuthorizationHeaderMalformed": (ConfigInvalid, "region"),
    "RequestTimeTooSkewed": (ConfigInvalid, ""),
    "AccessDenied": (PermissionDenied, ""),
    "AllAccessDisabled": (PermissionDenied, ""),
    "InvalidAccessKeyId": (AuthFailed, "access_key"),
    "SignatureDoesNotMatch": (AuthFailed, "secret_key"),
    "ExpiredToken": (AuthFailed, "session_token"),
    "InvalidToken": (AuthFailed, "session_token"),
    "InvalidObjectState": (Unsupported, ""),  # archived: it must be restored first
    "NotImplemented": (Unsupported, ""),
    "PreconditionFailed": (ConditionFailed, ""),
    "ConditionalRequestConflict": (ConditionFailed, ""),
    "InvalidArgument": (ConditionFailed, ""),  # a continuation token that is no longer known
    "InvalidRange": (RangeNotSatisfiable, ""),
    "EntityTooLarge": (TooLarge, ""),
    "SlowDown": (RateLimited, ""),
    "ServiceUnavailable": (RateLimited, ""),
    "RequestLimitExceeded": (RateLimited, ""),
}
#: The same by HTTP status, for answers without a body or from something in between.
_STATUSES: Mapping[int, type[SourceError]] = {
    301: ConfigInvalid,
    302: ConfigInvalid,
    307: ConfigInvalid,
    308: ConfigInvalid,
    401: AuthFailed,
    403: PermissionDenied,
    404: NotFound,
    412: ConditionFailed,
    416: RangeNotSatisfiable,
    429: RateLimited,
    500: Unavailable,
    502: Unavailable,
    503: RateLimited,
    504: Unavailable,
}


class S3Config(ConnectorConfig):
    """The options of a source of kind s3."""

    endpoint: str = Field(description="Address of the S3 service: https://s3.example.nl")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]+$", description="Region of the bucket")
    bucket: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$", description="Name of the bucket"
    )
    prefix: str = Field("", description="Part of the bucket that holds the places of all klanten")
    access_key: Secret = Field(description="Access key id, as env:NAME or file:/path")
    secret_key: Secret = Field(description="Secret access key, as env:NAME or file:/path")
    session_token: Secret | None = Field(None, description="Token of temporary credentials")
    path_style: bool = Field(
        True, description="The bucket stands in the path; no: in the host name, as AWS prefers"
    )
    writable: bool = Field(False, description="Documents may be written")


class S3(Connector[S3Config]):
    """One bucket, or a part of it."""

    kind = "s3"
    title = {"nl": "S3-opslag", "en": "S3 storage"}
    Config = S3Config

    def __init__(
        self, config: S3Config, context: Context, origin: URL, keys: tuple[str, str, str]
    ) -> None:
        self._config, self._origin, self._keys = config, origin, keys
        self._path = f"/{config.bucket}/" if config.path_style else "/"
        self._session = context.http()
        access_key, secret_key, token = keys
        self._signer = Signer(
            origin.host_port_subcomponent or "",
            access_key,
            secret_key,
            region=config.region,
            token=token,
        )
        self._stack = AsyncExitStack()
        self._client: asyncio.Task[Any] | None = None

    @classmethod
    async def open(cls, config: S3Config, context: Context) -> Self:
        """See Connector.open."""
        context.egress.check_url(config.endpoint, option="endpoint")
        origin = _origin(config)
        context.egress.check_url(str(origin), option="endpoint")
        token = context.secret(config.session_token) if config.session_token else ""
        keys = (context.secret(config.access_key), context.secret(config.secret_key), token)
        return cls(config, context, origin, keys)

    @property
    def capabilities(self) -> Capability:
        """See Connector.capabilities."""
        can = Capability.RANGE | Capability.SIZE_KNOWN | Capability.VERSION
        can |= Capability.MODIFIED | Capability.STREAMS
        if self._config.writable:
            can |= Capability.WRITE | Capability.IF_ABSENT | Capability.ATOMIC_WRITE
        return can

    # --- list

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list. Page.next is "<number of the folder>:<S3's own token>"."""
        while True:
            found = await self._some(place, page or "0:", limit)
            if found.entries or found.next is None:
                return found
            page = found.next  # nothing but placeholders of folders

    async def _some(self, place: Place, page: str, limit: int) -> Page:
        """The rest of one folder, or the beginnings of the next few, as far as `limit` goes."""
        folders = _outermost(place.folders)
        number, token = _position(page, len(folders))
        chosen = folders[number : number + (1 if token else _AHEAD)]
        parts = await _together(self._folder(place, f, token, limit) for f in chosen)
        entries: list[Entry] = []
        for number, (some, more) in enumerate(parts, number):
            if entries and len(entries) + len(some) > limit:
                return Page(entries, f"{number}:")
            entries += some
            if more:
                return Page(entries, f"{number}:{more}")
        return Page(entries, f"{number + 1}:" if number + 1 < len(folders) else None)

    async def _folder(
        self, place: Place, folder: str, token: str, limit: int
    ) -> tuple[list[Entry], str]:
        """One request below one published folder, and S3's token for the rest."""
        root = self._root(place)
        prefix = f"{root}{folder}/" if folder else root
        rows, more = await self._page(prefix, token, limit)
        entries = [
            _listed(id, row) for row in rows if _is_plain(id := row["Key"][len(root) :])
        ]
        return entries, more

    async def _page(self, prefix: str, token: str, limit: int) -> tuple[list[dict[str, str]], str]:
        query = {"list-type": "2", "prefix": prefix, "max-keys": str(limit)}
        query["encoding-type"] = "url"  # keys hold characters that XML cannot
        if token:
            query["continuation-token"] = token
        try:
            response = await self._send("GET", "", query)
        except PermissionDenied:
            raise
        except NotFound as e:
            raise ConfigInvalid(str(e), native=e.native, field="endpoint") from None
        rows, more = _rows(await _small(response))
        if len(rows) > limit or not all(r["Key"].startswith(prefix) for r in rows):
            raise ProtocolError("a listing holds keys that were not asked for")
        return rows, more

    # --- stat and read

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat."""
        key = self._key(place, id)
        try:
            response = await self._send("HEAD", key)
        except SourceError as e:
            if e.retryable:
                raise
            await self._explain(key)
            raise
        response.release()
        return _described(id, response.headers, response.content_length)

    async def _explain(self, key: str) -> None:
        """Raises what S3 says is wrong: the answer to a HEAD has no room for its code."""
        response = await self._send("GET", key, headers={"Range": "bytes=0-0"})
        response.close()

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> "S3Reader":
        """See Connector.read."""
        key = self._key(place, id)
        headers = _conditions(offset, length, version)
        try:
            response = await self._send("GET", key, headers=headers)
        except RangeNotSatisfiable:
            if offset:
                raise
            # An empty document has no ranges.
            return await self.read(place, id, version=version)
        try:
            return _opened(id, response, offset, length, version)
        except SourceError:
            response.close()
            raise

    # --- check

    async def check(self, scope: Scope, place: Place | None = None) -> Report:
        """See Connector.check."""
        steps: list[tuple[Scope, Callable[[Place], Awaitable[str]]]] = [
            (Scope.PARAMETERS, self._check_options),
            (Scope.CONNECTIVITY, self._check_answer),
            (Scope.LIST, self._check_list),
            (Scope.READ, self._check_read),
        ]
        findings: list[Finding] = []
        for step, do in steps[: [s for s, _ in steps].index(scope) + 1]:
            try:
                findings.append(Finding(True, step, await do(place or Place("", "", ("",)))))
            except SourceError as e:
                findings.append(Finding(False, step, str(e), e.field, e.code))
                break
        return Report(tuple(findings))

    async def _check_options(self, _: Place) -> str:
        return f"{self._origin}{self._path}{self._config.prefix}"

    async def _check_answer(self, _: Place) -> str:
        try:
            await self._page(self._root(Place("", "", ())), "", 1)
        except PermissionDenied:
            return "it answers, and does not let us list the whole prefix"
        return "it answers and takes our keys"

    async def _check_list(self, place: Place) -> str:
        found = await self.list(place, limit=1)
        return "a document was found" if found.entries else "the place holds no documents"

    async def _check_read(self, place: Place) -> str:
        found = await self.list(place, limit=1)
        if not found.entries:
            return "there is no document to read"
        reader = await self.read(place, found.entries[0].id)
        try:
            piece = await anext(aiter(reader), b"")
        finally:
            await reader.aclose()
        return f"{len(piece)} bytes were read"

    # --- put

    async def put(
        self,
        place: Place,
        folder: str,
        name: str,
        body: AsyncIterable[bytes],
        *,
        size: int | None = None,
        media_type: str | None = None,
        sha256: bytes | None = None,
        if_absent: bool = True,
    ) -> Entry:
        """See Connector.put. A document is visible when its last byte was judged, not before."""
        if not self._config.writable:
            raise Unsupported("s3: this source is not writable")
        id = f"{folder}/{name}" if folder else name
        key = self._key(place, id)
        upload = _Upload(await self._writer(), self._config.bucket, key, media_type, if_absent)
        with _botocore():
            await upload.run(body, size, sha256)
        return await self.stat(place, id)

    async def _writer(self) -> Any:
        """aiobotocore's client: made once, when it is first needed, for it takes 0.2 s."""
        if self._client is None or (self._client.done() and self._client.exception()):
            self._client = asyncio.create_task(self._stack.enter_async_context(self._made()))
        return await asyncio.shield(self._client)

    def _made(self) -> Any:
        from aiobotocore.config import AioConfig  # heavy, and most sources are never written to
        from aiobotocore.session import AioSession

        access_key, secret_key, token = self._keys
        config = AioConfig(
            http_session_cls=_lent(self._session),
            warm_up_loader_caches=True,
            proxies={},
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path" if self._config.path_style else "virtual"},
            # Servers other than AWS trip over the checksums that botocore adds by itself.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        return AioSession().create_client(
            "s3",
            endpoint_url=self._config.endpoint,
            region_name=self._config.region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            aws_session_token=token or None,
            config=config,
        )

    async def aclose(self) -> None:
        """See Connector.aclose. The session is the context's to close."""
        if self._client is not None:
            await asyncio.wait([self._client])
        await self._stack.aclose()

    # --- keys and requests

    def _root(self, place: Place) -> str:
        """What stands before an id: empty, or ending in "/"."""
        parts = (self._config.prefix.strip("/"), place.root.strip("/"))
        return "".join(f"{part}/" for part in parts if part)

    def _key(self, place: Place, id: str) -> str:
        """The key of a document. Raises NotFound outside the published part of the place."""
        root = self._root(place)
        if not _is_plain(id) or not _is_plain(f"{root}{id}"):
            raise NotFound
        if not place.holds(id.split("/")[:-1]):
            raise NotFound
        return f"{root}{id}"

    async def _send(
        self,
        method: str,
        key: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> aiohttp.ClientResponse:
        """The answer, its body still to come. Raises SourceError for any but 200 and 206."""
        path, text = self._path + encode_path(key), encode_query(query or {})
        signed = self._signer.headers(method, path, text)
        url = URL(f"{self._origin}{path}{'?' if text else ''}{text}", encoded=True)
        with _translated(Unavailable):
            response = await self._session.request(
                method,
                url,
                headers={**signed, "accept-encoding": "identity", **(headers or {})},
                allow_redirects=False,
            )
        if response.status not in (200, 206):
            raise await _failure(response)
        return response


class S3Reader:
    """One open GET. `response` is there for whoever can pass its bytes on without touching them.

    The connection goes back to the session when the last byte was read, and is closed when the
    reading stops before.
    """

    def __init__(
        self, entry: Entry, response: aiohttp.ClientResponse, offset: int, length: int | None
    ) -> None:
        self.entry, self.offset, self.length = entry, offset, length
        self.response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader. Raises IntegrityError when the bytes stop before the end."""
        count = 0
        with _translated(IntegrityError):
            while piece := await self.response.content.read(CHUNK):
                count += len(piece)
                yield piece
        if self.length is not None and count != self.length:
            raise IntegrityError(f"{count} bytes came of {self.length}")

    async def aclose(self) -> None:
        """See Reader."""
        self.response.close()


# --- places and keys


def _origin(config: S3Config) -> URL:
    """Scheme, host and port that requests go to. Raises ConfigInvalid."""
    url = URL(config.endpoint)
    if url.path not in ("", "/") or url.query_string or not url.host:
        raise ConfigInvalid("an address without a path is expected", field="endpoint")
    return (url if config.path_style else url.with_host(f"{config.bucket}.{url.host}")).origin()


def _is_plain(path: str) -> bool:
    """Whether a key means itself to every server, whatever it keeps its objects in."""
    if "\\" in path or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
        return False
    try:
        return len(path.encode()) <= _LONGEST_KEY
    except UnicodeEncodeError:
        return False


def _outermost(folders: tuple[str, ...]) -> list[str]:
    """The folders without those that lie in another one, so that nothing is listed twice."""
    if "" in folders:
        return [""]
    return sorted(
        {f for f in folders if not any(f.startswith(f"{other}/") for other in folders)}
    )


def _position(page: str, folders: int) -> tuple[int, str]:
    number, _, token = page.partition(":")
    if not re.fullmatch(r"\d{1,4}", number) or (int(number) >= folders and page != "0:"):
        raise ConditionFailed("the listing is no longer what it was")
    return int(number), token


async def _together(calls: Iterator[Awaitable[Any]]) -> list[Any]:
    """Results in order; the first failure ends the others."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call) for call in calls]
    return [task.result() for task in tasks]
