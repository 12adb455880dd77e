"""Events on their way to packages, and whether one that is dead holds the others up. Rows 33, 34.

The worker sends the same events to receivers in a process of their own; in turn with it a bare
loop (bench.poster) posts the same signed bodies, and writes nothing down.
"""

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import measure, office
from bench.office import Office
from bench.rows import Row
from gateway import log
from gateway.demo.seaweed import free_port
from gateway.domain.package import Scope
from gateway.flows import events, packages, webhooks
from gateway.flows.packages import Caller
from gateway.flows.webhook_lanes import WIDTH

#: Receivers, and events of one stuk.
_RECEIVERS, _EACH = 4, 5
_BARE = "a bare aiohttp loop, nothing kept"
#: Seconds that one round may take.
_MOST = 400.0
_STUKKEN = """
insert into stuk (firm, klant, soort, route, state, jaar, periode, manifest, content, rule,
  put_up_by)
select firm, klant, soort, route, state, jaar, n || 'e', manifest, md5(n::text), rule, put_up_by
from stuk, generate_series(1, $1::int) n where id = $2
returning id
"""
_EVENTS = """
insert into audit (firm, event, klant, subject, data)
select 'lindehof', 'delivery_status', $1, 'stuk:' || id, '{"code": "500"}'
from generate_series(1, $3::int) n, unnest($2::uuid[]) id order by n
"""


async def run(quick: bool) -> list[Row]:
    """All rows. quick: fewer events."""
    log.configure(level="error")
    rounds, count = (1, 500) if quick else (2, 10_000)
    async with office.opened() as here, here.workers(1) as (worker,):
        world = await _world(here, worker, count)
        found: dict[str, list[Round]] = {}
        for number in range(rounds):
            start = time.monotonic()
            for name, kinds in _PHASES.items():
                found.setdefault(name, []).append(await _round(world, kinds))
            found.setdefault("bare", []).append(await _bare(world))
            print(f"    33, 34: round {number + 1} of {rounds}: {time.monotonic() - start:.0f} s",
                  file=sys.stderr, flush=True)  # fmt: skip
    return _rows(found, count)


#: What the receivers of each round are.
_PHASES = {
    "all": ["good"] * _RECEIVERS,
    "others": ["good"] * (_RECEIVERS - 1),
    "silent": ["good"] * (_RECEIVERS - 1) + ["silent"],
    "refused": ["good"] * (_RECEIVERS - 1) + ["refused"],
}


@dataclass(frozen=True, slots=True)
class World:
    """The office, its worker, and events that stand in the chain after number `since`. file:
    their bodies."""

    here: Office
    worker: int
    caller: Caller
    since: int
    count: int
    file: Path


@dataclass(frozen=True, slots=True)
class Round:
    """Events a second that those got that answer, all together; processor milliseconds of each,
    of who sent and of PostgreSQL."""

    rate: float
    cpu: float
    postgres: float


async def _world(here: Office, worker: int, count: int) -> World:
    [filer] = await here.fresh(1)
    id = await here.put_up(filer)
    since = await events.newest(here.portal, here.firm)
    async with here.owner() as c:
        stukken = [r["id"] for r in await c.fetch(_STUKKEN, count // _EACH, id)]
        await c.execute(_EVENTS, filer.klant.number, stukken, _EACH, timeout=120)
    key = await packages.make(here.portal, here.firm, "Bench", Scope)
    caller = await packages.recognise(here.portal, key)
    assert caller is not None
    file = here.home / "bodies"
    with file.open("wb") as out:
        at = since
        while some := await events.since(here.portal, here.firm, at):
            out.writelines(
                json.dumps(events.told(e), separators=(",", ":")).encode() + b"\n" for e in some
            )
            at = some[-1].number
    return World(here, worker, caller, since, count, file)


@contextlib.asynccontextmanager
async def _receivers(
    kinds: Sequence[str],
) -> AsyncIterator[tuple[list[str], asyncio.subprocess.Process]]:
    """Their addresses, and their process. One that refuses is an address where nobody is."""
    listening = [k for k in kinds if k != "refused"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.receivers", *listening,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        ports = iter(json.loads(await process.stdout.readline()))
        yield (
            [
                f"http://127.0.0.1:{free_port() if k == 'refused' else next(ports)}/haak"
                for k in kinds
            ],
            process,
        )
    finally:
        process.kill()
        await process.wait()


async def _came(process: asyncio.subprocess.Process) -> list[list[float]]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    found: list[list[float]] = json.loads(await process.stdout.readline())
    return found


async def _all_came(process: asyncio.subprocess.Process, good: int, count: int) -> float:
    """Events a second of the good ones together, once each has got every one."""
    async with asyncio.timeout(_MOST):
        came = (await _came(process))[:good]
        while min(one[0] for one in came) < count:
            await asyncio.sleep(0.2)
            came = (await _came(process))[:good]
    seconds = max(last for _, _, last in came) - min(first for _, first, _ in came)
    return good * count / seconds


async def _round(world: World, kinds: Sequence[str]) -> Round:
    """Webhooks that have heard of nothing yet."""
    here, good = world.here, kinds.count("good")
    async with here.owner() as c:
        await c.execute("truncate webhook_event")
    await here.settle()
    watched = (world.worker, here.postgres.pid)
    async with _receivers(kinds) as (urls, process):
        before = [measure.cpu(pid) for pid in watched]
        made = [await webhooks.make(here.portal, world.caller, url, world.since) for url in urls]
        try:
            rate = await _all_came(process, good, world.count)
            used = [measure.cpu(pid) - old for pid, old in zip(watched, before, strict=True)]
        finally:
            for one in made:
                await webhooks.end(here.portal, world.caller, one.webhook.id)
    await asyncio.sleep(1)  # what was under way to the dead one has ended
    return Round(rate, *(u / (good * world.count) * 1e3 for u in used))


async def _bare(world: World) -> Round:
    async with _receivers(_PHASES["all"]) as (urls, process):
        poster = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.poster", str(world.file), str(WIDTH), *urls,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            rate = await _all_came(process, len(urls), world.count)
            told, _ = await poster.communicate()
            used = float(told) / (len(urls) * world.count) * 1e3
        finally:
            if poster.returncode is None:
                poster.kill()
            await poster.wait()
    return Round(rate, used, 0.0)


def _rows(found: dict[str, list[Round]], count: int) -> list[Row]:
    middle = {
        name: Round(*(statistics.median(getattr(r, f) for r in some) for f in Round.__slots__))
        for name, some in found.items()
    }

    def ratio(name: str, peer: str) -> float:
        pairs = zip(found[name], found[peer], strict=True)
        return statistics.median(a.rate / b.rate for a, b in pairs)

    ours, bare = middle["all"], middle["bare"]
    what = f"{count:,} events"
    rows = [
        Row("33", f"{what} to {_RECEIVERS} receivers", ours.rate, _BARE, bare.rate, "1/s",
            ratio("all", "bare"), "", f"durable; CPU of each: worker {ours.cpu:.2f} ms"
            f" + PostgreSQL {ours.postgres:.2f}, the loop {bare.cpu:.2f}")
    ]  # fmt: skip
    for name, dead in (("silent", "one that never answers"), ("refused", "one that refuses")):
        kept = ratio(name, "others")
        rows.append(
            Row("34", f"{what} to {_RECEIVERS - 1}, beside {dead}", middle[name].rate,
                "without it", middle["others"].rate, "1/s", kept, "≥0.8x",
                "kept" if kept >= 0.8 else f"NOT kept: the others lose {1 - kept:.0%}"),
        )  # fmt: skip
    return rows
