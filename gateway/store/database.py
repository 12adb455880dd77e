"""The pool, and transactions that name their firm.

Connections work as the role ``map_app``, which row-level security holds. The role is given
when connecting, so it is also what RESET ROLE goes back to. A query outside `tenant` sees no
row of any firm.
"""

import ssl as ssl_module
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from asyncpg.pool import PoolConnectionProxy

from gateway import log
from gateway.errors import PortalError

ROLE = "map_app"

#: Seconds to connect to one host.
CONNECT = 5.0

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Record: TypeAlias = asyncpg.Record

#: What passes by itself: a server that is lost, full, told to stop, or that broke a transaction
#: off in favour of another. The next attempt gets a connection, or a transaction, of its own.
LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # cut off in the middle of a conversation
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,  # deadlocks, serialization
    asyncpg.ReadOnlySQLTransactionError,  # the primary has become a standby
    OSError,
)


class DatabaseDown(PortalError):
    """PostgreSQL cannot be reached, or cannot do it, at this moment; later it may."""


class Database:
    """A pool of connections of the application role."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @classmethod
    async def connect(
        cls, dsn: str, *, most: int = 16, ssl: ssl_module.SSLContext | None = None
    ) -> Self:
        """Open the pool. `dsn` may name several hosts, of which the one that can be written is
        taken unless it says otherwise; a failover is survived by reconnecting.

        The server need not be up: connections are made when they are needed.
        """
        named = "target_session_attrs" in parse_qs(urlsplit(dsn).query)
        pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=most,
            command_timeout=30,
            timeout=CONNECT,
            connect=partial(_connected, _hosts(dsn)),
            ssl=ssl,
            target_session_attrs=None if named else SessionAttribute.read_write,
            server_settings={
                "role": ROLE,
                "application_name": "mijnaccountantsportal",
                "idle_in_transaction_session_timeout": "60s",
            },
        )
        await pool
        return cls(pool)

    @asynccontextmanager
    async def tenant(self, firm: str) -> AsyncIterator[Connection]:
        """A transaction that sees and writes one firm. Raises DatabaseDown."""
        async with self.connection() as connection, connection.transaction():
            await connection.execute("select set_config('app.firm', $1, true)", firm)
            yield connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection that sees no firm: for the functions that work across firms."""
        try:
            connection = await self._pool.acquire()
        except (*LOST, asyncpg.PostgresError) as e:  # nothing was asked yet: the fault is there
            log.get().warning("database_down", error=type(e).__name__)
            raise DatabaseDown(type(e).__name__) from e
        try:
            yield connection
        except LOST as e:
            if isinstance(e, asyncpg.ReadOnlySQLTransactionError):
                # The other connections lead to the same server.
                await self._pool.expire_connections()
            raise DatabaseDown(type(e).__name__) from e
        finally:
            await self._give_back(connection)

    async def _give_back(self, connection: Connection) -> None:
        """Release it. One that cannot be reset is ended by the pool itself; its work was done or
        lost before."""
        try:
            await self._pool.release(connection)
        except (*LOST, asyncpg.PostgresError) as e:
            log.get().warning("connection_dropped", error=type(e).__name__)

    async def ping(self) -> None:
        """Raises DatabaseDown when a query is not answered."""
        async with self.connection() as connection:
            await connection.fetchval("select 1")

    async def close(self) -> None:
        """Close every connection; those in use are waited for, briefly."""
        self._pool.terminate() if self._pool.is_closing() else await self._pool.close()


def _hosts(dsn: str) -> list[str]:
    """The URL for each of its hosts."""
    at = urlsplit(dsn)
    who, mark, hosts = at.netloc.rpartition("@")
    if "," not in hosts or "port" in parse_qs(at.query):
        return [dsn]
    return [urlunsplit(at._replace(netloc=f"{who}{mark}{host}")) for host in hosts.split(",")]


async def _connected(hosts: list[str], _: str, **given: Any) -> Any:
    """A connection to the first that will do, with which the next then begins. Each has its own
    time: asyncpg gives one to all together, which a machine that is switched off uses up alone.
    Raises what the last one did."""
    waiting = list(hosts)
    while True:
        url = waiting.pop(0)
        try:
            made = await asyncpg.connect(url, **given)
        except (*LOST, asyncpg.PostgresError):
            if not waiting:
                raise
        else:
            hosts.sort(key=lambda one: one != url)
            return made
