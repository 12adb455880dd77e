"""The guard, on a back office that does everything wrong on demand."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.connector.breaker import Breaker, State
from gateway.connector.context import Context
from gateway.connector.contract import (
    Capability,
    Connector,
    ConnectorConfig,
    Entry,
    Finding,
    Page,
    Place,
    Report,
    Scope,
)
from gateway.connector.egress import EgressPolicy
from gateway.connector.guard import Bulkhead, Guarded, Limits
from gateway.errors import (
    AuthFailed,
    Busy,
    ConditionFailed,
    DeadlineExceeded,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    SourceError,
    Unavailable,
)

PLACE = Place("300001", "300001", ("Map",))
HANG = 3600.0
QUICK = Limits(
    first_byte=0.1, idle=0.1, list=0.1, reads=2, lists=2, queue_wait=0.1, retry_after=0, close=0.02
)


def entry(id: str, size: int | None = 6) -> Entry:
    *folder, name = id.split("/")
    return Entry(id, name, tuple(folder), size)


@dataclass
class Fake(Connector[ConnectorConfig]):
    """plan: what the following calls do, each an error to raise or seconds to wait; then they
    work. pieces: what a reader gives, in the same language."""

    kind = "fake"
    title = {"nl": "Nep", "en": "Fake"}
    Config = ConnectorConfig

    plan: list[Exception | float] = field(default_factory=list)
    pieces: list[bytes | Exception | float] = field(default_factory=lambda: [b"abc", b"def"])
    length: int | None = 6
    listed: list[str] = field(default_factory=lambda: ["Map/a.pdf"])
    closing: list[Exception | float] = field(default_factory=list)
    calls: int = 0
    open_readers: int = 0
    closed: int = 0

    @classmethod
    async def open(cls, config: ConnectorConfig, context: Context) -> Self:
        return cls()

    @property
    def capabilities(self) -> Capability:
        return Capability.SIZE_KNOWN

    async def _next(self) -> None:
        self.calls += 1
        await act(self.plan.pop(0) if self.plan else 0.0)

    def target(self) -> str:
        return "memory"

    async def reach(self) -> str:
        return "always"

    async def check(self, scope: Scope, place: Place | None = None) -> Report:
        await self._next()
        return Report((Finding(True, scope, "fine"),))

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        await self._next()
        return Page([entry(id) for id in self.listed], "next")

    async def stat(self, place: Place, id: str) -> Entry:
        await self._next()
        return entry(id)

    async def read(self, place: Place, id: str, **_: Any) -> "FakeReader":
        await self._next()
        self.open_readers += 1
        return FakeReader(self, entry(id), self.length)

    async def put(self, place: Place, folder: str, name: str, body: Any, **_: Any) -> Entry:
        await self._next()
        async for _piece in body:
            await self._next()
        return entry(f"{folder}/{name}")

    async def aclose(self) -> None:
        self.closed += 1
        await act(self.closing.pop(0) if self.closing else 0.0)


async def act(what: Exception | float) -> None:
    if isinstance(what, Exception):
        raise what
    if what:
        await asyncio.sleep(what)


@dataclass
class FakeReader:
    source: Fake
    entry: Entry
    length: int | None
    offset: int = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.source.pieces:
            if isinstance(piece, bytes):
                yield piece
            else:
                await act(piece)

    async def aclose(self) -> None:
        self.source.open_readers -= 1
        await act(self.source.closing.pop(0) if self.source.closing else 0.0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """A guard, what it guards, and the breaker's clock."""

    fake: Fake
    guard: Guarded
    clock: Clock

    async def document(self) -> bytes:
        reader = await self.guard.read(PLACE, "Map/a.pdf")
        return b"".join([piece async for piece in reader])


Make = Callable[..., Bench]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[Bench] = []

    def build(name: str = "firm/fake", limits: Limits = QUICK, **fake: Any) -> Bench:
        context, clock, source = (
            Context(name, egress=EgressPolicy(), base=tmp_path), Clock(), Fake(**fake),
        )  # fmt: skip
        breaker = Breaker(clock=clock, jitter=lambda: 0.5)
        made.append(Bench(source, Guarded(name, source, context, limits, breaker), clock))
        return made[-1]

    yield build
    for bench in made:
        bench.fake.closing.clear()
        await bench.guard.aclose()
        assert bench.fake.open_readers == 0


