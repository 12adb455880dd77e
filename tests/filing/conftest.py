"""A firm with a back office in a folder, Digipoort's simulator, and a client with a telephone."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web

from gateway import app as application
from gateway import settings
from gateway.domain.accordering import Rule
from gateway.domain.delivery import WORKING
from gateway.domain.firm import Firm
from gateway.domain.stuk import Role
from gateway.flows import intake, signing_in, stukbeheer
from gateway.flows.accordering import approving, opening, sending, showing
from gateway.flows.delivering.cases import Works
from gateway.flows.delivering.lanes import Lanes
from gateway.flows.intake import PartWish
from gateway.flows.portal import Portal
from gateway.flows.receivers import Guard, Receivers
from gateway.flows.visitor import From, Visitor, today
from gateway.simulators.digipoort import ledger as books
from gateway.simulators.digipoort import pki as authority
from gateway.simulators.digipoort.desk import Desk, Options
from gateway.simulators.digipoort.flavour import BANK, DIGIPOORT
from gateway.simulators.digipoort.ledger import Ledger
from gateway.simulators.digipoort.scenarios import Queued
from gateway.simulators.digipoort.server import build, ssl_context
from gateway.store import deliveries, stukken
from gateway.store.deliveries import Delivery
from gateway.store.stukken import Stuk
from tests.domain.xbrl import made
from tests.pages.conftest import (  # noqa: F401
    PASSWORD,
    Telephone,
    base_url,
    browser,
    client,
    firm,
    phone,
    portal_app,
    register,
    sign_in,
    write_settings,
)

KLANT = "400100"
ORIGIN = From("192.0.2.7", "test")
RECEIVER = "00000000123456780000"

_MORE_GATEWAY = """\
egress: {{hosts: ["127.0.0.1:*"], webhooks: ["127.0.0.1:*"],
         networks: [127.0.0.0/8]}}
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
    times: &times {{total: 20, horizon: 0.6, poll: 0.02, poll_most: 0.05, retry: 0.02,
                    retry_most: 0.1}}
  banken:
    title: {{nl: Banken, en: Banks}}
    kind: bank
    aanleveren: {bank}/biv-wus20v12/AanleverService
    statusinformatie: {bank}/biv-wus20v12/StatusInformatieService
    tls_ca: file:{pki}/ca.pem
    reply_certificates: ["file:{pki}/signing.pem"]
    certificate: file:{pki}/client-kantoor.pem
    private_key: file:{pki}/client-kantoor.key
    mtom: true
    receivers: {{proef: {{title: Proefbank, nummer: "{receiver}"}}}}
    times: *times
"""
_MORE_FIRM = """\
sources:
  - id: map
    title: {{nl: Kantoormap, en: Office folder}}
    kind: local
    categories: [{{name: {{nl: Stukken, en: Documents}}, folder: Stukken}}]
    options: {{path: {folder}, writable: true}}
  - id: klaar
    title: Klaargezet
    kind: local
    dossier: false
    categories: [{{name: Klaargezet, folder: Klaargezet}}]
    options: {{path: {folder}, writable: true}}
intake: {{source: klaar, folder: Klaargezet}}
soorten:
  ob: {{payee: {{name: Voorbeeld Belastingdienst, iban: NL02ABNA0123456789}}}}
  vpb: {{route: backoffice}}
"""


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> authority.Pki:
    """The certificates, once for all tests: keys are slow to make."""
    return authority.make(tmp_path_factory.mktemp("filing-pki"), {"kantoor": "12345678"})


@dataclass
class Office:
    """All of it. folder: the klant's place in the back office."""

    portal: Portal
    firm: Firm
    works: Works
    folder: Path
    digipoort: Desk
    bank: Desk
    ledger: Path

    def write(self, name: str, data: bytes | str) -> PartWish:
        """A document in the back office, as a part."""
        file = self.folder / "Stukken" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        role = Role.INSTANCE if name.endswith(".xbrl") else Role.AKKOORD
        return PartWish(role, "map", f"Stukken/{name}")

    async def put_up(self, soort: str = "ob", *, tag: int = 3240, **fields: object) -> UUID:
        """A stuk with something to read and an instance."""
        parts = [self.write(f"{soort}-{tag}.pdf", f"%PDF-1.4 {soort} {tag}")]
        if soort in INSTANCES:
            parts.append(self.write(f"{soort}-{tag}.xbrl", INSTANCES[soort](tag)))
        wish = {"klant": KLANT, "soort": soort, "jaar": 2026, "periode": "1e kwartaal",
                "parts": parts, "by": "proef"}  # fmt: skip
        return await intake.put_up(self.portal, self.firm, intake.Wish(**{**wish, **fields}))

    async def stuk(self, id: UUID) -> Stuk:
        """As it is now."""
        async with self.portal.db.tenant(self.firm.id) as c:
            found = await stukken.find(c, id)
        assert found is not None
        return found

    async def delivery(self, stuk: UUID) -> Delivery:
        """The one delivery of a stuk, as it is now."""
        async with self.portal.db.tenant(self.firm.id) as c:
            (found,) = await deliveries.of_stuk(c, stuk)
        return found

    async def work(self, until: Callable[[], object]) -> None:
        """Let the worker work until something holds."""
        lanes = Lanes(self.works)
        while not await until():
            await lanes.fill()
            await lanes.rest(0.02)
        await lanes.drain()

    async def finish(self, id: UUID) -> Delivery:
        """Work until the delivery of a stuk needs nothing more of the worker."""

        async def ended() -> bool:
            return (await self.delivery(id)).state not in WORKING

        await self.work(ended)
        return await self.delivery(id)

    def scenario(self, name: str, count: int = 1) -> None:
        """What Digipoort does with the next aanleveringen."""
        self.digipoort.chooser.queue(Queued(name, count))

    @property
    def booked(self) -> list[dict[str, object]]:
        """What Digipoort took in: the judge."""
        return list(books.read(self.ledger))


