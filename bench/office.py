"""An office at work: durable PostgreSQL, Digipoort's simulator, workers and the portal, each a
process of its own on 127.0.0.1; its people, and stukken of as many clients as are wanted."""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from aiohttp import web

from gateway import app, settings
from gateway.demo import follow, instances
from gateway.demo.postgres import Server
from gateway.demo.seaweed import free_port
from gateway.domain import keys
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.person import Person
from gateway.domain.session import Stage
from gateway.domain.stuk import Role
from gateway.domain.xbrl import numbers
from gateway.flows import intake, people, stukbeheer
from gateway.flows.portal import Portal
from gateway.flows.visitor import today
from gateway.simulators import mail
from gateway.simulators.digipoort import server
from gateway.simulators.digipoort.desk import Options
from gateway.store import persons, sessions, stukken
from gateway.store.migrate import migrate

FIRM = "lindehof"
#: Bytes of an instance: with it a message is some 22 KB.
SIZE = 14_000
_KVK = {"kantoor": "12345678"}
_PERIODE = ("2026-07-01", "2026-09-30")
_REASON = "Getekende brief in het dossier."
_GATEWAY = """\
base_url: http://127.0.0.1:{port}
key: env:BENCH_KEY
listen: {{port: {port}}}
database: {{url: "{dsn}"}}
sms: {{via: {{kind: simulator, url: "http://127.0.0.1:{sms}/"}}, ten_minutes: 500, day: 1000}}
mail: {{host: 127.0.0.1, port: {smtp}, tls: none}}
guard_file: ../attempts
egress: {{hosts: ["127.0.0.1:*"], webhooks: ["127.0.0.1:*"], networks: [127.0.0.0/8]}}
destinations:
  digipoort:
    title: Digipoort
    aanleveren: {digipoort}/wus/2.0/aanleverservice/1.2
    statusinformatie: {digipoort}/wus/2.0/statusinformatieservice/1.2
    ophalen: {digipoort}/wus/2.0/ophaalservice/1.2
    tls_ca: file:{pki}/ca.pem
    reply_certificates: ["file:{pki}/signing.pem"]
    certificate: file:{pki}/client-kantoor.pem
    private_key: file:{pki}/client-kantoor.key
    times: {{poll: 0.1, poll_most: 0.3, retry: 0.1, retry_most: 0.5}}
"""
_SOURCES = """\
sources:
  - id: map
    title: Map
    kind: local
    categories: [{{name: Stukken, folder: Stukken}}]
    limits: {{reads: 64, queue_wait: 30}}
    options: {{path: "{folder}"}}
"""


@dataclass(frozen=True, slots=True)
class Filer:
    """A klant, and what Digipoort knows it by."""

    klant: Klant
    number: str


def _filers() -> Iterator[Filer]:
    """Invented ones without end; numbers that are right in form, of nobody."""
    right = (f"{n}B01" for n in range(100_000_000, 999_999_999) if numbers.ob(f"{n}B01"))
    for n, number in enumerate(right):
        yield Filer(Klant(f"{500_000 + n}", f"Kwekerij {n}", "eva"), number)


