"""Fixtures that every test may use: a real PostgreSQL, and skips that are told."""

import asyncio
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import asyncpg
import hypothesis
import pytest
import structlog

from gateway.demo.postgres import Server
from gateway.store.migrate import migrate

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

#: What no machine of ours can install; any other skip is one that the machine could avoid.
UNAVOIDABLE = "not here: "

# No time limits; in CI hypothesis loads a profile of its own, which has none and is repeatable.
hypothesis.settings.register_profile("house", deadline=None)
if "CI" not in os.environ:
    hypothesis.settings.load_profile("house")

_FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
}


def _judge(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With MAP_STRICT_SKIPS=1 a skip that the machine could have avoided is a failure."""
    if os.environ.get("MAP_STRICT_SKIPS") != "1" or not report.skipped:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not hasattr(report, "wasxfail") and not reason.startswith(f"Skipped: {UNAVOIDABLE}"):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: this machine could have avoided it: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that skips, in itself or in a fixture."""
    report = yield
    _judge(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that is skipped whole."""
    report = yield
    _judge(report)
    return report


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that runs in this process configures logging; the next test starts anew."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and third-party examples beside the project."""
    if not SHARED.is_dir():
        pytest.skip(f"{UNAVOIDABLE}the folder ../shared with third-party examples")
    return SHARED


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server of this test process alone; MAP_DURABLE=1 makes it write for real."""
    folder = Path(tempfile.mkdtemp(prefix="map-test-"))
    folder.chmod(0o711)
    server = Server(
        folder / "postgres", settings={} if os.environ.get("MAP_DURABLE") == "1" else _FAST
    )
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.data, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: Server) -> str:
    """Name of a migrated, empty database to clone."""

    async def make() -> None:
        connection = await asyncpg.connect(postgres.dsn())
        await connection.execute("create database template_map")
        await connection.close()
        await migrate(postgres.dsn("template_map"))

    asyncio.run(make())
    return "template_map"


@pytest.fixture
async def dsn(postgres: Server, template: str) -> AsyncIterator[str]:
    """Address of a fresh, migrated database, as its owner."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres.dsn())
    try:
        await connection.execute(f'create database "{name}" template "{template}"')
        yield postgres.dsn(name)
        await connection.execute(f'drop database "{name}" with (force)')
    finally:
        await connection.close()
