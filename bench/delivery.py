"""From an approval to the receiver: signing, claiming, delivering, and approving. Rows 21, 22, 29
and 30. Only the rows of signing and claiming, and what one delivery costs, are in the quick mode.
"""

import asyncio
import contextlib
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import aiohttp
import asyncpg

from bench import measure, office, signing
from bench.office import Filer, Office
from bench.rows import Row
from gateway import log
from gateway.delivery import wus
from gateway.demo.postgres import Server
from gateway.domain import delivery as rules
from gateway.domain.sbr import Aanlevering, Bestand, Identiteit
from gateway.domain.soort import Soort
from gateway.flows.receivers import Receivers
from gateway.store import deliveries
from gateway.store.database import Database
from gateway.store.migrate import migrate

#: What a worker has under way at once (gateway.flows.delivering.Lanes).
LANES = 4
SIZES = (1_000, 10_000, 100_000, 1_000_000)
_DUE, _FOLLOWED = 16, 200
#: Claims that connect, and warm what can be, before one is measured.
_WARM = 5
_FILL = """
insert into delivery (firm, stuk, kind, destination, berichtsoort, channel, aanleverkenmerk,
  manifest, state, kenmerk, due_at, accepted_at, ended_at)
select 'lindehof', gen_random_uuid(), 'sbr', 'digipoort', 'Omzetbelasting', md5(n::text),
  md5(n::text), repeat('0', 64),
  case when n <= $1 - $2 - $3 then 'final_ok' when n <= $1 - $2 then 'accepted'
    else 'queued' end,
  case when n <= $1 - $2 then gen_random_uuid()::text end,
  now() + case when n <= $1 - $2 and n > $1 - $2 - $3 then interval '1 day'
    else interval '-1 minute' end,
  case when n <= $1 - $2 then now() end, case when n <= $1 - $2 - $3 then now() end
from generate_series(1, $1::int) n
"""


async def run(quick: bool) -> list[Row]:
    """All rows."""
    log.configure(level="error")  # of what is prepared in this process
    rows = await _told("22", signing.run(quick))
    rows += await _told("21", _claims(SIZES[:3] if quick else SIZES, 100 if quick else 500))
    async with office.opened() as here:
        rows += await _told("29", _deliveries(here, (1,) if quick else (1, 2, 4), quick))
        if not quick:
            rows += await _told("30", _approvals(here, rounds=3))
    return rows


