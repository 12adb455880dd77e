"""SIGKILL while events go to webhooks: none is lost, and only what had to be comes again."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import astuple, dataclass, field
from uuid import UUID

import pytest
from aiohttp import web

from gateway.domain.package import EVENTS, Scope
from gateway.flows import packages, stukbeheer, webhooks
from gateway.flows.portal import Portal
from gateway.store import audit
from gateway.store import events as store
from tests.crash.conftest import HOOKS
from tests.crash.world import FIRM, Shape, World
from tests.packages.test_webhooks import Came, Receiver, until, verified

#: One PostgreSQL for all of them: they stay in one process.
pytestmark = pytest.mark.xdist_group("crash")

_EGRESS = 'egress: {webhooks: ["127.0.0.1:*"], networks: [127.0.0.0/8]}\n'


@dataclass(frozen=True)
class Kill:
    """statement: before (or after) the so-manieth statement about webhooks; hold: once each
    receiver has that request of this worker, and answers nothing from there on."""

    statement: int = 0
    after: bool = False
    hold: int = 0


@dataclass
class Ear:
    """A receiver. begun: at the start of each worker, how many requests had come and which events
    were noted as sent."""

    id: UUID
    secret: str
    receiver: Receiver
    server: web.Server
    begun: list[tuple[int, frozenset[int]]] = field(default_factory=list)
    refused: list[Came] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    free: asyncio.Event = field(default_factory=asyncio.Event)

    def behave(self, hold: int, refuses: bool) -> None:
        """For the next worker. refuses: every fifth event, once."""
        self.held.clear()
        self.free.clear()
        count = itertools.count(1)

        async def act(one: Came) -> int:
            if hold and next(count) >= hold:
                self.held.set()
                await self.free.wait()  # nobody hears the answer any more
            elif refuses and one.told["nummer"] % 5 == 0 and not self.has_refused(one.id):
                self.refused.append(one)
                return 503
            return 204

        self.receiver.act = act

    def has_refused(self, id: str) -> bool:
        """Whether it did so with an event."""
        return any(one.id == id for one in self.refused)


@dataclass(frozen=True)
class Found:
    """The verdict, over all receivers. events: to be heard. repeats: requests for an event that
    had come, was not refused and could not be noted. twice: those for no reason. changed: repeats
    with another body. disorder: events that came first after a later one of their stuk."""

    events: int
    requests: int
    repeats: int
    refused: int
    lost: int
    twice: int
    changed: int
    disorder: int

    @property
    def good(self) -> bool:
        """Whether every receiver that keeps ids sees every event once and in order."""
        return self.lost == self.twice == self.changed == self.disorder == 0


@dataclass
class Hooks:
    """An office with things going on, and those who hear of it."""

    world: World
    portal: Portal
    ears: list[Ear]
    stukken: list[UUID] = field(default_factory=list)

    async def happens(self) -> None:
        """A new stuk, more about the last four, and the fifth is withdrawn."""
        id, _ = await self.world.put_up(self.portal)
        self.stukken.append(id)
        for number, stuk in itertools.product(range(2), self.stukken[-4:]):
            async with self.portal.db.tenant(FIRM) as c:
                await audit.record(
                    c, "delivery_status", firm=FIRM, subject=f"stuk:{stuk}",
                    data={"code": str(number)},
                )  # fmt: skip

    async def withdraw(self) -> None:
        """A stuk gets another state, also when an event of it is under way."""
        if len(self.stukken) > 2:
            firm = self.portal.firms[FIRM]
            await stukbeheer.withdraw(
                self.portal, firm, self.stukken[-3], "proef", "Verkeerde periode."
            )

    async def killed(self, kill: Kill) -> None:
        """A worker until it is killed; then the time passes until another may take over."""
        await self.happens()
        await self._begin(kill.hold, True)
        worker = self.world.start(statement=kill.statement, of="webhook", after=kill.after)
        if kill.hold:
            for ear in self.ears:
                await asyncio.wait_for(ear.held.wait(), 120)
            await self.world.kill(worker)
        else:
            await self.world.died(worker)
        await self._over()
        await self.withdraw()

    async def finish(self) -> None:
        """A worker that lives does what is left."""
        await self._begin(0, False)
        worker = self.world.start()
        async with self.world.owner() as c, asyncio.timeout(300):
            while await c.fetchval(
                "select exists (select from webhook_event where state = 'waiting')"
                " or exists (select from webhook where cursor < (select max(number) from chain"
                " c join audit a on a.firm = c.firm and a.id = c.audit where a.event = any ($1)))",
                sorted(EVENTS),
            ):  # fmt: skip
                assert worker.is_alive(), self.world.log
                await asyncio.sleep(0.05)
        await self.world.stop(worker)

    async def _begin(self, hold: int, refuses: bool) -> None:
        async with self.world.owner() as c:
            for ear in self.ears:
                rows = await c.fetch(
                    "select number from webhook_event where webhook = $1 and state = 'sent'",
                    ear.id,
                )
                ear.begun.append((len(ear.receiver.came), frozenset(r["number"] for r in rows)))
                ear.behave(hold, refuses)

    async def _over(self) -> None:
        """What the dead worker had sent has come, and what it asked of the database is done."""
        for ear in self.ears:
            ear.free.set()
            await until(lambda ear=ear: not ear.server.connections)
        async with self.world.owner() as c, asyncio.timeout(120):
            while await c.fetchval(
                "select exists (select from pg_locks where relation = 'webhook_event'::regclass"
                " and pid <> pg_backend_pid())"
            ):  # fmt: skip
                await asyncio.sleep(0.02)
            await c.execute("update webhook_event set due_at = now() where state = 'waiting'")

    async def judge(self) -> Found:
        """What each receiver got, against what happened."""
        async with self.portal.db.tenant(FIRM) as c:
            told = await store.since(c, 0, sorted(EVENTS), 100_000)
        numbers = {e.number for e in told}
        counts = [_judge(ear, numbers) for ear in self.ears]
        return Found(len(numbers) * len(self.ears), *map(sum, zip(*counts, strict=True)))


def _judge(ear: Ear, numbers: set[int]) -> tuple[int, ...]:
    """The counts of Found for one receiver, without events."""
    repeats = refused = twice = changed = disorder = 0
    first: dict[str, Came] = {}
    before: dict[str, tuple[Came, int]] = {}  # the request for an event, and of which worker
    newest: dict[str, int] = {}  # of a stuk
    for at, one in enumerate(ear.receiver.came):
        assert verified(one, ear.secret)
        life = sum(count <= at for count, _ in ear.begun) - 1
        number, stuk = one.told["nummer"], one.told["stuk"]
        assert one.id == f"{ear.id}_{number}"
        if one.id not in first:
            disorder += number < newest.get(stuk, 0)
            newest[stuk] = max(number, newest.get(stuk, 0))
        elif any(before[one.id][0] is it for it in ear.refused):
            refused += 1
        elif before[one.id][1] < life and number not in ear.begun[life][1]:
            repeats += 1
        else:
            twice += 1
        changed += first.setdefault(one.id, one).body != one.body
        before[one.id] = one, life
    lost = len(numbers - {one.told["nummer"] for one in first.values()})
    return len(ear.receiver.came), repeats, refused, lost, twice, changed, disorder


@pytest.fixture
def hooked(open_world) -> Callable[..., AbstractAsyncContextManager[Hooks]]:
    """Opens an office with two packages that listen."""

    @asynccontextmanager
    async def opened(control: str = "") -> AsyncIterator[Hooks]:
        world = await open_world(Shape(klanten=2), control)
        with (world.folder / "config" / "gateway.yaml").open("a") as out:
            out.write(_EGRESS)
        async with world.portal() as portal, AsyncExitStack() as stack:
            hooks = Hooks(world, portal, [])
            for name in ("Een", "Twee"):
                receiver, runner = await _listening()
                stack.push_async_callback(runner.cleanup)
                key = await packages.make(portal, portal.firms[FIRM], name, tuple(Scope))
                caller = await packages.recognise(portal, key)
                made = await webhooks.make(portal, caller, receiver.url)
                hooks.ears.append(Ear(made.webhook.id, made.secret, receiver, runner.server))
            stack.push_async_callback(world.end)
            yield hooks

    return opened


async def _listening() -> tuple[Receiver, web.AppRunner]:
    made, app = Receiver(), web.Application()
    app.router.add_post("/haak", made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/haak"
    return made, runner


async def _all(hooked, request, kills: Iterable[Kill], control: str = "") -> Found:
    async with hooked(control) as hooks:
        for kill in kills:
            await hooks.killed(kill)
        await hooks.finish()
        found = await hooks.judge()
    name = request.node.name.removeprefix("test_")
    row = (name, hooks.world.kills, *astuple(found))
    request.config.stash.setdefault(HOOKS, []).append(row)
    return found


async def test_killed_while_events_go_out(hooked, request):
    kills = [Kill(4), Kill(hold=1), Kill(12, after=True), Kill(hold=4), Kill(21), Kill(25, True),
             Kill(hold=2), Kill(34, after=True)]  # fmt: skip
    found = await _all(hooked, request, kills)
    assert found.good, found
    assert found.repeats >= 6  # two receivers, three times with a request that they held
    assert found.requests == found.events + found.repeats + found.refused


@pytest.mark.crash
async def test_killed_at_each_statement_while_events_go_out(hooked, request):
    kills = [Kill(n, after) for n in range(1, 61) for after in (False, True)]
    found = await _all(hooked, request, kills)
    assert found.good, found
    assert found.repeats > 20
    assert found.requests == found.events + found.repeats + found.refused


@pytest.mark.crash
async def test_killed_while_receivers_hold_events(hooked, request):
    found = await _all(hooked, request, [Kill(hold=n % 8 + 1) for n in range(40)])
    assert found.good, found
    assert found.repeats >= 80
    assert found.requests == found.events + found.repeats + found.refused


@pytest.mark.crash
@pytest.mark.parametrize(("control", "fault"), [("note first", "lost"), ("no order", "disorder")])
async def test_a_worker_that_is_broken_is_found_out(hooked, request, control, fault):
    """The judge has teeth."""
    kills = [Kill(n, after=True) for n in range(12, 30, 3)] + [Kill(hold=2)]
    found = await _all(hooked, request, kills, control)
    assert getattr(found, fault), found
