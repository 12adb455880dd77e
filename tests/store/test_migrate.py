"""Migrations: in order, once, and never changed afterwards."""

import asyncio
import uuid
from pathlib import Path

import asyncpg
import pytest

from gateway.store.migrate import MigrationError, migrate, pending, read


@pytest.fixture
async def empty(postgres):
    name = f"m_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(f'create database "{name}"')
    yield postgres.dsn(name)
    await connection.execute(f'drop database "{name}" with (force)')
    await connection.close()


def _folder(path: Path, **files: str) -> Path:
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / f"{name}.sql").write_text(text)
    return path


async def test_many_at_once_apply_each_once(empty):
    applied = await asyncio.gather(*(migrate(empty) for _ in range(6)))
    assert sorted(n for names in applied for n in names) == [m.name for m in read()]
    assert await pending(empty) == []


async def test_a_changed_file_stops_everything(empty, tmp_path):
    folder = _folder(tmp_path / "m", **{"0001_a": "create table a (x int);"})
    assert await pending(empty, folder) == ["0001_a.sql"]
    await migrate(empty, folder)
    _folder(folder, **{"0001_a": "create table a (x bigint);"})
    with pytest.raises(MigrationError, match="changed after"):
        await migrate(empty, folder)


async def test_a_file_that_fails_leaves_nothing(empty, tmp_path):
    folder = _folder(tmp_path / "m", **{"0001_a": "create table a (x int); select 1/0;"})
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty, folder)
    _folder(folder, **{"0001_a": "create table a (x int);"})
    assert await migrate(empty, folder) == ["0001_a.sql"]


async def test_a_newer_database_is_refused(empty, tmp_path):
    await migrate(empty, _folder(tmp_path / "m", **{"0001_a": "select 1", "0002_b": "select 1"}))
    (tmp_path / "m" / "0002_b.sql").unlink()
    with pytest.raises(MigrationError, match="newer"):
        await migrate(empty, tmp_path / "m")


def test_names_and_numbers(tmp_path):
    with pytest.raises(MigrationError, match="expected NNNN"):
        read(_folder(tmp_path / "a", first=""))
    with pytest.raises(MigrationError, match="twice"):
        read(_folder(tmp_path / "b", **{"0001_a": "", "0001_b": ""}))
