"""Keeps a source from surprising the portal: deadlines, bulkheads, breaker, retries, metrics.

Every call to a connector goes through here and nothing of this is in a connector. The pieces:

* deadlines: connecting and the first byte, each pause between pieces, a whole listing; never
  the whole of a stream, for a large document over a slow line is not a fault;
* bulkheads: reads, listings and writes each have their own places, per source, so that a sick
  source of one firm holds up nobody else, and a slow sender no reader; who waits longer than
  `queue_wait` gets Busy;
* breaker: see `gateway.connector.breaker`;
* the border: what a connector gives from outside the klant's place is held back here;
* retries: list, stat and the opening of a read, once, and only before the first byte;
* cancellation: when the browser leaves, the reader is closed and the upstream call with it.
"""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from gateway.connector.breaker import Breaker, State
from gateway.connector.context import Context
from gateway.connector.contract import (
    Capability,
    Connector,
    Entry,
    Finding,
    Page,
    Place,
    Reader,
    Report,
    Scope,
)
from gateway.errors import (
    AuthFailed,
    Busy,
    DeadlineExceeded,
    IntegrityError,
    NotFound,
    ProtocolError,
    SourceError,
)

T = TypeVar("T")

CALLS = Counter(
    "map_source_calls_total", "Calls to a source, by outcome", ["source", "call", "outcome"]
)
SECONDS = Histogram(
    "map_source_seconds",
    "Time until a listing is whole, or a document's first byte is there",
    ["source", "call"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 30),
)
BYTES = Counter("map_source_bytes_total", "Document bytes that came from a source", ["source"])
STREAMS = Gauge("map_source_streams", "Documents being streamed now", ["source"])


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and places; the defaults suit a source on the firm's own network."""

    first_byte: float = 15.0
    idle: float = 30.0
    list: float = 20.0
    reads: int = 8
    lists: int = 4
    writes: int = 16
    queue_wait: float = 2.0
    retry_after: float = 0.2
    close: float = 2.0


class Bulkhead:
    """A number of places. Waiting for one is bounded; a cancelled wait takes none."""

    def __init__(self, places: int, wait: float) -> None:
        self._free = asyncio.Semaphore(places)
        self._wait = wait

    async def take(self) -> None:
        """Raises Busy when no place comes free in time."""
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._wait):
                await self._free.acquire()
        except TimeoutError:
            raise Busy("all places for this source are taken", retry_after=self._wait) from None

    def give(self) -> None:
        """Free one place."""
        self._free.release()