def calls(bench: Bench) -> dict[str, Callable[[], Any]]:
    """One of each call that may be tried twice."""
    return {
        "list": lambda: bench.guard.list(PLACE),
        "stat": lambda: bench.guard.stat(PLACE, "Map/a.pdf"),
        "read": bench.document,
    }


CALLS = pytest.mark.parametrize("call", ["list", "stat", "read"])


# --- deadlines


@CALLS
async def test_a_hang_is_bounded_and_not_tried_again(make: Make, call: str):
    bench = make(plan=[HANG])
    with pytest.raises(DeadlineExceeded) as told:
        await calls(bench)[call]()
    assert told.value.phase == ("list" if call == "list" else "first_byte")
    assert bench.fake.calls == 1
    await calls(bench)[call]()


async def test_a_reader_that_never_gives_its_first_piece(make: Make):
    bench = make(pieces=[HANG])
    with pytest.raises(DeadlineExceeded):
        await bench.document()
    assert bench.fake.open_readers == 0


async def test_a_pause_in_the_middle(make: Make):
    bench = make(pieces=[b"abc", HANG])
    reader = await bench.guard.read(PLACE, "Map/a.pdf")
    with pytest.raises(DeadlineExceeded) as told:
        async for _ in reader:
            pass
    assert told.value.phase == "idle"
    assert bench.fake.open_readers == 0


async def test_a_long_document_is_no_fault(make: Make):
    bench = make(pieces=[b"x", 0.05] * 6, length=6)
    assert await bench.document() == b"x" * 6


async def test_a_connector_that_times_out_by_itself(make: Make):
    bench = make(plan=[TimeoutError()])
    with pytest.raises(DeadlineExceeded) as told:
        await bench.guard.stat(PLACE, "Map/a.pdf")
    assert told.value.phase == "connect"


# --- the bytes are the ones that were promised


async def test_fewer_bytes_than_promised(make: Make):
    bench = make(pieces=[b"abc"])
    with pytest.raises(IntegrityError):
        await bench.document()
    assert bench.guard.breaker.state is State.CLOSED


async def test_more_bytes_than_promised_do_not_go_out(make: Make):
    bench = make(pieces=[b"abc", b"def", b"ghi"])
    pieces = aiter(await bench.guard.read(PLACE, "Map/a.pdf"))
    assert [await anext(pieces), await anext(pieces)] == [b"abc", b"def"]
    with pytest.raises(IntegrityError):
        await anext(pieces)


async def test_a_length_that_nobody_knows(make: Make):
    assert await make(length=None, pieces=[b"a", b"b"]).document() == b"ab"
    assert await make(length=None, pieces=[]).document() == b""


async def test_a_cut_in_the_middle(make: Make):
    bench = make(pieces=[b"abc", Unavailable("cut")])
    for _ in range(5):
        with pytest.raises(Unavailable):
            await bench.document()
    assert bench.guard.breaker.state is State.OPEN  # a source that always cuts is ill


# --- retries


@CALLS
@pytest.mark.parametrize("error", [Unavailable(), RateLimited(retry_after=0.01)])
async def test_what_may_pass_is_tried_once_more(make: Make, call: str, error: SourceError):
    bench = make(plan=[error])
    await calls(bench)[call]()
    assert bench.fake.calls == 2
    bench.fake.plan = [error, error]
    with pytest.raises(type(error)):
        await calls(bench)[call]()
    assert bench.fake.calls == 4


@CALLS
@pytest.mark.parametrize(
    "error", [NotFound(), PermissionDenied(), ConditionFailed(), ProtocolError(), AuthFailed()]
)
async def test_what_will_not_pass_is_not(make: Make, call: str, error: SourceError):
    bench = make(plan=[error])
    with pytest.raises(type(error)):
        await calls(bench)[call]()
    assert bench.fake.calls == 1


