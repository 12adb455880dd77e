"""Listings of sources: asked once for all who wait, kept for seconds, shown with their age.

A listing is metadata (names, dates, sizes); no document byte is in it. It lives in the memory
of one process, bounded, for as long as it is of use, and the access check has been done before
anyone gets here. A listing that takes longer than a page waits goes on in the background, so
that "opnieuw" or the page's own second question finds it.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.connector.contract import Place
from gateway.connector.guard import Guarded
from gateway.domain import dossier
from gateway.domain.dossier import Row
from gateway.domain.firm import Source
from gateway.errors import ProtocolError, SourceError

#: Seconds that a listing counts as fresh. "Vernieuwen" goes past it.
FRESH = 20.0
#: Seconds that a listing is kept, to be shown with its age while its source is slow or down.
KEPT = 600.0
#: Rows of one listing; a dossier that is larger says so on the page.
ROWS = 20_000
#: Rows in memory, a process.
ROWS_IN_ALL = 400_000

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Listing:
    """What one source has of one klant. `whole` is False when there was more than ROWS."""

    rows: tuple[Row, ...]
    as_of: datetime
    whole: bool


@dataclass(slots=True)
class _Known:
    """The last good listing, its moment, the question under way, and the last failure."""

    listing: Listing | None = None
    at: float = 0.0
    task: "asyncio.Task[Listing] | None" = None
    failure: SourceError | None = None
    failing_since: datetime | None = None
    used: float = field(default=0.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What can be shown of a source now.

    listing: None when there is none. failure: why the newest question failed. waiting: the
    question is still under way. since: when the source began to fail.
    """

    listing: Listing | None
    failure: SourceError | None = None
    waiting: bool = False
    since: datetime | None = None

    @property
    def complete(self) -> bool:
        """Whether the listing is there, whole and of now."""
        return bool(self.listing and self.listing.whole and not self.failure and not self.waiting)


class Listings:
    """The listings of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[Key, _Known] = OrderedDict()

    async def get(
        self, guarded: Guarded, source: Source, place: Place, *, wait: float, refresh: bool = False
    ) -> Answer:
        """What `source` has at `place`, waiting `wait` seconds at the most.

        refresh: a listing from before this call is not enough.
        """
        known = self._of((guarded.name, place.klant, "/".join((place.root, *place.folders))))
        if self._fresh(known) and not refresh:
            return Answer(known.listing)
        if known.task is None:
            known.task = asyncio.create_task(self._ask(known, guarded, source, place))
            known.task.add_done_callback(_noticed)
        done, _ = await asyncio.wait({known.task}, timeout=wait)
        if not done:
            return Answer(self._old(known), known.failure, True, known.failing_since)
        if known.failure is not None:
            return Answer(self._old(known), known.failure, since=known.failing_since)
        return Answer(known.listing)

    async def aclose(self) -> None:
        """Stop every question under way."""
        tasks = [k.task for k in self._known.values() if k.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fresh(self, known: _Known) -> bool:
        return (
            known.listing is not None
            and known.failure is None
            and self._clock() - known.at < FRESH
        )

    def _old(self, known: _Known) -> Listing | None:
        return known.listing if self._clock() - known.at < KEPT else None

    def _of(self, key: Key) -> _Known:
        known = self._known.setdefault(key, _Known())
        known.used = self._clock()
        self._known.move_to_end(key)
        self._forget()
        return known

    def _forget(self) -> None:
        """Drop what was not used for long, and the oldest when there is too much."""
        total = sum(len(k.listing.rows) for k in self._known.values() if k.listing)
        for key, known in list(self._known.items())[:-1]:
            if total <= ROWS_IN_ALL and self._clock() - known.used < KEPT:
                break
            if known.task is None:
                total -= len(known.listing.rows) if known.listing else 0
                del self._known[key]

    async def _ask(self, known: _Known, guarded: Guarded, source: Source, place: Place) -> Listing:
        try:
            known.listing = await read_all(guarded, source, place)
            known.at = self._clock()
            known.failure = known.failing_since = None
            return known.listing
        except SourceError as e:
            known.failure = e
            known.failing_since = known.failing_since or datetime.now(UTC)
            raise
        finally:
            known.task = None


def _noticed(task: "asyncio.Task[Listing]") -> None:
    """Nobody may be waiting when a question fails; its failure is kept beside the listing."""
    if not task.cancelled():
        task.exception()


async def read_all(guarded: Guarded, source: Source, place: Place) -> Listing:
    """Every page of a listing, up to ROWS rows."""
    rows: list[Row] = []
    page: str | None = None
    while True:
        found = await guarded.list(place, page=page)
        for entry in found.entries:
            category = source.category_of(entry.folder)
            if category is None or not place.holds(entry.folder):
                continue  # a connector that shows more than the place is not believed
            rows.append(
                Row(
                    source.id,
                    dossier.handle(entry.id),
                    entry.name,
                    dossier.category_key(category.name),
                    entry.modified,
                    entry.size,
                )
            )
        if found.next is None or len(rows) >= ROWS:
            return Listing(tuple(rows[:ROWS]), datetime.now(UTC), found.next is None)
        if found.next == page:
            raise ProtocolError("the listing does not end")
        page = found.next
