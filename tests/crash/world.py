"""An office with durable PostgreSQL, a simulator and workers: processes that can be killed."""

import asyncio
import contextlib
import os
import shutil
import signal
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import aiohttp
import asyncpg

from gateway import app as application
from gateway import settings
from gateway.demo.postgres import Server
from gateway.domain.klant import Klant
from gateway.domain.stuk import Role
from gateway.domain.xbrl import numbers
from gateway.flows import intake, people, stukbeheer
from gateway.flows.portal import Portal
from gateway.simulators.digipoort import ledger
from gateway.simulators.digipoort.desk import Options
from tests.crash import process
from tests.crash.judge import OVER, Verdict, judge, waits
from tests.crash.process import Spec
from tests.domain.xbrl import made

FIRM = "lindeboom"
PERSON = "noor@kwekerij.example"
REASON = "Getekende brief in het dossier."

_GATEWAY = """\
base_url: http://127.0.0.1
key: env:MAP_CRASH_KEY
database: {{url: "{dsn}"}}
sms: {{via: {{kind: simulator, url: "http://127.0.0.1:1/"}}}}
mail: {{host: 127.0.0.1, port: 1, tls: none}}
log_level: warning
{guard}
destinations:
  digipoort:
    title: Digipoort
    aanleveren: {digipoort}/wus/2.0/aanleverservice/1.2
    statusinformatie: {digipoort}/wus/2.0/statusinformatieservice/1.2
    {ophalen}
    tls_ca: file:{pki}/ca.pem
    reply_certificates: ["file:{pki}/signing.pem"]
    certificate: file:{pki}/client-kantoor.pem
    private_key: file:{pki}/client-kantoor.key
    times: {{total: {total}, horizon: {horizon}, poll: 0.1, poll_most: 0.3, retry: 0.1,
            retry_most: 0.5}}
"""
_FIRM = """\
id: lindeboom
name: Lindeboom Accountants
short: Lindeboom
host: lindeboom.example
style: {{primary: "#1f5c4d", accent: "#d9a441", logo: logo.svg}}
address:
  lines: [Lindelaan 12, 0000 AA Voorbeeldstad]
  phone: 000 - 123 45 67
  mail: info@lindeboom.example
information: {{nl: "Wij zijn Lindeboom.", en: "We are Lindeboom."}}
employees:
  - {{id: eva, name: Eva van Loon, function: Adviseur, phone: 000 - 123 45 61,
     mail: eva@lindeboom.example}}
relatiebeheerder: eva
mail: {{sender: portal@lindeboom.example}}
sources:
  - id: map
    title: Kantoormap
    kind: local
    categories: [{{name: Stukken, folder: Stukken}}]
    options: {{path: {folder}, writable: true}}
  - id: klaar
    title: Klaargezet
    kind: local
    dossier: false
    categories: [{{name: Klaargezet, folder: Klaargezet}}]
    options: {{path: {folder}, writable: true}}
intake: {{source: klaar, folder: Klaargezet}}
"""
_REPORTS = {
    "ob": ("ob-aangifte-2026", "ValueAddedTaxOwedToBePaidBack"),
    "icp": ("icp-opgaaf-2026", "SuppliesAmount"),
}


@dataclass(frozen=True)
class Shape:
    """total, horizon: seconds of the destination. late: seconds after which Digipoort books what
    a client has left, in LateBooking. ophalen: the receiver tells the aanleverkenmerk. guard:
    attempts are noted outside the database. klanten: how many; each has two channels."""

    total: float = 1.0
    horizon: float = 3.0
    late: float = 0.7
    ophalen: bool = True
    guard: bool = True
    klanten: int = 3


