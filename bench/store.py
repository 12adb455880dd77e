"""What every document asks of PostgreSQL, as the portal does it and the ordinary way; and what a
storm of sign-ins does to everyone else. Rows 19, 20 and 26."""

import asyncio
import contextlib
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from argon2 import PasswordHasher

from bench.rows import Row, interleaved
from gateway.demo.postgres import Server
from gateway.domain import keys as key_rules
from gateway.domain.keys import Keys
from gateway.domain.klant import Klant
from gateway.domain.person import Role
from gateway.domain.session import Stage
from gateway.flows.passwords import Passwords
from gateway.flows.portal import events, looks
from gateway.store import audit, klanten, persons, sessions
from gateway.store.database import Database
from gateway.store.migrate import migrate

AT_ONCE = 128
FIRM = "lindehof"
_LOOK = (
    "select s.*, p.name, p.state from session s join person p on p.firm = s.firm"
    " and p.id = s.person where s.firm = $1 and s.digest = $2 and s.idle_until > now()"
)
_GRANT = "select 1 from access where firm = $1 and person = $2 and klant = $3"
_AUDIT = (
    "insert into audit (firm, event, person, klant, subject, data)"
    " values ($1, 'document_opened', $2, '400101', 'x', '{}')"
)


async def run(quick: bool) -> list[Row]:
    """All rows."""
    rounds, each = (3, 8) if quick else (9, 30)
    async with _database() as (dsn, db, digest, person):
        rows = await _audit(dsn, db, person, rounds, each)
        rows += await _authorise(dsn, db, digest, person, rounds, each)
    return [*rows, await _storm(20 if quick else 40)]


@contextlib.asynccontextmanager
async def _database() -> AsyncIterator[tuple[str, Database, str, str]]:
    """A durable database with one session in it: dsn, pool, the session's digest, the person."""
    with tempfile.TemporaryDirectory(prefix="map-bench-pg-") as folder:
        Path(folder).chmod(0o711)
        server = Server(Path(folder) / "postgres")
        await asyncio.to_thread(server.start)
        try:
            server.create("bench")
            dsn = server.dsn("bench")
            await migrate(dsn)
            db = await Database.connect(dsn)
            digest = key_rules.fingerprint(secrets.token_hex(8))
            end = datetime.now(UTC) + timedelta(hours=1)
            async with db.tenant(FIRM) as c:
                await klanten.put(c, FIRM, [Klant("400101", "De Korenaar")])
                person = await persons.add(c, FIRM, "a@x.example", "A", Role.CLIENT)
                assert person is not None
                await persons.set_password(c, person.id, "x")
                await klanten.grant(c, FIRM, person.id, "400101")
                await sessions.add(
                    c,
                    FIRM,
                    sessions.New(digest, person.id, Stage.FULL, None, None, "", "", end, end),
                )
            yield dsn, db, digest, str(person.id)
            await db.close()
        finally:
            await asyncio.to_thread(server.stop)


def _many(call: Callable[[], Awaitable[object]], each: int) -> Callable[[], Awaitable[None]]:
    """AT_ONCE people, each asking `each` times in a row."""

    async def one() -> None:
        for _ in range(each):
            await call()

    async def go() -> None:
        await asyncio.gather(*(one() for _ in range(AT_ONCE)))

    return go


async def _audit(dsn: str, db: Database, person: str, rounds: int, each: int) -> list[Row]:
    pool = await asyncpg.create_pool(dsn, max_size=16)
    batch = events(db)

    async def ours() -> None:
        event = audit.event(
            "document_opened", firm=FIRM, person=None, klant="400101", subject="x", data={}
        )
        await batch.put(event)

    async def peer() -> None:
        await pool.execute(_AUDIT, FIRM, person)

    costs = await interleaved({"ours": _many(ours, each), "peer": _many(peer, each)}, rounds)
    await pool.close()
    count = AT_ONCE * each
    ours_rate, peer_rate = (count / costs[k].wall for k in ("ours", "peer"))
    return [
        Row("19", f"audit rows, durable, c{AT_ONCE}", ours_rate, "single inserts on a pool",
            peer_rate, "rows/s", ours_rate / peer_rate, "≥9x"),
    ]  # fmt: skip


async def _authorise(
    dsn: str, db: Database, digest: str, person: str, rounds: int, each: int
) -> list[Row]:
    pool = await asyncpg.create_pool(dsn, max_size=16)
    batch = looks(db)

    async def ours() -> None:
        found = await batch.put((FIRM, digest))
        assert found is not None
        assert found.klanten

    async def peer() -> None:
        assert await pool.fetchrow(_LOOK, FIRM, digest)
        assert await pool.fetchrow(_GRANT, FIRM, person, "400101")

    rows = []
    for at_once, make in ((AT_ONCE, _many), (1, _alone)):
        costs = await interleaved({"ours": make(ours, each), "peer": make(peer, each)}, rounds)
        count = at_once * each
        for what in ("cpu", "wall"):
            mine, other = (getattr(costs[k], what) / count * 1e6 for k in ("ours", "peer"))
            rows.append(
                Row("20", f"session and access, c{at_once}, {what}", mine, "pool.fetchrow twice",
                    other, "µs", other / mine, "≥14x at c128" if at_once > 1 else "≥1x"),
            )  # fmt: skip
    await pool.close()
    return rows


def _alone(call: Callable[[], Awaitable[object]], each: int) -> Callable[[], Awaitable[None]]:
    async def go() -> None:
        for _ in range(each):
            await call()

    return go


async def _storm(people: int) -> Row:
    """The longest that anything else waits for the loop while everybody signs in."""
    passwords = Passwords(Keys("k" * 44))
    hashed = await passwords.hash("vier losse woorden")
    inline = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    plain = inline.hash("vier losse woorden")

    async def ours() -> None:
        await passwords.verify(hashed, "vier losse woorden")

    async def peer() -> None:
        inline.verify(plain, "vier losse woorden")

    mine = await _longest_wait(ours, people)
    other = await _longest_wait(peer, people)
    passwords.close()
    return Row("26", f"{people} sign-ins at once: longest wait of the loop", mine * 1e3,
               "argon2 on the loop", other * 1e3, "ms", other / mine, "≤10 ms")  # fmt: skip


async def _longest_wait(sign_in: Callable[[], Awaitable[None]], people: int) -> float:
    waits = []

    async def beat() -> None:
        while True:
            start = time.perf_counter()
            await asyncio.sleep(0)
            waits.append(time.perf_counter() - start)
            await asyncio.sleep(0.001)

    heart = asyncio.create_task(beat())
    await asyncio.gather(*(sign_in() for _ in range(people)))
    heart.cancel()
    return max(waits)