@dataclass(slots=True)
class Office:
    """All of it. portal: the same installation, opened in this process to prepare things in.
    codes: the last code by telephone number. program: what of Python is the gateway. filers:
    taken from by `fresh`."""

    home: Path
    postgres: Server
    dsn: str
    found: settings.Settings
    portal: Portal
    simulator: int
    codes: dict[str, str]
    program: Sequence[str] = ("-m", "gateway")
    filers: Iterator[Filer] = field(default_factory=_filers)

    @property
    def firm(self) -> Firm:
        """The firm whose office it is."""
        return self.portal.firms[FIRM]

    @property
    def address(self) -> str:
        """Where the portal is, once it is started."""
        return self.portal.base_url

    async def fresh(self, count: int) -> list[Filer]:
        """So many klanten that were not there before, each a channel of its own."""
        made = [next(self.filers) for _ in range(count)]
        await people.put_klanten(self.portal, self.firm, [c.klant for c in made])
        for one in made:
            await stukbeheer.identify(self.portal, self.firm, one.klant.number, "BTW", one.number)
        return made

    async def put_up(self, filer: Filer, number: int = 0) -> uuid.UUID:
        """A return of a klant that waits for its approval; `number` makes it another."""
        place = self.home / "office" / filer.klant.number / "Stukken"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.xbrl").write_bytes(instance(filer.number, number))
        (place / f"{number}.pdf").write_bytes(b"%PDF-1.4 " + os.urandom(20_000))
        parts = [
            intake.PartWish(role, "map", f"Stukken/{number}.{ending}")
            for role, ending in ((Role.AKKOORD, "pdf"), (Role.INSTANCE, "xbrl"))
        ]
        wish = intake.Wish(filer.klant.number, "ob", 2026, f"{number}e", parts, "bench")
        return await intake.put_up(self.portal, self.firm, wish)

    async def approved(self, count: int) -> None:
        """So many stukken that were approved on paper; none is due for a day."""
        person = await self.person(())
        for filer in await self.fresh(count):
            id = await self.put_up(filer)
            await stukbeheer.paper(self.portal, self.firm, id, person.username, "eva", _REASON)
        async with self.owner() as c:
            await c.execute("update delivery set due_at = now() + interval '1 day'"
                            " where state = 'queued'")  # fmt: skip
        await self.settle()

    async def settle(self) -> None:
        """What autovacuum has done before long: plans for tables that it never saw are bad."""
        async with self.owner() as c:
            await c.execute("vacuum analyze")

    async def person(self, klanten: Sequence[Filer]) -> Person:
        """Somebody who may approve for these klanten."""
        name = f"p{secrets.token_hex(6)}@x.example"
        mobile = f"061{secrets.randbelow(10**7):07d}"
        numbers_of = [k.klant.number for k in klanten]
        made = await people.add(
            self.portal, self.firm, username=name, name="P", mobile=mobile, klanten_of=numbers_of
        )
        async with self.portal.db.tenant(FIRM) as c:
            await persons.set_password(c, made.id, "x")
        for klant in numbers_of:
            await stukbeheer.give_mandate(self.portal, self.firm, name, klant, "*", today())
        return made

    async def signed_in(self, person: Person) -> str:
        """The cookie of a session."""
        token, end = keys.token(), datetime.now(UTC) + timedelta(hours=1)
        new = sessions.New(
            keys.fingerprint(token), person.id, Stage.FULL, None, None, "", "", end, end
        )
        async with self.portal.db.tenant(FIRM) as c:
            await sessions.add(c, FIRM, new)
        return f"map-sessie={FIRM}.{token}"

    async def seen(self, person: Person, id: uuid.UUID) -> None:
        """The person has opened every part."""
        async with self.portal.db.tenant(FIRM) as c:
            for part in await stukken.parts(c, id):
                await stukken.saw(c, FIRM, id, person.id, part.number, part.sha256)

    async def telephone(self, person: Person) -> str:
        """Where the person's codes arrive."""
        async with self.portal.db.tenant(FIRM) as c:
            sealed = await c.fetchval("select mobile_sealed from person where id = $1", person.id)
        return self.portal.keys.open("mobile", sealed)

    @contextlib.asynccontextmanager
    async def owner(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A connection that sees every firm."""
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            await connection.close()

    # --- processes

    @contextlib.asynccontextmanager
    async def running(self, *words: str) -> AsyncIterator["subprocess.Popen[bytes]"]:
        """A `gateway` command while the block lasts; what it says is in its log."""
        with self.log(words[0]).open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, *self.program, *words, "--config", str(self.home / "config")],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=follow.parent,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            try:  # in a thread: it may be in the middle of a letter to our mailbox
                await asyncio.to_thread(process.wait, 20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def log(self, command: str) -> Path:
        """What the processes of a command said."""
        return self.home / f"{command}.log"

    @contextlib.asynccontextmanager
    async def workers(self, count: int) -> AsyncIterator[list[int]]:
        """So many workers that have begun; their processes."""
        log = self.log("worker")
        log.unlink(missing_ok=True)
        async with contextlib.AsyncExitStack() as stack:
            begun = [await stack.enter_async_context(self.running("worker")) for _ in range(count)]
            await self._until(begun, lambda: log.read_text().count("worker_started") == count)
            await asyncio.sleep(0.5)  # their first round, which finds nothing
            yield [p.pid for p in begun]

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """The portal while it answers; its process."""
        log = self.log("serve")
        async with self.running("serve") as process:
            await self._until([process], lambda: '"serving"' in log.read_text())
            yield process.pid

    async def _until(
        self, begun: Sequence["subprocess.Popen[bytes]"], true: Callable[[], bool]
    ) -> None:
        """Wait until they have started."""
        for _ in range(600):
            if any(p.poll() is not None for p in begun):
                break
            if true():
                return
            await asyncio.sleep(0.05)
        said = [f.read_text()[-500:] for f in self.home.glob("*.log")]
        raise RuntimeError(f"a process does not start: {said}")


def instance(number: str, amount: int = 0) -> bytes:
    """An aangifte omzetbelasting of SIZE bytes, as long as a real one is."""
    made = instances.ob(number, _PERIODE, 1_000 + amount, 10)
    head, tail = made[: -len("</xbrli:xbrl>\n")], made[-len("</xbrli:xbrl>\n") :]
    return head + b" " * (SIZE - len(made)) + tail


@contextlib.asynccontextmanager
async def opened(more: str = "") -> AsyncIterator[Office]:
    """An office with its simulator, telephone and mailbox; everything ends with it. more: what
    stands in the firm's file after its one source."""
    async with contextlib.AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="map-bench-office-")))
        home.chmod(0o711)
        postgres = Server(home / "postgres")
        await asyncio.to_thread(postgres.start)
        stack.callback(postgres.stop)
        postgres.create("bench")
        dsn = postgres.dsn("bench")
        await migrate(dsn)
        digipoort, simulator = await _simulator(stack, home / "digipoort")
        codes: dict[str, str] = {}
        sms, smtp = await _telephone(stack, codes), await _mailbox(stack)
        os.environ["BENCH_KEY"] = "k" * 44
        found = _configured(
            home, dsn=dsn, digipoort=digipoort, sms=sms, smtp=smtp, port=free_port(),
            pki=home / "digipoort" / "pki", more=more,
        )  # fmt: skip
        portal = await stack.enter_async_context(app.opened(found))
        yield Office(home, postgres, dsn, found, portal, simulator, codes)


