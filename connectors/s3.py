"""Documents in a bucket of S3 storage: AWS, SeaweedFS, MinIO, Ceph and what speaks like them.

A document's id is its key below the place's root. Keys that some servers take for another key
(with a ``..``, ``.`` or empty part, a backslash, a NUL) are neither listed nor read, and nor
are the objects ending in "/" that stand for an empty folder in other programs.
Source: Amazon S3 API Reference (ListObjectsV2, GetObject, HeadObject, PutObject).
"""

import asyncio
import re
from collections.abc import AsyncIterable, Coroutine, Sequence
from typing import Any, Self, TypeVar

from pydantic import Field
from yarl import URL

from gateway.connector.context import Context
from gateway.connector.contract import (
    Capability,
    Connector,
    ConnectorConfig,
    Entry,
    Page,
    Place,
)
from gateway.connector.s3.object import S3Reader, entry_of, opened, wishes
from gateway.connector.s3.sigv4 import Signer
from gateway.connector.s3.upload import Uploader
from gateway.connector.s3.wire import Bucket, Row
from gateway.connector.secret import Secret
from gateway.errors import (
    ConditionFailed,
    ConfigInvalid,
    NotFound,
    PermissionDenied,
    RangeNotSatisfiable,
    SourceError,
)

_LONGEST_KEY = 1024  # bytes in UTF-8, S3's own limit
_AHEAD = 8  # published folders that are listed at the same time
_BUCKET = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$"

T = TypeVar("T")


class S3Config(ConnectorConfig):
    """The options of a source of kind s3."""

    endpoint: str = Field(description="Address of the S3 service, as https://s3.example.nl")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]+$", description="Region of the bucket")
    bucket: str = Field(pattern=_BUCKET, description="Name of the bucket")
    prefix: str = Field("", description="Part of the bucket that the klanten's places are below")
    access_key: Secret = Field(description="Access key id, as env:NAME or file:/path")
    secret_key: Secret = Field(description="Secret access key, as env:NAME or file:/path")
    session_token: Secret | None = Field(None, description="Token of temporary credentials")
    path_style: bool = Field(True, description="Bucket in the path; no: before the host name")
    writable: bool = Field(False, description="Documents may be written")