class Guarded:
    """A connector, kept within bounds. Has the connector's calls, and is as safe to share."""

    def __init__(
        self,
        name: str,
        connector: Connector[Any],
        context: Context,
        limits: Limits | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        """`name` is "firm/source"."""
        self.name = name
        self.limits = limits or Limits()
        self.breaker = breaker or Breaker()
        self._connector = connector
        self._context = context
        self._reads = Bulkhead(self.limits.reads, self.limits.queue_wait)
        self._lists = Bulkhead(self.limits.lists, self.limits.queue_wait)
        self._writes = Bulkhead(self.limits.writes, self.limits.queue_wait)
        self._log = context.log
        # Looked up once: prometheus-client takes a lock and a tuple for each look-up.
        self._good = {
            c: CALLS.labels(name, c, "ok") for c in ("list", "stat", "read", "put", "move")
        }
        self._seconds = {c: SECONDS.labels(name, c) for c in self._good}
        self.bytes = BYTES.labels(name)
        self.streams = STREAMS.labels(name)

    @property
    def capabilities(self) -> Capability:
        """As the connector tells."""
        return self._connector.capabilities

    @property
    def resting(self) -> bool:
        """Whether calls are refused at present."""
        return self.breaker.state is State.OPEN

    async def check(self, scope: Scope, place: Place | None = None) -> Report:
        """The connector's own check, bounded, past the breaker: operations want to know now."""
        try:
            report = await self._bounded(
                "check",
                lambda: self._connector.check(scope, place),
                self.limits.list + self.limits.first_byte,
            )
        except SourceError as e:
            return Report((Finding(False, scope, str(e), e.field, e.code),))
        if report.ok and scope is not Scope.PARAMETERS:
            self.breaker.reset()
        return report

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list. Raises DeadlineExceeded(list), Busy, and what the source raises."""

        async def make() -> Page:
            found = await self._connector.list(place, page=page, limit=limit)
            return self._inside(place, found)

        async with self._place(self._lists):
            return await self._tried("list", make, self.limits.list)

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat."""
        async with self._place(self._reads):
            entry = await self._tried(
                "stat", lambda: self._connector.stat(place, id), self.limits.first_byte
            )
        return self._published(place, entry)

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> "GuardedReader":
        """See Connector.read; comes back when the first piece is there, so that every error
        that a page can still tell is told before the answer starts."""

        async def first() -> GuardedReader:
            reader = await self._connector.read(
                place, id, offset=offset, length=length, version=version
            )
            guarded = GuardedReader(self, reader)
            try:
                self._published(place, reader.entry)
                await guarded.prime()
            except BaseException:
                await guarded.discard()
                raise
            return guarded

        await self._reads.take()
        try:
            guarded = await self._tried("read", first, self.limits.first_byte)
        except BaseException:
            self._reads.give()
            raise
        guarded.hold(self._reads.give)
        return guarded

    async def put(
        self, place: Place, folder: str, name: str, body: AsyncIterable[bytes], **options: Any
    ) -> Entry:
        """See Connector.put. Never tried twice: the body is a stream. The sender's own pace is
        not timed, each pause of the source is. What the body raises (the sender left, a virus was
        found) comes out as it is: it is not the source's. Raises DeadlineExceeded(idle)."""
        theirs: list[Exception] = []
        idle = self.limits.idle

        async def watched(pause: asyncio.Timeout) -> AsyncIterator[bytes]:
            pieces = aiter(body)
            while True:
                _reschedule(pause, None)
                try:
                    piece = await anext(pieces, None)
                except Exception as e:
                    theirs.append(e)
                    raise
                _reschedule(pause, idle)
                if piece is None:
                    return
                yield piece

        async def put() -> Entry | None:
            pause = asyncio.timeout(idle)
            try:
                async with pause:
                    sent = watched(pause)
                    return await self._connector.put(place, folder, name, sent, **options)
            except Exception as e:
                if theirs:
                    return None
                if isinstance(e, TimeoutError) and pause.expired():
                    raise DeadlineExceeded(phase="idle") from None
                raise

        async with self._place(self._writes):
            entry = await self._once("put", put, None)
        if entry is None:
            raise theirs[0]
        return entry

    async def move(
        self, place: Place, id: str, folder: str, name: str, *, version: str | None = None
    ) -> Entry:
        """See Connector.move. Never tried twice: who lost the answer finds it at one of the two
        places. Raises DeadlineExceeded."""
        async with self._place(self._writes):
            entry = await self._once(
                "move",
                lambda: self._connector.move(place, id, folder, name, version=version),
                self.limits.first_byte + self.limits.idle,
            )
        return self._published(place, entry)

    async def aclose(self) -> None:
        """Close the connector, then what it borrowed."""
        try:
            await self.closing(self._connector.aclose())
        finally:
            await self._context.aclose()

    # --- how a call is made

    @asynccontextmanager
    async def _place(self, bulkhead: Bulkhead) -> AsyncIterator[None]:
        await bulkhead.take()
        try:
            yield
        finally:
            bulkhead.give()

    async def _tried(self, call: str, make: Callable[[], Awaitable[T]], deadline: float) -> T:
        """Once, and once more after a failure that may pass."""
        try:
            return await self._once(call, make, deadline)
        except (Busy, DeadlineExceeded):
            raise  # a second wait of the same length would only keep the person waiting
        except SourceError as e:
            if not e.retryable:
                raise
            wait = e.retry_after if e.retry_after is not None else self.limits.retry_after
            if wait > self.limits.queue_wait:
                raise
            await asyncio.sleep(wait)
            try:
                return await self._once(call, make, deadline)
            except Busy:
                raise e from None  # the breaker opened in between; this is what opened it

    async def _once(
        self, call: str, make: Callable[[], Awaitable[T]], deadline: float | None
    ) -> T:
        ticket = self.breaker.enter()
        start = time.monotonic()
        try:
            result = await self._bounded(call, make, deadline)
        except SourceError as e:
            self.judge(call, e, ticket)
            raise
        except asyncio.CancelledError:
            self.breaker.abandoned(ticket)
            CALLS.labels(self.name, call, "cancelled").inc()
            raise
        self.breaker.succeeded(ticket)
        self._good[call].inc()
        self._seconds[call].observe(time.monotonic() - start)
        return result

    async def _bounded(
        self, call: str, make: Callable[[], Awaitable[T]], deadline: float | None
    ) -> T:
        phase = "list" if call == "list" else "first_byte"
        try:
            async with asyncio.timeout(deadline) as timer:
                return await make()
        except TimeoutError:
            if timer.expired():
                raise DeadlineExceeded(phase=phase) from None
            raise DeadlineExceeded(phase="connect") from None
        except (SourceError, asyncio.CancelledError):
            raise
        except Exception as e:  # a connector's bug must not be the page's
            self._log.error("source_surprise", call=call, exc_info=e)
            raise ProtocolError(f"unexpected {type(e).__name__}") from e

    def judge(self, call: str, error: SourceError, ticket: int) -> None:
        """Tell the breaker, the metrics and the log of a failure. `ticket` is the breaker's."""
        CALLS.labels(self.name, call, error.code).inc()
        before = self.breaker.state
        if isinstance(error, AuthFailed):
            self.breaker.failed(ticket, attention=True)
        elif error.counts:
            self.breaker.failed(ticket)
        elif error.retryable or isinstance(error, (Busy, IntegrityError)):
            self.breaker.abandoned(ticket)  # neither well nor ill: "slow down", or damaged bytes
        else:
            self.breaker.succeeded(ticket)  # it answered, and knew what it said
        if error.owner == "ops":
            self._log.warning(
                "source_failed",
                call=call,
                code=error.code,
                error=str(error),
                native=error.native,
                breaker=self.breaker.state.value,
                opened=before is not self.breaker.state,
            )

    def _published(self, place: Place, entry: Entry) -> Entry:
        """The second look at the border: a connector that lets something through is caught."""
        if not place.holds(entry.folder):
            self._log.error("source_crossed_border", klant=place.klant)
            raise NotFound()
        return entry

    def _inside(self, place: Place, page: Page) -> Page:
        """The same for a listing: what lies outside is left out."""
        outside = {f for f in {e.folder for e in page.entries} if not place.holds(f)}
        if not outside:
            return page
        self._log.error("source_crossed_border", klant=place.klant)
        return Page([e for e in page.entries if e.folder not in outside], page.next)

    async def closing(self, close: Awaitable[None]) -> None:
        """Wait for a connector's `aclose`, not for ever; that it fails harms nobody else."""
        try:
            async with asyncio.timeout(self.limits.close):
                await close
        except Exception as e:
            self._log.warning("source_not_closed", error=type(e).__name__)


def _reschedule(pause: asyncio.Timeout, after: float | None) -> None:
    """Time the source from now on, or not at all; nothing once it is over."""
    if not pause.expired():
        with suppress(RuntimeError):  # a connector that goes on reading after its put ended
            pause.reschedule(None if after is None else asyncio.get_running_loop().time() + after)


class GuardedReader:
    """A reader with its idle deadline, its count of bytes and its place in the bulkhead."""

    def __init__(self, guard: Guarded, reader: Reader) -> None:
        self._guard = guard
        self._reader = reader
        self._pieces = reader.__aiter__()
        self._first: bytes | None = None
        self._give: Callable[[], None] | None = None
        self._count = 0
        self._closed = False
        self._ticket = guard.breaker.ticket

    @property
    def entry(self) -> Entry:
        """The document, as found when it was opened."""
        return self._reader.entry

    @property
    def offset(self) -> int:
        """Where the first byte stands."""
        return self._reader.offset

    @property
    def length(self) -> int | None:
        """Bytes that will come, when known."""
        return self._reader.length

    async def prime(self) -> None:
        """Wait for the first piece (b"" when the document is empty)."""
        self._first = await anext(self._pieces, b"")

    def hold(self, give: Callable[[], None]) -> None:
        """Keep a place until closed."""
        self._give = give
        self._ticket = self._guard.breaker.ticket
        self._guard.streams.inc()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces. Raises DeadlineExceeded(idle), IntegrityError, Unavailable."""
        try:
            piece = self._first
            while piece:
                self._count += len(piece)
                if self.length is not None and self._count > self.length:
                    break  # nothing that was not promised goes out
                yield piece
                piece = await self._next()
            self._complete()
        except SourceError as e:
            self._guard.judge("stream", e, self._ticket)
            raise
        finally:
            await self.aclose()

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self._guard.limits.idle):
                return await anext(self._pieces, b"")
        except TimeoutError:
            raise DeadlineExceeded(phase="idle") from None
        except (SourceError, asyncio.CancelledError):
            raise
        except Exception as e:
            raise ProtocolError(f"unexpected {type(e).__name__}") from e

    def _complete(self) -> None:
        if self.length is not None and self._count != self.length:
            raise IntegrityError(f"{self._count} bytes came of {self.length}")

    async def discard(self) -> None:
        """Close a reader that was never given out."""
        self._closed = True
        await self._guard.closing(self._reader.aclose())

    async def aclose(self) -> None:
        """Close it and free the place. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._guard.bytes.inc(self._count)
        self._guard.streams.dec()
        try:
            await self._guard.closing(self._reader.aclose())
        finally:
            if self._give is not None:
                self._give()