async def test_nobody_waits_longer_than_a_queue(make: Make):
    bench = make(plan=[RateLimited(retry_after=60)])
    with pytest.raises(RateLimited):
        await bench.guard.list(PLACE)
    assert bench.fake.calls == 1


async def test_what_opened_the_breaker_is_told_and_not_that_it_is_open(make: Make):
    bench = make(plan=[Unavailable("no route")] * 20)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await bench.guard.list(PLACE)
    with pytest.raises(Unavailable, match="no route"):
        await bench.guard.list(PLACE)
    assert bench.fake.calls == 5
    with pytest.raises(Busy):
        await bench.guard.list(PLACE)


async def test_nothing_is_tried_again_after_the_first_byte(make: Make):
    bench = make(pieces=[b"abc", Unavailable()])
    with pytest.raises(Unavailable):
        await bench.document()
    assert bench.fake.calls == 1


# --- the breaker


async def test_401_rests_half_an_hour(make: Make):
    bench = make(plan=[AuthFailed("401")])
    with pytest.raises(AuthFailed):
        await bench.guard.list(PLACE)
    for _ in range(50):
        with pytest.raises(Busy):
            await bench.document()
    assert bench.fake.calls == 1
    assert bench.guard.breaker.needs_attention
    bench.clock.now += 1801
    assert await bench.document() == b"abcdef"


async def test_one_of_twenty_tries_and_its_success_helps_all(make: Make):
    bench = make(plan=[ProtocolError("garbage")] * 5)
    for _ in range(5):
        with pytest.raises(ProtocolError):
            await bench.guard.list(PLACE)
    bench.clock.now += 16
    bench.fake.plan = [0.05]
    before = bench.fake.calls
    told = await asyncio.gather(
        *(bench.guard.stat(PLACE, "Map/a.pdf") for _ in range(2)),
        *(bench.guard.list(PLACE) for _ in range(2)),
        return_exceptions=True,
    )
    assert sum(not isinstance(t, Busy) for t in told) == 1
    assert bench.fake.calls == before + 1
    assert not bench.guard.resting
    assert await bench.document() == b"abcdef"


async def test_a_trial_that_the_browser_left_is_free_for_the_next(make: Make):
    bench = make(plan=[ProtocolError()] * 5)
    for _ in range(5):
        with pytest.raises(ProtocolError):
            await bench.guard.list(PLACE)
    bench.clock.now += 16
    bench.fake.plan = [HANG]
    trial = asyncio.create_task(bench.guard.list(PLACE))
    await asyncio.sleep(0.01)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert (await bench.guard.list(PLACE)).entries


@pytest.mark.parametrize(
    "error", [NotFound(), PermissionDenied(), ConditionFailed(), RateLimited(retry_after=60)]
)
async def test_an_answer_is_no_failure(make: Make, error: SourceError):
    bench = make(plan=[error] * 30)
    for _ in range(30):
        with pytest.raises(type(error)):
            await bench.guard.stat(PLACE, "Map/a.pdf")
    assert bench.guard.breaker.state is State.CLOSED


async def test_a_check_goes_past_the_breaker_and_closes_it(make: Make):
    bench = make(plan=[AuthFailed("401")])
    with pytest.raises(AuthFailed):
        await bench.guard.list(PLACE)
    assert (await bench.guard.check(Scope.PARAMETERS)).ok
    assert bench.guard.resting  # the options alone say nothing about the source
    assert (await bench.guard.check(Scope.CONNECTIVITY)).ok
    assert await bench.document() == b"abcdef"


@pytest.mark.parametrize(
    ("trouble", "code"),
    [(HANG, "deadline_exceeded"), (ZeroDivisionError(), "protocol_error"),
     (AuthFailed("401"), "auth_failed")],
)  # fmt: skip
async def test_a_check_never_raises(
    make: Make, monkeypatch: pytest.MonkeyPatch, trouble: Exception | float, code: str
):
    bench = make(limits=Limits(first_byte=0.05, list=0.05), plan=[trouble])
    report = await bench.guard.check(Scope.READ, PLACE)
    assert not report.ok
    assert [f.code for f in report.findings] == [code]


