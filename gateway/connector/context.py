"""What the host lends to a connector: secrets, connections, threads, a logger."""

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from structlog.typing import FilteringBoundLogger

from gateway import log
from gateway.connector import secret
from gateway.connector.egress import EgressPolicy, GuardedResolver

T = TypeVar("T")


class Context:
    """Made by the host for one source, closed by the host after the connector.

    name: "firm/source", for logs. base: folder that relative paths in the options start from
    (the folder of the configuration; pinned WSDLs stand in its ``wsdl/``).
    """

    def __init__(
        self, name: str, *, egress: EgressPolicy, base: Path, connect_timeout: float = 5.0
    ) -> None:
        self.name = name
        self.egress = egress
        self.base = base
        self.connect_timeout = connect_timeout
        self.log: FilteringBoundLogger = log.get(source=name)
        self._session: aiohttp.ClientSession | None = None
        self._pools: list[Threads] = []

    def secret(self, reference: str) -> str:
        """The value of a `Secret`. Raises ConfigInvalid."""
        return secret.resolve(reference, base=self.base)

    def http(self) -> aiohttp.ClientSession:
        """The one HTTP session of this source.

        Connects only where the egress policy allows, keeps no cookies, has a connect time-out and
        no total one, and no bound of its own: the guard times the rest, and says how many calls
        are under way. Call `context.egress.check_url` once for a configured address, and say
        `allow_redirects=False` in every call.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    resolver=GuardedResolver(self.egress),
                    ttl_dns_cache=60,
                    # An address in a URL is never resolved, so the resolver does not see it.
                    socket_factory=self.egress.socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.connect_timeout),
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
                trust_env=False,
            )
        return self._session

    def threads(self, workers: int) -> "Threads":
        """A bounded pool of threads for a blocking library; closed with the context."""
        pool = Threads(f"source-{self.name}", workers)
        self._pools.append(pool)
        return pool

    async def aclose(self) -> None:
        """Close the session and the pools. A hung thread is not waited for."""
        if self._session is not None:
            await self._session.close()
        for pool in self._pools:
            pool.close()


class Threads:
    """Runs blocking calls in a bounded pool of daemon threads.

    Not an Executor of the standard library: Python waits for the threads of those when it ends,
    and a thread in a read of a hung share never comes back. Calls that were not begun when the
    pool closes raise RuntimeError; what a cancelled call gives goes to its `undo`, or is dropped.
    """

    def __init__(self, name: str, workers: int) -> None:
        self._name, self._workers = name, workers
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(0)
        self._started = 0
        self._closed = False

    async def run(
        self, call: Callable[..., T], *args: Any, undo: Callable[[T], None] | None = None
    ) -> T:
        """`call(*args)` in the pool, with the caller's context variables.

        undo: gets the result, in the pool, when nobody waits for it any more: a file that was
        opened for who has left must still be closed.
        """
        if self._closed:
            raise RuntimeError("the pool is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        work = partial(contextvars.copy_context().run, _held, call, *args)
        self._put(_Call(work, loop, future, partial(self._unwanted, undo)))
        try:
            return await future
        except asyncio.CancelledError:
            # The result may have come just before: then nobody takes it any more.
            if future.done() and not future.cancelled() and future.exception() is None:
                self._unwanted(undo, future.result())
            raise

    def soon(self, call: Callable[..., object], *args: Any) -> None:
        """`call(*args)` some time, also while the pool closes; nobody waits, errors are lost."""
        work = _Call(partial(call, *args))
        if self._closed:
            threading.Thread(target=work, daemon=True).start()
        else:
            self._put(work)

    def close(self) -> None:
        """Take no more calls. Those under way are not waited for."""
        self._closed = True
        kept: list[_Call] = []
        with contextlib.suppress(queue.Empty):
            while (waiting := self._calls.get_nowait()) is not None:
                if waiting.future is None:
                    kept.append(waiting)
                else:
                    waiting.tell(None, RuntimeError("the pool is closed"))
        for item in (*kept, *(None,) * self._started):
            self._calls.put(item)

    def _put(self, call: "_Call") -> None:
        self._calls.put(call)
        if not self._free.acquire(blocking=False) and self._started < self._workers:
            self._started += 1
            name = f"{self._name}-{self._started}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _unwanted(self, undo: Callable[[T], None] | None, result: T) -> None:
        if undo is not None:
            self.soon(undo, result)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # a thread that waits holds nobody's document
            self._free.release()


@dataclass(slots=True)
class _Call:
    """What to do, and the loop and the future that wait for it, if any."""

    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop | None = None
    future: "asyncio.Future[Any] | None" = None
    unwanted: Callable[[Any], None] | None = None

    def __call__(self) -> None:
        if self.future is not None and self.future.cancelled():
            return
        try:
            result, error = self.work(), None
        except BaseException as e:
            result, error = None, e
        self.tell(result, error)

    def tell(self, result: Any, error: BaseException | None) -> None:
        """From any thread."""
        if self.loop is None:
            return
        try:
            self.loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._drop(result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future is None or self.future.done():
            self._drop(result, error)
        elif error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)

    def _drop(self, result: Any, error: BaseException | None) -> None:
        if error is None and self.unwanted is not None:
            self.unwanted(result)


def _held(call: Callable[..., T], *args: Any) -> T:
    """The call; a StopIteration becomes an ordinary error, for no future can carry one."""
    try:
        return call(*args)
    except StopIteration as e:
        raise RuntimeError("StopIteration in a thread") from e
