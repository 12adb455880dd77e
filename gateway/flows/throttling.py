"""Counting attempts, with subjects that the database cannot read."""

from gateway.domain.throttle import Limit
from gateway.errors import TooMany
from gateway.flows.portal import Portal
from gateway.store import throttle
from gateway.store.database import Connection


def _key(portal: Portal, limit: Limit, subject: str) -> str:
    return portal.keys.digest("throttle", limit.name, subject)


async def take(portal: Portal, c: Connection, limit: Limit, subject: str) -> None:
    """Count one attempt. Raises TooMany."""
    wait = await throttle.take(c, _key(portal, limit, subject), limit)
    if wait > 0:
        raise TooMany(wait, f"limit {limit.name}")


async def check(portal: Portal, c: Connection, limit: Limit, subject: str) -> None:
    """Raises TooMany when an attempt would be refused; counts nothing."""
    wait = await throttle.wait(c, _key(portal, limit, subject), limit)
    if wait > 0:
        raise TooMany(wait, f"limit {limit.name}")


async def forgive(portal: Portal, limit: Limit, subject: str) -> None:
    """Forget the attempts of a subject."""
    async with portal.db.connection() as c:
        await throttle.clear(c, _key(portal, limit, subject))
