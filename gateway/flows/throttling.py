"""Counting attempts, with subjects that the database cannot read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.domain.throttle import Limit
from gateway.errors import TooMany
from gateway.flows.portal import Portal
from gateway.store import throttle
from gateway.store.database import Connection

#: Seconds that an answer takes which must not tell whether somebody was found.
UNHURRIED = 0.2


def _key(portal: Portal, limit: Limit, subject: str) -> str:
    return portal.keys.digest("throttle", limit.name, subject)


async def take(portal: Portal, c: Connection, limit: Limit, subject: str) -> None:
    """Count one attempt. Raises TooMany."""
    wait = await throttle.take(c, _key(portal, limit, subject), limit)
    if wait > 0:
        raise TooMany(wait, f"limit {limit.name}")


async def spent(portal: Portal, c: Connection, limit: Limit, subject: str) -> bool:
    """Whether an attempt would be refused; counts nothing."""
    return await throttle.wait(c, _key(portal, limit, subject), limit) > 0


async def check(portal: Portal, c: Connection, limit: Limit, subject: str) -> None:
    """Raises TooMany when an attempt would be refused; counts nothing."""
    wait = await throttle.wait(c, _key(portal, limit, subject), limit)
    if wait > 0:
        raise TooMany(wait, f"limit {limit.name}")


async def forgive(portal: Portal, subject: str, *limits: Limit) -> None:
    """Forget the attempts of a subject."""
    async with portal.db.connection() as c:
        for limit in limits:
            await throttle.clear(c, _key(portal, limit, subject))


@contextlib.asynccontextmanager
async def unhurried() -> AsyncIterator[None]:
    """Ends after `UNHURRIED` seconds at the earliest: making a link and a letter takes ten times
    the work of finding nobody, and the time would tell."""
    clock = asyncio.get_running_loop().time
    end = clock() + UNHURRIED
    try:
        yield
    finally:
        await asyncio.sleep(max(0.0, end - clock()))