def _configured(home: Path, more: str, **values: object) -> settings.Settings:
    config = home / "config"
    (config / "firms").mkdir(parents=True)
    (home / "office").mkdir()
    (config / "gateway.yaml").write_text(_GATEWAY.format(**values))
    shipped = Path(app.__file__).parents[1] / "config" / "firms"
    shutil.copytree(shipped / FIRM, config / "firms" / FIRM)
    text = (shipped / f"{FIRM}.yaml").read_text().partition("sources:")[0]
    (config / "firms" / f"{FIRM}.yaml").write_text(
        text + _SOURCES.format(folder=home / "office") + more
    )
    return settings.load(config)


async def _simulator(stack: contextlib.AsyncExitStack, folder: Path) -> tuple[str, int]:
    """Its address, and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.office", str(folder)],
        stdout=subprocess.PIPE, preexec_fn=follow.parent,
    )  # fmt: skip

    def stop() -> None:
        process.kill()
        process.communicate()

    stack.callback(stop)
    assert process.stdout is not None
    address = await asyncio.to_thread(process.stdout.readline)
    if not address:
        raise RuntimeError("the simulator does not start")
    return address.decode().strip(), process.pid


async def _telephone(stack: contextlib.AsyncExitStack, codes: dict[str, str]) -> int:
    """Keeps the last code of every number; its port."""

    async def take(request: web.Request) -> web.Response:
        told = await request.json()
        codes[told["to"]] = re.findall(r"\d{3}-\d{3}", told["body"])[0]
        return web.Response()

    application = web.Application()
    application.router.add_post("/", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


async def _mailbox(stack: contextlib.AsyncExitStack) -> int:
    """Takes every letter; its port."""
    letters = mail.open_mailbox()
    listener = await asyncio.get_running_loop().create_server(
        lambda: mail.smtp(letters), "127.0.0.1", 0
    )
    stack.callback(listener.close)
    return int(listener.sockets[0].getsockname()[1])


def _simulate(folder: Path) -> None:
    """Statuses follow at once, so that no waiting for them is measured."""

    def ready(address: str, _: str) -> None:
        print(address, flush=True)

    asyncio.run(server.run(folder, clients=_KVK, options=Options(speed=1e6), ready=ready))


if __name__ == "__main__":
    _simulate(Path(sys.argv[1]))
