"""Webhooks: every event comes, signed, in the order of its stuk; nobody waits for another."""

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import hmac
import io
import ipaddress
import json
import re
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from typer.testing import CliRunner

from gateway import app as application
from gateway import log, settings, worker
from gateway.api import app as api
from gateway.cli import cli
from gateway.connector.egress import EgressPolicy
from gateway.domain import webhook as rules
from gateway.domain.package import Scope
from gateway.flows import packages, stukbeheer, webhook_lanes
from gateway.flows.webhook_lanes import Lanes, take_over
from gateway.store import audit
from tests.filing.conftest import KLANT, Office
from tests.pages.conftest import write_settings

ROOT = Path(__file__).parents[2]


# --- a receiver, and what verifies


@dataclass
class Came:
    """One request."""

    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def told(self) -> dict[str, Any]:
        """What it says."""
        return json.loads(self.body)

    @property
    def id(self) -> str:
        """Of the event."""
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """A program of a package maker. answers: what it does with each request in turn; then 204.
    act: decides instead. Both give a status, or break off with "reset"."""

    url: str = ""
    came: list[Came] = field(default_factory=list)
    good: list[Came] = field(default_factory=list)
    answers: list[int | str] = field(default_factory=list)
    act: Callable[[Came], Awaitable[int | str]] | None = None
    busy: Counter[str] = field(default_factory=Counter)
    twice: list[str] = field(default_factory=list)
    location: str = ""

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Write it down, and do what was asked for."""
        one = Came({k.lower(): v for k, v in request.headers.items()}, await request.read(),
                   time.monotonic())  # fmt: skip
        self.came.append(one)
        stuk = one.told["stuk"]
        self.busy[stuk] += 1
        if self.busy[stuk] > 1:
            self.twice.append(one.id)
        try:
            if self.act is not None:
                answer = await self.act(one)
            else:
                answer = self.answers.pop(0) if self.answers else 204
        finally:
            self.busy[stuk] -= 1
        if answer == "reset":
            assert request.transport is not None
            request.transport.abort()
            raise web.HTTPInternalServerError
        if int(answer) < 300:
            self.good.append(one)
        return web.Response(
            status=int(answer), headers={"Location": self.location} if self.location else {}
        )

    def numbers(self, stuk: UUID) -> list[int]:
        """Of the events of a stuk that it took in, in the order in which they came."""
        return [c.told["nummer"] for c in self.good if c.told["stuk"] == str(stuk)]


def verified(one: Came, secret: str, moment: float | None = None) -> bool:
    """As a receiver checks it, with nothing of the portal's code."""
    kind, _, text = secret.partition("_")
    assert kind == "whsec"
    key = base64.b64decode(text, validate=True)
    assert len(key) == 32
    signed = one.headers["webhook-id"].encode() + b"."
    signed += one.headers["webhook-timestamp"].encode() + b"." + one.body
    wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    fresh = abs(int(one.headers["webhook-timestamp"]) - (moment or time.time())) < 300
    version, _, given = one.headers["webhook-signature"].partition(",")
    return fresh and version == "v1" and hmac.compare_digest(wanted, given)


Receivers = Callable[[], Awaitable[Receiver]]


