"""Attempts, counted across processes and firms."""

from gateway.domain.throttle import Limit
from gateway.store.database import Connection


async def take(c: Connection, key: str, limit: Limit) -> float:
    """One attempt: 0 when allowed (and counted), else the seconds to wait.

    key: a keyed digest of the limit's name and its subject; no address or name is stored.
    """
    wait: float = await c.fetchval(
        "select throttle_take($1, $2, $3)", key, limit.burst, limit.period
    )
    return wait


async def wait(c: Connection, key: str, limit: Limit) -> float:
    """The seconds to wait before an attempt would be allowed; counts nothing."""
    seconds: float = await c.fetchval(
        "select throttle_wait($1, $2, $3)", key, limit.burst, limit.period
    )
    return seconds


async def clear(c: Connection, key: str) -> None:
    """Forget the attempts."""
    await c.execute("select throttle_clear($1)", key)
