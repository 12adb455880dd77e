"""Brings a database to the newest schema: numbered SQL files, each once, in order.

A file runs in one transaction with the row that records it. An advisory lock lets one process
migrate while others wait. A file that was applied and has changed since stops everything: the
schema would no longer be what the files say.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from gateway import log
from gateway.errors import PortalError

FOLDER = Path(__file__).parent / "migrations"
_NAME = re.compile(r"^\d{4}_[a-z0-9_]+\.sql$")
_LOCK = 0x4D4150  # "MAP"


class MigrationError(PortalError):
    """The database is not what the migrations say."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its name, its text and the text's SHA-256 in hexadecimal."""

    name: str
    sql: str
    sha256: str


def read(folder: Path = FOLDER) -> list[Migration]:
    """All migrations in order. Raises MigrationError for a stray name or a number used twice."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        if not _NAME.match(path.name):
            raise MigrationError(f"{path.name}: expected NNNN_name.sql")
        text = path.read_text(encoding="utf-8")
        found.append(Migration(path.name, text, hashlib.sha256(text.encode()).hexdigest()))
    numbers = [m.name[:4] for m in found]
    if len(set(numbers)) != len(numbers):
        raise MigrationError("a migration number is used twice")
    return found


async def migrate(dsn: str, folder: Path = FOLDER) -> list[str]:
    """Apply what is missing; the names applied. `dsn` is the owner of the schema."""
    migrations = read(folder)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await connection.execute(
            "create table if not exists migration ("
            " name text primary key, sha256 text not null,"
            " applied_at timestamptz not null default now())"
        )
        done = {r["name"]: r["sha256"] for r in await connection.fetch("select * from migration")}
        _verify(migrations, done)
        return [m.name for m in migrations if m.name not in done and await _apply(connection, m)]
    finally:
        await connection.close()


async def pending(dsn: str, folder: Path = FOLDER) -> list[str]:
    """Names not applied yet; empty when the database is up to date. Changes nothing."""
    connection = await asyncpg.connect(dsn)
    try:
        if await connection.fetchval("select to_regclass('migration')") is None:
            return [m.name for m in read(folder)]
        done = {r["name"] for r in await connection.fetch("select name from migration")}
        return [m.name for m in read(folder) if m.name not in done]
    finally:
        await connection.close()


def _verify(migrations: list[Migration], done: dict[str, str]) -> None:
    known = {m.name: m.sha256 for m in migrations}
    for name, sha256 in done.items():
        if name not in known:
            raise MigrationError(f"{name} was applied and is no longer there: newer database?")
        if known[name] != sha256:
            raise MigrationError(f"{name} was changed after it was applied; write a new one")


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> bool:
    async with connection.transaction():
        await connection.execute(migration.sql)
        await connection.execute(
            "insert into migration (name, sha256) values ($1, $2)",
            migration.name,
            migration.sha256,
        )
    log.get().info("migrated", migration=migration.name)
    return True