@pytest.fixture
async def receivers() -> AsyncIterator[Receivers]:
    """Starts receivers."""
    runners = []

    async def start(host: str = "127.0.0.1", port: int = 0) -> Receiver:
        made = Receiver()
        app = web.Application()
        app.router.add_post("/haak", made.take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/haak"
        runners.append(runner)
        return made

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def receiver(receivers: Receivers) -> Receiver:
    """One of them."""
    return await receivers()


# --- the worker, and what happens to stukken


class Nobody:
    """Sends no mail."""

    async def send(self, mail: object) -> None:
        """Nothing."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short; a test may say otherwise."""
    monkeypatch.setattr(rules, "FIRST", timedelta(seconds=0.05))
    monkeypatch.setattr(rules, "LAST", timedelta(seconds=0.4))
    monkeypatch.setattr(worker, "LOOK", 0.05)


Working = Callable[..., contextlib.AbstractAsyncContextManager[None]]


@pytest.fixture
def working(office: Office) -> Working:
    """The worker works as long as this is open; several may."""

    @contextlib.asynccontextmanager
    async def work(count: int = 1, portal: Any = None) -> AsyncIterator[None]:
        stop = asyncio.Event()
        tasks = [
            asyncio.create_task(worker.run(portal or office.portal, Nobody(), stop))
            for _ in range(count)
        ]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    return work


async def until(holds: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something; fails when it does not come."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


async def happens(office: Office, stuk: UUID, *codes: str) -> None:
    """Events of a stuk, each in a transaction of its own."""
    for code in codes:
        async with office.portal.db.tenant(office.firm.id) as c:
            await audit.record(
                c, "delivery_status", firm=office.firm.id, klant=KLANT, subject=f"stuk:{stuk}",
                data={"code": code, "secret": "weg"},
            )  # fmt: skip


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[Any]:
    """The database without row-level security."""
    connection = await asyncpg.connect(dsn)
    yield connection
    await connection.close()


async def hook(proef: Any, receiver: Receiver, **more: Any) -> dict[str, Any]:
    """A webhook to a receiver."""
    told = await proef.post("/webhooks", {"url": receiver.url, **more})
    assert told.status == 201, told.body
    return told.body


async def counts(proef: Any) -> tuple[int, int]:
    """Waiting and dead of the only webhook."""
    (one,) = (await proef.get("/webhooks")).body["webhooks"]
    return one["wachtend"], one["dood"]


# --- what is sent


async def test_an_event_comes_signed(office, proef, receiver, working):
    made = await hook(proef, receiver)
    id = await office.put_up()
    await happens(office, id, "500")
    async with working():
        await until(lambda: len(receiver.good) == 2)
    asked = (await proef.get("/gebeurtenissen")).body["gebeurtenissen"]
    assert [c.told for c in receiver.came] == asked  # the same as when it asks
    for one in receiver.came:
        assert one.headers["content-type"] == "application/json"
        assert "aiohttp" not in one.headers["user-agent"]
        assert one.id == f"{made['id']}_{one.told['nummer']}"
        assert verified(one, made["geheim"])
        changed = dataclasses.replace(one, body=one.body.replace(b"500", b"501") + b" ")
        assert not verified(changed, made["geheim"])
    assert receiver.came[1].told["gegevens"] == {"code": "500"}  # what is sealed stays here


async def test_the_example_of_the_manual():
    """The vectors that receivers are tested with, by other code than ours too."""
    text = (ROOT / "docs" / "packages.md").read_text()
    found = {
        name: re.search(rf"^{name} +(\S.*)$", text, re.MULTILINE)[1]
        for name in ("secret", "webhook-id", "webhook-timestamp", "body", "webhook-signature")
    }
    one = Came({k: v for k, v in found.items() if k.startswith("webhook")},
               found["body"].encode(), 0)  # fmt: skip
    moment = int(found["webhook-timestamp"])
    assert verified(one, found["secret"], moment)
    ours = rules.headers(found["secret"], found["webhook-id"], moment, one.body)
    assert ours["webhook-signature"] == found["webhook-signature"]


async def test_what_was_before_is_told_on_request(office, proef, receivers, working):
    id = await office.put_up()
    late, early, half = [await receivers() for _ in range(3)]
    await hook(proef, late)
    await hook(proef, early, vanaf=0)
    first = (await proef.get("/gebeurtenissen")).body["gebeurtenissen"][-1]["nummer"]
    await hook(proef, half, vanaf=first)
    await happens(office, id, "100")
    async with working():
        await until(lambda: early.good and half.good and late.good and len(early.good) == 2)
    assert [c.told["gegevens"].get("code") for c in late.good] == ["100"]
    assert [c.told["gebeurtenis"] for c in early.good] == ["stuk_put_up", "delivery_status"]
    assert [c.told["gegevens"].get("code") for c in half.good] == ["100"]


async def test_events_that_are_not_for_packages_stay(office, proef, receiver, monkeypatch, owner):
    monkeypatch.setattr(webhook_lanes, "STRIDE", 5)
    made = await hook(proef, receiver)
    for _ in range(6):
        async with office.portal.db.tenant(office.firm.id) as c:
            await audit.record(c, "signed_in", firm=office.firm.id)
    before = await owner.fetchval("select cursor from webhook")
    assert await take_over(office.portal) == 0
    assert await owner.fetchval("select cursor from webhook") > before
    assert await owner.fetchval("select count(*) from webhook_event") == 0
    assert made


# --- order, and trying again


async def test_in_the_order_of_each_stuk(office, proef, receiver, working):
    await hook(proef, receiver)
    stukken = [await office.put_up(tag=n) for n in (1, 2, 3)]
    for code in range(8):
        for id in stukken:
            await happens(office, id, str(code))
    tried = Counter[str]()

    async def now_and_then(one: Came) -> int | str:
        tried[one.id] += 1
        await asyncio.sleep(0.002)
        return 503 if tried[one.id] <= one.told["nummer"] % 3 else 204

    receiver.act = now_and_then
    async with working(2):
        await until(lambda: len(receiver.good) == 27)
    for id in stukken:
        assert receiver.numbers(id) == sorted(receiver.numbers(id))
        assert len(receiver.numbers(id)) == 9
    assert receiver.twice == []
    assert await counts(proef) == (0, 0)


async def test_a_stuk_that_fails_holds_up_no_other(office, proef, receiver, working):
    await hook(proef, receiver)
    bad, good = await office.put_up(tag=1), await office.put_up(tag=2)
    await happens(office, bad, "1", "2")
    await happens(office, good, "1", "2", "3")

    async def refuse(one: Came) -> int | str:
        return 500 if one.told["stuk"] == str(bad) else 200

    receiver.act = refuse
    async with working():
        await until(lambda: len(receiver.numbers(good)) == 4)
        assert receiver.numbers(bad) == []
        first = min(c.told["nummer"] for c in receiver.came if c.told["stuk"] == str(bad))
        assert {c.told["nummer"] for c in receiver.came if c.told["stuk"] == str(bad)} == {first}
        receiver.act = None
        await until(lambda: len(receiver.numbers(bad)) == 3)
    assert receiver.numbers(bad) == sorted(receiver.numbers(bad))


@pytest.mark.parametrize("answer", [500, 503, 404, 301, 100 + 301, "reset"])
async def test_what_is_no_success_is_tried_again(office, proef, receiver, working, answer):
    await hook(proef, receiver)
    receiver.answers = [answer, answer]
    await office.put_up()
    async with working():
        await until(lambda: receiver.good)
    assert len(receiver.came) == 3
    assert len({c.id for c in receiver.came}) == 1


async def test_no_answer_in_time_is_tried_again(office, proef, receiver, working, monkeypatch):
    monkeypatch.setattr(webhook_lanes, "TOTAL", 0.3)
    await hook(proef, receiver)

    async def hang(one: Came) -> int | str:
        if len(receiver.came) == 1:
            await asyncio.sleep(3600)
        return 200

    receiver.act = hang
    await office.put_up()
    async with working():
        await until(lambda: receiver.good)
    assert len({c.id for c in receiver.came}) == 1


async def test_an_endless_answer_is_not_read(office, proef, receiver, working, monkeypatch):
    monkeypatch.setattr(webhook_lanes, "ANSWER_SECONDS", 0.2)
    sent, stopped = 0, asyncio.Event()

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                sent += 65536
        stopped.set()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/haak"
    await hook(proef, receiver)
    await office.put_up()
    async with working():
        await asyncio.wait_for(stopped.wait(), 120)
        async with asyncio.timeout(120):
            while await counts(proef) != (0, 0):
                await asyncio.sleep(0.02)
    assert sent < 16 * 1024 * 1024  # what fits into the buffers of two sockets
    server.close()


async def test_the_waiting_doubles_to_six_hours(monkeypatch):
    monkeypatch.undo()
    waits = [rules.wait(n).total_seconds() for n in range(1, 40)]
    assert waits[:4] == [10, 20, 40, 80]
    assert max(waits) == waits[-1] == 6 * 3600


async def test_a_receiver_that_was_down_gets_everything_in_order(office, proef, working):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    receiver = Receiver(f"http://127.0.0.1:{taken.getsockname()[1]}/haak")
    taken.close()
    await hook(proef, receiver)
    stukken = [await office.put_up(tag=n) for n in (1, 2)]
    for id in stukken:
        await happens(office, id, *map(str, range(4)))
    async with working(2):
        await asyncio.sleep(0.5)
        assert await counts(proef) == (10, 0)
        app = web.Application()
        app.router.add_post("/haak", receiver.take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(receiver.url.split(":")[2][:-5])).start()
        await until(lambda: len(receiver.good) == 10)
    await runner.cleanup()
    for id in stukken:
        assert receiver.numbers(id) == sorted(receiver.numbers(id))
    assert len({c.id for c in receiver.good}) == 10


async def test_after_three_days_it_is_dead_and_goes_again_by_hand(
    office, proef, receiver, working, owner
):
    made = await hook(proef, receiver)
    id = await office.put_up()
    await happens(office, id, "1")
    receiver.answers = [500]
    async with working():
        await until(lambda: len(receiver.good) == 2)
        await happens(office, id, "2", "3")
        receiver.act = _always(500)
        await until(lambda: len(receiver.came) > 3)
        async with asyncio.timeout(120):
            while await owner.fetchval(
                "select count(*) from webhook_event where state = 'dead'"
            ) < 1:  # fmt: skip
                await owner.execute(
                    "update webhook_event set created_at = now() - interval '73 hours'"
                    " where state = 'waiting' and number = (select min(number) from webhook_event"
                    " where state = 'waiting')"
                )
                await asyncio.sleep(0.05)
        receiver.act = None  # the later one is not held any more
        await until(lambda: len(receiver.good) == 3)
        assert receiver.good[-1].told["gegevens"]["code"] == "3"
        assert await counts(proef) == (0, 1)
        (dead,) = (await proef.get(f"/webhooks/{made['id']}/dood")).body["gebeurtenissen"]
        assert dead["stuk"] == str(id)
        assert dead["reden"] == "http 500"
        assert dead["pogingen"] >= 1
        path = f"/webhooks/{made['id']}/opnieuw"
        assert (await proef.post(path, {"nummers": [dead["nummer"] + 1]})).body == {"aantal": 0}
        assert (await proef.post(path, {"nummers": [dead["nummer"]]})).body == {"aantal": 1}
        await until(lambda: len(receiver.good) == 4)
    assert receiver.good[-1].told["gegevens"]["code"] == "2"
    assert (await proef.post(path, {})).body == {"aantal": 0}
    assert await counts(proef) == (0, 0)


def _always(answer: int | str) -> Callable[[Came], Awaitable[int | str]]:
    async def act(_: Came) -> int | str:
        return answer

    return act


async def test_dead_ones_go_again_in_order_with_new_patience(
    office, proef, receiver, working, owner
):
    made = await hook(proef, receiver)
    id = await office.put_up()
    await happens(office, id, "1", "2")
    await take_over(office.portal)
    await owner.execute(
        "update webhook_event set state = 'dead', created_at = now() - interval '9 days'"
    )
    assert (await proef.post(f"/webhooks/{made['id']}/opnieuw", {})).body == {"aantal": 3}
    receiver.answers = [500, 500]
    async with working():
        await until(lambda: len(receiver.good) == 3)
    assert receiver.numbers(id) == sorted(receiver.numbers(id))
    names = [r["event"] for r in await owner.fetch("select event from audit order by id")]
    assert names.count("webhook_replayed") == 1


async def test_who_fails_again_and_again_rests(monkeypatch):
    monkeypatch.undo()
    assert [rules.rest(n).total_seconds() for n in (0, 1, 4)] == [0, 0, 0]
    rests = [rules.rest(n).total_seconds() for n in range(5, 40)]
    assert rests == sorted(rests)
    assert (rests[0], rests[-1]) == (rules.FIRST.total_seconds(), rules.REST.total_seconds())


async def test_who_is_away_is_asked_with_one_event_at_a_time(
    office, proef, receiver, working, monkeypatch
):
    """Not with all that wait: each would cost the others time. Then all of them come."""
    monkeypatch.setattr(rules, "FIRST", timedelta(seconds=1))
    monkeypatch.setattr(rules, "REST", timedelta(seconds=1))
    await hook(proef, receiver)
    receiver.act = _always(500)
    stukken = [await office.put_up(tag=n) for n in range(40)]
    with capture_logs() as logs:
        async with working():
            await until(lambda: sum(e["event"] == "webhook_rests" for e in logs) >= 3)
            # Two lanes at once: each may have one more under way when the other rests.
            assert len(receiver.came) <= rules.ENOUGH + 6
    receiver.act = None
    async with working():
        await until(lambda: len({c.id for c in receiver.good}) == len(stukken))


async def test_operations_see_them_and_let_them_go(office, proef, receiver, tmp_path, owner):
    """What a package can do with its own webhooks, the firm's operations can with all."""
    made = await hook(proef, receiver)
    id = await office.put_up()
    await take_over(office.portal)
    await owner.execute("update webhook_event set state = 'dead', trouble = 'http 500', tries = 4")

    async def told(*words: str) -> Any:
        common = ["--firm", "eikenhof", "--config", str(tmp_path / "config"), "--json"]
        done = await asyncio.to_thread(CliRunner().invoke, cli, ["package", *words, *common])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    (one,) = (await told("webhooks"))["webhooks"]
    assert (one["id"], one["package"]) == (made["id"], "Proefpakket")
    assert (one["url"], one["waiting"], one["dead"]) == (made["url"], 0, 1)
    (dead,) = (await told("dead", made["id"]))["dead"]
    assert (dead["stuk"], dead["tries"], dead["trouble"]) == (str(id), 4, "http 500")
    other = str(dead["number"] + 1)
    assert (await told("replay", made["id"], other))["count"] == 0
    assert (await told("replay", made["id"]))["count"] == 1
    assert await counts(proef) == (1, 0)
    by = await owner.fetchval("select data->>'by' from audit where event = 'webhook_replayed'")
    assert by == "beheer"
    common = ["--firm", "wilgenhof", "--config", str(tmp_path / "config")]
    strange = await asyncio.to_thread(
        CliRunner().invoke, cli, ["package", "dead", made["id"], *common]
    )
    assert strange.exit_code == 2


async def test_410_ends_the_webhook(office, proef, receiver, working, owner):
    made = await hook(proef, receiver)
    receiver.act = _always(410)
    id = await office.put_up()
    await happens(office, id, "1")
    async with working():
        await until(lambda: receiver.came)
        async with asyncio.timeout(120):
            while (await proef.get("/webhooks")).body["webhooks"]:
                await asyncio.sleep(0.02)
        await happens(office, id, "2")
        await asyncio.sleep(0.3)
    assert len(receiver.came) == 1
    row = await owner.fetchrow("select subject, data from audit where event = 'webhook_ended'")
    assert row["subject"] == f"webhook:{made['id']}"
    assert json.loads(row["data"])["why"] == "http 410"
    dead = (await proef.get(f"/webhooks/{made['id']}/dood")).body["gebeurtenissen"]
    assert [d["reden"] for d in dead] == ["http 410"] * 2
    again = await proef.post(f"/webhooks/{made['id']}/opnieuw", {})
    assert again.status == 422


async def test_a_webhook_that_was_ended_hears_nothing(office, proef, receiver, working, owner):
    made = await hook(proef, receiver)
    await office.put_up()
    await take_over(office.portal)
    path = f"/webhooks/{made['id']}/stoppen"
    told = await proef.post(path)
    assert told.status == 200
    assert (told.body["wachtend"], told.body["dood"]) == (0, 1)
    assert (await proef.post(path)).status == 200  # again changes nothing
    async with working():
        await asyncio.sleep(0.3)
    assert receiver.came == []
    events = [r["event"] for r in await owner.fetch("select event from audit order by id")]
    assert [e for e in events if e.startswith("webhook")] == ["webhook_made", "webhook_ended"]


async def test_without_a_key_that_works_a_package_hears_nothing(
    office, proef, receiver, working, owner
):
    await hook(proef, receiver)
    id = await office.put_up()
    await take_over(office.portal)
    (key,) = await packages.known(office.portal, office.firm)
    await packages.end(office.portal, office.firm, key.id)
    await happens(office, id, "1")
    async with working():
        await asyncio.sleep(0.3)
        assert receiver.came == []
        await packages.make(office.portal, office.firm, "Proefpakket", tuple(Scope))
        await until(lambda: len(receiver.good) == 2)  # nothing was lost


# --- several workers, and one that dies


async def test_workers_do_not_send_the_same_at_the_same_time(office, proef, receiver, working):
    await hook(proef, receiver)
    stukken = [await office.put_up(tag=n) for n in range(4)]
    for id in stukken:
        await happens(office, id, *map(str, range(5)))

    async def slowly(_: Came) -> int | str:
        await asyncio.sleep(0.03)
        return 200

    receiver.act = slowly
    async with working(4):
        await until(lambda: len(receiver.good) >= 24)
        await asyncio.sleep(0.2)
    assert len(receiver.came) == 24
    assert len({c.id for c in receiver.came}) == 24
    assert receiver.twice == []


async def test_taking_over_at_the_same_time_takes_each_once(office, proef, receiver, owner):
    await hook(proef, receiver)
    id = await office.put_up()
    await happens(office, id, *map(str, range(9)))
    assert sum(await asyncio.gather(*(take_over(office.portal) for _ in range(6)))) == 10
    assert await owner.fetchval("select count(*) from webhook_event") == 10


async def test_a_worker_that_dies_after_sending_sends_again_with_the_same_id(
    office, proef, receiver, owner, working
):
    await hook(proef, receiver)
    await office.put_up()
    await take_over(office.portal)
    never = asyncio.Event()

    async def hold(_: Came) -> int | str:
        await never.wait()
        return 200

    receiver.act = hold
    lanes = Lanes(office.portal)
    assert await lanes.fill() == 1
    await until(lambda: receiver.came)
    for task in lanes._under_way:  # as kill -9: nothing is noted
        task.cancel()
    await asyncio.gather(*lanes._under_way, return_exceptions=True)
    await lanes._context.aclose()
    receiver.act = None
    async with working():
        await asyncio.sleep(0.3)
        assert len(receiver.came) == 1  # another waits until it cannot be at it any more
        await owner.execute("update webhook_event set due_at = now()")
        await until(lambda: receiver.good)
    assert len(receiver.came) == 2
    assert len({c.id for c in receiver.came}) == 1


async def test_stopping_lets_what_is_under_way_end(office, proef, receiver, working, owner):
    await hook(proef, receiver)
    id = await office.put_up()
    await happens(office, id, "1")

    async def slowly(_: Came) -> int | str:
        await asyncio.sleep(0.3)
        return 200

    receiver.act = slowly
    async with working():
        await until(lambda: receiver.came)
    rows = await owner.fetch("select state from webhook_event order by number")
    assert [r["state"] for r in rows] == ["sent", "waiting"]


async def test_a_slow_receiver_holds_up_no_other(office, proef, receivers, working):
    slow, quick = await receivers(), await receivers()
    await hook(proef, slow)
    await hook(proef, quick)
    free = asyncio.Event()

    async def hang(_: Came) -> int | str:
        await free.wait()
        return 200

    slow.act = hang
    id = await office.put_up()
    async with working():
        await until(lambda: slow.came and quick.good)
        await happens(office, id, *map(str, range(20)))
        await until(lambda: len(quick.good) == 21, 10)
        assert slow.good == []
        free.set()
        await until(lambda: len(slow.good) == 21)


async def test_many_that_hang_leave_room_for_one_that_is_good(
    office, proef, package, receivers, working
):
    quick = await receivers()
    await hook(proef, quick)
    id = await office.put_up()
    free = asyncio.Event()

    async def hang(_: Came) -> int | str:
        await free.wait()
        return 200

    hanging = []
    async with working():
        await until(lambda: len(quick.good) == 1)
        other = await package(name="Tweede")
        for _ in range(10):
            one = await receivers()
            one.act = hang
            hanging.append(one)
            await hook(other, one)
        for n in range(20):
            await office.put_up(tag=100 + n) if n < 3 else None
            await happens(office, id, str(n))
        await until(lambda: len(quick.good) == 24, 15)
        under_way = sum(len(h.came) for h in hanging)
        assert 0 < under_way <= webhook_lanes.DOUBTFUL_LANES
        free.set()


async def test_a_new_stuk_does_not_wait_for_what_failed_before(
    office, proef, receiver, working, monkeypatch, owner
):
    """What was tried least goes first, however long the others are due."""
    monkeypatch.setattr(webhook_lanes, "DOUBTFUL_WIDTH", 1)
    await hook(proef, receiver)
    for n in range(4):
        await office.put_up(tag=n)
    await take_over(office.portal)
    await owner.execute("update webhook_event set tries = 5, due_at = now() - interval '1 hour'")
    new = await office.put_up(tag=9)
    async with working():
        await until(lambda: len(receiver.good) == 5)
    assert receiver.came[0].told["stuk"] == str(new)


# --- where it may go


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/haak", "https://169.254.169.254/latest", "https://[fd00::1]/haak",
        "https://niet-genoemd.example/haak", "http://hooks.example/haak",
        "https://user:pass@hooks.example/haak", "https://hooks.example/haak#deel",
        "ftp://hooks.example/haak", "https://hooks.example/" + "a" * 2000, "file:///etc/passwd",
        "https://hooks.example:70000/", "", "geen adres", "https://0x0a000001/",
        "//hooks.example/",
    ],
)  # fmt: skip
async def test_addresses_that_are_refused(office, proef, url):
    policy = EgressPolicy(("*.example:*", "hooks.example:*", "10.0.0.1:*", "169.254.169.254:*",
                           "fd00::1:*"))  # fmt: skip
    object.__setattr__(office.portal, "egress", policy)
    if "niet-genoemd" in url:
        object.__setattr__(office.portal, "egress", EgressPolicy(("hooks.example:*",)))
    told = await proef.post("/webhooks", {"url": url})
    assert told.status == 422, told.body
    assert set(told.faults) == {"url"}
    assert "pass" not in json.dumps(told.body)
    good = await proef.post("/webhooks", {"url": "https://hooks.example/haak?t=1"})
    assert good.status == 201


