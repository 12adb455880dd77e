"""A document through the whole portal: session, access, durable audit row, back office, browser.
Rows 1, 3 to 6, 8, 9, 11 and 28. Each server is a process of its own; so is the load."""

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from bench import measure, world
from bench.rows import Row
from bench.world import Peer, World
from gateway.domain.dossier import handle

_NAIVE = "aiohttp+pool+aiobotocore"
_PROXY, _STATIC = "nginx proxy, no access rule", "nginx static, no access rule"


@dataclass(frozen=True, slots=True)
class Load:
    """What one load cost: requests and bytes a second, processor microseconds of the server."""

    rate: float
    throughput: float
    cpu: float
    p99: float


@dataclass(frozen=True, slots=True)
class Case:
    """One document, and how it is asked for. goals: of ours against each peer, by its name."""

    number: str
    name: str
    source: str
    at_once: int
    count: int
    goals: dict[str, str]


_NOT_HERE = (
    ("2", "10k.pdf, PHP-FPM portal", "≥7x"),
    ("7", "10m.pdf, FastAPI+httpx and caddy", "hold"),
    ("10", "TLS end to end: ends in nginx by design", "≥0.9x"),
)


async def run(quick: bool) -> list[Row]:
    """All rows. quick: fewer requests and rounds, processor time only."""
    async with contextlib.AsyncExitStack() as stack:
        servers = await world.opened(stack)
        rows = []
        for case in _cases(quick):
            start = time.monotonic()
            rows += await _case(servers, case, quick)
            _tell(f"{case.number}: {case.name}, c{case.at_once}", start)
        start = time.monotonic()
        rows += await _slow_clients(servers, 64 if quick else 256)
        _tell("11", start)
        if not quick:
            rows += await _direct(servers)
            rows += await _curve(servers)
    return rows + [Row(n, w, 0, "-", 0, "", 0, g, "peer not here") for n, w, g in _NOT_HERE]