# --- surprises


@CALLS
async def test_a_bug_in_a_connector_is_a_fault_of_the_source(make: Make, call: str):
    bench = make(plan=[ZeroDivisionError("secret")])
    with capture_logs() as logs, pytest.raises(ProtocolError) as told:
        await calls(bench)[call]()
    assert "secret" not in str(told.value)
    assert [e["event"] for e in logs] == ["source_surprise", "source_failed"]


async def test_a_listing_that_is_none(make: Make, monkeypatch: pytest.MonkeyPatch):
    bench = make()
    bench.fake.listed = None  # type: ignore[assignment]
    with pytest.raises(ProtocolError):
        await bench.guard.list(PLACE)


@pytest.mark.parametrize("trouble", [HANG, ZeroDivisionError()])
async def test_a_reader_that_cannot_be_closed_keeps_no_place(make: Make, trouble: Any):
    bench = make(closing=[trouble] * 9)
    for _ in range(3):
        assert await bench.document() == b"abcdef"
    bench.fake.pieces = [NotFound()]
    with pytest.raises(NotFound):
        await bench.document()
    await bench.guard.aclose()
    assert bench.fake.closed == 1


async def test_the_border_is_looked_at_twice(make: Make):
    bench = make(listed=["Map/a.pdf", "Intern/b.pdf", "Map/c/d.pdf", "Mapje/e.pdf", "f.pdf"])
    with capture_logs() as logs:
        page = await bench.guard.list(PLACE)
        assert [e.id for e in page.entries] == ["Map/a.pdf", "Map/c/d.pdf"]
        assert page.next == "next"
        for ask in (bench.guard.stat, bench.guard.read):
            with pytest.raises(NotFound):
                await ask(PLACE, "Intern/b.pdf")
    assert {e["event"] for e in logs} == {"source_crossed_border"}
    assert bench.guard.breaker.state is State.CLOSED


# --- places


async def test_who_finds_no_place_is_told_soon(make: Make):
    bench = make()
    readers = [await bench.guard.read(PLACE, "Map/a.pdf") for _ in range(2)]
    with pytest.raises(Busy):
        await bench.guard.read(PLACE, "Map/a.pdf")
    assert (await bench.guard.list(PLACE)).entries  # listings have places of their own
    await readers[0].aclose()
    assert await bench.document() == b"abcdef"
    await readers[1].aclose()
    await readers[1].aclose()


async def test_a_place_that_comes_free_is_taken(make: Make):
    bench = make(plan=[0.05, 0.05])
    found = await asyncio.gather(*(bench.guard.stat(PLACE, "Map/a.pdf") for _ in range(4)))
    assert len(found) == 4


@pytest.mark.parametrize("pause", [0, 0.001, 0.02, 0.05])
async def test_who_leaves_gives_the_place_back(make: Make, pause: float):
    bench = make(plan=[0.03] * 200)

    async def leave() -> None:
        task = asyncio.create_task(bench.document())
        await asyncio.sleep(pause)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for _ in range(3):
        await asyncio.gather(*(leave() for _ in range(6)))
    bench.fake.plan.clear()
    for _ in range(3):
        assert await bench.document() == b"abcdef"


async def test_who_leaves_half_way_closes_the_reader(make: Make):
    bench = make(pieces=[b"abc", HANG])
    task = asyncio.create_task(bench.document())
    await asyncio.sleep(0.03)
    assert bench.fake.open_readers == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.fake.open_readers == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=40), st.integers(1, 4))
