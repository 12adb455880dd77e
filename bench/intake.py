"""What packages send, small stukken and large documents, beside the obvious upload. Rows 31, 32.

The peer (bench.plain) puts the same bytes in the same SeaweedFS and writes one row; it checks
nothing, tells nobody, and remembers no answer. Each way in takes its turn in every round.
"""

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session

from bench import measure, nginx, office, plain, sender
from bench.office import Office
from bench.rows import Row
from bench.sender import Large, Load
from bench.world import Peer, serve
from gateway import log
from gateway.api.soap.names import OURS, PASSWORD_TEXT, SOAP11, WSSE, XOP
from gateway.demo.seaweed import Seaweed, free_port
from gateway.domain.package import Scope
from gateway.flows import packages

_SOURCE = """\
  - id: s3
    title: S3
    kind: s3
    place: "{{number}}"
    categories: [{{name: Map, folder: Map}}]
    limits: &limits {{reads: 64, queue_wait: 30}}
    options: &options {{endpoint: "{s3}", region: eu-central-1, bucket: bench,
      access_key: env:BENCH_ID, secret_key: env:BENCH_SECRET, writable: true}}
  - id: stukken
    title: Stukken
    kind: s3
    dossier: false
    place: "{{number}}"
    categories: [{{name: Stukken, folder: Stukken}}]
    limits: *limits
    options: *options
intake: {{source: stukken, folder: Stukken, most_mib: 2048}}
"""
_PLAIN = "plain aiohttp upload, no checks"
#: Klanten of the office, each with somebody who may approve.
_KLANTEN = 100
#: Requests with one key: the rate of a key is limited.
_OF_A_KEY = 500
#: Stukken whose statements and S3 requests are counted.
_COUNTED = 20
MIB = 2**20


async def run(quick: bool) -> list[Row]:
    """All rows. quick: fewer and smaller."""
    log.configure(level="error")
    async with contextlib.AsyncExitStack() as stack:
        here = await _opened(stack)
        rows = await _small(here, *((2, 40, 160) if quick else (5, 400, 1600)))
        return rows + await _large(here, *((1, 128) if quick else (3, 1024)))


