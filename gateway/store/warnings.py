"""What somebody was warned of."""

from gateway.store.database import Connection


async def first(c: Connection, firm: str, subject: str, step: int) -> bool:
    """Keep that a warning goes out; False when it went before, from whatever worker."""
    told = await c.fetchval(
        "insert into warning (firm, subject, step) values ($1, $2, $3)"
        " on conflict do nothing returning true",
        firm,
        subject,
        step,
    )
    return told is not None
