"""A SOAP back office, described by a profile (see `gateway.connector.soap.profile`).

A klant's documents are rows of a listing (`gateway.connector.soap.items`) or stand in folders
(`gateway.connector.soap.folders`). A document is decoded while it comes, encoded while it goes.
"""

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Self

from pydantic import Field

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
from gateway.connector.secret import Secret
from gateway.connector.soap import profile as soapprofile
from gateway.connector.soap.client import Plain, SoapClient, SoapStream
from gateway.connector.soap.folders import Folders
from gateway.connector.soap.items import Items
from gateway.connector.soap.profile import Profile
from gateway.connector.soap.upload import Upload
from gateway.connector.soap.wsdl import Operation, operations
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigInvalid,
    IntegrityError,
    ProtocolError,
    RangeNotSatisfiable,
    Unsupported,
)

_SHIPPED = Path(__file__).parent / "soap_profiles"
_WSDL = Path(__file__).parents[1] / "config" / "wsdl"


class SoapConfig(ConnectorConfig):
    """Options of a `soap` source."""

    profile: str = Field(
        default="afas",
        description="a profile that ships (afas, cmis-ws, sharepoint-lists), or a .yaml file"
        " below the configuration",
    )
    url: str = Field(
        description="base address; the services' paths come behind it"
        " (https://12345.soap.afas.online/profitservices)"
    )
    endpoints: dict[str, str] = Field(
        default={}, description="whole addresses of services that stand elsewhere, by name"
    )
    token: Secret | None = Field(
        default=None, description="the token, or the password with HTTP basic"
    )
    username: str = Field(default="", description="user name, with HTTP basic or a login")
    words: dict[str, str] = Field(
        default={},
        description="words of the profile that differ; afas: connector, the GetConnector of"
        " dossier items (ProfitSubjects)",
    )
    fields: dict[str, str] = Field(
        default={},
        description="columns that differ from the profile's; afas: item, klant, folder, title,"
        " modified, and optionally attachments (whether there are any), size (exact, in bytes),"
        " or file and name when each row is an attachment",
    )
    page_size: int | None = Field(
        default=None, ge=1, le=1000, description="dossier items a call; the profile's unless said"
    )
    parallel: int = Field(
        default=6, ge=1, le=32, description="attachment calls of listings at the same time"
    )
    writable: bool = Field(
        default=False, description="Documents may be written, if the profile can (afas)"
    )
    types: dict[str, str] = Field(
        default={},
        description="types that a written document gets, by folder, where they differ from it"
        " (afas: Brief: '15')",
    )


def _load(config: SoapConfig, base: Path) -> tuple[Profile, dict[str, Operation]]:
    """The profile and its operations; reads files, and takes zeep a while."""
    shipped = re.fullmatch(r"[a-z0-9-]+", config.profile) is not None
    path = _SHIPPED / f"{config.profile}.yaml" if shipped else base / config.profile
    if not (shipped or path.resolve().is_relative_to(base.resolve())) or path.suffix != ".yaml":
        raise ConfigInvalid("a profile is a .yaml file below the configuration", field="profile")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigInvalid(f"no profile {path}: {type(e).__name__}", field="profile") from None
    profile = soapprofile.load(text, config.profile).adapted(config.words, config.fields)
    base_url = config.url.rstrip("/")
    urls = {n: f"{base_url}/{service.path}" for n, service in profile.services.items()}
    if unknown := set(config.endpoints) - set(urls):
        raise ConfigInvalid(f"no services {', '.join(sorted(unknown))}", field="endpoints")
    return profile, operations(profile, {**urls, **config.endpoints}, (base / "wsdl", _WSDL))


