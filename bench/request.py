"""A document through the whole portal: session, access, durable audit row, back office, browser.
Rows 1, 3 to 6, 8, 9, 11 and 28. Each server is a process of its own; so is the load."""

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
from aiobotocore.session import get_session

from bench import measure
from bench.rows import Row
from gateway import app, settings
from gateway.demo.follow import parent
from gateway.demo.postgres import Server
from gateway.demo.seaweed import Seaweed, free_port
from gateway.domain.dossier import handle
from gateway.domain.klant import Klant
from gateway.flows import people, signing_in
from gateway.notify.sms import SmsSender
from gateway.store.migrate import migrate

KLANT = "400101"
SIZES = {"10k.pdf": 10 * 1024, "100k.pdf": 100 * 1024, "10m.pdf": 10 * 1024 * 1024}
_GATEWAY = """\
base_url: http://127.0.0.1:{port}
key: env:BENCH_KEY
listen: {{port: {port}}}
database: {{url: "{dsn}"}}
egress: {{hosts: ["127.0.0.1:*"], networks: [127.0.0.0/8]}}
sms: {{via: {{kind: simulator, url: "http://127.0.0.1:1/"}}, ten_minutes: 100, day: 1000}}
mail: {{host: 127.0.0.1, port: 1, tls: none}}
log_level: warning
"""
_SOURCES = """\
sources:
  - id: s3
    title: S3
    kind: s3
    categories: [{{name: Map, folder: Map}}]
    limits: {{reads: 256, queue_wait: 30}}
    options: {{endpoint: "{s3}", region: eu-central-1, bucket: bench, access_key: env:BENCH_ID,
      secret_key: env:BENCH_SECRET}}
  - id: map
    title: Map
    kind: local
    categories: [{{name: Map, folder: Map}}]
    limits: {{reads: 256, queue_wait: 30}}
    options: {{path: "{folder}"}}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server: its process, and where a document is. cookie: what opens it."""

    pid: int
    address: str
    cookie: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """What one load cost: requests and bytes a second, processor microseconds of the server."""

    rate: float
    throughput: float
    cpu: float
    p99: float


class _Phone(SmsSender):
    provider = "bench"
    text = ""

    async def _send(self, to: str, sender: str, body: str) -> None:
        _Phone.text = body

    async def aclose(self) -> None:
        pass


async def run(quick: bool) -> list[Row]:
    """All rows. quick: the small and the large document only, fewer rounds."""
    async with contextlib.AsyncExitStack() as stack:
        ours, naive, static = await _world(stack)
        rounds = 3 if quick else 5
        rows = [*await _small(ours, naive, static, quick, rounds)]
        rows += await _large(ours, naive, static, rounds)
        rows.append(await _slow_clients(ours, naive, 64 if quick else 256))
        if not quick:
            rows += await _curve(ours)
        return rows


async def _world(stack: contextlib.AsyncExitStack) -> tuple[Peer, Peer, Peer | None]:
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="map-bench-")))
    home.chmod(0o711)
    postgres = Server(home / "postgres")
    await asyncio.to_thread(postgres.start)
    stack.callback(postgres.stop)
    postgres.create("bench")
    seaweed = Seaweed(home / "s3")
    await asyncio.to_thread(seaweed.start)
    stack.callback(seaweed.stop)
    await _documents(home, seaweed)
    os.environ |= {
        "BENCH_KEY": "k" * 44,
        "BENCH_ID": seaweed.access_key,
        "BENCH_SECRET": seaweed.secret_key,
    }
    dsn = postgres.dsn("bench")
    ours = await _portal(stack, home, dsn, seaweed)
    naive = await _naive(stack, dsn, seaweed)
    return ours, naive, _nginx(stack, home)


async def _documents(home: Path, seaweed: Seaweed) -> None:
    folder = home / "share" / KLANT / "Map"
    folder.mkdir(parents=True)
    async with get_session().create_client(
        "s3",
        endpoint_url=seaweed.endpoint,
        region_name="eu-central-1",
        aws_access_key_id=seaweed.access_key,
        aws_secret_access_key=seaweed.secret_key,
    ) as client:
        await client.create_bucket(
            Bucket="bench", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        for name, size in SIZES.items():
            body = os.urandom(size)
            (folder / name).write_bytes(body)
            await client.put_object(Bucket="bench", Key=f"{KLANT}/Map/{name}", Body=body)


def _serve(stack: contextlib.AsyncExitStack, *words: str) -> int:
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=parent
    )

    def stop() -> None:
        process.terminate()
        process.wait(20)

    stack.callback(stop)
    return process.pid


