"""A simulator of Digipoort that runs, and clients of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gateway.simulators.digipoort import pki as authority
from gateway.simulators.digipoort.desk import Desk, Options
from gateway.simulators.digipoort.flavour import DIGIPOORT, Flavour
from gateway.simulators.digipoort.ledger import Ledger
from gateway.simulators.digipoort.server import build, ssl_context
from tests.simulators.wus_client import Client, Identity


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> authority.Pki:
    """The certificates, once for all tests: keys are slow to make."""
    return authority.make(
        tmp_path_factory.mktemp("pki"), {"kantoor": "12345678", "ander": "87654321"}
    )


class World:
    """A desk that is served, and a client of it."""

    def __init__(self, desk: Desk, url: str, client: Client, other: Client) -> None:
        self.desk, self.url, self.client, self.other = desk, url, client, other


@asynccontextmanager
async def serving(
    pki: authority.Pki, file: Path, flavour: Flavour = DIGIPOORT, **options: object
) -> AsyncIterator[World]:
    ledger = Ledger(file)
    desk = Desk(pki, ledger, flavour, Options(**{"speed": 1e9, "slow": 0, "late": 0, **options}))
    runner = web.AppRunner(build(desk))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context(pki)).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    clients = [
        Client(url, Identity(pair.certificate, pair.key), pki.ca.certificate)
        for pair in (pki.clients["kantoor"], pki.clients["ander"])
    ]
    try:
        yield World(desk, url, *clients)
    finally:
        for client in clients:
            await client.session.close()
        await runner.cleanup()
        ledger.close()


@pytest.fixture
async def serve(pki: authority.Pki, tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    """Starts simulators: `await serve(flavour, **options)` gives a World."""
    async with AsyncExitStack() as stack:

        async def start(flavour: Flavour = DIGIPOORT, **options: object) -> World:
            file = tmp_path / "ledger.sqlite"
            return await stack.enter_async_context(serving(pki, file, flavour, **options))

        yield start


@pytest.fixture
async def world(serve: Callable[..., object]) -> World:
    """A simulator of Digipoort whose statuses are there at once."""
    return await serve()
