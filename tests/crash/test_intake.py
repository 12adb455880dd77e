"""SIGKILL while a package puts stukken up: it sends the same again, and each stands there once."""

import asyncio
import contextlib
import json
import socket
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import aiohttp
import pytest

from gateway.domain.package import Scope
from gateway.flows import packages
from tests.crash import process
from tests.crash import world as worlds
from tests.crash.process import Spec
from tests.crash.world import FIRM, Shape, World

#: One PostgreSQL for all of them: they stay in one process.
pytestmark = pytest.mark.xdist_group("crash")


class Sender:
    """A package that sends a stuk until it has an answer."""

    def __init__(self, world: World, key: str, port: int) -> None:
        self.world, self.port = world, port
        self.session = aiohttp.ClientSession(f"http://127.0.0.1:{port}")
        self.headers = {"Authorization": f"Bearer {key}"}

    async def send(self, number: int) -> tuple[int, str]:
        """Once: the status, and the id of the stuk that it tells of. Raises ClientError."""
        instance = worlds._instance("ob", 0, number)
        stuk = {
            "klant": "500000", "soort": "ob", "jaar": 2026, "periode": "1e kwartaal",
            "onderdelen": [{"rol": "instance", "inhoud": "a"}],
        }  # fmt: skip
        form = aiohttp.FormData()
        form.add_field("stuk", json.dumps(stuk), content_type="application/json")
        form.add_field("a", instance, filename=f"{number}.xbrl")
        headers = {**self.headers, "Idempotency-Key": f"stuk-{number}"}
        async with self.session.post("/api/v1/stukken", data=form, headers=headers) as answer:
            told = await answer.json(content_type=None)
            return answer.status, told.get("id", "")

    def serve(self, statement: int = 0) -> ForkServerProcess:
        """A portal that dies before that statement; 0: it does not."""
        folder = self.world.folder
        return process.start_portal(Spec(folder / "config", folder / "p.log", "", statement))

    async def listens(self, portal: ForkServerProcess) -> bool:
        """Wait until it can be called; False when it died before."""
        while portal.is_alive():
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return True
            await asyncio.sleep(0.02)
        return False


def _free() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


async def _sender(open_world) -> Sender:
    world = await open_world(Shape(klanten=1))
    port = _free()
    with (Path(world.folder) / "config" / "gateway.yaml").open("a") as out:
        out.write(f"listen: {{host: 127.0.0.1, port: {port}}}\n")
    async with world.portal() as portal:
        key = await packages.make(portal, portal.firms[FIRM], "Proef", tuple(Scope))
    return Sender(world, key, port)


async def _killed(sender: Sender, number: int, statement: int) -> str:
    """Send to a portal that dies; then to one that does not, until it is taken. The id."""
    portal = sender.serve(statement)
    if await sender.listens(portal):
        with contextlib.suppress(aiohttp.ClientError):
            await sender.send(number)
    portal.kill()
    await asyncio.to_thread(portal.join)
    async with sender.world.owner() as c:  # as if twenty seconds had passed
        await c.execute("update idempotency set at = at - interval '1 minute'")
    portal = sender.serve()
    assert await sender.listens(portal)
    status, id = await sender.send(number)
    portal.kill()
    await asyncio.to_thread(portal.join)
    assert status == 201, (statement, status)
    return id


async def _all(open_world, statements: range) -> None:
    sender = await _sender(open_world)
    ids = [await _killed(sender, n, at) for n, at in enumerate(statements)]
    await sender.session.close()
    assert len(set(ids)) == len(statements)
    async with sender.world.owner() as c:
        assert await c.fetchval("select count(*) from stuk") == len(ids)
        events = await c.fetchval("select count(*) from audit where event = 'stuk_put_up'")
    assert events == len(ids)


async def test_killed_while_a_stuk_comes_in(open_world):
    await _all(open_world, range(12, 45, 8))


@pytest.mark.crash
async def test_killed_before_each_statement_of_an_intake(open_world):
    await _all(open_world, range(1, 80))
