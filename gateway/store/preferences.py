"""What a person likes to see, by name."""

from uuid import UUID

from gateway.store.database import Connection


async def get(c: Connection, person: UUID, name: str) -> str | None:
    """The value; None when never chosen."""
    value: str | None = await c.fetchval(
        "select value from preference where person = $1 and name = $2", person, name
    )
    return value


async def put(c: Connection, firm: str, person: UUID, name: str, value: str) -> None:
    """Remember a choice."""
    await c.execute(
        "insert into preference (firm, person, name, value) values ($1, $2, $3, $4)"
        " on conflict (firm, person, name) do update set value = excluded.value",
        firm,
        person,
        name,
        value,
    )
