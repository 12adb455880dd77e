"""Row-level security: a query sees the firm that it named, and nothing else."""

import contextlib

import asyncpg
import pytest

from gateway.store.database import Database

#: Functions that may look across firms, each for what its arguments name (0001_house.sql).
ACROSS = {
    "firms_of", "firms_with_mail", "throttle_take", "throttle_wait", "throttle_clear", "forget",
    "visitors", "audit_append",
    # 0002_stukken.sql
    "chain_append", "delivery_is_ours", "deliveries_due", "kenmerken_known", "attempts_made",
    "ask_first", "ask_from_now",
    "attempts_go_on",
    # 0004_watch.sql
    "channel_lost", "channel_open",
    # 0006_package.sql
    "firms_with_events", "firms_with_webhooks",
}  # fmt: skip


@pytest.fixture
async def owner(dsn):
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def db(dsn):
    database = await Database.connect(dsn)
    yield database
    await database.close()


async def _tables(owner) -> list[str]:
    rows = await owner.fetch(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid"
        " where c.relkind = 'r' and a.attname = 'firm' and c.relnamespace = 'public'::regnamespace"
    )
    return [r[0] for r in rows]


async def _fill_stukken(owner, firm: str, person) -> None:
    await owner.execute(
        "insert into stuk (firm, klant, soort, route, state, jaar, periode, manifest, content,"
        " rule, put_up_by) values ($1, '1', 'ob', 'portal', 'te_accorderen', 2026, 'Q3',"
        " 'm', 'c', '[]',"
        " 'test')",
        firm,
    )
    await owner.execute(
        "insert into delivery (firm, stuk, kind, destination, aanleverkenmerk, manifest)"
        " select firm, id, 'sbr', 'digipoort', $1 || 'k', 'm' from stuk where firm = $1",
        firm,
    )
    for statement in (
        "insert into klant_identity (firm, klant, type, digest) values ($1, '1', 'BTW', 'd')",
        "insert into stuk_part (firm, stuk, number, role, source, document_sealed, name_sealed,"
        " media_type, length, sha256) select firm, id, 1, 'instance', 's', '', '', '', 1, 'h'"
        " from stuk where firm = $1",
        "insert into attempt (firm, delivery, channel, message_id)"
        " select firm, id, firm, firm || 'm' from delivery where firm = $1",
        "insert into status (firm, delivery, kenmerk, code, at, description)"
        " select firm, id, 'k', '100', now(), '' from delivery where firm = $1",
        "insert into reply (firm, delivery, kind, message_id, envelope)"
        " select firm, id, 'status', 'm', '' from delivery where firm = $1",
        "insert into stranger (firm, channel, kenmerk) values ($1, 'c', 'k')",
        "insert into package (firm, name) values ($1, 'p')",
        "insert into api_key (firm, package, digest, scopes)"
        " select firm, id, firm || 'd', '[]' from package where firm = $1",
        "insert into idempotency (firm, package, key, request)"
        " select firm, id, 'k', 'r' from package where firm = $1",
        "insert into webhook (firm, package, url, secret_sealed, cursor)"
        " select firm, id, 'u', '', 0 from package where firm = $1",
        "insert into webhook_event (firm, webhook, number, subject)"
        " select firm, id, 1, 's' from webhook where firm = $1",
        "insert into processed (firm, mailbox, document) values ($1, 'm', 'd')",
        "insert into mailbox (firm, id, cursor) values ($1, 'm', 0)",
        "insert into warning (firm, subject, step) values ($1, 's', 7)",
        "insert into checkpoint (firm, number, hash, key, signature) values ($1, 1, '', '', '')",
    ):
        await owner.execute(statement, firm)
    for statement in (
        "insert into mandate (firm, person, klant, soort, since)"
        " values ($1, $2, '1', '*', now()::date)",
        "insert into seen (firm, stuk, person, part, sha256)"
        " select firm, id, $2, 1, 'h' from stuk where firm = $1",
        "insert into akkoord (firm, stuk, person, act, manifest)"
        " select firm, id, $2, 'approved', 'm' from stuk where firm = $1",
        "insert into consent (firm, stuk, bank, person)"
        " select firm, id, 'b', $2 from stuk where firm = $1",
    ):
        await owner.execute(statement, firm, person)


