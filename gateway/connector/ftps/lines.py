"""The connections of one source: made when needed, lent to one call at a time, kept for a while.

A call that nobody waits for any more is cut off, and its connection is used again when the server
goes along with that. They sign in one after the other: a dozen calls that are refused are one
attempt, for more would lock the account.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.connector.context import Threads
from gateway.connector.ftps.line import Line
from gateway.errors import SourceError, Unavailable

T = TypeVar("T")

_IDLE = 60.0  # seconds that a connection is kept for the next call
_LEFT = 5.0  # seconds for a call that was cut off to end


class Lines:
    """Up to `most` connections; all but one of them for transfers, so that a question can always
    be asked beside those."""

    def __init__(self, threads: Threads, make: Callable[[], Line], most: int) -> None:
        """make: signs in; blocking."""
        self._threads, self._make = threads, make
        self._all, self._long = asyncio.Semaphore(most), asyncio.Semaphore(most - 1)
        self._known: set[Line] = set()
        self._idle: dict[Line, asyncio.TimerHandle] = {}
        self._calls: dict[Line, asyncio.Future[Any]] = {}
        self._making: asyncio.Future[None] | None = None
        self._failed: tuple[float, SourceError] | None = None
        self._ending: set[asyncio.Future[Any]] = set()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def run(self, work: Callable[..., T], *args: Any) -> T:
        """`work(line, *args)` in a thread, with a connection of its own. Raises SourceError."""
        line = await self._taken(time.monotonic())
        try:
            return await self.call(line, work, *args)
        finally:
            self._give(line, self._all)

    async def call(self, line: Line, work: Callable[..., T], *args: Any) -> T:
        """The same with a connection that was taken."""
        task = asyncio.ensure_future(self._threads.run(work, line, *args))
        self._calls[line] = task
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_seen)
            line.cut()
            raise

    async def take(self) -> Line:
        """A connection for a transfer; `give` follows."""
        asked = time.monotonic()
        await self._long.acquire()
        try:
            return await self._taken(asked)
        except BaseException:
            self._long.release()
            raise

    def give(self, line: Line) -> None:
        """What is under way on it is cut off."""
        line.cut()
        self._give(line, self._all, self._long)

    async def surely(self, work: Coroutine[Any, Any, T]) -> T:
        """`work`, also when nobody waits for it any more."""
        return await asyncio.shield(self._kept(work, self._tasks))

    def later(self, work: Coroutine[Any, Any, object]) -> None:
        """`work` some time; its errors are lost."""
        self._kept(work, self._tasks)

    async def settled(self) -> None:
        """Comes back when everything that was cut off has ended at the server too."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    async def aclose(self) -> None:
        """Break every connection, and wait for what that ends."""
        self._closed = True
        if self._making is not None:
            self._making.cancel()
        for line in self._known:
            line.hang_up()
        for line in list(self._idle):
            self._tired(line)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._ending, *self._tasks, return_exceptions=True)
        if calls := [c for c in self._calls.values() if not c.done()]:
            await asyncio.wait(calls, timeout=_LEFT)
        # A reader that nobody closed would keep the server waiting.
        for line in list(self._known):
            self._forget(line)

    # --- how

    async def _taken(self, asked: float) -> Line:
        await self._all.acquire()
        try:
            return await self._ready(asked)
        except BaseException:
            self._all.release()
            raise

    async def _ready(self, asked: float) -> Line:
        """An idle one that still works, or a new one. Who asked before one could not be made gets
        the same error."""
        while not self._closed:
            while self._idle:
                line, timer = self._idle.popitem()
                timer.cancel()
                if line.usable():
                    return line
                self._forget(line)
            if self._failed is not None and self._failed[0] >= asked:
                raise self._failed[1]
            if self._making is None:
                self._making = asyncio.ensure_future(self._made())
                self._making.add_done_callback(self._was_made)
            await asyncio.shield(self._making)
        raise Unavailable("the source is closed")

    async def _made(self) -> None:
        try:
            line = await self._threads.run(self._make, undo=Line.close)
        except SourceError as e:
            self._failed = time.monotonic(), e
            raise
        self._known.add(line)
        self._keep(line)

    def _was_made(self, made: asyncio.Future[None]) -> None:
        self._making = None
        _seen(made)

    def _give(self, line: Line, *places: asyncio.Semaphore) -> None:
        call = self._calls.get(line)
        if line.quiet and (call is None or call.done()):
            self._keep(line, *places)
        else:
            self._kept(self._ended(line, places), self._ending)

    async def _ended(self, line: Line, places: tuple[asyncio.Semaphore, ...]) -> None:
        try:
            call = self._calls.get(line)
            if call is not None and not call.done():
                await asyncio.wait([call], timeout=_LEFT)
                if not call.done():
                    line.hang_up()
                    await asyncio.wait([call])
            if line.alive and not line.quiet:
                await self._threads.run(line.settle)
        finally:
            self._keep(line, *places)

    def _keep(self, line: Line, *places: asyncio.Semaphore) -> None:
        """For the next call, when it is of any use."""
        self._calls.pop(line, None)
        if line.alive and line.quiet and not self._closed:
            loop = asyncio.get_running_loop()
            self._idle[line] = loop.call_later(_IDLE, self._tired, line)
        else:
            self._forget(line)
        for place in places:
            place.release()

    def _tired(self, line: Line) -> None:
        self._idle.pop(line).cancel()
        self._forget(line)

    def _forget(self, line: Line) -> None:
        self._known.discard(line)
        line.close()

    def _kept(
        self, work: Coroutine[Any, Any, T], among: set[asyncio.Future[Any]]
    ) -> asyncio.Task[T]:
        task = asyncio.ensure_future(work)
        among.add(task)
        task.add_done_callback(among.discard)
        task.add_done_callback(_seen)
        return task


def _seen(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # nobody may wait for it any more