class SoapReader:
    """A document, or a part of one. stream: None when it has no bytes."""

    def __init__(
        self, entry: Entry, stream: SoapStream | Plain | None, offset: int, length: int | None
    ) -> None:
        self.entry, self.offset, self.length = entry, offset, length
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader. Raises IntegrityError, ProtocolError, Unavailable."""
        count = 0
        if self._stream is not None:
            async for piece in self._stream:
                count += len(piece)
                if self.length is not None and count > self.length:
                    raise IntegrityError(f"more than the {self.length} bytes that were promised")
                yield piece
        if self.length is not None and count != self.length:
            raise IntegrityError(f"{count} bytes came of {self.length}")

    async def aclose(self) -> None:
        """Cut the connection, unless the answer has been read to its end."""
        if self._stream is not None:
            self._stream.close()


class Soap(Connector[SoapConfig]):
    """A source that speaks SOAP."""

    kind = "soap"
    title = {"nl": "SOAP (zoals AFAS Profit)", "en": "SOAP (such as AFAS Profit)"}
    Config = SoapConfig

    def __init__(
        self, config: SoapConfig, profile: Profile, client: SoapClient, secret: str
    ) -> None:
        self._config, self._profile, self._client = config, profile, client
        self._puts = asyncio.Lock()
        fixed = {
            "auth.secret": profile.auth.wrapped(secret),
            "auth.username": config.username,
            **{f"word.{k}": v for k, v in profile.words.items()},
        }
        self._source: Items | Folders
        if profile.tree is not None:
            self._source = Folders(profile, profile.tree, client, fixed, config.page_size)
        elif profile.list is not None:
            self._source = Items(
                profile,
                profile.list,
                client,
                fixed,
                page_size=config.page_size,
                parallel=config.parallel,
            )

    @classmethod
    async def open(cls, config: SoapConfig, context: Context) -> Self:
        """Reads the profile and its WSDLs. Raises ConfigInvalid."""
        threads = context.threads(2)
        profile, calls = await threads.run(_load, config, context.base)
        for call in calls.values():
            context.egress.check_url(call.url, option="url")
        if config.writable and profile.put is None:
            raise ConfigInvalid("this profile cannot write", field="writable")
        if profile.auth.kind != "none" and config.token is None:
            raise ConfigInvalid("this profile needs a token", field="token")
        secret = await threads.run(context.secret, config.token) if config.token else ""
        client = SoapClient(
            profile, calls, context.http(), threads, secret=secret, username=config.username
        )
        return cls(config, profile, client, secret)

    @property
    def capabilities(self) -> Capability:
        """Depends on the columns that are mapped."""
        told = {
            "size": Capability.SIZE_KNOWN,
            "modified": Capability.MODIFIED,
            "version": Capability.VERSION,
            "media": Capability.MEDIA_TYPE,
        }
        found = Capability.STREAMS
        if self._profile.read.range:
            found |= Capability.RANGE
        if self._config.writable:
            found |= Capability.WRITE
        for field, capability in told.items():
            if field in self._profile.fields:
                found |= capability
        return found

    def target(self) -> str:
        """See Connector.target."""
        return f"{self._profile.title}: as pinned"

    async def reach(self) -> str:
        """See Connector.reach."""
        await self._source.probe()
        return "it answers and takes our credentials"

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list."""
        return await self._source.list(place, page=page, limit=limit)

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat. Found again where the klant's documents are, whatever it says."""
        return (await self._source.find(place, id))[0]

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> SoapReader:
        """See Connector.read. Comes back when the document has begun."""
        ranges = self._profile.read.range
        if not ranges and (offset or length is not None):
            raise Unsupported("a part of a document")
        entry, values = await self._source.find(place, id)
        if version is not None and entry.version != version:
            raise ConditionFailed
        if self._profile.read.encoding == "url":
            plain = await self._client.get(values["read.url"], self._config.url)
            return SoapReader(entry, plain, 0, plain.length)
        if not ranges:
            return SoapReader(entry, await self._client.stream(values), 0, entry.size)
        left = _left(entry.size, offset, length)
        if left == 0:
            return SoapReader(entry, None, 0, 0)
        values = {**values, "read.offset": str(offset), "read.length": str(left)}
        return SoapReader(entry, await self._client.stream(values), offset, left)

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
        """See Connector.put. One call makes a dossier item with its document. The source takes
        namesakes, so they are looked for beforehand (and no IF_ABSENT is told); none is replaced.
        """
        put, source = self._profile.put, self._source
        if not self._config.writable or put is None or not isinstance(source, Items):
            raise Unsupported("this source is not writable")
        values = {**source.new(place, folder, name)}
        values["put.type"] = self._config.types.get(folder, folder)
        upload = Upload(body, size=size, sha256=sha256, largest=put.largest)
        async with self._puts:
            if await source.namesake(place, folder, name) is not None:
                raise AlreadyExists if if_absent else Unsupported("a document to replace")
            rows = await self._client.put(values, upload)
            return await source.made(place, folder, name, rows[0] if rows else {})

    async def aclose(self) -> None:
        """Leave the session; the context holds the connections and the threads."""
        await self._client.aclose()


def _left(size: int | None, offset: int, length: int | None) -> int:
    """Bytes that will come. Raises RangeNotSatisfiable, ProtocolError."""
    if offset < 0 or (length is not None and length < 1):
        raise RangeNotSatisfiable
    if size is None:
        raise ProtocolError("a document without a size")
    return length_of(size, offset, length)
