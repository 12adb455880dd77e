"""The private PostgreSQL is found again, whatever ended its last run."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.demo import postgres
from gateway.demo.postgres import Given, PostgresError, Server


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account may walk into, which tmp_path is not."""
    made = Path(tempfile.mkdtemp(prefix="map-postgres-"))
    made.chmod(0o711)
    yield made / "server"
    shutil.rmtree(made)


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder, settings={"fsync": "off"})
    made.start()
    yield made
    made.stop(immediate=True)


async def _ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_it_knows_the_letters_of_a_dutch_name(server: Server) -> None:
    server.create("map")
    server.create("map")
    assert await _ask(server.dsn("map"), "select upper('André Ünal')") == "ANDRÉ ÜNAL"
    assert server.dsn("map").startswith("postgresql://postgres@/map?host=/")


async def test_what_was_committed_survives_a_crash(server: Server) -> None:
    await _ask(server.dsn(), "create table kept as select 42 as number")
    server.restart(immediate=True)
    assert await _ask(server.dsn(), "select number from kept") == 42


async def test_it_starts_after_its_process_was_killed(server: Server) -> None:
    assert server._process is not None
    server._process.kill()
    server._process.wait()
    server.start()
    assert await _ask(server.dsn(), "select 1") == 1


async def test_it_ends_a_server_that_lost_its_parent(server: Server, folder: Path) -> None:
    lost = server.pid
    server._lock.close()  # as the kernel does when the parent is killed
    other = Server(folder)
    other.start()
    try:
        assert other.pid != lost
        assert await _ask(other.dsn(), "select 1") == 1
    finally:
        other.stop()


def test_a_pid_that_somebody_else_has_by_now_does_not_stop_it(server: Server) -> None:
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n")
    server.start()
    assert server.pid


def test_a_second_process_on_the_folder_is_told(server: Server, folder: Path) -> None:
    with pytest.raises(PostgresError, match="in use by another process"):
        Server(folder).start()


async def test_on_a_port_it_wants_the_password(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(folder, port=port)
    server.start()
    try:
        assert await _ask(server.dsn(), "select 1") == 1
        with pytest.raises(asyncpg.InvalidPasswordError):
            await _ask(f"postgresql://postgres:x@127.0.0.1:{port}/postgres", "select 1")
    finally:
        server.stop()


def test_a_long_name_puts_the_socket_elsewhere(folder: Path) -> None:
    server = Server(folder / ("d" * 90))
    server.start()
    try:
        assert not server._socket.is_relative_to(folder)
        assert len(bytes(server._socket)) < 80
    finally:
        server.stop()
        shutil.rmtree(server._socket)


@pytest.mark.skipif(os.geteuid() != 0, reason="not here: only root drops its rights")
def test_a_folder_that_the_account_cannot_enter_moves_the_data(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    server = Server(folder / "inside")
    server.start()
    try:
        assert str(folder) in server.moved
        assert not server.data.is_relative_to(folder)
        assert server.data.stat().st_uid != 0
    finally:
        server.stop()
        shutil.rmtree(server.data.parent)


def test_a_version_that_is_not_there_is_told_with_what_to_do() -> None:
    with pytest.raises(PostgresError, match=r"PostgreSQL 7 .* DATABASE_URL"):
        postgres.find_binaries("7")


def test_the_end_of_its_log_tells_why_it_does_not_start(folder: Path) -> None:
    with pytest.raises(PostgresError, match="max_connections"):
        Server(folder, settings={"max_connections": "none"}).start()


def test_a_given_server_is_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example/map")
    server = postgres.from_environment(folder)
    server.start()
    server.create("map")
    server.stop()
    assert isinstance(server, Given)
    assert server.dsn("other") == "postgresql://db.example/map"
    assert not folder.exists()