async def _told(number: str, rows: Awaitable[list[Row]]) -> list[Row]:
    start = time.monotonic()
    found = await rows
    print(f"    {number}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return found


# --- 21: finding what is due, and claiming one


@dataclass(frozen=True, slots=True)
class Table:
    """A database of its own whose table of deliveries has so many rows."""

    size: int
    dsn: str
    db: Database


async def _claims(sizes: Sequence[int], times: int) -> list[Row]:
    """All sizes stand side by side and take turns, so that a busy machine hits all alike."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="map-bench-pg-")))
        folder.chmod(0o711)
        server = Server(folder / "postgres")
        await asyncio.to_thread(server.start)
        stack.callback(server.stop)
        tables = [await _table(stack, server, size) for size in sizes]
        ours = await _claimed(tables, times)
        for table in tables:
            await _owner(table.dsn, "drop index delivery_due")
        peers = await _claimed(tables, 15)
    rows = [
        Row("21", f"claim of {size:,}, p50", ours[size], "without the index", peers[size], "ms",
            peers[size] / ours[size], "≥180x" if size == SIZES[-1] else "")
        for size in sizes
    ]  # fmt: skip
    first, last = ours[sizes[0]], ours[sizes[-1]]
    return [
        *rows,
        Row("21", f"claim of {sizes[-1]:,}, p50", last, f"of {sizes[0]:,}", first, "ms",
            first / last, "≥0.83x", "the goal: flat within 20 %"),
    ]  # fmt: skip


async def _table(stack: contextlib.AsyncExitStack, server: Server, size: int) -> Table:
    """Nearly all have ended; a few hundred are followed, a few are due."""
    name = f"bench{size}"
    await asyncio.to_thread(server.create, name)
    dsn = server.dsn(name)
    await migrate(dsn)
    connection = await asyncpg.connect(dsn)
    # No stuk belongs to them: neither triggers nor foreign keys look.
    await connection.execute("set session_replication_role = replica")
    await connection.execute(_FILL, size, _DUE, _FOLLOWED, timeout=300)
    await connection.close()
    await _owner(dsn, "vacuum analyze delivery", "checkpoint")
    db = await Database.connect(dsn)
    stack.push_async_callback(db.close)
    return Table(size, dsn, db)


async def _owner(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    for statement in statements:
        await connection.execute(statement, timeout=300)
    await connection.close()


async def _claimed(tables: Sequence[Table], times: int) -> dict[int, float]:
    """Median milliseconds of one claim, by the size of the table."""
    found: dict[int, list[float]] = {table.size: [] for table in tables}
    for number in range(times + _WARM):
        for table in tables:
            start = time.perf_counter()
            await _claim(table.db)
            if number >= _WARM:
                found[table.size].append((time.perf_counter() - start) * 1e3)
    return {size: statistics.median(some) for size, some in found.items()}


async def _claim(db: Database) -> None:
    """What a worker's lane does before it reads anything."""
    async with db.connection() as c:
        found = await deliveries.due(c, LANES)
    async with deliveries.claimed(db, found[0][1]) as mine:
        assert mine


# --- 29: from due to the receiver's last status

_ALONE = "the protocol alone, no store"


@dataclass(frozen=True, slots=True)
class Shift:
    """Deliveries brought to their end: how many a second, and processor milliseconds of each
    that the workers, the simulator and PostgreSQL used."""

    rate: float
    ours: float
    simulator: float
    postgres: float


async def _deliveries(here: Office, workers: Sequence[int], quick: bool) -> list[Row]:
    """Each number of workers, and the protocol alone, in turn."""
    rounds, count = (1, 40) if quick else (3, 150)
    await here.approved(rounds * count * len(workers))
    found: dict[int, list[Shift]] = {n: [] for n in (0, *workers)}
    for _ in range(rounds):
        found[0].append(await _alone(here, count))
        for n in workers:
            found[n].append(await _shift(here, n, count))
    alone, *shifts = (_median(found[n]) for n in (0, *workers))
    one = shifts[0]
    note = f"and of PostgreSQL {one.postgres:.1f}, of the simulator {one.simulator:.1f}"
    rows = [Row("29", "a delivery, CPU of the worker", one.ours, _ALONE, alone.ours, "ms",
                alone.ours / one.ours, "", note)]  # fmt: skip
    if not quick:
        rows.append(Row("29", "deliveries, 1 worker", one.rate, _ALONE, alone.rate, "1/s",
                        one.rate / alone.rate, "", f"durable, {_used(one)}"))  # fmt: skip
        rows += [
            Row("29", f"deliveries, {n} workers", shift.rate, "1 worker", one.rate, "1/s",
                shift.rate / one.rate, "", _used(shift))
            for n, shift in zip(workers[1:], shifts[1:], strict=True)
        ]  # fmt: skip
    return rows


def _used(shift: Shift) -> str:
    """How much of the machine was at work."""
    cores = shift.rate * (shift.ours + shift.simulator + shift.postgres) / 1e3
    own = shift.rate * shift.simulator / 1e3
    return f"{cores:.1f} of {os.cpu_count()} cores busy, the simulator with {own:.1f}"


def _median(shifts: Sequence[Shift]) -> Shift:
    return Shift(*(statistics.median(getattr(s, f) for s in shifts) for f in Shift.__slots__))


async def _shift(here: Office, workers: int, count: int) -> Shift:
    """From the first attempt to the last end, by the database's clock."""
    async with here.workers(workers) as pids, here.owner() as c:
        watched = (pids, [here.simulator], [here.postgres.pid])
        before = [sum(map(measure.cpu, some)) for some in watched]
        released = await c.fetch(
            "update delivery set due_at = clock_timestamp() where id in"
            " (select id from delivery where state = 'queued' order by created_at limit $1)"
            " returning id",
            count,
        )
        ids = [row["id"] for row in released]
        assert len(ids) == count
        while await c.fetchval(
            "select count(*) from delivery where id = any($1) and ended_at is null", ids
        ):
            await asyncio.sleep(0.1)
        used = [sum(map(measure.cpu, some)) for some in watched]
        row = await c.fetchrow(
            "select count(*) filter (where state = 'final_ok') as good, extract(epoch from"
            " max(d.ended_at) - (select min(opened_at) from attempt where delivery = any($1)))"
            " as seconds from delivery d where id = any($1)",
            ids,
        )
    assert row is not None
    assert row["good"] == count, f"{row['good']} of {count} were accepted"
    each = [(after - start) / count * 1e3 for start, after in zip(before, used, strict=True)]
    return Shift(count / float(row["seconds"]), *each)


async def _alone(here: Office, count: int) -> Shift:
    """The same messages and questions through the same client, and nothing is kept."""
    receivers = Receivers(here.portal.destinations, here.found.secret)
    client = await receivers.get(here.firm, "digipoort")
    soort = here.firm.soorten["ob"]
    work = iter([_aanlevering(soort, next(here.filers)) for _ in range(count)])

    async def lane() -> None:
        for one in work:
            reply = await client.deliver(one, wus.new_message_id())
            while rules.ending(await client.statuses(reply.kenmerk), soort) is None:
                await asyncio.sleep(0.01)

    watched = (here.simulator, here.postgres.pid)
    before = [measure.cpu(pid) for pid in watched]
    cpu, start = time.process_time(), time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(LANES)))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    others = [measure.cpu(pid) - old for pid, old in zip(watched, before, strict=True)]
    await receivers.aclose()
    return Shift(count / seconds, *(used / count * 1e3 for used in (cpu, *others)))


