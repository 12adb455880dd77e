"""The pool: what passes by itself is told as DatabaseDown, and what is sick does not stay."""

import asyncio
import contextlib
import shutil
import socket
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from gateway.demo.postgres import Server
from gateway.demo.seaweed import free_port
from gateway.store import database
from gateway.store.database import Database, DatabaseDown


@pytest.fixture
async def owner(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def login(owner, dsn):
    """The address for a login role of this test alone."""
    name = f"login_{urlsplit(dsn).path[1:]}"
    await owner.execute(f"create role {name} login; grant map_app to {name}")
    at = urlsplit(dsn)
    yield urlunsplit(at._replace(netloc=f"{name}@{at.netloc.rpartition('@')[2]}")), name
    await owner.execute(
        "select pg_terminate_backend(pid, 60000) from pg_stat_activity where usename = $1", name
    )
    await owner.execute(f"drop role {name}")


@contextlib.asynccontextmanager
async def opened(dsn: str):
    db = await Database.connect(dsn)
    try:
        yield db
    finally:
        await db.close()


async def test_a_server_that_is_full(owner, login):
    dsn, name = login
    await owner.execute(f"alter role {name} connection limit 1")
    async with opened(dsn) as db, db.connection():
        with capture_logs() as logs, pytest.raises(DatabaseDown, match="TooManyConnections"):
            await db.ping()
        assert [(e["event"], e["error"]) for e in logs] == [
            ("database_down", "TooManyConnectionsError")
        ]
        await owner.execute(f"alter role {name} connection limit -1")
        await db.ping()


async def test_a_role_that_may_not_come_in(owner, login):
    dsn, name = login
    await owner.execute(f"alter role {name} nologin")
    async with opened(dsn) as db:
        with pytest.raises(DatabaseDown):
            await db.ping()


@pytest.mark.parametrize(
    "code",
    ["53100", "53200", "53300", "53400", "57014", "57P01", "57P03", "40001", "40P01", "40000"],
)
async def test_what_passes_by_itself(dsn, code):
    async with opened(dsn) as db:
        with pytest.raises(DatabaseDown, match=r"\w+Error"):
            async with db.tenant("eikenhof") as c:
                await c.execute(f"do $$begin raise exception sqlstate '{code}'; end$$")
        await db.ping()


async def test_a_fault_of_ours_is_not_told_as_that(dsn):
    async with opened(dsn) as db:
        with pytest.raises(asyncpg.UndefinedTableError):
            async with db.connection() as c:
                await c.execute("select * from no_such_table")


async def test_a_real_deadlock_ends_for_one_of_two(dsn):
    async with opened(dsn) as db:
        both = asyncio.Barrier(2)

        async def lock(*keys: int) -> None:
            async with db.tenant("eikenhof") as c:
                for key in keys:
                    await c.execute("select pg_advisory_xact_lock($1)", key)
                    if key == keys[0]:
                        await both.wait()

        ends = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
        assert sorted(type(e).__name__ for e in ends) == ["DatabaseDown", "NoneType"]


async def _pids(one, other) -> set[int]:
    return {await c.fetchval("select pg_backend_pid()") for c in (one, other)}


async def test_connections_to_what_became_a_standby_do_not_stay(dsn):
    async with opened(dsn) as db:
        async with db.connection() as one, db.connection() as other:
            before = await _pids(one, other)
        with pytest.raises(DatabaseDown, match="ReadOnly"):
            async with db.tenant("eikenhof") as c:
                await c.execute("set transaction read only; create table t ()")
        async with db.connection() as one, db.connection() as other:
            assert not before & await _pids(one, other)


async def test_a_server_that_is_only_read_is_waited_for(owner, dsn):
    name = urlsplit(dsn).path[1:]
    await owner.execute(f'alter database "{name}" set default_transaction_read_only = on')
    async with opened(dsn) as db:
        with pytest.raises(DatabaseDown):
            await db.ping()
        await owner.execute("set default_transaction_read_only = off")
        await owner.execute(f'alter database "{name}" reset default_transaction_read_only')
        await db.ping()


async def test_of_several_hosts_the_one_that_can_be_written(postgres, dsn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("second")
    second = Server(folder / "postgres", settings={"default_transaction_read_only": "on"})
    await asyncio.to_thread(second.start)
    try:
        c = await asyncpg.connect(
            second.dsn(), server_settings={"default_transaction_read_only": "off"}
        )
        name = urlsplit(dsn).path[1:]
        await c.execute("create role map_app")
        await c.execute(f'create database "{name}"')
        await c.close()
        first = urlsplit(second.dsn(name))
        hosts = [parse_qs(at.query)["host"][0] for at in (first, urlsplit(dsn))]
        both = urlunsplit(first._replace(query=f"host={quote(','.join(hosts), safe='/')}"))
        async with opened(both) as db, db.connection() as c:
            assert await c.fetchval("show transaction_read_only") == "off"
        async with opened(f"{both}&target_session_attrs=any") as db, db.connection() as c:
            assert await c.fetchval("show transaction_read_only") == "on"  # the URL goes first
    finally:
        await asyncio.to_thread(second.stop)
        shutil.rmtree(second.data, ignore_errors=True)


async def test_a_host_that_does_not_answer_keeps_nobody_from_the_next(
    tmp_path_factory, monkeypatch
):
    """As a machine that is switched off: a socket that takes connections and says nothing."""
    monkeypatch.setattr(database, "CONNECT", 1.0)
    folder = tmp_path_factory.mktemp("second")
    server = Server(folder / "postgres", port=free_port())
    await asyncio.to_thread(server.start)
    try:
        c = await asyncpg.connect(server.dsn())
        await c.execute("create role map_app")
        await c.close()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            host = f"127.0.0.1:{silent.getsockname()[1]}"
            dsn = server.dsn().replace("@", f"@{host},")
            async with asyncio.timeout(60), opened(dsn) as db:
                while True:  # a busy machine may need more than that second
                    with contextlib.suppress(DatabaseDown):
                        await db.ping()
                        break
    finally:
        await asyncio.to_thread(server.stop)
        shutil.rmtree(server.data, ignore_errors=True)
