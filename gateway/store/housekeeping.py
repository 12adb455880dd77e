"""What has served its purpose is deleted, across firms."""

from gateway.store.database import Connection


async def forget(c: Connection) -> int:
    """Delete ended sessions, old codes, links and throttles; how many rows."""
    count: int = await c.fetchval("select forget()")
    return count
