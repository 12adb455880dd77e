"""Documents on a WebDAV server: Nextcloud, Apache, IIS and what speaks like them.

A document's id is its path below the klant's place. Names that some server could take for another
path, also after decoding them once more, are neither listed nor read. Redirects are not followed,
and folders are asked for one at a time: most servers refuse a question about a whole tree.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, model_validator
from yarl import URL

from gateway.connector import pagedwalk, walk
from gateway.connector.body import Announced
from gateway.connector.context import Context
from gateway.connector.contract import Capability, ConnectorConfig, Entry
from gateway.connector.secret import Secret
from gateway.connector.tree import TreeConnector
from gateway.connector.walk import Parts, Row
from gateway.connector.webdav.document import DavReader, as_opened, part_of, same, wishes
from gateway.connector.webdav.put import Writer
from gateway.connector.webdav.wire import Dav, basic, bearer, trust
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigInvalid,
    NotFound,
    PermissionDenied,
    RangeNotSatisfiable,
)


class WebdavConfig(ConnectorConfig):
    """The options of a source of kind webdav."""

    url: str = Field(
        description="Address of the folder the places are below, as"
        " https://cloud.example.nl/remote.php/dav/files/kantoor"
    )
    username: str = Field("", pattern=r"^[^:\x00-\x1f]*$", description="Who signs in")
    password: Secret | None = Field(None, description="Password, as env:NAME or file:/path")
    token: Secret | None = Field(
        None, description="Bearer token, instead of a user name and a password"
    )
    ca: str = Field(
        "", description="File of the authorities (PEM) for a server with a certificate of its own"
    )
    etags: bool = Field(
        True, description="The server's ETag changes with the bytes; no: documents have no version"
    )
    writable: bool = Field(False, description="Documents may be written")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.token is None) == (self.password is None) or bool(self.username) != bool(
            self.password
        ):
            raise ValueError("a user name with a password is needed, or a token")
        return self


class Webdav(TreeConnector[WebdavConfig]):
    """One folder of a server."""

    kind = "webdav"
    title = {"nl": "WebDAV (zoals Nextcloud)", "en": "WebDAV (such as Nextcloud)"}
    Config = WebdavConfig

    def __init__(self, config: WebdavConfig, dav: Dav) -> None:
        self._config, self._dav, self._writer = config, dav, Writer(dav)

    @classmethod
    async def open(cls, config: WebdavConfig, context: Context) -> Self:
        """See Connector.open."""
        context.egress.check_url(config.url, option="url")
        url = URL(config.url)
        if url.query_string:
            raise ConfigInvalid("an address without a question is expected", field="url")
        threads = context.threads(1)
        tls = await threads.run(trust, str(context.base / config.ca)) if config.ca else True
        secret = context.secret(config.token or config.password or "")
        who = basic(config.username, secret) if config.token is None else bearer(secret)
        return cls(config, Dav(context.http(), url, who, tls, threads))

    @property
    def capabilities(self) -> Capability:
        """See Connector.capabilities."""
        can = Capability.RANGE | Capability.SIZE_KNOWN | Capability.MODIFIED | Capability.STREAMS
        if self._config.etags:
            can |= Capability.VERSION
        if self._config.writable:
            can |= Capability.WRITE | Capability.IF_ABSENT | Capability.ATOMIC_WRITE
            can |= Capability.MOVE
        return can

    def target(self) -> str:
        """See Connector.target."""
        return self._config.url

    async def reach(self) -> str:
        """See Connector.reach."""
        await self._enter()
        return "it answers and takes our credentials"

    def judge(self, entry: Entry) -> None:
        """See Connector.judge."""
        if self._config.etags and entry.version is None:
            raise ConfigInvalid("the server tells no ETag of a document", field="etags")

    @staticmethod
    def is_plain(name: str) -> bool:
        """See TreeConnector.is_plain; some servers decode a name once too often."""
        return walk.is_plain(name) and pagedwalk.is_plain(name)

    async def aclose(self) -> None:
        """See Connector.aclose; the session is the context's to close."""
        await self._writer.aclose()

    # --- see TreeConnector

    async def _enter(self) -> None:
        await self._dav.enter()

    async def _folder(self, at: Parts) -> Sequence[Row]:
        return [self._told(row) for row in await self._dav.folder(at)]

    async def _look(self, at: Parts) -> Row:
        return self._told(await self._found(at))

    async def _read(
        self, at: Parts, folder: Parts, offset: int, length: int | None, version: str | None
    ) -> DavReader:
        """What it is is asked for at the same time: GET of a folder may give a page about it."""
        wanted = wishes(offset, length, version)
        row = Row("", False)
        looking = asyncio.ensure_future(self._found(at))
        getting = asyncio.ensure_future(self._dav.send("GET", at, (200, 206), headers=wanted))
        try:
            row = await looking
            response = await getting
            came, size = part_of(response, offset, length)
            row = self._told(as_opened(row, response, size))
            if version is not None and not same(version, row.version):
                raise ConditionFailed  # a server that does not know If-Match
        except RangeNotSatisfiable:
            if offset or row.size != 0:
                raise
            # An empty document has no first byte, and so no range either.
            return await self._read(at, folder, 0, None, version)
        except BaseException:
            looking.cancel()
            getting.cancel()
            getting.add_done_callback(_unwanted)
            raise
        if came is None and row.size is not None:
            came = row.size - offset if length is None else min(length, row.size - offset)
        return DavReader(walk.entry_of(folder, row), response, offset, came)

    async def _put(
        self, to: Parts, sent: Announced, media_type: str | None, *, replace: bool
    ) -> None:
        await self._writer.put(to, sent, media_type, replace=replace)

    async def _move(self, old: Parts, to: Parts, version: str | None) -> None:
        row = await self._look(old)  # MOVE would take a folder too
        if version is not None and not same(version, row.version):
            raise ConditionFailed
        if old == to:
            raise AlreadyExists
        await self._writer.move(old, to, row.version if version is not None else None)

    # --- how

    async def _found(self, at: Parts) -> Row:
        try:
            return await self._dav.look(at)
        except PermissionDenied:
            raise
        except NotFound:
            await self._dav.enter()
            raise

    def _told(self, row: Row) -> Row:
        return row if self._config.etags else row._replace(version=None)


def _unwanted(getting: asyncio.Future[Any]) -> None:
    if not getting.cancelled() and getting.exception() is None:
        getting.result().close()