async def test_hosts_of_back_offices_are_not_for_webhooks(dsn, tmp_path, monkeypatch):
    """A package would reach what only connectors may, and hear how it answers."""
    monkeypatch.setenv("MAP_TEST_KEY", "k" * 44)
    folder = write_settings(tmp_path / "config", dsn)
    with (folder / "gateway.yaml").open("a") as out:
        out.write("egress: {hosts: ['archief.example:443'], webhooks: ['hooks.example:443']}\n")
    async with application.opened(settings.load(folder)) as portal:
        assert portal.egress.allows_host("hooks.example", 443)
        assert not portal.egress.allows_host("archief.example", 443)


async def _reason(owner: Any) -> str:
    async with asyncio.timeout(120):
        while not (found := await owner.fetchval("select max(trouble) from webhook_event")):
            await asyncio.sleep(0.02)
    return str(found)


async def test_what_the_policy_refuses_since_is_not_sent(office, proef, receiver, working, owner):
    await hook(proef, receiver)
    await office.put_up()
    policy = EgressPolicy(("elders.example:443",), office.portal.egress.networks)
    async with working(portal=dataclasses.replace(office.portal, egress=policy)):
        assert await _reason(owner) == "egress"
    assert receiver.came == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(office, proef, receivers, working, owner, status):
    receiver, trap = await receivers(), await receivers()
    receiver.location = trap.url
    receiver.act = _always(status)
    await hook(proef, receiver)
    await office.put_up()
    async with working():
        assert await _reason(owner) == f"http {status}"
        await until(lambda: len(receiver.came) > 2)
    assert trap.came == []