async def _answers(url: str, cookie: str) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            request = urllib.request.Request(url, headers={"Cookie": cookie})
            with await asyncio.to_thread(urllib.request.urlopen, request) as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"{url} does not answer")


async def _portal(
    stack: contextlib.AsyncExitStack, home: Path, dsn: str, seaweed: Seaweed
) -> Peer:
    port = free_port()
    config = home / "config"
    (config / "firms").mkdir(parents=True)
    (config / "gateway.yaml").write_text(_GATEWAY.format(port=port, dsn=dsn))
    shipped = Path(app.__file__).parents[1] / "config" / "firms"
    text = (shipped / "lindehof.yaml").read_text().partition("sources:")[0]
    shutil.copytree(shipped / "lindehof", config / "firms" / "lindehof")
    sources = _SOURCES.format(s3=seaweed.endpoint, folder=home / "share")
    (config / "firms" / "lindehof.yaml").write_text(text + sources)
    await migrate(dsn)
    cookie = await _signed_in(config)
    pid = _serve(stack, sys.executable, "-m", "gateway", "serve", "--config", str(config))
    address = f"http://127.0.0.1:{port}/dossier"
    await _answers(f"{address}/s3/{handle('Map/10k.pdf')}", cookie)
    return Peer(pid, address, cookie)


async def _signed_in(config: Path) -> str:
    """A session, made the way that pages make it."""
    found = settings.load(config)
    async with app.opened(found) as opened:
        portal = dataclasses.replace(opened, sms=_Phone())
        firm = portal.firms["lindehof"]
        await people.put_klanten(portal, firm, [Klant(KLANT, "De Korenaar")])
        person = await people.add(
            portal, firm, username="a@x.example", name="A", mobile="0612345678", klanten_of=[KLANT]
        )
        hashed = await portal.passwords.hash("x")
        async with portal.db.tenant(firm.id) as c:
            await c.execute(
                "update person set password = $2, state = 'active' where id = $1",
                person.id,
                hashed,
            )
        origin = signing_in.From("127.0.0.1")
        half = await signing_in.check_password(portal, firm, "a@x.example", "x", origin)
        assert isinstance(half, signing_in.Half)
        visitor = await signing_in.resume(portal, half.cookie)
        assert visitor is not None
        code = _Phone.text.split()[0]
        return "map-sessie=" + await signing_in.confirm_code(portal, visitor, origin, code)


async def _naive(stack: contextlib.AsyncExitStack, dsn: str, seaweed: Seaweed) -> Peer:
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "create table naive_session (digest text primary key, person int, klant text,"
        " ends timestamptz);"
        "create table naive_access (person int, klant text, primary key (person, klant));"
        "create table naive_audit (id bigserial primary key, person int, key text,"
        " at timestamptz default now());"
        "insert into naive_access values (1, '400101')"
    )
    await connection.execute(
        "insert into naive_session values ($1, 1, '400101', now() + interval '1 day')",
        hashlib.sha256(b"x").hexdigest(),
    )
    await connection.close()
    port = free_port()
    keys = (seaweed.endpoint, seaweed.access_key, seaweed.secret_key)
    pid = _serve(stack, sys.executable, "-m", "bench.naive", str(port), dsn, *keys)
    address = f"http://127.0.0.1:{port}/{KLANT}/Map"
    await _answers(f"{address}/10k.pdf", "sessie=x")
    return Peer(pid, address, "sessie=x")


def _nginx(stack: contextlib.AsyncExitStack, home: Path) -> Peer | None:
    """nginx giving the same files, asking nobody anything; None where it is not installed."""
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary is None:
        return None
    port = free_port()
    folder = home / "nginx"
    folder.mkdir()
    for path in (home, home / "share", home / "share" / KLANT):
        path.chmod(0o755)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { worker_connections 2048; }\n"
        "http { access_log off; sendfile on; keepalive_requests 1000000;"
        f" client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;"
        f" fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;"
        f" server {{ listen 127.0.0.1:{port}; root {home}/share/{KLANT}/Map; }} }}\n"
    )
    pid = _serve(stack, binary, "-c", str(folder / "nginx.conf"), "-p", str(folder))
    return Peer(pid, f"http://127.0.0.1:{port}")


async def _load(peer: Peer, path: str, at_once: int, count: int) -> Load:
    before = measure.cpu(peer.pid)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.load", f"{peer.address}/{path}", peer.cookie,
        str(at_once), str(count), stdout=subprocess.PIPE,
    )  # fmt: skip
    told, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load on {peer.address}/{path} failed")
    found = json.loads(told)
    used = measure.cpu(peer.pid) - before
    seconds = found["seconds"]
    return Load(
        found["count"] / seconds,
        found["bytes"] / seconds,
        used / found["count"] * 1e6,
        found["p99"],
    )