def _tell(what: str, start: float) -> None:
    print(f"    {what}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


def _cases(quick: bool) -> list[Case]:
    of_s3 = {_NAIVE: "≥20x", _PROXY: "≥0.35x"}
    few = 1 if quick else 3
    cases = [
        Case("1", "10k.pdf", "s3", 64, 1_000 * few, of_s3),
        Case("4", "100k.pdf", "s3", 64, 700 * few, {_NAIVE: "≥14x", _PROXY: "≥0.28x"}),
        Case("5", "10m.pdf", "s3", 16, 32 * few, {_NAIVE: "≥6x", _PROXY: "≥2x"}),
        Case("8", "10m.pdf", "map", 16, 64 * few, {_STATIC: "≥0.9x"}),
        Case("9", "100k.pdf", "map", 16, 700 * few, {_STATIC: "≥0.11x"}),
        Case("9", "10k.pdf", "map", 64, 1_000 * few, {_STATIC: ""}),
    ]
    if not quick:
        cases.insert(3, Case("5", "10m.pdf", "s3", 64, 128, {_PROXY: "≥2x"}))
    return cases


def _peer(servers: World, name: str, document: str) -> tuple[Peer, str] | None:
    """A server by its name in the table, and where the document is there."""
    if name == _NAIVE:
        return servers.naive, document
    if name == _STATIC:
        return (servers.static, document) if servers.static else None
    return (servers.proxy, servers.signed[document]) if servers.proxy else None


async def _case(servers: World, case: Case, quick: bool) -> list[Row]:
    found = {n: _peer(servers, n, case.name) for n in case.goals}
    here = {n: p for n, p in found.items() if p is not None}
    ours = (servers.ours, _ours(case.source, case.name))
    loads = await _beside([ours, *here.values()], case.at_once, case.count, 2 if quick else 5)
    where = "S3" if case.source == "s3" else "a folder"
    what = f"{case.name} from {where}, c{case.at_once}"
    rows = []
    for (name, goal), load in zip(case.goals.items(), loads[1:], strict=False):
        number = "3" if case.number == "1" and name == _PROXY else case.number
        rows += _rows(number, what, name, loads[0], load, goal, quick)
    missing = case.goals.keys() - here.keys()
    return rows + [Row(case.number, what, 0, n, 0, "", 0, "", "peer not here") for n in missing]


def _rows(
    number: str, what: str, peer: str, ours: Load, other: Load, goal: str, quick: bool
) -> list[Row]:
    rows = [
        Row(number, f"{what}, CPU", ours.cpu, peer, other.cpu, "µs", other.cpu / ours.cpu, goal)
    ]
    if not quick:
        ratio = ours.rate / other.rate
        rows.append(
            Row(number, f"{what}, a second", ours.rate, peer, other.rate, "1/s", ratio, goal)
        )
    return rows


def _ours(source: str, name: str) -> str:
    return f"{source}/{handle(f'Map/{name}')}"


async def _load(peer: Peer, path: str, at_once: int, count: int) -> Load:
    before = measure.cpu(peer.pid)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", f"{peer.address}/{path}", peer.cookie,
        str(at_once), str(count), stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RuntimeError(f"the load on {peer.address} failed")
    found = json.loads(told)
    used = measure.cpu(peer.pid) - before
    rate, throughput = (found[k] / found["seconds"] for k in ("count", "bytes"))
    return Load(rate, throughput, used / found["count"] * 1e6, found["p99"])


async def _beside(
    peers: Sequence[tuple[Peer, str]], at_once: int, count: int, rounds: int
) -> list[Load]:
    """Median load of each, in turn."""
    for peer, path in peers:
        await _load(peer, path, at_once, at_once * 2)
    found: list[list[Load]] = [[] for _ in peers]
    for _ in range(rounds):
        for some, (peer, path) in zip(found, peers, strict=True):
            some.append(await _load(peer, path, at_once, count))
    return [
        Load(*(statistics.median(getattr(one, f) for one in some) for f in Load.__slots__))
        for some in found
    ]


async def _direct(servers: World) -> list[Row]:
    """Without a portal at all: what S3 gives to who holds its keys."""
    at = [(servers.ours, _ours("s3", "10m.pdf")), (servers.s3, servers.signed["10m.pdf"])]
    ours, direct = await _beside(at, 64, 128, 5)
    mine, other = ours.throughput / 1e6, direct.throughput / 1e6
    return [
        Row("6", "10m.pdf from S3, c64", mine, "S3 itself", other, "MB/s", mine / other, "≥0.6x")
    ]


async def _slow_clients(servers: World, count: int) -> list[Row]:
    """Memory that a browser costs which takes a large document slowly."""
    naive = _peer(servers, _NAIVE, "10m.pdf")
    proxy = _peer(servers, _PROXY, "10m.pdf")
    ours = await _grown(servers.ours, _ours("s3", "10m.pdf"), count)
    local = await _grown(servers.ours, _ours("map", "10m.pdf"), count)
    rows = []
    for name, found in ((_NAIVE, naive), (_PROXY, proxy)):
        if found is not None:
            grown = await _grown(*found, count)
            what = f"memory a slow browser, {count}"
            rows.append(
                Row("11", f"{what}, S3", ours, name, grown, "KiB", grown / ours, "≤128 KiB")
            )
            rows.append(
                Row("11", f"{what}, folder", local, name, grown, "KiB", grown / local, "≤128 KiB")
            )
    return rows


async def _grown(peer: Peer, path: str, count: int) -> float:
    """KiB a client, once all of them have got something and take no more."""
    before = measure.memory(peer.pid)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**12
    ) as session:
        headers = {"Cookie": peer.cookie} if peer.cookie else {}
        url = aiohttp.client.URL(f"{peer.address}/{path}", encoded=True)
        answers = [await session.get(url, headers=headers) for _ in range(count)]
        for answer in answers:
            answer.raise_for_status()
            await answer.content.readany()
        await asyncio.sleep(1)
        grown = measure.memory(peer.pid) - before
        for answer in answers:
            answer.close()
    return max(grown, 4096) / count / 1024


async def _curve(servers: World) -> list[Row]:
    """One to a thousand at once: the slowest hundredth against everybody's fair share."""
    rows = []
    for at_once in (1, 16, 64, 256, 1000):
        count = max(500, at_once * 3)
        peers = [(servers.ours, _ours("s3", "10k.pdf")), (servers.naive, "10k.pdf")]
        found, other = [await _load(peer, path, at_once, count) for peer, path in peers]
        fair = at_once / found.rate * 1e3
        told = f"{found.rate:.0f} a second, fair share {fair:.0f} ms"
        memory = f"{measure.memory(servers.ours.pid) / 2**20:.0f} MiB"
        rows.append(
            Row("28", f"10k.pdf from S3, c{at_once}: p99", found.p99 * 1e3, _NAIVE,
                other.p99 * 1e3, "ms", other.p99 / found.p99, "≤2 fair shares",
                f"{told}, {memory}"),
        )  # fmt: skip
    return rows
