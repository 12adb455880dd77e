"""PostgreSQL goes away and comes back while pages are being loaded."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.postgres import Server
from gateway.domain.dossier import handle
from gateway.store.migrate import migrate
from tests.faults.conftest import Office


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that this test may kill."""
    folder = Path(tempfile.mkdtemp(prefix="map-restart-"))
    folder.chmod(0o711)
    server = Server(folder / "postgres")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def dsn(own_server: Server) -> str:
    """Instead of the shared server's database."""
    own_server.create("portal")
    await migrate(own_server.dsn("portal"))
    return own_server.dsn("portal")


async def test_pages_come_back_by_themselves(
    office: Office, own_server: Server, browser, register, sign_in
):
    await register()
    await sign_in()
    document = f"/dossier/goed/{handle('Map/goed eikenhof 0.pdf')}"
    statuses: list[int] = []
    stop = asyncio.Event()

    async def load() -> None:
        while not stop.is_set():
            for path in ("/welkom", document):
                answer = await browser.client.get(path, allow_redirects=False)
                body = await answer.read()
                statuses.append(answer.status)
                assert answer.status in (200, 503), answer.status
                if answer.status == 503:
                    assert answer.headers["Retry-After"]
                    assert b"<h1" in body
            await asyncio.sleep(0.02)

    async def restart() -> None:
        for immediate in (False, True):
            await asyncio.to_thread(own_server.stop, immediate=immediate)
            while 503 not in statuses[-8:]:
                await asyncio.sleep(0.02)
            ready = await browser.client.get("/health/ready")
            assert ready.status == 503
            assert (await ready.json())["status"] == "not_ready"
            await asyncio.to_thread(own_server.start)
            mark = len(statuses)
            while statuses[mark:].count(200) < 8:
                await asyncio.sleep(0.02)
        stop.set()

    async with asyncio.TaskGroup() as group:  # one that fails ends the others
        for _ in range(4):
            group.create_task(load())
        group.create_task(restart())
    assert (await browser.client.get("/health/ready")).status == 200
    assert set(statuses[-4:]) == {200}, "the session is still there"