def _aanlevering(soort: Soort, filer: Filer) -> Aanlevering:
    data = office.instance(filer.number)
    return Aanlevering(
        soort.berichtsoort,
        uuid4().hex,
        Identiteit(filer.number, "BTW"),
        soort.rol,
        Bestand("0.xbrl", "application/xml", data),
    )


# --- 30: people who approve, and the page beside it

#: People who approve at once, how many one after another, and how many stukken each has.
_AT_ONCE, _TURNS, _EACH = 8, 3, 4
#: Approvals a second of a busy day, and how many people a round of it takes.
_BUSY, _SOME = 5, 4
#: Stukken on the page that is read, and seconds that it is read alone.
_OPEN, _SECONDS = 10, 3.0
_STEPS = "an approval is the stuk's page, goedkeuren, SMS, code"


@dataclass(slots=True)
class Approver:
    """Somebody signed in, and the stukken that were opened and wait. number: of the telephone."""

    cookie: str
    number: str
    waiting: list[UUID]


@dataclass(slots=True)
class Phase:
    """What one round of one kind told: approvals a second, the page's seconds."""

    rate: float = 0.0
    pages: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Desk:
    """The portal, and who come to it. people: each comes once, until nothing waits. reader: the
    cookie of who only reads."""

    here: Office
    session: aiohttp.ClientSession
    people: list[Approver]
    reader: str

    async def visit(self) -> None:
        """The next one approves all that waits, each with a code."""
        person = self.people.pop()
        while person.waiting:
            await self.approve(person)

    async def approve(self, person: Approver) -> None:
        """As a browser does it: the stuk, "goedkeuren", and the code that came by telephone."""
        id = person.waiting.pop()
        page = await self._page("GET", f"/accordering/{id}", person.cookie)
        form = {name: _field(page, name) for name in ("form_token", "manifest")}
        await self._page("POST", f"/accordering/{id}/goedkeuren", person.cookie, form)
        code = self.here.codes.pop(person.number)
        form = {"form_token": form["form_token"], "stuk": str(id), "code1": code}
        await self._page("POST", "/accordering/verzenden/token", person.cookie, form)

    async def read(self, pages: list[float], stop: asyncio.Event) -> None:
        """Open "Openstaande taken" again and again, with a little rest; how long each took."""
        while not stop.is_set():
            start = time.perf_counter()
            page = await self._page("GET", "/accordering", self.reader)
            pages.append(time.perf_counter() - start)
            assert page.count("/accordering/") >= _OPEN
            await asyncio.sleep(0.02)

    async def _page(
        self, method: str, path: str, cookie: str, form: Mapping[str, str] | None = None
    ) -> str:
        async with self.session.request(
            method, self.here.address + path, data=form, headers={"Cookie": cookie},
            allow_redirects=False,
        ) as answer:  # fmt: skip
            text = await answer.text()
            if answer.status != 200:
                raise RuntimeError(f"{method} {path}: {answer.status}")
            return text


def _field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, f"no {name} on the page"
    return found[1]


