"""What a measurement of whole requests needs: PostgreSQL, SeaweedFS, the portal, the obvious stack
and nginx, each a process of its own on 127.0.0.1, ended with the stack they stand on."""

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from aiobotocore.session import get_session

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


class _Phone(SmsSender):
    provider = "bench"
    text = ""

    async def _send(self, to: str, sender: str, body: str) -> None:
        _Phone.text = body

    async def aclose(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class World:
    """The servers. nginx is None where it is not installed; signed: path and query of each
    document, by which anybody may read it from S3 (`s3`) or through nginx (`proxy`)."""

    ours: Peer
    naive: Peer
    s3: Peer
    signed: dict[str, str]
    static: Peer | None
    proxy: Peer | None


async def opened(
    stack: contextlib.AsyncExitStack, program: Sequence[str] = ("-m", "gateway", "serve")
) -> World:
    """Start it all. program: what of Python is the portal."""
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="map-bench-")))
    home.chmod(0o711)
    postgres = Server(home / "postgres")
    await asyncio.to_thread(postgres.start)
    stack.callback(postgres.stop)
    postgres.create("bench")
    seaweed = Seaweed(home / "s3")
    await asyncio.to_thread(seaweed.start)
    stack.callback(seaweed.stop)
    signed = await _documents(home, seaweed)
    os.environ |= {
        "BENCH_KEY": "k" * 44,
        "BENCH_ID": seaweed.access_key,
        "BENCH_SECRET": seaweed.secret_key,
    }
    dsn = postgres.dsn("bench")
    ours = await _portal(stack, home, dsn, seaweed, program)
    naive = await _naive(stack, dsn, seaweed)
    static, proxy = _nginx(stack, home, seaweed)
    return World(ours, naive, Peer(_pid(seaweed), seaweed.endpoint), signed, static, proxy)


def _pid(seaweed: Seaweed) -> int:
    process = seaweed._process
    assert process is not None
    return process.pid


async def _documents(home: Path, seaweed: Seaweed) -> dict[str, str]:
    """Put them on the share and in the bucket. Their signed addresses, without scheme and host."""
    signed = {}
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
            where = {"Bucket": "bench", "Key": f"{KLANT}/Map/{name}"}
            await client.put_object(**where, Body=body)
            url = await client.generate_presigned_url("get_object", where, ExpiresIn=3600)
            signed[name] = url.removeprefix(f"{seaweed.endpoint}/")
    return signed


def serve(stack: contextlib.AsyncExitStack, *words: str) -> int:
    """A process that ends with the stack; its id."""
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=parent
    )

    def stop() -> None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

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
    stack: contextlib.AsyncExitStack,
    home: Path,
    dsn: str,
    seaweed: Seaweed,
    program: Sequence[str],
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
    pid = serve(stack, sys.executable, *program, "--config", str(config))
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
    pid = serve(stack, sys.executable, "-m", "bench.naive", str(port), dsn, *keys)
    address = f"http://127.0.0.1:{port}/{KLANT}/Map"
    await _answers(f"{address}/10k.pdf", "sessie=x")
    return Peer(pid, address, "sessie=x")


_NGINX = """\
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
  upstream s3 {{ server {s3}; keepalive 64; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{proxy}; location / {{ proxy_pass http://s3; proxy_buffers 16 64k;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host {s3};
    proxy_max_temp_file_size 0; proxy_buffer_size 64k; proxy_busy_buffers_size 128k; }} }} }}
"""


def _nginx(
    stack: contextlib.AsyncExitStack, home: Path, seaweed: Seaweed
) -> tuple[Peer, Peer] | tuple[None, None]:
    """nginx giving the same files, and relaying the same S3, asking nobody anything."""
    binary = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if binary is None:
        return None, None
    folder = home / "nginx"
    folder.mkdir()
    for path in (home, home / "share", home / "share" / KLANT):
        path.chmod(0o755)
    port, proxy = free_port(), free_port()
    (folder / "nginx.conf").write_text(
        _NGINX.format(
            user="user root;" if os.geteuid() == 0 else "",
            folder=folder,
            root=home / "share" / KLANT / "Map",
            port=port,
            proxy=proxy,
            s3=seaweed.endpoint.removeprefix("http://"),
        )
    )
    pid = serve(stack, binary, "-c", str(folder / "nginx.conf"), "-p", str(folder))
    return Peer(pid, f"http://127.0.0.1:{port}"), Peer(pid, f"http://127.0.0.1:{proxy}")
