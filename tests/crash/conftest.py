"""A PostgreSQL that writes for real, worlds on it, and the table of what was found."""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from gateway.demo.postgres import Server
from gateway.simulators.digipoort import pki as authority
from gateway.store.migrate import migrate
from tests.crash import world as worlds
from tests.crash.judge import Verdict
from tests.crash.process import CLIENTS, KEY
from tests.crash.world import Shape, World

#: On the disk when it is told to be committed; and nothing goes to the disk by itself for ten
#: seconds, so that what was not told to be there is lost with the server.
_DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_writer_delay": "10s",
    "max_connections": "200",
}
_HEAD = ("run", "kills", "restarts", "stops", "booked", "lost", "twice", "unapproved",
         "uncertain", "waiting")  # fmt: skip
ROWS = pytest.StashKey[list[tuple[str | int, ...]]]()
#: The same of webhooks: what each receiver got, together.
_HOOK_HEAD = ("run", "kills", "events", "requests", "repeats", "refused", "lost", "twice",
              "changed", "disorder")  # fmt: skip
HOOKS = pytest.StashKey[list[tuple[str | int, ...]]]()


@pytest.fixture(scope="session")
def durable() -> Iterator[Server]:
    """The server; it is stopped hard and started by tests."""
    folder = Path(tempfile.mkdtemp(prefix="map-crash-"))
    folder.chmod(0o711)
    server = Server(folder / "postgres", settings=_DURABLE)
    server.start()
    yield server
    server.stop(immediate=True)
    shutil.rmtree(server.data, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated(durable: Server) -> str:
    """Name of a migrated, empty database to clone."""
    durable.create("crash_template")
    asyncio.run(migrate(durable.dsn("crash_template")))
    return "crash_template"


@pytest.fixture(scope="session")
def pki_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates, once for all tests: keys are slow to make."""
    folder = tmp_path_factory.mktemp("crash-pki")
    authority.make(folder, CLIENTS)
    return folder


Open = Callable[..., object]


@pytest.fixture
async def open_world(
    durable: Server, migrated: str, pki_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Open]:  # fmt: skip
    """Makes a world of a shape, with a database of its own."""
    monkeypatch.setenv("MAP_CRASH_KEY", KEY)
    async with AsyncExitStack() as stack:

        async def make(shape: Shape = Shape(), control: str = "") -> World:
            name = f"c_{uuid.uuid4().hex[:12]}"
            connection = await asyncpg.connect(durable.dsn())
            await connection.execute(f'create database "{name}" template "{migrated}"')
            await connection.close()
            folder = tmp_path / name
            opening = worlds.opened(durable, durable.dsn(name), folder, pki_folder, shape, control)
            return await stack.enter_async_context(opening)

        yield make


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[World, Verdict], None]:
    """Put a row into the table at the end of the session."""

    def add(world: World, found: Verdict) -> None:
        rows = request.config.stash.setdefault(ROWS, [])
        rows.append(
            (request.node.name.removeprefix("test_"), world.kills, world.restarts, world.stops,
             found.booked, len(found.lost), len(found.twice), len(found.unapproved),
             len(found.uncertain), len(found.waiting))
        )  # fmt: skip

    return add


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The tables."""
    for title, head, key in (
        ("crash and chaos", _HEAD, ROWS), ("webhooks and kills", _HOOK_HEAD, HOOKS),
    ):  # fmt: skip
        if rows := config.stash.get(key, []):
            _table(terminalreporter, title, head, rows)


def _table(
    terminal: pytest.TerminalReporter, title: str, head: tuple[str, ...],
    rows: list[tuple[str | int, ...]],
) -> None:  # fmt: skip
    totals = [sum(int(r[i]) for r in rows) for i in range(1, len(head))]
    width = max(len(str(r[0])) for r in rows) + 2
    terminal.section(title)
    for name, *numbers in (head, *rows, ("all", *totals)):
        line = "".join(f"{n:>11}" for n in numbers)
        terminal.write_line(f"{name:{width}}{line}")