@dataclass
class World:
    """All of it. tampered: aanleverkenmerken whose document is another than was approved."""

    postgres: Server
    dsn: str
    folder: Path
    shape: Shape
    control: str = ""
    tampered: set[str] = field(default_factory=set)
    kills: int = 0
    restarts: int = 0
    stops: int = 0
    _workers: list[ForkServerProcess] = field(default_factory=list)
    _made: int = 0

    # --- work to do

    @contextlib.asynccontextmanager
    async def portal(self) -> AsyncIterator[Portal]:
        """The portal in this process, for a while."""
        found = settings.load(self.folder / "config")
        async with application.opened(found) as portal:
            yield portal

    async def furnish(self) -> None:
        """Klanten with their numbers, and a person who approves on paper."""
        async with self.portal() as portal:
            firm = portal.firms[FIRM]
            klanten = [Klant(f"50{n:04}", f"Kwekerij {n}") for n in range(self.shape.klanten)]
            await people.put_klanten(portal, firm, klanten)
            await people.add(
                portal, firm, username=PERSON, name="Noor Vos", mobile="06 12345678",
                klanten_of=[k.number for k in klanten],
            )  # fmt: skip
            for klant, number in zip(klanten, _numbers(), strict=False):
                await stukbeheer.identify(portal, firm, klant.number, "BTW", number)

    async def approved(self, count: int, *, tamper: int = 0) -> list[uuid.UUID]:
        """So many stukken, put up and approved through the flows, over all channels in turn; the
        last `tamper` are changed afterwards."""
        async with self.portal() as portal:
            found = [await self._approved(portal) for _ in range(count)]
        for id, file in found[count - tamper :]:
            file.write_bytes(file.read_bytes().replace(b"</xbrli:xbrl>", b" </xbrli:xbrl>"))
            self.tampered.add(intake.aanleverkenmerk(id, ""))
        return [id for id, _ in found]

    async def _approved(self, portal: Portal) -> tuple[uuid.UUID, Path]:
        id, file = await self.put_up(portal)
        await _approve(portal, id)
        return id, file

    async def approve(self, id: uuid.UUID) -> None:
        """Approve one on paper."""
        async with self.portal() as portal:
            await _approve(portal, id)

    async def put_up(self, portal: Portal) -> tuple[uuid.UUID, Path]:
        """A stuk that waits for its approval, and the file of its instance."""
        number, self._made = self._made, self._made + 1
        klant, soort = number % self.shape.klanten, ("ob", "icp")[number % 2]
        place = self.folder / "office" / f"50{klant:04}" / "Stukken"
        place.mkdir(parents=True, exist_ok=True)
        file, shown = place / f"{number}.xbrl", place / f"{number}.pdf"
        file.write_bytes(_instance(soort, klant, number))
        shown.write_bytes(f"%PDF-1.4 {soort} {number}".encode())
        parts = [intake.PartWish(role, "map", f"Stukken/{path.name}")
                 for role, path in ((Role.AKKOORD, shown), (Role.INSTANCE, file))]  # fmt: skip
        firm = portal.firms[FIRM]
        wish = intake.Wish(f"50{klant:04}", soort, 2026, "1e kwartaal", parts, "proef")
        return await intake.put_up(portal, firm, wish), file

    async def spread(self, seconds: float) -> None:
        """Let what is queued come due one after another, over so many seconds."""
        async with self.owner() as c:
            await c.execute(
                "with n as (select id, row_number() over (order by created_at) as nr,"
                " count(*) over () as all from delivery where state = 'queued')"
                " update delivery d set due_at = now() + n.nr * $1::float8 / n.all"
                " * interval '1 s' from n where n.id = d.id",
                seconds,
            )

    # --- the simulator

    async def ask(self, path: str, data: object) -> None:
        """Tell the simulator's control page something."""
        async with self._control() as session, session.post(path, json=data):
            pass

    async def quiet(self) -> None:
        """Wait until the simulator has come to an end with every request: one that the worker
        has left may still be booked."""
        async with self._control() as session:
            while await (await session.get("/under-way")).json():
                await asyncio.sleep(0.05)

    def _control(self) -> aiohttp.ClientSession:
        url = (self.folder / "digipoort" / "addresses").read_text().split("\n")[1]
        return aiohttp.ClientSession(url, raise_for_status=True)

    async def scenario(self, name: str, count: int = 1) -> None:
        """What the next aanleveringen meet."""
        await self.ask("/scenario", {"name": name, "count": count})

    @property
    def bookings(self) -> list[ledger.Booking]:
        """The ledger."""
        return ledger.read(self.folder / "digipoort" / "ledger.sqlite")

    # --- workers

    def start(
        self, *, point: str = "", statement: int = 0, of: str = "", after: bool = False
    ) -> ForkServerProcess:
        """One more worker; see Spec."""
        spec = Spec(self.folder / "config", self.folder / "worker.log", point, statement,
                    self.control, of, after)  # fmt: skip
        worker = process.start(spec)
        self._workers.append(worker)
        return worker

    async def kill(self, worker: ForkServerProcess) -> None:
        """SIGKILL, and wait until it is gone."""
        worker.kill()
        await self.died(worker)

    async def died(self, worker: ForkServerProcess) -> None:
        """Wait for its end by SIGKILL."""
        await asyncio.to_thread(worker.join)
        # 255: the fork server could not tell (multiprocessing.popen_forkserver); it is gone.
        assert worker.exitcode in (-signal.SIGKILL, 255), (worker.exitcode, self.log)
        self._workers.remove(worker)
        self.kills += 1

    def signal(self, worker: ForkServerProcess, number: signal.Signals) -> None:
        """Send it a signal."""
        assert worker.pid is not None
        os.kill(worker.pid, number)

    @property
    def log(self) -> str:
        """The end of what the workers said."""
        file = self.folder / "worker.log"
        return file.read_text()[-4000:] if file.exists() else ""

    async def stop(self, worker: ForkServerProcess) -> None:
        """SIGTERM: what is under way is let to its end."""
        worker.terminate()
        await asyncio.to_thread(worker.join)
        self._workers.remove(worker)

    async def end(self) -> None:
        """No worker is left, in whatever state."""
        for worker in self._workers:
            worker.kill()
            await asyncio.to_thread(worker.join)
        self._workers.clear()

    async def restart(self) -> None:
        """`pg_ctl stop -m immediate` and start: crash recovery."""
        await asyncio.to_thread(self.postgres.restart, immediate=True)
        self.restarts += 1

    # --- the end

    @contextlib.asynccontextmanager
    async def owner(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A connection that sees every firm."""
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            await connection.close()

    async def unfinished(self) -> list[str]:
        """The states of deliveries that the worker still has something to do for."""
        async with self.owner() as c:
            rows = await c.fetch("select channel, state from delivery")
        return [r["state"] for r in rows if r["state"] not in OVER and not waits(r, rows)]

    async def finished(self, *workers: ForkServerProcess) -> None:
        """Wait until nothing is left to do, or until one of these workers ended by itself."""
        while await self.unfinished() and all(w.is_alive() for w in workers):
            await asyncio.sleep(0.05)

    async def finish(self) -> None:
        """A fresh worker does what is left."""
        worker = self.start()
        await self.finished(worker)
        assert worker.is_alive(), self.log
        await self.stop(worker)

    async def judge(self) -> Verdict:
        """The verdict, once nothing more can be booked."""
        await self.quiet()
        async with self.owner() as c:
            return await judge(c, self.bookings, self.tampered)


async def _approve(portal: Portal, id: uuid.UUID) -> None:
    await stukbeheer.paper(portal, portal.firms[FIRM], id, PERSON, "eva", REASON)


def _numbers() -> Iterable[str]:
    """Omzetbelastingnummers that are right in form, of nobody."""
    for n in range(100_000_000, 200_000_000):
        if numbers.ob(f"{n}B01"):
            yield f"{n}B01"


def _instance(soort: str, klant: int, amount: int) -> bytes:
    report, fact = _REPORTS[soort]
    number = next(n for i, n in enumerate(_numbers()) if i == klant)
    return made.xbrl(
        made.amount(fact, 1000 + amount), report=report, contexts=made.context(number=number)
    )


@contextlib.asynccontextmanager
async def opened(
    postgres: Server, dsn: str, folder: Path, pki: Path, shape: Shape, control: str = ""
) -> AsyncIterator[World]:
    """A world with its simulator; everything ends with it. pki: certificates to copy."""
    (folder / "digipoort").mkdir(parents=True)
    shutil.copytree(pki, folder / "digipoort" / "pki")
    simulator = process.start_simulator(
        folder / "digipoort", Options(speed=1e6, slow=1.5 * shape.total, late=shape.late)
    )
    world = World(postgres, dsn, folder, shape, control)
    try:
        address = await _address(simulator, folder / "digipoort")
        _configure(world, address)
        await world.furnish()
        yield world
    finally:
        await world.end()
        simulator.kill()
        await asyncio.to_thread(simulator.join)


async def _address(simulator: ForkServerProcess, folder: Path) -> str:
    file = folder / "addresses"
    while not file.exists():
        assert simulator.is_alive(), (folder / "simulator.log").read_text()
        await asyncio.sleep(0.02)
    return file.read_text().split("\n")[0]


def _configure(world: World, address: str) -> None:
    config, shape = world.folder / "config", world.shape
    (config / "firms").mkdir(parents=True)
    (world.folder / "office").mkdir()
    (config / "firms" / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (config / "firms" / f"{FIRM}.yaml").write_text(_FIRM.format(folder=world.folder / "office"))
    (config / "gateway.yaml").write_text(
        _GATEWAY.format(
            dsn=world.dsn,
            digipoort=address,
            pki=world.folder / "digipoort" / "pki",
            total=shape.total,
            horizon=shape.horizon,
            guard="guard_file: ../attempts" if shape.guard else "",
            ophalen=f"ophalen: {address}/wus/2.0/ophaalservice/1.2" if shape.ophalen else "",
        )
    )