async def test_a_name_that_is_pointed_elsewhere_leads_nowhere(
    office, proef, receivers, working, owner, monkeypatch
):
    """The name is good when the webhook is made and at first; then it leads inside."""
    receiver = await receivers("0.0.0.0")
    port = int(receiver.url.split(":")[2][:-5])
    receiver.url = f"http://localhost:{port}/haak"
    networks = (ipaddress.ip_network("127.0.0.2/32"),)
    portal = dataclasses.replace(
        office.portal, egress=EgressPolicy(("localhost:*", "127.0.0.1:*"), networks)
    )
    object.__setattr__(office.portal, "egress", portal.egress)
    leads = "127.0.0.2"
    real = socket.getaddrinfo

    def names(host: Any, *args: Any, **more: Any) -> Any:
        return real(leads if host in ("localhost", b"localhost") else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", names)
    await hook(proef, receiver)
    id = await office.put_up()
    async with working(portal=portal):
        await until(lambda: len(receiver.good) == 1)
    leads = "127.0.0.1"
    await happens(office, id, "1")
    async with working(portal=portal):  # a connection and an answer of before are gone
        assert await _reason(owner) == "connection"
    assert len(receiver.came) == 1
    # And when the resolver does not see it: the last look is at the socket.
    await owner.execute(
        "update webhook set url = $1", f"http://127.0.0.1:{port}/haak"
    )  # fmt: skip
    await owner.execute("update webhook_event set trouble = '', due_at = now()")
    monkeypatch.setattr(EgressPolicy, "check_url", lambda *_, **__: None)
    async with working(portal=portal):
        assert await _reason(owner) == "connection"
    assert len(receiver.came) == 1


# --- whose it is, and what is kept


async def test_a_webhook_is_its_packages_own(office, proef, package, receiver):
    made = await hook(proef, receiver)
    other = await package(name="Ander")
    key = await packages.make(office.portal, office.portal.firms["wilgenhof"], "Ver", tuple(Scope))
    stranger = type(proef)(proef.client, key)
    for caller in (other, stranger):
        assert (await caller.get("/webhooks")).body == {"webhooks": []}
        assert (await caller.get(f"/webhooks/{made['id']}/dood")).status == 404
        assert (await caller.post(f"/webhooks/{made['id']}/stoppen")).status == 404
        assert (await caller.post(f"/webhooks/{made['id']}/opnieuw", {})).status == 404
    assert (await proef.get("/webhooks/geen-uuid/dood")).status == 404
    reader = await package(Scope.STATUS, name="Lezer")
    assert (await reader.get("/webhooks")).status == 403


async def test_another_firm_hears_nothing(office, proef, receiver, working):
    far = office.portal.firms["wilgenhof"]
    key = await packages.make(office.portal, far, "Ver", tuple(Scope))
    await hook(type(proef)(proef.client, key), receiver, vanaf=0)
    await office.put_up()
    async with working():
        await asyncio.sleep(0.3)
    assert receiver.came == []


async def test_ten_webhooks_at_the_most(proef, receiver):
    told = await asyncio.gather(
        *(proef.post("/webhooks", {"url": receiver.url}) for _ in range(12))
    )
    assert Counter(t.status for t in told) == {201: 10, 422: 2}


async def test_the_secret_is_shown_once_and_sealed(proef, receiver, owner):
    made = await hook(proef, receiver)
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", made["geheim"])
    (listed,) = (await proef.get("/webhooks")).body["webhooks"]
    assert "geheim" not in listed
    bare = made["geheim"].removeprefix("whsec_")
    for table in ("webhook", "audit", "idempotency"):
        rows = await owner.fetch(f"select * from {table}")
        assert rows
        assert bare not in str(rows)
    data = json.loads(await owner.fetchval("select data from audit where event = 'webhook_made'"))
    assert data["by"] == "pakket:Proefpakket"
    assert receiver.url not in json.dumps(data)


async def test_nothing_secret_in_the_log(office, proef, receiver, working, monkeypatch, owner):
    stream = io.StringIO()
    log.configure(level="debug", stream=stream)
    receiver.url += "?token=zeer-geheim"
    made = await hook(proef, receiver)
    receiver.answers = [500, "reset", 302, 404]
    await office.put_up()
    async with working():
        await until(lambda: receiver.good)
        receiver.act = _always(410)
        real = Lanes._post

        async def breaks(*_: Any) -> int:
            raise RuntimeError("onvoorzien")

        monkeypatch.setattr(Lanes, "_post", breaks)
        await office.put_up(tag=2)
        assert await _reason(owner) == "internal"
        monkeypatch.setattr(Lanes, "_post", real)
        await until(lambda: "webhook_ended" in stream.getvalue())
    text = stream.getvalue()
    for event in ("webhook_sent", "webhook_failed", "webhook_surprise"):
        assert event in text
    assert made["geheim"].removeprefix("whsec_") not in text
    assert "zeer-geheim" not in text
    assert proef.key not in text


async def test_the_description_has_them(proef):
    async with proef.client.get("/api/v1/openapi.json") as r:
        paths = (await r.json())["paths"]
    assert set(paths["/webhooks"]) == {"post", "get"}
    for end in ("stoppen", "dood", "opnieuw"):
        assert f"/webhooks/{{id}}/{end}" in paths
    assert {o.scope for o in api.operations() if "webhooks" in o.path} == {Scope.WEBHOOKS}


async def test_a_stuk_that_is_withdrawn_tells_its_state_when_it_is_sent(
    office, proef, receiver, working
):
    await hook(proef, receiver)
    id = await office.put_up()
    await stukbeheer.withdraw(office.portal, office.firm, id, "proef", "Verkeerde periode.")
    async with working():
        await until(lambda: len(receiver.good) == 2)
    assert [c.told["gebeurtenis"] for c in receiver.good] == ["stuk_put_up", "stuk_withdrawn"]
    assert {c.told["staat"] for c in receiver.good} == {"ingetrokken"}


async def test_what_comes_again_is_the_same(office, proef, receiver, working):
    """Whoever keeps ids may keep what it saw first, whatever became of the stuk since."""
    await hook(proef, receiver)
    receiver.act = _always(500)
    id = await office.put_up()
    async with working():
        await until(lambda: receiver.came)
        await stukbeheer.withdraw(office.portal, office.firm, id, "proef", "Verkeerde periode.")
        receiver.act = None
        await until(lambda: len(receiver.good) == 2)
    assert len({(c.id, c.body) for c in receiver.came}) == 2
    assert [c.told["staat"] for c in receiver.good] == ["te_accorderen", "ingetrokken"]


async def test_no_proxy_of_the_environment_is_asked(office, receiver, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    lanes = Lanes(office.portal)
    status = await lanes._post(receiver.url, b'{"stuk":"x"}', {"webhook-id": "x"})
    assert status == 204
    await lanes.drain()
