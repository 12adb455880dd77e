"""The dossier: what a klant has, live from the firm's own systems, and one document of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from gateway.connector.contract import Capability, Entry, Place
from gateway.connector.guard import Guarded, GuardedReader
from gateway.domain import access, dossier, span
from gateway.domain.dossier import CategoryCount, Row
from gateway.domain.firm import Source
from gateway.domain.klant import Klant
from gateway.domain.span import Span
from gateway.errors import ConditionFailed, Denied, NotFound, SourceError, Unavailable
from gateway.flows import documents
from gateway.flows.listings import Answer
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor
from gateway.store import audit, preferences

#: Preference: whether the panel with categories is shown.
SHOW_CATEGORIES = "dossier_categorie"


@dataclass(frozen=True, slots=True)
class SourceState:
    """One source and what it answered."""

    source: Source
    answer: Answer


@dataclass(frozen=True, slots=True)
class Dossier:
    """A klant's dossier as it can be shown now.

    as_of: the moment of the oldest listing that is shown; None when there is none.
    """

    klant: Klant
    states: tuple[SourceState, ...]
    rows: tuple[Row, ...]
    categories: tuple[CategoryCount, ...]
    as_of: datetime | None

    @property
    def complete(self) -> bool:
        """Whether every source gave all it has."""
        return all(s.answer.complete for s in self.states)

    @property
    def waiting(self) -> bool:
        """Whether a source is still being asked."""
        return any(s.answer.waiting for s in self.states)


async def overview(
    portal: Portal,
    visitor: Visitor,
    number: str | None,
    *,
    wait: float | None = None,
    refresh: bool = False,
) -> Dossier:
    """The dossier of a klant (None: the one looked at). Raises Denied.

    All sources are asked at once; after `wait` seconds (the budget unless said) the page gets
    what there is. refresh: go past what is remembered.
    """
    klant = await may_see(portal, visitor, number)
    patience = portal.budget if wait is None else wait
    states = await asyncio.gather(
        *(
            _state(portal, visitor, source, klant, patience, refresh)
            for source in visitor.firm.sources
            if source.dossier
        )
    )
    rows = tuple(r for s in states if s.answer.listing for r in s.answer.listing.rows)
    moments = [s.answer.listing.as_of for s in states if s.answer.listing]
    counts = dossier.count(((s.source, s.answer.complete) for s in states), rows)
    return Dossier(klant, tuple(states), rows, counts, min(moments, default=None))


async def _state(
    portal: Portal, visitor: Visitor, source: Source, klant: Klant, wait: float, refresh: bool
) -> SourceState:
    try:
        guarded, place = documents.at(portal, visitor.firm, source, klant)
        answer = await portal.listings.get(guarded, source, place, wait=wait, refresh=refresh)
    except SourceError as e:
        answer = Answer(None, e)
    return SourceState(source, answer)


async def may_see(portal: Portal, visitor: Visitor, number: str | None) -> Klant:
    """The klant, when this person may see it. Raises Denied."""
    klant = access.may_see(visitor.klanten, number or visitor.klant)
    if klant is None:
        raise Denied
    return klant


@dataclass(slots=True)
class Opened:
    """A document that is ready to be sent.

    reader: None when `unchanged` (the browser has this version) or only the head was asked.
    span: the part that is given; None: the whole.
    """

    entry: Entry
    reader: GuardedReader | None
    span: Span | None = None
    unchanged: bool = False

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes that are given; none for a head or an unchanged document."""
        if self.reader is not None:
            async for piece in self.reader:
                yield piece


@dataclass(frozen=True, slots=True)
class Wish:
    """What a browser asks of a document: a range, unless it has a version; or only the head."""

    range: str = ""
    if_range: str = ""
    if_none_match: tuple[str, ...] = ()
    head: bool = False
    purpose: str = "view"


@asynccontextmanager
async def open_document(
    portal: Portal, visitor: Visitor, number: str | None, source_id: str, handle: str, wish: Wish
) -> AsyncIterator[Opened]:
    """One document, its first piece already there. Closed at the end, whatever happens.

    Raises Denied for another person's klant, NotFound for anything outside the klant's
    dossier, and the source's errors. The audit row is written before the document is given:
    no audit, no document.
    """
    klant = await may_see(portal, visitor, number)
    source = visitor.firm.source(source_id)
    id = dossier.id_of(handle)
    if source is None or not source.dossier or id is None:
        raise NotFound
    guarded, place = documents.at(portal, visitor.firm, source, klant)
    opened = await _open(guarded, place, id, wish)
    try:
        if not opened.unchanged and not wish.head:
            await _record(portal, visitor, klant, source, id, opened, wish.purpose)
        yield opened
    finally:
        if opened.reader is not None:
            await opened.reader.aclose()


async def _open(guarded: Guarded, place: Place, id: str, wish: Wish) -> Opened:
    """Ask for the head first where the browser's wish depends on it."""
    if not (wish.range or wish.if_none_match or wish.head):
        reader = await guarded.read(place, id)
        return Opened(reader.entry, reader)
    entry = await guarded.stat(place, id)
    if entry.version and entry.version in wish.if_none_match:
        return Opened(entry, None, unchanged=True)
    part = _span(guarded, entry, wish)
    if wish.head:
        return Opened(entry, None, part)
    if part is None:
        reader = await guarded.read(place, id)
        return Opened(reader.entry, reader)
    try:
        reader = await guarded.read(
            place, id, offset=part.offset, length=part.length, version=entry.version
        )
    except ConditionFailed:  # changed since the head: the range would mix two versions
        raise Unavailable("the document changed while it was being opened") from None
    return Opened(reader.entry, reader, part)


def _span(guarded: Guarded, entry: Entry, wish: Wish) -> Span | None:
    if not wish.range or entry.size is None or Capability.RANGE not in guarded.capabilities:
        return None
    if wish.if_range and wish.if_range != entry.version:
        return None
    return span.parse(wish.range, entry.size)


async def _record(
    portal: Portal,
    visitor: Visitor,
    klant: Klant,
    source: Source,
    id: str,
    opened: Opened,
    purpose: str,
) -> None:
    """Who opened what. The name is sealed: "Hypotheekakte" says something about a person."""
    data = {
        "source": source.id,
        "purpose": purpose,
        "name": portal.keys.seal("audit", opened.entry.name),
        "size": opened.entry.size,
        "version": opened.entry.version,
    }
    if opened.span is not None:
        data["from"] = opened.span.offset
    await portal.events.put(
        audit.event(
            "document_opened",
            firm=visitor.firm.id,
            person=visitor.person_id,
            klant=klant.number,
            subject=f"{source.id}:{portal.keys.digest('document', id)}",
            data=data,
        )
    )


async def show_categories(portal: Portal, visitor: Visitor, shown: bool) -> None:
    """Remember "toon categorie" or "Verberg categorie"."""
    async with portal.db.tenant(visitor.firm.id) as c:
        await preferences.put(
            c, visitor.firm.id, visitor.person_id, SHOW_CATEGORIES, "ja" if shown else "nee"
        )


async def shows_categories(portal: Portal, visitor: Visitor) -> bool:
    """Whether the panel is shown; at first it is not (manual 3.7)."""
    async with portal.db.tenant(visitor.firm.id) as c:
        return await preferences.get(c, visitor.person_id, SHOW_CATEGORIES) == "ja"


def names(chosen: Sequence[str]) -> list[tuple[str, str]]:
    """Source and handle of each chosen row ("source:handle"); what is not one is left out."""
    pairs = [c.partition(":") for c in chosen]
    return [(source, handle) for source, colon, handle in pairs if colon]
