"""Documents of a CMIS 1.1 repository, over its Browser binding: Alfresco, Nuxeo, Documentum and
what speaks like them.

A document's id is its path below the place's root, made of the repository's own path segments.
Segments that some reader could take for another path (dots, a slash or backslash, also in two
encodings) are neither listed nor read.
Source: OASIS CMIS 1.1, section 5 (Browser Binding).
"""

import asyncio
import mimetypes
import re
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import suppress
from typing import Self
from weakref import WeakValueDictionary

import aiohttp
from pydantic import Field

from gateway.connector.cmis.form import Form
from gateway.connector.cmis.object import (
    CmisReader,
    entry_of,
    is_folder,
    judge_range,
    object_id,
    row_of,
)
from gateway.connector.cmis.wire import Properties, Repository
from gateway.connector.context import Context
from gateway.connector.contract import (
    Capability,
    Connector,
    ConnectorConfig,
    Entry,
    Page,
    Place,
    length_of,
)
from gateway.connector.pagedwalk import Path, Row, Walk, is_path, is_plain, outermost
from gateway.connector.secret import Secret
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigInvalid,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RangeNotSatisfiable,
    SourceError,
    Unsupported,
)

_KIND = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")


class CmisConfig(ConnectorConfig):
    """The options of a source of kind cmis."""

    url: str = Field(
        description="Address of the Browser binding, as https://dms.example.nl/cmis/browser"
    )
    repository: str = Field("", description="Id of the repository, when there are more than one")
    folder: str = Field("", description="Folder that the klanten's places are below")
    username: str = Field("", description="Who signs in, with HTTP basic")
    password: Secret | None = Field(None, description="Password, as env:NAME or file:/path")
    token: Secret | None = Field(None, description="Bearer token, instead of a password")
    ranges: bool = Field(True, description="The repository can give a part of a document")
    writable: bool = Field(False, description="Documents may be written")
    document_type: str = Field("cmis:document", description="Type of a document that is written")
    folder_type: str = Field("cmis:folder", description="Type of a folder that is made for it")


