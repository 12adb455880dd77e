"""Persons."""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.person import RETURNS, Person, Role, State
from gateway.store.database import Connection, Record

_COLUMNS = (
    "id, username, name, role, state, mobile_sealed, password, preferred_klant, language,"
    " last_login_at, previous_login_at"
)


def _person(row: Record) -> Person:
    return Person(
        id=row["id"],
        username=row["username"],
        name=row["name"],
        role=Role(row["role"]),
        state=State(row["state"]),
        mobile_sealed=row["mobile_sealed"],
        password=row["password"],
        preferred_klant=row["preferred_klant"],
        language=row["language"],
        last_login_at=row["last_login_at"],
        previous_login_at=row["previous_login_at"],
    )


async def firms_of(c: Connection, username: str) -> list[str]:
    """The firms where a username exists; works without a firm."""
    return [r[0] for r in await c.fetch("select firms_of($1)", username)]


async def by_username(c: Connection, username: str) -> Person | None:
    """The person with this username, in any case."""
    row = await c.fetchrow(f"select {_COLUMNS} from person where username = lower($1)", username)
    return _person(row) if row else None


async def by_usernames(c: Connection, usernames: Sequence[str]) -> dict[str, Person]:
    """Those that exist, by the username as it is kept."""
    rows = await c.fetch(
        f"select {_COLUMNS} from person where username = any ($1)", list(usernames)
    )
    return {r["username"]: _person(r) for r in rows}


async def by_id(c: Connection, id: UUID, *, lock: bool = False) -> Person | None:
    """The person; `lock` holds the row until the transaction ends."""
    tail = " for update" if lock else ""
    row = await c.fetchrow(f"select {_COLUMNS} from person where id = $1{tail}", id)
    return _person(row) if row else None


async def by_mobile(c: Connection, digest: str) -> list[Person]:
    """Persons with this number, by its keyed digest."""
    rows = await c.fetch(
        f"select {_COLUMNS} from person where mobile_digest = $1 and state <> 'disabled'", digest
    )
    return [_person(r) for r in rows]


async def of_klant(c: Connection, klant: str) -> list[Person]:
    """Persons who have access to a klant."""
    rows = await c.fetch(
        f"select {_COLUMNS} from person p join access a on a.firm = p.firm and a.person = p.id"
        " where a.klant = $1 and p.state <> 'disabled'",
        klant,
    )
    return [_person(r) for r in rows]


async def add(c: Connection, firm: str, username: str, name: str, role: Role) -> Person | None:
    """A new person, invited; None when the username is taken."""
    row = await c.fetchrow(
        "insert into person (firm, username, name, role) values ($1, lower($2), $3, $4)"
        f" on conflict (firm, username) do nothing returning {_COLUMNS}",
        firm,
        username,
        name,
        role.value,
    )
    return _person(row) if row else None


async def rename(c: Connection, id: UUID, name: str) -> None:
    """Another name."""
    await c.execute("update person set name = $2 where id = $1", id, name)


async def mobile_digest(c: Connection, id: UUID) -> str | None:
    """The keyed digest of a person's number."""
    found: str | None = await c.fetchval("select mobile_digest from person where id = $1", id)
    return found


async def set_mobile(c: Connection, id: UUID, sealed: str, digest: str) -> None:
    """Another mobile number."""
    await c.execute(
        "update person set mobile_sealed = $2, mobile_digest = $3 where id = $1",
        id,
        sealed,
        digest,
    )


async def set_password(c: Connection, id: UUID, hashed: str) -> bool:
    """Another password, and the account is active from now on; False when the firm ended it."""
    done = await c.fetchval(
        "update person set password = $2, password_at = now(), state = 'active'"
        " where id = $1 and state = any($3) returning true",
        id,
        hashed,
        [s.value for s in RETURNS],
    )
    return bool(done)


async def rehash(c: Connection, id: UUID, old: str, new: str) -> None:
    """The same password, hashed with today's parameters."""
    await c.execute(
        "update person set password = $3 where id = $1 and password = $2", id, old, new
    )


async def set_state(c: Connection, id: UUID, to: State, *, of: frozenset[State]) -> bool:
    """Another state, from a named set of states; False when it was in none of them."""
    done = await c.fetchval(
        "update person set state = $2 where id = $1 and state = any($3) returning true",
        id,
        to.value,
        [s.value for s in of],
    )
    return bool(done)


async def signed_in(c: Connection, id: UUID) -> None:
    """Note the sign-in; the one before becomes "last time"."""
    await c.execute(
        "update person set previous_login_at = last_login_at, last_login_at = now() where id = $1",
        id,
    )


async def prefer(c: Connection, id: UUID, klant: str) -> None:
    """The klant to begin with next time."""
    await c.execute("update person set preferred_klant = $2 where id = $1", id, klant)


async def speak(c: Connection, id: UUID, language: str) -> None:
    """The language of pages and messages."""
    await c.execute("update person set language = $2 where id = $1", id, language)
