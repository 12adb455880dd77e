"""What the host lends to a connector: secrets, connections, threads, a logger."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
        self._pools: list[ThreadPoolExecutor] = []

    def secret(self, reference: str) -> str:
        """The value of a `Secret`. Raises ConfigInvalid."""
        return secret.resolve(reference, base=self.base)

    def http(self, *, limit: int = 64) -> aiohttp.ClientSession:
        """The one HTTP session of this source.

        Resolves names through the egress policy, follows no redirects unless a connector says
        so (none may), keeps no cookies, has a connect time-out and no total one: the guard
        times the rest. Call `context.egress.check_url` once for a configured address.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=limit, resolver=GuardedResolver(self.egress), ttl_dns_cache=60
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
        pool = ThreadPoolExecutor(workers, thread_name_prefix=f"source-{self.name}")
        self._pools.append(pool)
        return Threads(pool)

    async def aclose(self) -> None:
        """Close the session and the pools. A hung thread is not waited for."""
        if self._session is not None:
            await self._session.close()
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)


class Threads:
    """Runs blocking calls in a bounded pool."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    async def run(self, call: Callable[..., T], *args: Any) -> T:
        """`call(*args)` in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _held, call, *args)


def _held(call: Callable[..., T], *args: Any) -> T:
    """The call; a StopIteration becomes an ordinary error, for no future can carry one."""
    try:
        return call(*args)
    except StopIteration as e:
        raise RuntimeError("StopIteration in a thread") from e