class Cmis(Connector[CmisConfig]):
    """One repository, or a part of it."""

    kind = "cmis"
    title = {"nl": "CMIS (zoals Alfresco)", "en": "CMIS (such as Alfresco)"}
    Config = CmisConfig

    def __init__(self, config: CmisConfig, repository: Repository) -> None:
        self._config, self._repository = config, repository
        self._base = _parts(config.folder)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    async def open(cls, config: CmisConfig, context: Context) -> Self:
        """See Connector.open."""
        context.egress.check_url(config.url, option="url")
        if not all(map(is_plain, _parts(config.folder))):
            raise ConfigInvalid("no path of a folder", field="folder")
        if (config.password is None) == (config.token is None):
            raise ConfigInvalid("a password or a token is needed, not both", field="password")
        if config.token is not None:
            authorization = f"Bearer {context.secret(config.token)}"
        else:
            secret = context.secret(config.password or "")
            authorization = aiohttp.encode_basic_auth(config.username, secret, "utf-8")
        return cls(
            config, Repository(context.http(), config.url, config.repository, authorization)
        )

    @property
    def capabilities(self) -> Capability:
        """See Connector.capabilities. Not ATOMIC_WRITE: the standard does not promise it."""
        can = Capability.SIZE_KNOWN | Capability.VERSION | Capability.MODIFIED
        can |= Capability.MEDIA_TYPE | Capability.STREAMS
        if self._config.ranges:
            can |= Capability.RANGE
        if self._config.writable:
            can |= Capability.WRITE | Capability.IF_ABSENT
        return can

    def target(self) -> str:
        """See Connector.target."""
        return self._config.url

    async def reach(self) -> str:
        """See Connector.reach."""
        await self._repository.find()
        try:
            await self._repository.get(self._base)
        except PermissionDenied:
            return "it answers; this account may not see the folder itself"
        except NotFound as e:
            raise ConfigInvalid(str(e), native=e.native, field="folder") from None
        return "it answers and takes our credentials"

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list; `gateway.connector.pagedwalk` says what a page is."""
        root = self._root(place)

        async def children(path: Path, skip: int, most: int) -> tuple[Sequence[Row], bool]:
            found, more = await self._repository.children((*(root or ()), *path), skip, most)
            return [row_of(path, child) for child in found], more

        folders = outermost(place.folders) if root is not None else ()
        return await Walk(children, folders).page(page, limit)

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat."""
        return (await self._found(place, id))[0]

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> CmisReader:
        """See Connector.read. The bytes are those of the object that was found at the path."""
        if (offset or length is not None) and not self._config.ranges:
            raise Unsupported("a part of a document")
        entry, properties = await self._found(place, id)
        if version is not None and version != entry.version:
            raise ConditionFailed
        left = _left(entry.size, offset, length)
        if entry.size == 0:
            return CmisReader(entry, None, offset, 0)
        part = bool(offset) or (length is not None and left != entry.size)
        end = "" if length is None else offset + (left or length) - 1
        try:
            response = await self._repository.content(
                object_id(properties), f"bytes={offset}-{end}" if part else ""
            )
        except ProtocolError as e:
            if e.native == "constraint" and entry.size is None:
                return CmisReader(entry, None, offset, 0)  # it has no content
            raise
        try:
            if part:
                judge_range(response, offset)
            elif left is None:
                left = response.content_length
        except BaseException:
            response.close()
            raise
        return CmisReader(entry, response, offset, left)

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
        """See Connector.put. One call makes the document with its content, so that a form that
        is cut off makes none. The repository itself refuses a namesake."""
        id = self.new_id(folder, name)
        path = self._path(place, id)
        kind = media_type or mimetypes.guess_type(name)[0] or ""
        kind = kind.partition(";")[0].strip()
        kind = kind if _KIND.fullmatch(kind) else "application/octet-stream"
        async with self._turns.setdefault("/".join(path), asyncio.Lock()):
            try:
                await self._repository.get(path)
                there = True
            except NotFound:
                there = False
            if there and if_absent:
                raise AlreadyExists
            if there:
                form, to = Form({"cmisaction": "setContent", "overwriteFlag": "true"}), path
            else:
                form, to = (
                    Form(_making("createDocument", self._config.document_type, name)),
                    (await self._folder(path[:-1])),
                )
            sent = form.document(name, kind, body, size, sha256)
            headers = form.document_headers(name, kind, size)
            try:
                await self._repository.act(to, sent, headers)
            except SourceError:
                if form.error is not None:
                    raise form.error from None
                raise
            if form.error is not None:
                raise form.error
            entry = await self.stat(place, id)
            if entry.size not in (None, form.count):
                if not there:
                    await self._remove(path)
                raise IntegrityError(f"{entry.size} bytes were kept of {form.count}")
        return entry

    async def aclose(self) -> None:
        """See Connector.aclose; the session is the context's to close."""

    # --- how

    def _root(self, place: Place) -> tuple[str, ...] | None:
        """The klant's place in the repository; None when it can be none."""
        parts = (*self._base, *_parts(place.root))
        return parts if all(map(is_plain, parts)) else None

    def _path(self, place: Place, id: str) -> Sequence[str]:
        """The path of a document. Raises NotFound outside the published part of the place."""
        parts, root = id.split("/"), self._root(place)
        if root is None or not is_path(parts) or not place.holds(parts[:-1]):
            raise NotFound
        return (*root, *parts)

    async def _found(self, place: Place, id: str) -> tuple[Entry, Properties]:
        properties = await self._repository.get(self._path(place, id))
        entry = entry_of(id.split("/"), properties)
        if entry is None:
            raise NotFound
        return entry, properties

    async def _folder(self, path: Sequence[str]) -> Sequence[str]:
        """The folder at a path, which is made with all above it when it is not there."""
        try:
            if is_folder(await self._repository.get(path)):
                return path
            raise AlreadyExists("a document has the name of the folder")
        except PermissionDenied:
            raise
        except NotFound:
            if not path:
                raise
        await self._folder(path[:-1])
        form = Form(_making("createFolder", self._config.folder_type, path[-1]))
        with suppress(AlreadyExists):  # another made it at the same moment
            await self._repository.act(path[:-1], form.plain(), form.headers())
        return path

    async def _remove(self, path: Sequence[str]) -> None:
        form = Form({"cmisaction": "delete"})
        await self._repository.act(path, form.plain(), form.headers())


def _parts(path: str) -> tuple[str, ...]:
    return tuple(path.strip("/").split("/")) if path.strip("/") else ()


def _making(action: str, kind: str, name: str) -> Mapping[str, str]:
    return {
        "cmisaction": action,
        "propertyId[0]": "cmis:objectTypeId",
        "propertyValue[0]": kind,
        "propertyId[1]": "cmis:name",
        "propertyValue[1]": name,
        "succinct": "true",
    }


def _left(size: int | None, offset: int, length: int | None) -> int | None:
    """Bytes that will come. Raises RangeNotSatisfiable."""
    if offset < 0 or (length is not None and length < 1):
        raise RangeNotSatisfiable
    if size is None:
        return None
    return length_of(size, offset, length)