async def _beside(
    peers: Sequence[tuple[Peer, str]], at_once: int, count: int, rounds: int
) -> list[Load]:
    """Median load of each, in turn."""
    for peer, path in peers:
        await _load(peer, path, at_once, at_once * 4)
    found: list[list[Load]] = [[] for _ in peers]
    for _ in range(rounds):
        for some, (peer, path) in zip(found, peers, strict=True):
            some.append(await _load(peer, path, at_once, count))
    return [
        Load(*(statistics.median(getattr(one, f) for one in some) for f in Load.__slots__))
        for some in found
    ]


def _row(number: str, what: str, peer: str, ours: Load, other: Load, goal: str) -> list[Row]:
    return [
        Row(number, f"{what}, CPU of the server", ours.cpu, peer, other.cpu, "µs",
            other.cpu / ours.cpu, goal),
        Row(number, f"{what}, a second", ours.rate, peer, other.rate, "1/s",
            ours.rate / other.rate, ""),
    ]  # fmt: skip


async def _small(
    ours: Peer, naive: Peer, static: Peer | None, quick: bool, rounds: int
) -> list[Row]:
    rows = []
    for number, name, goal in (("1", "10k.pdf", "≥20x"), ("4", "100k.pdf", "≥14x")):
        at = f"s3/{handle(f'Map/{name}')}"
        count = 1_000 if quick else 3_000
        peers = [(ours, at), (naive, name)]
        mine, other = await _beside(peers, 64, count, rounds)
        rows += _row(number, f"{name} from S3, c64", "aiohttp+pool+aiobotocore", mine, other, goal)
    if static is not None:
        local = f"map/{handle('Map/100k.pdf')}"
        mine, other = await _beside([(ours, local), (static, "100k.pdf")], 16, 1_000, rounds)
        rows += _row("9", "100k.pdf from a folder, c16", "nginx, no access rule", mine, other,
                     "≥0.11x")  # fmt: skip
        small = f"map/{handle('Map/10k.pdf')}"
        mine, other = await _beside([(ours, small), (static, "10k.pdf")], 64, 2_000, rounds)
        rows += _row("3", "10k.pdf from a folder, c64", "nginx, no access rule", mine, other,
                     "≥0.35x of its proxy")  # fmt: skip
    return rows


async def _large(ours: Peer, naive: Peer, static: Peer | None, rounds: int) -> list[Row]:
    at = f"s3/{handle('Map/10m.pdf')}"
    mine, other = await _beside([(ours, at), (naive, "10m.pdf")], 16, 96, rounds)
    rows = _row("5", "10m.pdf from S3, c16", "aiohttp+pool+aiobotocore", mine, other, "≥2x")
    if static is not None:
        local = f"map/{handle('Map/10m.pdf')}"
        mine, other = await _beside([(ours, local), (static, "10m.pdf")], 16, 160, rounds)
        rows += _row("8", "10m.pdf from a folder, c16", "nginx, no access rule", mine, other,
                     "≥0.9x")  # fmt: skip
    return rows


async def _slow_clients(ours: Peer, naive: Peer, count: int) -> Row:
    """Memory that a browser costs which takes a large document slowly."""
    grown = []
    for peer, path in ((ours, f"s3/{handle('Map/10m.pdf')}"), (naive, "10m.pdf")):
        before = measure.memory(peer.pid)
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**12
        ) as session:
            answers = [
                await session.get(f"{peer.address}/{path}", headers={"Cookie": peer.cookie})
                for _ in range(count)
            ]
            for answer in answers:
                await answer.content.readany()
            await asyncio.sleep(1)
            grown.append(max(measure.memory(peer.pid) - before, 1) / count / 1024)
            for answer in answers:
                answer.close()
    return Row("11", f"memory a slow browser, {count} of them", grown[0],
               "aiohttp+pool+aiobotocore", grown[1], "KiB", grown[1] / grown[0],
               "≤128 KiB")  # fmt: skip


async def _curve(ours: Peer) -> list[Row]:
    """One to a thousand at once: the slowest hundredth against everybody's fair share."""
    rows = []
    for at_once in (1, 16, 64, 256, 1000):
        found = await _load(ours, f"map/{handle('Map/10k.pdf')}", at_once, max(500, at_once * 4))
        fair = at_once / found.rate * 1e3
        rows.append(
            Row("28", f"10k.pdf, c{at_once}: p99", found.p99 * 1e3, "fair share", fair, "ms",
                fair / found.p99 / 1e3, "≥0.5x", f"{found.rate:.0f} a second"),
        )  # fmt: skip
    return rows
