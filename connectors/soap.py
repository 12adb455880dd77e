"""A SOAP back office, described by a profile (see `gateway.connector.soap.profile`).

A klant's dossier items are rows of a listing; each has attachments, and an attachment is a
document. Every id is looked up again in the klant's own listing before its content is asked
for. A document's base64 is decoded while it comes. Nothing is written.
"""

import asyncio
import re
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import Field

from gateway.connector.context import Context
from gateway.connector.contract import (
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
from gateway.connector.soap import profile as soapprofile
from gateway.connector.soap.client import Row, SoapClient, SoapStream
from gateway.connector.soap.profile import Profile, Template
from gateway.connector.soap.wsdl import Operation, operations
from gateway.errors import (
    ConditionFailed,
    ConfigInvalid,
    NotFound,
    ProtocolError,
    SourceError,
    Unsupported,
)

T = TypeVar("T")

_SHIPPED = Path(__file__).parent / "soap_profiles"
_WSDL = Path(__file__).parents[1] / "config" / "wsdl"
_PART = re.compile("[^/]+")
_NO = {"", "0", "false", "nee", "n"}


class SoapConfig(ConnectorConfig):
    """Options of a `soap` source."""

    profile: str = Field(
        default="afas",
        description="a profile that ships (afas), or a .yaml file below the configuration",
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
    username: str = Field(default="", description="user name, with HTTP basic")
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


async def _together(calls: Iterable[Coroutine[Any, Any, T]]) -> Sequence[T]:
    """Results in order; the first failure ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(c) for c in calls]
    except ExceptionGroup as e:
        raise e.exceptions[0] from None
    return [t.result() for t in tasks]


class SoapReader:
    """A document of a SOAP source, always from its beginning."""

    offset = 0

    def __init__(self, entry: Entry, stream: SoapStream) -> None:
        self.entry, self.length = entry, entry.size
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        """Cut the connection, unless the answer has been read to its end."""
        self._stream.close()


class _Border:
    """What of a source's rows is published to a klant, whatever the source was asked."""

    def __init__(self, place: Place, where: Mapping[str, str]) -> None:
        self._place, self._where = place, tuple(where.items())
        self._folders: dict[str, tuple[str, ...] | None] = {}

    def folder(self, row: Row) -> tuple[str, ...] | None:
        """The published folder that a row lies in; None when it is not this klant's to see."""
        for field, wanted in self._where:
            if row.get(field, "").strip() != wanted:
                return None
        text = row.get("folder", "")
        if text not in self._folders:
            parts = tuple(text.strip().split("/")) if text.strip() else ()
            self._folders[text] = parts if self._place.holds(parts) else None
        return self._folders[text]


class Soap(Connector[SoapConfig]):
    """A source that speaks SOAP."""

    kind = "soap"
    title = {"nl": "SOAP (zoals AFAS Profit)", "en": "SOAP (such as AFAS Profit)"}
    Config = SoapConfig

    def __init__(
        self, config: SoapConfig, profile: Profile, client: SoapClient, secret: str
    ) -> None:
        self._profile, self._client = profile, client
        self._lists = asyncio.Semaphore(config.parallel)
        self._take = config.page_size or profile.list.paging.page_size
        self._zone = ZoneInfo(profile.timezone)
        self._id = [(part, profile.accept.get(f"id.{part}", _PART)) for part in profile.id]
        self._where = {f: Template(w) for f, w in profile.list.where.items()}
        self._fixed = {
            "auth.secret": profile.auth.wrapped(secret),
            **{f"word.{k}": v for k, v in profile.words.items()},
            **{f"field.{k}": v for k, v in profile.list.fields.items()},
        }

    @classmethod
    async def open(cls, config: SoapConfig, context: Context) -> Self:
        """Reads the profile and its WSDLs. Raises ConfigInvalid."""
        threads = context.threads(2)
        profile, calls = await threads.run(_load, config, context.base)
        for call in calls.values():
            context.egress.check_url(call.url, option="url")
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
        }
        found = Capability.STREAMS
        for field, capability in told.items():
            if field in self._profile.list.fields:
                found |= capability
        return found

    async def check(self, scope: Scope, place: Place | None = None) -> Report:
        """See Connector.check. Connectivity is a listing of a klant that need not exist."""
        probe = Place(self._profile.probe, self._profile.probe, ())
        asked = self._values(probe, skip=0, take=1)
        steps: dict[Scope, Callable[[], Awaitable[object]]] = {
            Scope.CONNECTIVITY: lambda: self._client.rows("list", asked),
            Scope.LIST: lambda: self.list(_needed(place), limit=1),
            Scope.READ: lambda: self._read_one(_needed(place)),
        }
        findings = [Finding(True, Scope.PARAMETERS, f"{self._profile.title}: as pinned")]
        for step in tuple(Scope)[1 : tuple(Scope).index(scope) + 1]:
            try:
                await steps[step]()
            except SourceError as e:
                findings.append(Finding(False, step, str(e), e.field, e.code))
                break
            findings.append(Finding(True, step, "ok"))
        return Report(tuple(findings))

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list. A page's name is the row, and the document in it, to go on from."""
        at, within = _position(page)
        entries: list[Entry] = []
        take = min(self._take, limit)
        before: Sequence[Row] = ()
        while self._accepts(place, {}):
            rows = await self._client.rows("list", self._values(place, skip=at, take=take))
            if rows and rows == before:
                raise ProtocolError("the source gives the same page again")
            before = rows
            for found in await self._documents(place, rows):
                room = limit - len(entries)
                entries += found[within : within + room]
                if len(found) - within > room:
                    return Page(entries, next=f"{at}.{within + room}")
                at, within = at + 1, 0
            if not rows or (len(rows) < take and self._profile.list.paging.stop == "short"):
                break
            if len(entries) >= limit:
                return Page(entries, next=f"{at}.0")
        return Page(entries)

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat. Found again in the klant's own listing, whatever the id says."""
        parts = self._parts(id)
        if not self._accepts(place, parts):
            raise NotFound
        rows = await self._client.rows("find", self._values(place, parts, skip=0, take=1000))
        asked = [r for r in rows if parts.items() >= {(n, r[n].strip()) for n in parts if n in r}]
        for found in await self._documents(place, asked):
            for entry in found:
                if entry.id == id:
                    return entry
        raise NotFound

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
        if offset or length is not None:
            raise Unsupported("a part of a document")
        entry = await self.stat(place, id)
        if version is not None and entry.version != version:
            raise ConditionFailed
        stream = await self._client.stream(self._values(place, self._parts(id)))
        return SoapReader(entry, stream)

    async def aclose(self) -> None:
        """Nothing of its own: the context holds the session and the threads."""

    # --- rows and documents

    def _values(
        self, place: Place, parts: Mapping[str, str] | None = None, skip: int = 0, take: int = 0
    ) -> dict[str, str]:
        return {
            **self._fixed,
            "klant.root": place.root,
            "klant.number": place.klant,
            "page.skip": str(skip),
            "page.take": str(take),
            **{f"id.{name}": value for name, value in (parts or {}).items()},
        }

    def _accepts(self, place: Place, parts: Mapping[str, str]) -> bool:
        """Whether the profile lets these be filled in; each must match as a whole."""
        values = self._values(place, parts)
        return all(
            pattern.fullmatch(values[name]) is not None
            for name, pattern in self._profile.accept.items()
            if name in values
        )

    def _parts(self, id: str) -> dict[str, str]:
        parts = id.split("/")
        if len(parts) != len(self._profile.id):
            raise NotFound
        return dict(zip(self._profile.id, parts, strict=True))

    async def _documents(self, place: Place, rows: Sequence[Row]) -> Sequence[Sequence[Entry]]:
        """The documents of each row; none for a row that is not published to this klant."""
        values = self._values(place)
        border = _Border(place, {f: t.fill(values) for f, t in self._where.items()})
        ours = [(row, border.folder(row)) for row in rows]
        if self._profile.attachments is None or "file" in self._profile.list.fields:
            return [() if folder is None else self._entries([row], folder) for row, folder in ours]
        return await _together(self._attached(place, row, folder) for row, folder in ours)

    async def _attached(
        self, place: Place, row: Row, folder: tuple[str, ...] | None
    ) -> Sequence[Entry]:
        if folder is None or row.get("attachments", "1").strip().lower() in _NO:
            return ()
        parts = {name: row[name].strip() for name, _ in self._id if name in row}
        if not self._accepts(place, parts):
            return ()
        try:
            async with self._lists:
                found = await self._client.rows("attachments", self._values(place, parts))
        except NotFound:
            return ()  # gone between the two calls
        return self._entries([{**row, **attachment} for attachment in found], folder)

    def _entries(self, rows: Sequence[Row], folder: tuple[str, ...]) -> Sequence[Entry]:
        return [e for r in rows if (e := self._entry(r, folder)) is not None]

    def _entry(self, row: Row, folder: tuple[str, ...]) -> Entry | None:
        """The document of a row; None when its id could not be given back to the source."""
        parts = []
        for name, pattern in self._id:
            value = row.get(name, "").strip()
            if "/" in value or pattern.fullmatch(value) is None:
                return None
            parts.append(value)
        title, size = row.get("title", ""), row.get("size", "").strip()
        return Entry(
            id="/".join(parts),
            name=row.get("name", "").strip() or title or parts[-1],
            folder=folder,
            size=int(size) if size.isdecimal() else None,
            modified=_when(row.get("modified", "").strip(), self._zone),
            version=row.get("version") or None,
            meta={"subject": title} if title else {},
        )

    async def _read_one(self, place: Place) -> None:
        page = await self.list(place, limit=1)
        for entry in page.entries:
            reader = await self.read(place, entry.id)
            try:
                async for _ in reader:
                    break
            finally:
                await reader.aclose()


def _needed(place: Place | None) -> Place:
    if place is None:
        raise ConfigInvalid("a place is needed for this check")
    return place


def _position(page: str | None) -> tuple[int, int]:
    """Row and document in it. Raises ConditionFailed for what `list` did not give."""
    match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", page or "0.0")
    if match is None:
        raise ConditionFailed("no such page")
    return int(match[1]), int(match[2])


def _when(text: str, zone: ZoneInfo) -> datetime | None:
    """ISO 8601, or the dd-mm-jjjj of a column that is formatted; local unless it says."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        turned, count = re.subn(r"^(\d\d)-(\d\d)-(\d{4})", r"\3-\2-\1", text)
        return _when(turned, zone) if count else None
    return found if found.tzinfo else found.replace(tzinfo=zone)