class S3(Connector[S3Config]):
    """One bucket, or a part of it."""

    kind = "s3"
    title = {"nl": "S3-opslag", "en": "S3 storage"}
    Config = S3Config

    def __init__(self, config: S3Config, bucket: Bucket, uploader: Uploader) -> None:
        self._config, self._bucket, self._uploader = config, bucket, uploader

    @classmethod
    async def open(cls, config: S3Config, context: Context) -> Self:
        """See Connector.open."""
        context.egress.check_url(config.endpoint, option="endpoint")
        origin = _origin(config)
        context.egress.check_url(str(origin), option="endpoint")
        keys = [context.secret(config.access_key), context.secret(config.secret_key)]
        keys.append(context.secret(config.session_token) if config.session_token else "")
        host = origin.host_port_subcomponent or ""
        signer = Signer(host, keys[0], keys[1], token=keys[2], region=config.region)
        path = f"/{config.bucket}/" if config.path_style else "/"
        bucket = Bucket(context.http(), origin, path, signer)
        uploader = Uploader(
            bucket,
            config.bucket,
            keys,
            endpoint=config.endpoint,
            region=config.region,
            path_style=config.path_style,
        )
        return cls(config, bucket, uploader)

    @property
    def capabilities(self) -> Capability:
        """See Connector.capabilities."""
        can = Capability.RANGE | Capability.SIZE_KNOWN | Capability.VERSION
        can |= Capability.MODIFIED | Capability.STREAMS
        if self._config.writable:
            can |= Capability.WRITE | Capability.IF_ABSENT | Capability.ATOMIC_WRITE
            can |= Capability.MOVE
        return can

    def target(self) -> str:
        """See Connector.target."""
        return f"{self._bucket}{self._config.prefix}"

    async def reach(self) -> str:
        """See Connector.reach."""
        try:
            await self._bucket.page(self._root(Place("", "", ())), "", 1)
        except PermissionDenied:
            return "it answers; these keys may not see the whole prefix"
        return "it answers and takes our credentials"

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list. Page.next is "<number of the folder>:<S3's own token>"."""
        while True:
            found = await self._some(place, page or "0:", limit)
            if found.entries or found.next is None:
                return found
            page = found.next  # this was nothing but placeholders of folders

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat."""
        key = self._key(place, id)
        try:
            response = await self._bucket.send("HEAD", key)
        except SourceError as e:
            if not e.retryable:
                await self._explain(key)
            raise
        response.release()
        return entry_of(id, response, response.content_length)

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> S3Reader:
        """See Connector.read."""
        key = self._key(place, id)
        try:
            wanted = wishes(offset, length, version)
            response = await self._bucket.send("GET", key, headers=wanted)
        except RangeNotSatisfiable:
            if offset:
                raise
            # An empty document has no first byte, and so no range either.
            return await self.read(place, id, version=version)
        try:
            return opened(id, response, offset, length, version)
        except BaseException:
            response.close()
            raise

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
        """See Connector.put."""
        id = self.new_id(folder, name)
        key = self._key(place, id)
        await self._uploader.put(
            key, body, size=size, media_type=media_type, sha256=sha256, if_absent=if_absent
        )
        return await self.stat(place, id)

    async def move(
        self, place: Place, id: str, folder: str, name: str, *, version: str | None = None
    ) -> Entry:
        """See Connector.move. S3 has no rename: it is copied by the server, unless there is an
        object of that name, and then deleted, if it is still the one that was copied. In between
        it stands in both. A service that does not know the conditions of CopyObject and
        DeleteObject (SeaweedFS) is asked beforehand: there a writer of the same moment from
        another process could lose. More than 5 GB is TooLarge."""
        new = self.new_id(folder, name)
        key, target = self._key(place, id), self._key(place, new)
        found = await self.stat(place, id)
        if version is not None and found.version != version:
            raise ConditionFailed
        await self._uploader.move(key, target, found.version or "", found.size or 0)
        return await self.stat(place, new)

    async def aclose(self) -> None:
        """See Connector.aclose; the session is the context's to close."""
        await self._uploader.aclose()

    # --- how

    def _root(self, place: Place) -> str:
        """What stands before an id: empty, or ending in "/"."""
        parts = (self._config.prefix.strip("/"), place.root.strip("/"))
        return "".join(f"{part}/" for part in parts if part)

    def _key(self, place: Place, id: str) -> str:
        """The key of a document. Raises NotFound outside the published part of the place."""
        key = self._root(place) + id
        if not _is_plain(key) or not place.holds(id.split("/")[:-1]):
            raise NotFound
        return key

    async def _some(self, place: Place, page: str, limit: int) -> Page:
        """The rest of one folder, or the first pages of the next few, as far as `limit` goes."""
        folders = _outermost(place.folders)
        first, token = _position(page, len(folders))
        chosen = folders[first : first + (1 if token else _AHEAD)]
        parts = await _together([self._folder(place, f, token, limit) for f in chosen])
        entries: list[Entry] = []
        for number, (some, more) in enumerate(parts, first):
            if entries and len(entries) + len(some) > limit:
                return Page(entries, f"{number}:")
            entries += some
            if more:
                return Page(entries, f"{number}:{more}")
        last = first + len(chosen)
        return Page(entries, f"{last}:" if last < len(folders) else None)

    async def _folder(
        self, place: Place, folder: str, token: str, limit: int
    ) -> tuple[Sequence[Entry], str]:
        """One request below one published folder, and S3's token for its rest."""
        root = self._root(place)
        prefix = f"{root}{folder}/" if folder else root
        rows, more = await self._bucket.page(prefix, token, limit)
        return [_listed(row, len(root)) for row in rows if _is_plain(row.key)], more

    async def _explain(self, key: str) -> None:
        """Raises what S3 says is wrong: the answer to a HEAD has no room for its code."""
        (await self._bucket.send("GET", key, headers={"Range": "bytes=0-0"})).close()


def _origin(config: S3Config) -> URL:
    """Scheme, host and port that requests go to. Raises ConfigInvalid."""
    url = URL(config.endpoint)
    if url.path != "/" or url.query_string or not url.host:
        raise ConfigInvalid("an address without a path is expected", field="endpoint")
    return (url if config.path_style else url.with_host(f"{config.bucket}.{url.host}")).origin()


def _is_plain(key: str) -> bool:
    """Whether a key means itself to every server, whatever it keeps its objects in."""
    if "\\" in key or "\0" in key or not {"", ".", ".."}.isdisjoint(key.split("/")):
        return False
    try:
        return len(key.encode()) <= _LONGEST_KEY
    except UnicodeEncodeError:
        return False


async def _together(calls: Sequence[Coroutine[Any, Any, T]]) -> Sequence[T]:
    """Results in order; the first failure stops the others."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _outermost(folders: Sequence[str]) -> Sequence[str]:
    """The folders without those that lie in another one: nothing is listed twice."""
    if "" in folders:
        return ("",)
    inner = tuple(f"{f}/" for f in folders)
    return sorted({f for f in folders if not f.startswith(inner)})


def _position(page: str, folders: int) -> tuple[int, str]:
    """Number of the folder and S3's token. Raises ConditionFailed for a page that was not ours."""
    number, _, token = page.partition(":")
    if page != "0:" and not (re.fullmatch("[0-9]{1,4}", number) and int(number) < folders):
        raise ConditionFailed("the listing is no longer what it was")
    return int(number), token


def _listed(row: Row, root: int) -> Entry:
    id = row.key[root:]
    *folder, name = id.split("/")
    return Entry(id, name, tuple(folder), row.size, row.modified, version=row.etag)