async def _approvals(here: Office, rounds: int) -> list[Row]:
    """The page alone, approvals alone, both, and the page on a busy day, in turn."""
    async with contextlib.AsyncExitStack() as stack:
        portal = await stack.enter_async_context(here.serving())
        people = 2 * _AT_ONCE * _TURNS + _SOME
        session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        desk = Desk(
            here,
            await stack.enter_async_context(session),
            [await _approver(here) for _ in range(_AT_ONCE + rounds * people)],
            await _reader(here),
        )
        await here.settle()
        # Connections and templates are not what is measured.
        await asyncio.gather(*(desk.visit() for _ in range(_AT_ONCE)))
        await _alone_read(desk)
        phases: dict[str, list[Phase]] = {"page": [], "approvals": [], "both": [], "busy": []}
        used = []
        for _ in range(rounds):
            phases["page"].append(await _alone_read(desk))
            before = [measure.cpu(pid) for pid in (portal, here.postgres.pid)]
            phases["approvals"].append(await _all_approve(desk, read=False))
            used.append([measure.cpu(pid) - old for pid, old
                         in zip((portal, here.postgres.pid), before, strict=True)])  # fmt: skip
            phases["both"].append(await _all_approve(desk, read=True))
            phases["busy"].append(await _busy_day(desk))
        await _all_confirmed(here, _EACH * (_AT_ONCE + rounds * people))
    mine, database = (
        statistics.median(u[i] for u in used) / (_AT_ONCE * _TURNS * _EACH) * 1e3 for i in (0, 1)
    )
    cost = f"each costs the portal {mine:.0f} ms of processor, PostgreSQL {database:.0f}"
    return _approval_rows(phases, cost)


def _approval_rows(phases: Mapping[str, Sequence[Phase]], cost: str) -> list[Row]:
    rate = {name: statistics.median(p.rate for p in some) for name, some in phases.items()}
    pages = {name: sorted(s for p in some for s in p.pages) for name, some in phases.items()}
    rows = [
        Row("30", f"approvals, c{_AT_ONCE}, the page beside", rate["both"],
            "without the page", rate["approvals"], "1/s", rate["both"] / rate["approvals"], "",
            f"{_STEPS}; {cost}")
    ]  # fmt: skip
    for name, what in (("busy", f"{_BUSY} approvals a second"), ("both", f"c{_AT_ONCE} approve")):
        for part in (50, 99):
            ours, alone = (pages[n][len(pages[n]) * part // 100] * 1e3 for n in (name, "page"))
            rows.append(
                Row("30", f"the page while {what}, p{part}", ours, "nobody approves", alone, "ms",
                    alone / ours, "", f"{_OPEN} stukken on it"),
            )  # fmt: skip
    return rows


async def _all_confirmed(here: Office, count: int) -> None:
    async with here.owner() as c:
        found = await c.fetchval(
            "select count(*) from akkoord a join delivery d using (firm, stuk)"
            " where a.act = 'approved' and a.confirmed_at is not null"
        )
    assert found == count, f"{found} of {count} approvals made a delivery"


async def _approver(here: Office) -> Approver:
    """Somebody who has opened what waits."""
    [filer] = await here.fresh(1)
    person = await here.person([filer])
    waiting = [await here.put_up(filer, number) for number in range(_EACH)]
    for id in waiting:
        await here.seen(person, id)
    return Approver(await here.signed_in(person), await here.telephone(person), waiting)


async def _reader(here: Office) -> str:
    """The cookie of somebody for whom a page full waits."""
    [filer] = await here.fresh(1)
    person = await here.person([filer])
    for number in range(_OPEN):
        await here.put_up(filer, number)
    return await here.signed_in(person)


async def _alone_read(desk: Desk) -> Phase:
    phase, stop = Phase(), asyncio.Event()
    reading = asyncio.create_task(desk.read(phase.pages, stop))
    await asyncio.sleep(_SECONDS)
    stop.set()
    await reading
    return phase


async def _all_approve(desk: Desk, *, read: bool) -> Phase:
    """As fast as the portal takes it."""
    phase, stop = Phase(), asyncio.Event()

    async def lane() -> None:
        for _ in range(_TURNS):
            await desk.visit()

    async with asyncio.TaskGroup() as tasks:
        if read:
            tasks.create_task(desk.read(phase.pages, stop))
        start = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(_AT_ONCE)))
        phase.rate = _AT_ONCE * _TURNS * _EACH / (time.perf_counter() - start)
        stop.set()
    return phase


async def _busy_day(desk: Desk) -> Phase:
    """Somebody approves every so often."""
    phase, stop = Phase(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.read(phase.pages, stop))
        for person in [desk.people.pop() for _ in range(_SOME)] * _EACH:
            tasks.create_task(desk.approve(person))
            await asyncio.sleep(1 / _BUSY)
        stop.set()
    return phase