async def _fill(owner) -> None:
    for firm in ("een", "twee"):
        await owner.execute("insert into klant (firm, number, name) values ($1, '1', 'K')", firm)
        person = await owner.fetchval(
            "insert into person (firm, username, name) values ($1, $2, 'P') returning id",
            firm,
            f"{firm}@x.example",
        )
        for statement in (
            "insert into access (firm, person, klant) values ($1, $2, '1')",
            "insert into session (firm, digest, person, stage, idle_until, ends_at)"
            " values ($1, 'd', $2, 'full', now() + interval '1 h', now() + interval '1 h')",
            "insert into code (firm, person, session, purpose, digest, expires_at)"
            " values ($1, $2, 'd', 'signing_in', 'x', now())",
            "insert into link (firm, digest, person, purpose, expires_at)"
            " values ($1, 'd', $2, 'password', now())",
            "insert into preference (firm, person, name, value) values ($1, $2, 'n', 'v')",
            "insert into audit (firm, event, person) values ($1, 'e', $2)",
        ):
            await owner.execute(statement, firm, person)
        await _fill_stukken(owner, firm, person)
        await owner.execute(
            "insert into outbox (firm, event, recipient_sealed, payload_sealed)"
            " values ($1, 'e', '', '')",
            firm,
        )


async def test_every_table_with_a_firm_is_held(owner, db):
    await _fill(owner)
    tables = await _tables(owner)
    assert len(tables) >= 9
    for table in tables:
        async with db.connection() as c:
            assert await c.fetchval(f"select count(*) from {table}") == 0, table
        async with db.tenant("een") as c:
            assert {r[0] for r in await c.fetch(f"select firm from {table}")} == {"een"}, table
        async with db.tenant("drie") as c:
            assert await c.fetchval(f"select count(*) from {table}") == 0, table


async def test_another_firms_rows_cannot_be_written(owner, db):
    await _fill(owner)
    for statement in (
        "insert into klant (firm, number, name) values ('twee', '9', 'K')",
        "update klant set firm = 'twee'",
        "insert into audit (firm, event) values ('twee', 'e')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with db.tenant("een") as c:
                await c.execute(statement)
    async with db.tenant("een") as c:
        assert await c.execute("update klant set name = 'X' where firm = 'twee'") == "UPDATE 0"
        assert await c.execute("delete from klant where firm = 'twee'") == "DELETE 0"


async def test_a_firm_does_not_stay_with_the_connection(owner, db):
    await _fill(owner)
    async with db.tenant("een") as c:
        assert await c.fetchval("select count(*) from klant") == 1
    async with db.connection() as c:
        assert await c.fetchval("select count(*) from klant") == 0


async def test_the_role_cannot_be_left(owner, dsn):
    """A login that is only a member of map_app, as an installation has it."""
    await _fill(owner)
    await owner.execute("create role map_test_login login password 'x' in role map_app")
    try:
        connection = await asyncpg.connect(
            dsn, user="map_test_login", password="x", server_settings={"role": "map_app"}
        )
        for attempt in ("reset role", "reset all", "set role none", "set row_security = off"):
            await connection.execute(attempt)
            with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                assert await connection.fetchval("select count(*) from klant") == 0, attempt
        for attempt in ("set role postgres", "alter table klant disable row level security"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(attempt)
        await connection.close()
    finally:
        await owner.execute("drop role map_test_login")


async def test_the_audit_is_only_added_to(owner, db):
    await _fill(owner)
    for statement in ("update audit set event = 'x'", "delete from audit", "truncate audit"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with db.tenant("een") as c:
                await c.execute(statement)


async def test_no_column_could_hold_a_document(owner):
    rows = await owner.fetch(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_schema = 'public'"
    )
    allowed = {
        "text", "uuid", "timestamp with time zone", "integer", "bigint", "jsonb", "boolean",
        "date",
    }  # fmt: skip
    assert {r["data_type"] for r in rows} <= allowed


async def test_only_these_functions_look_across_firms(owner):
    rows = await owner.fetch(
        "select proname, proconfig from pg_proc where prosecdef"
        " and pronamespace = 'public'::regnamespace"
    )
    assert {r["proname"] for r in rows} == ACROSS
    assert all("search_path=public" in (r["proconfig"] or []) for r in rows)
