"""Documents that are rows: a klant's dossier items, asked for with a filter, each with its
attachments; an attachment is a document, and so may a row be.

Every id is looked up again in the klant's own listing before its content is asked for.
"""

import asyncio
import re
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from gateway.connector.contract import Entry, Page, Place
from gateway.connector.pagedwalk import is_path, is_plain
from gateway.connector.soap.client import Row, SoapClient
from gateway.connector.soap.profile import Listing, Profile, Template
from gateway.errors import ConditionFailed, NotFound, ProtocolError

T = TypeVar("T")

_PART = re.compile("[^/]+")
_NO = {"", "0", "false", "nee", "n"}


async def _together(calls: Iterable[Coroutine[Any, Any, T]]) -> Sequence[T]:
    """Results in order; the first failure ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(c) for c in calls]
    except ExceptionGroup as e:
        raise e.exceptions[0] from None
    return [t.result() for t in tasks]


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


class Items:
    """The dossier items of one source. fixed: values that are the same in every call."""

    def __init__(
        self,
        profile: Profile,
        listing: Listing,
        client: SoapClient,
        fixed: Mapping[str, str],
        *,
        page_size: int | None,
        parallel: int,
    ) -> None:
        self._profile, self._listing, self._client = profile, listing, client
        self._lists = asyncio.Semaphore(parallel)
        self._take = page_size or listing.paging.page_size
        self._zone = ZoneInfo(profile.timezone)
        self._id = [(part, profile.accept.get(f"id.{part}", _PART)) for part in profile.id]
        self._where = {f: Template(w) for f, w in listing.where.items()}
        self._fixed = {**fixed, **{f"field.{k}": v for k, v in listing.fields.items()}}

    async def probe(self) -> None:
        """A listing of a klant that need not exist."""
        probe = Place(self._profile.probe, self._profile.probe, ())
        await self._client.rows("list", self._values(probe, skip=0, take=1))

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list. A page's name is the row, and the document in it, to go on from."""
        if self._listing.paging.stop == "token":
            return await self._by_token(place, page, limit)
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
            if not rows or (len(rows) < take and self._listing.paging.stop == "short"):
                break
            if len(entries) >= limit:
                return Page(entries, next=f"{at}.0")
        return Page(entries)

    async def _by_token(self, place: Place, page: str | None, limit: int) -> Page:
        """A page's name is the row of a page of the source's, the document in it, and the token
        of that page."""
        numbers, _, token = (page or "0.0:").partition(":")
        at, within = _position(numbers)
        entries: list[Entry] = []
        while self._accepts(place, {}):
            values = {**self._values(place, take=self._take), "page.token": token}
            answer = await self._client.answer("list", values)
            documents = await self._documents(place, answer.rows[at:])
            for number, found in enumerate(documents, at):
                room = limit - len(entries)
                entries += found[within : within + room]
                if len(found) - within > room:
                    return Page(entries, f"{number}.{within + room}:{token}")
                within = 0
            if not answer.more:
                break
            if answer.more == token:
                raise ProtocolError("the source gives the same page again")
            at, token = 0, answer.more
            if len(entries) >= limit:
                return Page(entries, f"0.0:{token}")
        return Page(entries)

    async def find(self, place: Place, id: str) -> tuple[Entry, Mapping[str, str]]:
        """The document, and what a call that reads it is filled with. Raises NotFound."""
        parts = self._parts(id)
        if not self._accepts(place, parts):
            raise NotFound
        rows = await self._client.rows("find", self._values(place, parts, skip=0, take=1000))
        asked = [r for r in rows if parts.items() >= {(n, r[n].strip()) for n in parts if n in r}]
        urls: dict[str, str] = {}
        for found in await self._documents(place, asked, urls):
            for entry in found:
                if entry.id == id:
                    return entry, {**self._values(place, parts), "read.url": urls.get(id, "")}
        raise NotFound

    def new(self, place: Place, folder: str, name: str) -> Mapping[str, str]:
        """What a call that makes a document is filled with. Raises NotFound outside the place."""
        parts = tuple(folder.split("/"))
        good = is_plain(name) and is_path(parts)
        if not (good and place.holds(parts) and self._accepts(place, {})):
            raise NotFound
        return {**self._values(place), "put.name": name}

    async def namesake(self, place: Place, folder: str, name: str) -> Entry | None:
        """A document of that name in a folder; the whole dossier is looked through."""
        page: str | None = None
        while True:
            found = await self.list(place, page=page)
            for entry in found.entries:
                if (entry.folder, entry.name) == (tuple(folder.split("/")), name):
                    return entry
            page = found.next
            if page is None:
                return None

    async def made(self, place: Place, folder: str, name: str, parts: Mapping[str, str]) -> Entry:
        """The document that was just made; parts: of its id, as far as the source told."""
        told = {n: v.strip() for n, v in parts.items() if n in self._profile.id and v.strip()}
        found: Entry | None = None
        if told and self._accepts(place, told):
            rows = await self._client.rows("find", self._values(place, told, skip=0, take=1000))
            for entries in await self._documents(place, rows):
                found = next((e for e in entries if e.name == name), found)
        found = found or await self.namesake(place, folder, name)
        if found is None:
            raise ProtocolError("the document was taken, and is not there")
        return found

    def _values(
        self, place: Place, parts: Mapping[str, str] | None = None, skip: int = 0, take: int = 0
    ) -> dict[str, str]:
        return {
            **self._fixed,
            "klant.root": place.root,
            "klant.number": place.klant,
            "page.skip": str(skip),
            "page.take": str(take),
            "page.token": "",
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

    async def _documents(
        self, place: Place, rows: Sequence[Row], urls: dict[str, str] | None = None
    ) -> Sequence[Sequence[Entry]]:
        """The documents of each row; none for a row that is not published to this klant. urls:
        is told where each stands, by id."""
        values = self._values(place)
        border = _Border(place, {f: t.fill(values) for f, t in self._where.items()})
        ours = [(row, border.folder(row)) for row in rows]
        if self._profile.attachments is None or "file" in self._listing.fields:
            return [
                () if folder is None else self._entries([row], folder, urls)
                for row, folder in ours
            ]
        return await _together(self._attached(place, row, folder, urls) for row, folder in ours)

    async def _attached(
        self,
        place: Place,
        row: Row,
        folder: tuple[str, ...] | None,
        urls: dict[str, str] | None,
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
        return self._entries([{**row, **attachment} for attachment in found], folder, urls)

    def _entries(
        self, rows: Sequence[Row], folder: tuple[str, ...], urls: dict[str, str] | None
    ) -> Sequence[Entry]:
        made = [(row, entry) for row in rows if (entry := self._entry(row, folder)) is not None]
        if urls is not None:
            urls.update((entry.id, row.get("url", "")) for row, entry in made)
        return [entry for _, entry in made]

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
            modified=when(row.get("modified", "").strip(), self._zone),
            media_type=row.get("media") or None,
            version=row.get("version") or None,
            meta={"subject": title} if title else {},
        )


def _position(page: str | None) -> tuple[int, int]:
    """Row and document in it. Raises ConditionFailed for what `list` did not give."""
    match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})", page or "0.0")
    if match is None:
        raise ConditionFailed("no such page")
    return int(match[1]), int(match[2])


def when(text: str, zone: ZoneInfo) -> datetime | None:
    """ISO 8601, or the dd-mm-jjjj of a column that is formatted; local unless it says."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        turned, count = re.subn(r"^(\d\d)-(\d\d)-(\d{4})", r"\3-\2-\1", text)
        return when(turned, zone) if count else None
    return found if found.tzinfo else found.replace(tzinfo=zone)