INSTANCES = {
    "ob": lambda tag: made.xbrl(made.amount("ValueAddedTaxOwedToBePaidBack", tag)),
    "icp": lambda tag: made.xbrl(made.amount("SuppliesAmount", tag), report="icp-opgaaf-2026"),
}


@pytest.fixture
async def office(
    dsn: str, tmp_path: Path, pki: authority.Pki, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Office]:
    """Everything runs; nothing is put up yet."""
    monkeypatch.setenv("MAP_TEST_KEY", "k" * 44)
    desks, urls, runners = {}, {}, []
    for name, flavour in (("digipoort", DIGIPOORT), ("bank", BANK)):
        options = Options(speed=1e6, slow=0.1, late=0.05, receivers=(RECEIVER,))
        desks[name] = Desk(pki, Ledger(tmp_path / f"{name}.sqlite"), flavour, options)
        runner = web.AppRunner(build(desks[name]))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context(pki)).start()
        runners.append(runner)
        urls[name] = f"https://127.0.0.1:{runner.addresses[0][1]}"
    folder = write_settings(tmp_path / "config", dsn)
    with (folder / "gateway.yaml").open("a") as out:
        out.write(_MORE_GATEWAY.format(pki=pki.ca.certificate.parent, receiver=RECEIVER, **urls))
    for name in ("eikenhof", "wilgenhof"):
        (tmp_path / name).mkdir()
        with (folder / "firms" / f"{name}.yaml").open("a") as out:
            out.write(_MORE_FIRM.format(folder=tmp_path / name))
    found = settings.load(folder)
    async with application.opened(found) as opened:
        portal = dataclasses.replace(opened, sms=Telephone())
        receivers = Receivers(portal.destinations, found.secret)
        works = Works(portal, receivers, Guard(tmp_path / "attempts"))
        yield Office(
            portal, portal.firms["eikenhof"], works, tmp_path / "eikenhof" / KLANT,
            desks["digipoort"], desks["bank"], tmp_path / "digipoort.sqlite",
        )  # fmt: skip
        await receivers.aclose()
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def portal(office: Office) -> Portal:
    """The portal of the office, for the fixtures of the pages' tests."""
    return office.portal


@dataclass
class Person:
    """A client who is signed in."""

    office: Office
    visitor: Visitor
    phone: Telephone

    async def opens(self, id: UUID) -> str:
        """Every part to its end; gives the manifest that was seen."""
        detail = await showing.detail(self.office.portal, self.visitor, id)
        for part in detail.parts:
            await self.opens_part(id, part.row.number)
        return detail.task.stuk.manifest

    async def opens_part(self, id: UUID, number: int) -> bytes:
        """One part."""
        async with opening.opening(self.office.portal, self.visitor, id, number) as opened:
            return b"".join([piece async for piece in opened.pieces()])

    async def approves(self, *ids: UUID, banks: tuple[str, ...] = ()) -> list[sending.Sent]:
        """Open, approve and send them with one code."""
        for id in ids:
            manifest = await self.opens(id)
            await approving.approve(self.office.portal, self.visitor, id, manifest, banks)
        return await self.sends(*ids)

    async def sends(self, *ids: UUID) -> list[sending.Sent]:
        """Send what is ready with one code."""
        chosen = await sending.batch(self.office.portal, self.visitor, ids)
        await sending.send_code(self.office.portal, self.visitor, chosen)
        return await sending.send(self.office.portal, self.visitor, ids, self.phone.code)


@pytest.fixture
async def person(office: Office, register, phone: Telephone) -> Callable[..., object]:  # noqa: F811
    """Makes a client with a mandate, signed in."""

    async def make(
        username: str = "sanne@bakkerij.example",
        *,
        mandate: str = "*",
        mobile: str = "06 12345678",
        identity: bool = True,
    ) -> Person:
        await register(username, mobile=mobile)
        portal = office.portal
        if identity:
            await stukbeheer.identify(portal, office.firm, KLANT, "BTW", made.NUMBER)
            await stukbeheer.identify(portal, office.firm, KLANT, "kvk", "12345678")
        if mandate:
            await stukbeheer.give_mandate(portal, office.firm, username, KLANT, mandate, today())
        half = await signing_in.check_password(portal, office.firm, username, PASSWORD, ORIGIN)
        assert isinstance(half, signing_in.Half)
        visitor = await signing_in.resume(portal, half.cookie)
        assert visitor is not None
        cookie = await signing_in.confirm_code(portal, visitor, ORIGIN, phone.code)
        visitor = await signing_in.resume(portal, cookie)
        assert visitor is not None
        return Person(office, visitor, phone)

    return make


def rule(*groups: tuple[set[UUID], int]) -> Rule:
    """A rule of groups of people and how many of them."""
    return Rule.from_json(
        [{"people": [*map(str, people)], "need": need} for people, need in groups]
    )