@dataclass(slots=True)
class Here:
    """The office whose packages send, its portal, the peers and the S3 that all of them use.
    klanten: their number, and their number for the tax. first: number of the next stuk."""

    office: Office
    portal: Peer
    plain: Peer
    proxy: Peer | None
    seaweed: "_Counted"
    klanten: Sequence[tuple[str, str]]
    first: int = 1

    def numbers(self, count: int) -> int:
        """The first of so many that no stuk had before."""
        self.first += count
        return self.first - count

    async def keys(self, count: int) -> list[str]:
        """So many keys of one package."""
        made = [packages.make(self.office.portal, self.office.firm, "Bench", Scope)
                for _ in range(count)]  # fmt: skip
        return [await key for key in made]

    async def sent(self, load: Load | Large) -> dict[str, float]:
        """A load by a process of its own; what it told."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.sender", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            out, _ = await process.communicate(sender.text(load))
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise RuntimeError(f"sending to {load.url} failed")
        found: dict[str, float] = json.loads(out)
        return found


class _Counted(Seaweed):
    """One that tells how many requests it got."""

    metrics = 0

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def _command(self) -> list[str]:
        self.metrics = free_port()
        return [*super()._command(), f"-metricsPort={self.metrics}"]

    def requests(self) -> float:
        """Of S3, so far."""
        url = f"http://127.0.0.1:{self.metrics}/metrics"
        with urllib.request.urlopen(url) as answer:
            lines = answer.read().decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith("SeaweedFS_s3_request_total{")
        )


async def _opened(stack: contextlib.AsyncExitStack) -> Here:
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="map-bench-intake-")))
    home.chmod(0o711)
    seaweed = _Counted(home / "s3")
    await asyncio.to_thread(seaweed.start)
    stack.callback(seaweed.stop)
    os.environ |= {"BENCH_ID": seaweed.access_key, "BENCH_SECRET": seaweed.secret_key}
    async with _client(seaweed) as client:
        await client.create_bucket(
            Bucket="bench", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
    here = await stack.enter_async_context(office.opened(_SOURCE.format(s3=seaweed.endpoint)))
    klanten = await _klanten(here)
    pid = await stack.enter_async_context(here.serving())
    other = await _plain(stack, here, seaweed)
    proxy = nginx.serving(stack, home, seaweed.endpoint)
    await here.settle()
    return Here(here, Peer(pid, here.address), other, proxy, seaweed, klanten)


def _client(seaweed: Seaweed) -> Any:
    return get_session().create_client(
        "s3",
        endpoint_url=seaweed.endpoint,
        region_name="eu-central-1",
        aws_access_key_id=seaweed.access_key,
        aws_secret_access_key=seaweed.secret_key,
    )


async def _klanten(here: Office) -> list[tuple[str, str]]:
    """Each has one person, to whom a stuk that comes is told by mail."""
    made = await here.fresh(_KLANTEN)
    for one in made:
        await here.person([one])
    async with here.owner() as c:
        await c.execute("update person set state = 'active'")
        await c.execute(plain.TABLE)
    return [(one.klant.number, one.number) for one in made]


async def _plain(stack: contextlib.AsyncExitStack, here: Office, seaweed: Seaweed) -> Peer:
    port = free_port()
    keys = (seaweed.endpoint, seaweed.access_key, seaweed.secret_key)
    pid = serve(stack, sys.executable, "-m", "bench.plain", str(port), here.dsn, *keys)
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return Peer(pid, f"http://127.0.0.1:{port}")
        await asyncio.sleep(0.05)
    raise RuntimeError("the plain upload does not start")


# --- 31: small stukken


@dataclass(frozen=True, slots=True)
class Turn:
    """What one load told: stukken a second; milliseconds of processor of each, of the server
    that took it, of PostgreSQL and of S3; the most MiB that the server had."""

    rate: float
    p99: float
    cpu: float
    postgres: float
    s3: float
    peak: float


async def _small(here: Here, rounds: int, one: int, many: int) -> list[Row]:
    """Of each way `rounds` times `one` over one connection and `many` over eight. The documents
    that a stuk refers to are those that the peer has put there just before."""
    found: dict[tuple[str, int], list[Turn]] = {}
    for at_once in (1, 8):  # connections, statements and templates are not what is measured
        await _round(here, at_once, 30)
    for number in range(rounds):
        start = time.monotonic()
        for at_once, count in ((1, one), (8, many)):
            for way, turn in (await _round(here, at_once, count)).items():
                found.setdefault((way, at_once), []).append(turn)
        _tell(f"31: round {number + 1} of {rounds}", start)
    shares = {way: await _shares(here, way) for way in _WAYS}
    rows = []
    for way, name in (("content", "by content"), ("reference", "by reference")):
        for at_once in (1, 8):
            rows += _small_rows(
                f"stukken {name}, c{at_once}", found[way, at_once], found["plain", at_once],
                shares[way], shares["plain"],
            )  # fmt: skip
    return rows


#: In the order of a round.
_WAYS = ("plain", "content", "reference")


async def _round(here: Here, at_once: int, count: int) -> dict[str, Turn]:
    """Each way in its turn."""
    first = here.numbers(2 * count)
    return {
        way: await _turn(here, way, at_once, first + count * (way == "content"), count)
        for way in _WAYS
    }


def _tell(what: str, start: float) -> None:
    print(f"    {what}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


async def _turn(here: Here, way: str, at_once: int, first: int, count: int) -> Turn:
    server = here.plain if way == "plain" else here.portal
    path = "/stukken" if way == "plain" else "/api/v1/stukken"
    keys = await here.keys(-(-count // _OF_A_KEY)) if way != "plain" else []
    watched = (server.pid, here.office.postgres.pid, here.seaweed.pid)
    measure.forget_peak(server.pid)
    before = [measure.cpu(pid) for pid in watched]
    told = await here.sent(
        Load(server.address + path, way, at_once, first, count, here.klanten, keys)
    )
    used = [measure.cpu(pid) - old for pid, old in zip(watched, before, strict=True)]
    return Turn(
        count / told["seconds"], told["p99"] * 1e3, *(u / count * 1e3 for u in used),
        measure.peak(server.pid) / MIB,
    )  # fmt: skip


def _small_rows(
    what: str, ours: Sequence[Turn], other: Sequence[Turn], share: str, their_share: str
) -> list[Row]:
    mine, peer = _median(ours), _median(other)
    told = f"ours: {_used(mine)}, {share}; peer: {_used(peer)}, {their_share}"
    ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, other, strict=True))
    return [
        Row("31", what, mine.rate, _PLAIN, peer.rate, "1/s", ratio, "", told),
        Row("31", f"{what}, peak memory", mine.peak, _PLAIN, peer.peak, "MiB",
            peer.peak / mine.peak, "", f"p99 {mine.p99:.0f} ms, the peer's {peer.p99:.0f}"),
    ]  # fmt: skip


def _used(turn: Turn) -> str:
    return f"CPU {turn.cpu:.1f} ms + PostgreSQL {turn.postgres:.1f} + S3 {turn.s3:.1f}"


def _median(turns: Sequence[Turn]) -> Turn:
    return Turn(*(statistics.median(getattr(t, f) for t in turns) for f in Turn.__slots__))


async def _shares(here: Here, way: str) -> str:
    """Statements and requests to S3 of one stuk."""
    first = here.numbers(2 * _COUNTED)
    if way == "reference":
        await _turn(here, "plain", 1, first, _COUNTED)
    requests = await asyncio.to_thread(here.seaweed.requests)
    async with here.office.owner() as c:
        await c.execute("alter system set log_statement = 'all'")
        await c.execute("select pg_reload_conf()")
        await asyncio.sleep(1)
        before = here.office.postgres.log.stat().st_size
        await _turn(here, way, 1, first, _COUNTED)
        said = here.office.postgres.log.read_bytes()[before:]
        await c.execute("alter system reset log_statement")
        await c.execute("select pg_reload_conf()")
    # Keys are made in this process, before the stukken: some statements each, of one key.
    statements = sum(said.count(word) for word in (b"LOG:  statement:", b"LOG:  execute"))
    made = await asyncio.to_thread(here.seaweed.requests) - requests
    return f"{statements / _COUNTED:.0f} statements, {made / _COUNTED:.0f} requests to S3"


# --- 32: large documents


@dataclass(frozen=True, slots=True)
class Passed:
    """MB a second, and MiB that the server grew."""

    rate: float
    grown: float


async def _large(here: Here, rounds: int, mib: int) -> list[Row]:
    """A document of so many MiB by each way in, in turn."""
    ways = ["REST", "SOAP MTOM", _PLAIN] + ([_PROXY] if here.proxy else [])
    for way in ways:
        await _pass(here, way, 16)
    found: dict[str, list[Passed]] = {way: [] for way in ways}
    for number in range(rounds):
        start = time.monotonic()
        for way in ways:
            found[way].append(await _pass(here, way, mib))
        _tell(f"32: round {number + 1} of {rounds}", start)
    rows = [
        row
        for way in ways[:2]
        for peer in ways[2:]
        for row in _large_rows(f"{mib} MiB over {way} into S3", found[way], peer, found[peer])
    ]
    if here.proxy is None:
        rows.append(Row("32", "large documents", 0, _PROXY, 0, "", 0, "", "peer not here"))
    return rows


_PROXY = "nginx proxying a PUT, no checks"


def _large_rows(
    what: str, ours: Sequence[Passed], name: str, other: Sequence[Passed]
) -> list[Row]:
    rate, their_rate = (statistics.median(p.rate for p in some) for some in (ours, other))
    grown, their_grown = (statistics.median(p.grown for p in some) for some in (ours, other))
    ratio = statistics.median(a.rate / b.rate for a, b in zip(ours, other, strict=True))
    return [
        Row("32", what, rate, name, their_rate, "MB/s", ratio, ""),
        Row("32", f"{what}, memory more at most", grown, name, their_grown, "MiB",
            their_grown / grown if grown else 0, "≤64 MiB"),
    ]  # fmt: skip


async def _pass(here: Here, way: str, mib: int) -> Passed:
    name = f"groot-{uuid.uuid4().hex}.pdf"
    klant = here.klanten[0][0]
    key = f"{klant}/Map/{name}"
    [secret] = await here.keys(1)
    server = {_PLAIN: here.plain, _PROXY: here.proxy}.get(way, here.portal)
    assert server is not None
    if way == "REST":
        large = _rest(server.address, secret, klant, name)
    elif way == _PLAIN:
        large = Large(f"{server.address}/document/{key}",
                      f"POST /document/{key} HTTP/1.1\r\n", "", "", 0)  # fmt: skip
    elif way == _PROXY:
        large = await _put(here.seaweed, server.address, key)
    else:
        large = _mtom(server.address, secret, klant, name)
    measure.forget_peak(server.pid)
    before = measure.memory(server.pid)
    size = mib * MIB
    told = await here.sent(Large(large.url, large.head, large.before, large.after, size))
    grown = max(0.0, measure.peak(server.pid) - before) / MIB
    async with _client(here.seaweed) as client:  # all of it, and no more than one on the disk
        stands = await client.head_object(Bucket="bench", Key=key)
        assert stands["ContentLength"] == size
        await client.delete_object(Bucket="bench", Key=key)
    return Passed(size / told["seconds"] / 1e6, grown)


def _rest(address: str, secret: str, klant: str, name: str) -> Large:
    path = f"/api/v1/klanten/{klant}/documenten?bron=s3&map=Map&naam={name}"
    head = (
        f"POST {path} HTTP/1.1\r\nAuthorization: Bearer {secret}\r\nIdempotency-Key: {name}\r\n"
        "Content-Type: application/octet-stream\r\n"
    )
    return Large(address, head, "", "", 0)


def _mtom(address: str, secret: str, klant: str, name: str) -> Large:
    """UploadDocument with its document in a part of its own."""
    asked = {"berichtId": name, "klant": klant, "bron": "s3", "map": "Map", "naam": name}
    members = "".join(f"<{k}>{v}</{k}>" for k, v in asked.items())
    envelope = (
        f'<s:Envelope xmlns:s="{SOAP11.namespace}"><s:Header><w:Security xmlns:w="{WSSE}">'
        f'<w:UsernameToken><w:Username>p</w:Username><w:Password Type="{PASSWORD_TEXT}">{secret}'
        f"</w:Password></w:UsernameToken></w:Security></s:Header><s:Body>"
        f'<UploadDocument xmlns="{OURS}">{members}<inhoud><x:Include xmlns:x="{XOP}"'
        ' href="cid:a"/></inhoud></UploadDocument></s:Body></s:Envelope>'
    )
    before = (
        '--grens\r\nContent-Type: application/xop+xml; charset=UTF-8; type="text/xml"\r\n'
        f"Content-ID: <root>\r\n\r\n{envelope}\r\n--grens\r\n"
        "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n"
        "Content-ID: <a>\r\n\r\n"
    )
    head = (
        "POST /api/v1/soap HTTP/1.1\r\nContent-Type: multipart/related;"
        ' type="application/xop+xml"; start="<root>"; start-info="text/xml"; boundary=grens\r\n'
    )
    return Large(address, head, before, "\r\n--grens--\r\n", 0)


async def _put(seaweed: Seaweed, address: str, key: str) -> Large:
    """A PUT that S3 takes from anybody."""
    async with _client(seaweed) as client:
        url = await client.generate_presigned_url(
            "put_object", {"Bucket": "bench", "Key": key}, ExpiresIn=3600
        )
    path = str(url).removeprefix(seaweed.endpoint)
    return Large(address, f"PUT {path} HTTP/1.1\r\n", "", "", 0)