def test_places_are_never_lost_or_doubled(visits: list[tuple[int, int]], places: int):
    """Everyone comes at some moment, stays or leaves the queue at another."""

    async def visit(bulkhead: Bulkhead, inside: list[int], come: int, stay: int) -> None:
        for _ in range(come):
            await asyncio.sleep(0)
        await bulkhead.take()
        try:
            inside.append(1)
            assert len(inside) <= places
            for _ in range(stay):
                await asyncio.sleep(0)
        finally:
            inside.pop()
            bulkhead.give()

    async def play() -> None:
        bulkhead, inside = Bulkhead(places, 30), list[int]()
        tasks = [asyncio.create_task(visit(bulkhead, inside, *v)) for v in visits]
        for number, task in enumerate(tasks):
            if number % 3 == 0:
                await asyncio.sleep(0)
                task.cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(t is None or isinstance(t, asyncio.CancelledError) for t in told)
        for _ in range(places):  # all of them are there
            async with asyncio.timeout(1):
                await bulkhead.take()

    asyncio.run(play())


async def test_a_sick_source_of_one_firm_leaves_anothers_alone(make: Make):
    """trust.md 25: one source black-holed, all its places taken; another firm's never waits.

    How long its slowest answer takes meanwhile is row 17 of `make bench`.
    """
    well = make("goed/fake", Limits(queue_wait=0))
    sick = make(
        "ziek/fake", Limits(first_byte=HANG, list=HANG, queue_wait=HANG), plan=[HANG] * 400
    )
    hung = [asyncio.create_task(sick.document()) for _ in range(200)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sick.fake.calls == Limits().reads
    for _ in range(100):
        assert await well.document() == b"abcdef"
    assert sick.fake.calls == Limits().reads
    assert not any(task.done() for task in hung)
    for task in hung:
        task.cancel()
    await asyncio.gather(*hung, return_exceptions=True)


# --- writing


async def test_slow_senders_hold_up_no_reader(make: Make):
    """Each has its place until its last byte came, and that may take as long as it likes."""
    bench = make(limits=dataclasses.replace(QUICK, reads=1, writes=2))
    slow = [
        asyncio.create_task(bench.guard.put(PLACE, "Map", f"{n}.pdf", body(b"a", HANG)))
        for n in range(2)
    ]
    await asyncio.sleep(0)
    assert await bench.document() == b"abcdef"
    with pytest.raises(Busy):
        await bench.guard.put(PLACE, "Map", "c.pdf", body(b"a"))
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    await bench.guard.put(PLACE, "Map", "c.pdf", body(b"a"))


async def body(*pieces: bytes | Exception | float) -> AsyncIterator[bytes]:
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
        else:
            await act(piece)


async def test_put(make: Make):
    bench = make()
    put = await bench.guard.put(PLACE, "Map", "b.pdf", body(b"a", b"b"), size=2)
    assert put.id == "Map/b.pdf"


async def test_a_slow_sender_is_no_fault(make: Make):
    bench = make()
    await bench.guard.put(PLACE, "Map", "b.pdf", body(0.15, b"a", 0.15, b"b", 0.15))


@pytest.mark.parametrize("plan", [[HANG], [0, HANG], [0, 0, HANG]])
async def test_a_source_that_hangs_while_it_is_written_to(make: Make, plan: list[float]):
    bench = make(plan=plan)
    with pytest.raises(DeadlineExceeded) as told:
        await bench.guard.put(PLACE, "Map", "b.pdf", body(b"a", b"b"))
    assert told.value.phase == "idle"
    await bench.guard.put(PLACE, "Map", "b.pdf", body(b"a"))


async def test_nothing_is_written_twice(make: Make):
    bench = make(plan=[Unavailable()])
    with pytest.raises(Unavailable):
        await bench.guard.put(PLACE, "Map", "b.pdf", body(b"a"))
    assert bench.fake.calls == 1


async def test_a_sender_who_leaves_is_not_the_sources_fault(make: Make):
    bench = make()
    for _ in range(12):
        with pytest.raises(ConnectionResetError):
            await bench.guard.put(PLACE, "Map", "b", body(b"a", ConnectionResetError("left")))
    assert bench.guard.breaker.state is State.CLOSED


async def test_a_timeout_of_the_senders_stays_the_senders(make: Make):
    bench = make()
    with pytest.raises(TimeoutError):
        await bench.guard.put(PLACE, "Map", "b", body(b"a", TimeoutError("the browser")))
    assert bench.guard.breaker.state is State.CLOSED
