"""Mailboxes: what a package drops in a folder, and what comes back."""

import asyncio
import contextlib
import dataclasses
import io
import json
import os
import shutil
import sys
import zipfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from connectors.local import LocalConnector
from gateway.api.models import StukUit
from gateway.cli import cli
from gateway.connector import registry
from gateway.connector.egress import EgressPolicy
from gateway.domain import xml
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.mailbox import Mailbox
from gateway.domain.stuk import State
from gateway.errors import PermissionDenied
from gateway.flows import mailbox, mailbox_lanes, mailbox_out, people, stukbeheer
from gateway.flows.mailbox import Round, Watch, _Work
from gateway.flows.mailbox_intake import Taking
from gateway.flows.portal import Portal
from gateway.flows.sources import Sources
from gateway.scan import Infected, ScannerDown
from gateway.store import mailboxes
from gateway.store.database import DatabaseDown
from tests.connectors.test_s3 import bucket, seaweed  # noqa: F401
from tests.connectors.test_sftp import sshd  # noqa: F401
from tests.connectors.test_smb import samba  # noqa: F401
from tests.connectors.test_webdav import apache, wsgidav  # noqa: F401
from tests.domain.xbrl import made
from tests.filing.conftest import INSTANCES, KLANT

OB = INSTANCES["ob"]
PDF = b"%PDF-1.4 "
NAME = {"from": "name", "pattern": r"^(?P<klant>\d+)_"}
RULES = [
    {"match": "brief_*", "klant": {"from": "name", "pattern": r"brief_(?P<klant>\d+)"},
     "into": {"source": "map", "folder": "Stukken"}},
    {"match": "*jaarrekening*", "soort": "jaarrekening", "jaar": 2025, "periode": "2025",
     "klant": NAME},
    {"match": "note*", "klant": {"from": "sidecar"}},
    {"match": "*.pdf", "klant": NAME, "soort": "ob", "jaar": 2026, "periode": "1e kwartaal"},
    {"match": "*.x*", "klant": {"from": "xbrl"}},
]  # fmt: skip
BOX = {"id": "profit", "source": "bus", "place": "", "folder": "uit", "out": "terug", "xml": True,
       "settle_seconds": 0, "rules": RULES}  # fmt: skip


@dataclasses.dataclass
class Bus:
    """A mailbox in a folder of this machine."""

    portal: Portal
    firm: Firm
    folder: Path
    office: Any

    @property
    def box(self) -> Mailbox:
        return self.firm.mailboxes[0]

    def drop(self, name: str, data: bytes) -> Path:
        """A file, as a package leaves it."""
        path = self.folder / "uit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def drop_ob(self, tag: int = 3240, stem: str = "aangifte") -> None:
        """A return with something to read."""
        self.drop(f"{stem}.xbrl", OB(tag))
        self.drop(f"{stem}.pdf", PDF + str(tag).encode())

    async def run(self, watch: Watch | None = None, portal: Portal | None = None) -> Round:
        """One round."""
        at = portal or self.portal
        await mailbox_out.begin(at, self.firm, self.box)
        done = await mailbox.run(at, self.firm, self.box, watch or Watch())
        assert done is not None
        return done

    async def tell(self) -> int:
        """The return messages."""
        return await mailbox_out.run(self.portal, self.firm, self.box)

    def names(self, folder: str) -> list[str]:
        """What stands in a folder of it."""
        found = (self.folder / folder).iterdir() if (self.folder / folder).is_dir() else ()
        return sorted(p.name for p in found if p.name != ".map-mailbox")

    def reason(self, name: str) -> str:
        """Why a file was refused."""
        return (self.folder / "fout" / f"{name}.reden.txt").read_text()

    async def stukken(self) -> list[UUID]:
        """Every stuk of the firm."""
        async with self.portal.db.tenant(self.firm.id) as c:
            return [r["id"] for r in await c.fetch("select id from stuk order by created_at")]


def with_bus(
    office: Any, sources: list[dict[str, Any]], boxes: list[dict[str, Any]]
) -> tuple[Firm, dict[str, Any]]:
    """The firm with more in its file."""
    told = office.firm.model_dump(by_alias=True)
    told["sources"] = [*told["sources"], *sources]
    told["mailboxes"] = boxes
    return Firm.model_validate(told), told


async def opened(office: Any, firm: Firm, base: Path) -> Portal:
    """The portal with that firm's sources."""
    egress = EgressPolicy(("127.0.0.1:*",), office.portal_egress)
    found = await Sources.open(
        [firm], egress, base, lambda s: registry.find(s.kind).Config.model_validate(s.options)
    )
    assert not found.failures()
    return dataclasses.replace(
        office.portal, sources=found, firms={**office.portal.firms, firm.id: firm}
    )


CATEGORY = [{"name": "Postbus", "folder": "Postbus"}]


@pytest.fixture
async def bus(office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bus]:
    """A mailbox, and a klant whose number is known."""
    import ipaddress

    monkeypatch.setattr(
        type(office), "portal_egress", (ipaddress.ip_network("127.0.0.0/8"),), raising=False
    )
    (tmp_path / "bus").mkdir()
    source = {
        "id": "bus", "title": "Postbus", "kind": "local", "categories": CATEGORY,
        "dossier": False, "options": {"path": str(tmp_path / "bus"), "writable": True},
    }  # fmt: skip
    firm, _ = with_bus(office, [source], [BOX])
    portal = await opened(office, firm, tmp_path)
    await people.put_klanten(portal, firm, [Klant(KLANT, "Bakkerij Het Brood B.V.")])
    await stukbeheer.identify(portal, firm, KLANT, "BTW", made.NUMBER)
    office.portal, office.firm = portal, firm
    yield Bus(portal, firm, tmp_path / "bus", office)
    await portal.sources.aclose()


# --- what comes in


async def test_a_return_with_its_document_is_one_stuk(bus):
    bus.drop_ob()
    done = await bus.run()
    assert [(t.name, t.verdict.outcome) for t in done.took] == [("aangifte.xbrl", "stuk")]
    (id,) = await bus.stukken()
    stuk = await bus.office.stuk(id)
    assert (stuk.klant, stuk.soort, stuk.jaar, stuk.periode) == (KLANT, "ob", 2026, "1e kwartaal")
    assert stuk.put_up_by == "mailbox:profit"
    assert bus.names("uit") == []
    assert bus.names("verwerkt") == ["aangifte.pdf", "aangifte.xbrl"]
    assert bus.names("fout") == []
    assert (await bus.run()).took == []


async def test_a_document_goes_into_the_dossier(bus):
    bus.drop(f"brief_{KLANT}.pdf", PDF)
    done = await bus.run()
    assert [t.verdict.outcome for t in done.took] == ["document"]
    assert (bus.office.folder / "Stukken" / f"brief_{KLANT}.pdf").read_bytes() == PDF
    bus.drop(f"brief_{KLANT}.pdf", PDF)  # once more the same: no fault
    assert [t.verdict.outcome for t in (await bus.run()).took] == ["document"]
    bus.drop(f"brief_{KLANT}.pdf", PDF + b"anders")
    assert [t.verdict.outcome for t in (await bus.run()).took] == ["refused"]
    assert "Er staat al een document met deze naam." in bus.reason(f"brief_{KLANT}.pdf")
    assert bus.names("verwerkt") == [f"brief_{KLANT} (2).pdf", f"brief_{KLANT}.pdf"]


async def test_a_document_to_sign_by_its_name(bus):
    bus.drop(f"{KLANT}_jaarrekening.pdf", PDF)
    await bus.run()
    (id,) = await bus.stukken()
    stuk = await bus.office.stuk(id)
    assert (stuk.klant, stuk.soort, stuk.jaar) == (KLANT, "jaarrekening", 2025)


@pytest.mark.parametrize("kind", ["json", "xml"])
async def test_a_note_says_it(bus, kind):
    note = {"klant": KLANT, "soort": "jaarrekening", "jaar": 2025, "periode": "boekjaar",
            "deadline": "2026-12-01", "opmerking": "Graag vóór vrijdag"}  # fmt: skip
    parts = [("akkoorddocument", "note.pdf"), ("bijlage", "elders.zip")]
    if kind == "json":
        note["onderdelen"] = [{"rol": r, "inhoud": n} for r, n in parts]
        data = json.dumps(note).encode()
    else:
        inner = "".join(f"<{k}>{v}</{k}>" for k, v in note.items())
        inner += "".join(
            f"<onderdelen><rol>{r}</rol><inhoud>{n}</inhoud></onderdelen>" for r, n in parts
        )
        data = f"<stuk>{inner}</stuk>".encode()
    bus.drop(f"note.{kind}", data)
    bus.drop("note.pdf", PDF)
    out = io.BytesIO()
    zipfile.ZipFile(out, "w").close()
    bus.drop("elders.zip", out.getvalue())
    done = await bus.run()
    assert [t.verdict.outcome for t in done.took] == ["stuk"], done
    stuk = await bus.office.stuk(done.took[0].verdict.stuk)
    assert (stuk.soort, stuk.periode, str(stuk.deadline)) == (
        "jaarrekening", "boekjaar", "2026-12-01"
    )  # fmt: skip
    assert bus.names("verwerkt") == sorted(["elders.zip", f"note.{kind}", "note.pdf"])


async def test_a_note_that_is_wrong(bus):
    bus.drop("note.json", b'{"klnt": "1"}')
    bus.drop("note.pdf", PDF)
    bus.drop("note-los.json", b"{}")
    await bus.run()
    assert bus.names("uit") == []
    assert "note.json, klnt: Dit veld bestaat niet." in bus.reason("note.pdf")
    assert "hoort een document" in bus.reason("note-los.json")


# --- what goes wrong


def locked_zip() -> bytes:
    """A ZIP whose first member has a password."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("a.txt", b"geheim")
    data = bytearray(out.getvalue())
    data[6] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("999_jaarrekening.pdf", PDF, "klant: Er is geen klant 999."),
        ("jaarrekening.pdf", PDF, "klant: Het nummer van de klant staat niet in de naam."),
        ("vreemd.qqq", b"x", "naam: Geen regel van deze postbus past bij deze naam."),
        (f"{KLANT}_jaarrekening.qqq", b"x", "Dit soort bestand neemt het portaal niet aan."),
        (f"{KLANT}_jaarrekening.pdf", b"", "inhoud: Het bestand is leeg."),
        (f"{KLANT}_jaarrekening.pdf", b"PK", "inhoud: De inhoud is geen PDF."),
        (f"{KLANT}_jaarrekening.zip", locked_zip(), "Het bestand heeft een wachtwoord"),
        (f"brief_{KLANT}.zip", locked_zip(), "Het bestand heeft een wachtwoord"),
        (f"{KLANT}_a.pdf", PDF, "Zonder XBRL-instance kan het portaal dit stuk niet indienen."),
        ("kapot.xbrl", b"<xbrl", "klant: Er is geen instance"),
        ("ander.xbrl", made.xbrl(contexts=made.context(number="000000012B01")),
         "Het nummer in de aangifte is van geen klant bekend."),
    ],
)  # fmt: skip
async def test_a_refused_one_says_why(bus, name, data, told):
    bus.drop(name, data)
    await bus.run()
    if name.endswith("jaarrekening.zip"):
        # a ZIP alone is nothing to read, which is told before its bytes are looked at
        told = "Er is een akkoorddocument nodig"
    assert told in bus.reason(name)
    assert bus.names("fout") == [name, f"{name}.reden.txt"]
    assert bus.names("uit") == []
    assert await bus.stukken() == []


async def test_every_fault_of_a_set_is_told(bus):
    bus.drop("999_a.pdf", b"")
    bus.drop("999_a.xbrl", OB(1) + b"<")
    await bus.run()
    for name in ("999_a.pdf", "999_a.xbrl"):
        text = bus.reason(name)
        assert "klant:" in text
        assert "soort:" in text


@pytest.mark.parametrize(
    "name", ["a\nb\x1b[31m.pdf", "..pdf", "a..pdf", "…\u202efdp.pdf", "é́.pdf"]
)
async def test_names_that_are_odd(bus, name):
    bus.drop(f"brief_{KLANT}{name}", PDF)
    done = await bus.run()
    assert len(done.took) == 1
    assert bus.names("uit") == []
    moved = [n for n in (*bus.names("verwerkt"), *bus.names("fout")) if "reden" not in n]
    assert len(moved) == 1
    assert "\n" not in moved[0]


async def test_an_infected_file_is_refused(bus):
    class Fake:
        async def passing(self, body):
            async for piece in body:
                yield piece
                if b"EICAR" in piece:
                    raise Infected("Proef.Virus")

    portal = dataclasses.replace(bus.portal, scanner=Fake())
    bus.drop(f"brief_{KLANT}.pdf", PDF + b"EICAR")
    bus.drop(f"{KLANT}_jaarrekening.pdf", PDF + b"EICAR")
    await bus.run(portal=portal)
    for name in (f"brief_{KLANT}.pdf", f"{KLANT}_jaarrekening.pdf"):
        assert "De virusscanner vond iets: Proef.Virus." in bus.reason(name)
    assert not list(bus.office.folder.rglob("*.pdf"))


async def test_without_the_scanner_nothing_is_taken(bus):
    class Down:
        async def passing(self, body):
            raise ScannerDown
            yield b""

    bus.drop(f"brief_{KLANT}.pdf", PDF)
    done = await bus.run(portal=dataclasses.replace(bus.portal, scanner=Down()))
    assert done.trouble
    assert bus.names("uit") == [f"brief_{KLANT}.pdf"]
    assert (await bus.run()).took


async def test_the_same_under_two_names(bus):
    bus.drop_ob(stem="een")
    bus.drop_ob(stem="twee")
    await bus.run()
    assert len(await bus.stukken()) == 1
    assert bus.names("verwerkt") == ["een.pdf", "een.xbrl"]
    assert "Dit stuk staat al klaar" in bus.reason("twee.xbrl")


async def test_the_same_document_to_sign_under_two_names(bus):
    bus.drop(f"{KLANT}_jaarrekening.pdf", PDF)
    bus.drop(f"{KLANT}_jaarrekening kopie.pdf", PDF)
    await bus.run()
    assert len(await bus.stukken()) == 1
    assert len(bus.names("verwerkt")) == 1
    assert len(bus.names("fout")) == 2


# --- what is being written, and what goes


async def test_a_file_is_left_until_it_has_settled(bus):
    clock = [0.0]
    bus.firm = with_settle(bus.firm, 10)
    watch = Watch(lambda: clock[0])
    path = bus.drop("a.xbrl", OB(1)[:100])
    bus.drop("a.pdf", PDF)
    assert (await bus.run(watch)).waiting == 2
    clock[0] = 9
    path.write_bytes(OB(1))  # it grew
    assert (await bus.run(watch)).took == []
    clock[0] = 18
    assert (await bus.run(watch)).took == []
    clock[0] = 19
    assert [t.verdict.outcome for t in (await bus.run(watch)).took] == ["stuk"]


def with_settle(firm: Firm, seconds: float) -> Firm:
    """The firm, whose mailbox waits so long."""
    box = firm.mailboxes[0].model_copy(update={"settle_seconds": seconds})
    return firm.model_copy(update={"mailboxes": (box,)})


async def test_a_lone_instance_waits_for_its_document(bus):
    clock = [0.0]
    bus.firm = with_settle(bus.firm, 10)
    watch = Watch(lambda: clock[0])
    bus.drop("a.xbrl", OB(1))
    for moment, taken in ((0, 0), (10, 0), (29, 0), (30, 1)):
        clock[0] = moment
        assert len((await bus.run(watch)).took) == taken


async def test_the_rename_gate(bus):
    path = bus.drop("a.xbrl.part", OB(1))
    assert (await bus.run()).waiting == 0
    path.rename(path.with_name("a.xbrl"))
    assert len((await bus.run()).took) == 1


async def test_a_file_that_goes_between_looking_and_reading(bus, monkeypatch):
    bus.drop_ob()
    bus.drop(f"brief_{KLANT}.pdf", PDF)
    real = Taking.take

    async def late(self):
        if self.bundle.lead.name == "aangifte.xbrl":
            (bus.folder / "uit" / "aangifte.pdf").unlink()
        return await real(self)

    monkeypatch.setattr(Taking, "take", late)
    done = await bus.run()
    assert [t.name for t in done.took] == [f"brief_{KLANT}.pdf"]
    assert bus.names("uit") == ["aangifte.xbrl"]
    assert await bus.stukken() == []
    monkeypatch.undo()
    assert [t.verdict.outcome for t in (await bus.run()).took] == ["stuk"]


async def test_a_file_that_changes_between_looking_and_reading(bus, monkeypatch):
    bus.drop(f"brief_{KLANT}.pdf", PDF)
    real = Taking.take

    async def late(self):
        bus.drop(f"brief_{KLANT}.pdf", PDF + b"meer")
        return await real(self)

    monkeypatch.setattr(Taking, "take", late)
    assert (await bus.run()).took == []
    monkeypatch.undo()
    await bus.run()
    assert (bus.office.folder / "Stukken" / f"brief_{KLANT}.pdf").read_bytes() == PDF + b"meer"


# --- folders, workers, deaths


@pytest.mark.parametrize("folder", ["uit", "verwerkt", "fout"])
async def test_a_folder_that_cannot_be_written(bus, folder, monkeypatch):
    bus.drop_ob()
    real = LocalConnector.move

    async def refused(self, place, id, to, name, **more):
        if to == folder or id.startswith(f"{folder}/"):
            raise PermissionDenied(native="EACCES")
        return await real(self, place, id, to, name, **more)

    monkeypatch.setattr(LocalConnector, "move", refused)
    with capture_logs() as logs:
        done = await bus.run()
    assert done.took == []
    assert "cannot be written" in done.trouble
    assert "mailbox_waits" in {e["event"] for e in logs}
    assert await bus.stukken() == []
    assert bus.names("uit") == ["aangifte.pdf", "aangifte.xbrl"]
    monkeypatch.undo()
    assert len((await bus.run()).took) == 1


async def test_an_intake_that_cannot_be_written(bus, tmp_path):
    """Ours to mend: nobody's file is refused for it."""
    bus.drop_ob()
    for n in range(5):
        bus.drop(f"brief_{KLANT}_{n}.pdf", PDF)
    shutil.rmtree(tmp_path / "eikenhof")
    (tmp_path / "eikenhof").write_text("in the way")
    done = await bus.run()
    assert (done.took, bus.names("fout"), len(bus.names("uit"))) == ([], [], 7)
    assert done.trouble
    (tmp_path / "eikenhof").unlink()
    (tmp_path / "eikenhof").mkdir()
    for _ in range(2):  # a source that was away may rest for a moment
        bus.portal.sources.get(bus.firm.id, "map").breaker.reset()
        done = await bus.run()
    assert bus.names("uit") == []


async def test_a_source_that_only_reads(office, bus, tmp_path):
    source = {"id": "bus", "title": "B", "kind": "local", "categories": CATEGORY,
              "options": {"path": str(tmp_path / "bus")}}  # fmt: skip
    firm, _ = with_bus_again(bus, source)
    bus.drop_ob()
    portal = await opened(office, firm, tmp_path)
    done = await mailbox.run(portal, firm, firm.mailboxes[0], Watch())
    assert "cannot be written" in done.trouble
    assert not (await mailbox.check(portal, firm, firm.mailboxes[0])).ok
    await portal.sources.aclose()


def with_bus_again(bus: Bus, source: dict[str, Any]) -> tuple[Firm, dict[str, Any]]:
    """The firm with another source for its mailbox."""
    told = bus.firm.model_dump(by_alias=True)
    told["sources"] = [s for s in told["sources"] if s["id"] != source["id"]] + [source]
    return Firm.model_validate(told), told


async def test_two_workers_at_once(bus):
    for n in range(20):
        bus.drop(f"brief_{KLANT}_{n}.pdf", PDF + str(n).encode())
    both = await asyncio.gather(
        *(mailbox.run(bus.portal, bus.firm, bus.box, Watch()) for _ in range(4))
    )
    done = [b for b in both if b is not None]
    assert 1 <= len(done) < 4
    assert sum(len(b.took) for b in done) == 20
    assert len(bus.names("verwerkt")) == 20
    async with mailboxes.claimed(bus.portal.db, bus.firm.id, bus.box.id) as mine:
        assert mine


class Dead(BaseException):
    """A worker that is killed."""


@pytest.mark.parametrize("at", ["begin", "take", "finish", "recorded", "put", "move", "moved"])
async def test_a_worker_that_dies_loses_and_doubles_nothing(bus, monkeypatch, at):
    """Killed at one point after the other, each time at its first, second, ... call of it."""
    bus.drop_ob(1, "een")
    bus.drop(f"brief_{KLANT}.pdf", PDF)
    bus.drop("999_jaarrekening.pdf", PDF)
    calls, limit = [0], [0]

    def dying(real, after: bool = False):
        async def call(*args, **kwargs):
            calls[0] += 1
            if calls[0] > limit[0] and not after:
                raise Dead
            found = await real(*args, **kwargs)
            if calls[0] > limit[0]:
                raise Dead
            return found

        return call

    from gateway.connector.guard import Guarded
    from gateway.flows.submitting import Submission

    place = {
        "begin": (Submission, "begin"), "take": (Submission, "take"),
        "finish": (Submission, "finish"), "recorded": (Taking, "take"), "put": (Guarded, "put"),
        "move": (Guarded, "move"), "moved": (mailboxes, "moved"),
    }[at]  # fmt: skip
    for n in range(40):
        calls[0], limit[0] = 0, n // 2
        real = getattr(*place)
        monkeypatch.setattr(*place, dying(real, after=n % 2 == 1))
        try:
            done = await bus.run()
        except Dead:
            continue
        finally:
            monkeypatch.undo()
        if done.waiting == 0:
            break
    done = await bus.run()
    assert (done.waiting, done.trouble) == (0, "")
    assert bus.names("uit") == []
    assert bus.names("verwerkt") == [f"brief_{KLANT}.pdf", "een.pdf", "een.xbrl"]
    assert bus.names("fout") == ["999_jaarrekening.pdf", "999_jaarrekening.pdf.reden.txt"]
    assert "Er is geen klant 999." in bus.reason("999_jaarrekening.pdf")
    assert len(await bus.stukken()) == 1
    assert len(list((bus.office.folder / "Stukken").glob("brief*"))) == 1


async def test_what_was_refused_may_be_dropped_again(bus):
    path = bus.drop("999_jaarrekening.pdf", PDF)
    await bus.run()
    assert "Er is geen klant 999." in bus.reason(path.name)
    await people.put_klanten(bus.portal, bus.firm, [Klant("999", "Nieuw B.V.")])
    (bus.folder / "fout" / path.name).rename(path)  # the very same file, moved back
    assert [t.verdict.outcome for t in (await bus.run()).took] == ["stuk"]
    (bus.folder / "verwerkt" / path.name).rename(path)  # that made this stuk: no fault
    (took,) = (await bus.run()).took
    assert took.verdict.outcome == "stuk"
    assert await bus.stukken() == [took.verdict.stuk]


@pytest.mark.slow
async def test_two_thousand_at_once(bus):
    from gateway.connector.conformance import resident

    for n in range(2000):
        bus.drop(f"brief_{KLANT}_{n:04}.pdf", PDF + str(n).encode())
    before = resident()
    done = await bus.run()
    assert (len(done.took), done.waiting) == (2000, 0)
    assert resident() - before < 100 * 2**20
    assert len(bus.names("verwerkt")) == 2000
    assert len(list((bus.office.folder / "Stukken").iterdir())) == 2000


# --- what comes back


async def test_return_messages(bus, person):
    bus.drop_ob()
    (took,) = (await bus.run()).took
    id = took.verdict.stuk
    assert await bus.tell() == 0
    sanne = await person()
    await sanne.approves(id)
    assert await bus.tell() == 1
    assert bus.names("terug") == [f"aangifte.{id}.status.json", f"aangifte.{id}.status.xml"]
    said = json.loads((bus.folder / "terug" / f"aangifte.{id}.status.json").read_text())
    assert StukUit.model_validate_json(json.dumps(said)).model_dump(mode="json") == said
    assert said["akkoorden"][0]["gebruikersnaam"] == "sanne@bakkerij.example"
    root = xml.parse((bus.folder / "terug" / f"aangifte.{id}.status.xml").read_bytes())
    assert root.findtext("{*}staat") == said["staat"]
    await bus.office.finish(id)
    assert await bus.tell() == 1
    said = json.loads((bus.folder / "terug" / f"aangifte.{id}.status.json").read_text())
    assert said["staat"] == State.ACCEPTED
    assert StukUit.model_validate_json(json.dumps(said)).model_dump(mode="json") == said
    assert said["verzendingen"][0]["statussen"]
    assert await bus.tell() == 0


async def test_other_stukken_are_not_told(bus):
    await mailbox_out.begin(bus.portal, bus.firm, bus.box)
    id = await bus.office.put_up(tag=9)
    await stukbeheer.withdraw(bus.portal, bus.firm, id, "proef", "Toch maar niet, sorry.")
    assert await bus.tell() == 0
    assert bus.names("terug") == []


async def test_return_messages_wait_for_their_folder(bus):
    bus.drop_ob()
    (took,) = (await bus.run()).took
    (bus.folder / "terug").write_text("in the way")
    reason = "Toch maar niet, sorry."
    await stukbeheer.withdraw(bus.portal, bus.firm, took.verdict.stuk, "proef", reason)
    with capture_logs() as logs:
        assert await bus.tell() == 0
    assert "mailbox_not_told" in {e["event"] for e in logs}
    (bus.folder / "terug").unlink()
    assert await bus.tell() == 1


# --- the worker and the command


async def test_the_lanes(bus):
    bus.drop_ob()
    lanes = mailbox_lanes.Lanes(bus.portal, every=0.05)
    for _ in range(200):
        lanes.fill()
        await asyncio.sleep(0.02)
        if not bus.names("uit"):
            break
    await lanes.drain()
    assert len(await bus.stukken()) == 1


async def test_a_surprise_stops_nothing(bus, monkeypatch):
    bus.drop_ob()
    bus.drop(f"brief_{KLANT}.pdf", PDF)
    real = Taking._stuk

    async def odd(self, asked):
        raise ZeroDivisionError

    monkeypatch.setattr(Taking, "_stuk", odd)
    with capture_logs() as logs:
        done = await bus.run()
    assert [t.verdict.outcome for t in done.took] == ["document"]
    assert "mailbox_surprise" in {e["event"] for e in logs}
    monkeypatch.setattr(Taking, "_stuk", real)
    assert len((await bus.run()).took) == 1


async def test_the_check(bus):
    found = await mailbox.check(bus.portal, bus.firm, bus.box)
    assert found.ok
    assert found.said == {"reachable": "yes, 0 files", "writable": "yes"}
    shutil.rmtree(bus.folder)
    assert not (await mailbox.check(bus.portal, bus.firm, bus.box)).ok


# --- on other kinds


async def test_over_smb(office, bus, samba, tmp_path):  # noqa: F811
    who = samba.users[0]
    (tmp_path / "wachtwoord").write_text(who.password)
    base = f"bus{os.getpid()}"
    root = samba.path / "dossiers" / base
    (root / "uit").mkdir(parents=True)
    root.chmod(0o777)
    (root / "uit").chmod(0o777)
    source = {"id": "bus", "title": "B", "kind": "smb", "categories": CATEGORY, "options": {
        "host": "127.0.0.1", "port": samba.port, "share": "dossiers", "path": base,
        "username": who.name, "password": "file:wachtwoord", "writable": True}}  # fmt: skip
    try:
        await _everything(office, bus, source, root, tmp_path)
    finally:
        shutil.rmtree(root)


async def test_over_s3(office, bus, bucket, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("S3_ACCESS", bucket.server.access_key)
    monkeypatch.setenv("S3_SECRET", bucket.server.secret_key)
    source = {"id": "bus", "title": "B", "kind": "s3", "categories": CATEGORY, "options": {
        "endpoint": bucket.server.endpoint, "bucket": bucket.name, "writable": True,
        "access_key": "env:S3_ACCESS", "secret_key": "env:S3_SECRET"}}  # fmt: skip
    firm, _ = with_bus_again(bus, source)
    portal = await opened(office, firm, tmp_path)
    await bucket.put("uit/a.xbrl", OB(1))
    await bucket.put("uit/a.pdf", PDF)
    await bucket.put("uit/999_jaarrekening.pdf", PDF)
    for _ in range(2):
        done = await mailbox.run(portal, firm, firm.mailboxes[0], Watch())
        assert done.trouble == ""
    assert await bucket.keys() == {
        "verwerkt/a.xbrl", "verwerkt/a.pdf", "verwerkt/.map-mailbox",
        "fout/999_jaarrekening.pdf", "fout/999_jaarrekening.pdf.reden.txt",
    }  # fmt: skip
    assert await bucket.get("verwerkt/a.xbrl") == OB(1)
    await portal.sources.aclose()


def sftp_bus(sshd: Any, name: str) -> tuple[dict[str, Any], Path]:  # noqa: F811
    """A source, and its folder."""
    root = sshd.path / f"{name}{os.getpid()}"
    (root / "uit").mkdir(parents=True)
    return {"id": "bus", "title": "B", "kind": "sftp", "categories": CATEGORY, "options": {
        "host": "127.0.0.1", "port": sshd.port, "path": str(root), "username": sshd.user,
        "private_key": f"file:{sshd.private('user')}", "writable": True,
        "host_keys": [sshd.public("host_ed25519")]}}, root  # fmt: skip


async def test_over_sftp(office, bus, sshd, tmp_path):  # noqa: F811
    await _everything(office, bus, *sftp_bus(sshd, "bus"), tmp_path)


@pytest.mark.parametrize("late", [(Taking, "take"), (_Work, "_away")])
async def test_without_versions_a_file_that_changes_is_another(
    office, bus, sshd, tmp_path, monkeypatch, late  # noqa: F811
):  # fmt: skip
    """Between looking and reading, and between reading and moving."""
    name, real = f"{KLANT}_jaarrekening.pdf", getattr(*late)
    source, root = sftp_bus(sshd, late[1])
    async with _there(office, bus, source, root, tmp_path) as there:

        async def act(self, *given):
            there.drop(name, PDF + b"meer")
            return await real(self, *given)

        there.drop(name, PDF)
        monkeypatch.setattr(*late, act)
        first = len((await there.run()).took)
        assert first == (late[1] == "_away")
        assert there.names("uit") == [name]
        monkeypatch.setattr(*late, real)
        assert [t.verdict.outcome for t in (await there.run()).took] == ["stuk"]
        assert there.names("verwerkt") == [name]
        assert len(await there.stukken()) == first + 1


@pytest.mark.parametrize("kind", ["apache", "wsgidav"])
async def test_over_webdav(office, bus, kind, request, tmp_path):
    server = request.getfixturevalue(kind)
    (tmp_path / "wachtwoord").write_text(server.password)
    root = server.path / f"bus{os.getpid()}"
    (root / "uit").mkdir(parents=True)
    for folder in (root, root / "uit"):  # for Apache, which is somebody else
        folder.chmod(0o777)
    source = {"id": "bus", "title": "B", "kind": "webdav", "categories": CATEGORY, "options": {
        "url": f"{server.url}/{root.name}", "username": server.user,
        "password": "file:wachtwoord", "etags": kind == "apache", "writable": True}}  # fmt: skip
    await _everything(office, bus, source, root, tmp_path)


@contextlib.asynccontextmanager
async def _there(
    office: Any, bus: Bus, source: dict[str, Any], root: Path, base: Path
) -> AsyncIterator[Bus]:
    """The mailbox in another source, and the folder of that."""
    firm, _ = with_bus_again(bus, source)
    portal = await opened(office, firm, base)
    try:
        yield Bus(portal, firm, root, office)
    finally:
        await portal.sources.aclose()


async def _everything(
    office: Any, bus: Bus, source: dict[str, Any], root: Path, base: Path
) -> None:
    async with _there(office, bus, source, root, base) as there:
        there.drop_ob()
        there.drop("999_jaarrekening.pdf", PDF)
        await there.run()
        assert len((await there.run()).took) == 0
        assert there.names("uit") == []
        assert there.names("verwerkt") == ["aangifte.pdf", "aangifte.xbrl"]
        assert there.names("fout") == ["999_jaarrekening.pdf", "999_jaarrekening.pdf.reden.txt"]
        assert "klant: Er is geen klant 999." in there.reason("999_jaarrekening.pdf")
        (id,) = await there.stukken()
        await stukbeheer.withdraw(there.portal, there.firm, id, "proef", "Toch maar niet, sorry.")
        assert await there.tell() == 1
        assert there.names("terug") == [f"aangifte.{id}.status.{kind}" for kind in ("json", "xml")]


# --- the command


@pytest.fixture
async def configured(office, tmp_path: Path) -> Path:
    """A configuration with a mailbox, and a klant."""
    await people.put_klanten(office.portal, office.firm, [Klant(KLANT, "Bakkerij Het Brood B.V.")])
    file = tmp_path / "config" / "firms" / "eikenhof.yaml"
    rules = (
        f"  - {{id: bus, source: map, place: bus, folder: uit, settle_seconds: 0,\n"
        f"     rules: [{{match: '*', soort: jaarrekening, jaar: 2025, periode: '2025',\n"
        f"              klant: {{from: name, pattern: '{NAME['pattern']}'}}}}]}}\n"
    )
    file.write_text(file.read_text() + "mailboxes:\n" + rules)
    (tmp_path / "eikenhof" / "bus" / "uit").mkdir(parents=True)
    return tmp_path


@pytest.mark.slow
async def test_kill_9_loses_and_doubles_nothing(configured, office):
    """The command itself, killed again and again."""
    inbox = configured / "eikenhof" / "bus" / "uit"
    for n in range(60):
        (inbox / f"{KLANT if n % 3 else 999}_{n:02}.pdf").write_bytes(PDF + str(n).encode())
    words = ["mailbox", "run", "--firm", "eikenhof", "--id", "bus", "--settled", "--config",
             str(configured / "config")]  # fmt: skip
    killed = 0
    for n in range(12):
        there = len(list(inbox.glob("*.pdf")))
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *words, stdout=DEVNULL, stderr=DEVNULL
        )
        while len(list(inbox.glob("*.pdf"))) == there and worker.returncode is None:
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.003 * n)
        if worker.returncode is None:
            worker.kill()
            killed += 1
        await worker.wait()
    assert killed >= 5
    for _ in range(20):  # until the server has noticed that the last one is gone
        code, told = await command(configured, "run", "--id", "bus", "--settled")
        if code == 0:
            break
        await asyncio.sleep(0.2)
    assert told["waiting"] == 0
    bus = configured / "eikenhof" / "bus"
    moved = {f: {p.name for p in (bus / f).glob("*.pdf")} for f in ("uit", "verwerkt", "fout")}
    assert not moved["uit"]
    assert moved["verwerkt"] == {f"{KLANT}_{n:02}.pdf" for n in range(60) if n % 3}
    assert moved["fout"] == {f"999_{n:02}.pdf" for n in range(0, 60, 3)}
    assert len(list((bus / "fout").glob("*.pdf.reden.txt"))) == 20
    async with office.portal.db.tenant(office.firm.id) as c:
        assert await c.fetchval("select count(*) from stuk") == 40


async def command(base: Path, *words: str) -> tuple[int, Any]:
    """Run one, for machines."""
    told = ["mailbox", *words, "--firm", "eikenhof", "--config", str(base / "config"), "--json"]
    done = await asyncio.to_thread(CliRunner().invoke, cli, told)
    return done.exit_code, json.loads(done.stdout) if done.stdout else done.stderr


async def test_the_command_checks(configured):
    code, told = await command(configured, "check")
    assert (code, told["ok"]) == (0, True)
    (box,) = told["mailboxes"]
    assert (box["reachable"], box["writable"]) == ("yes, 0 files", "yes")
    assert box["rules"] == [
        "* -> stuk (klant from name, soort jaarrekening, jaar 2025, periode 2025)"
    ]
    shutil.rmtree(configured / "eikenhof")
    code, told = await command(configured, "check")
    assert (code, told["ok"]) == (1, False)


async def test_the_command_runs_a_round(configured):
    inbox = configured / "eikenhof" / "bus" / "uit"
    (inbox / f"{KLANT}_a.pdf").write_bytes(PDF)
    (inbox / "999_a.pdf").write_bytes(PDF)
    code, told = await command(configured, "run", "--id", "bus")
    assert (code, told["waiting"]) == (0, 0)
    assert [t["outcome"] for t in told["took"]] == ["stuk", "refused"]
    assert told["took"][1]["faults"] == {"klant": "Er is geen klant 999."}
    (inbox / f"{KLANT}_b.pdf").write_bytes(PDF + b"b")
    code, told = await command(configured, "run", "--id", "bus", "--settled")
    assert [(t["file"], t["outcome"]) for t in told["took"]] == [(f"{KLANT}_b.pdf", "stuk")]
    assert (await command(configured, "run", "--id", "geen"))[0] == 2
    shutil.rmtree(configured / "eikenhof")
    assert (await command(configured, "run", "--id", "bus", "--settled"))[0] == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [(DatabaseDown("gone"), ("mailbox_waits", "warning")),
     (RuntimeError("ours"), ("mailbox_failed", "error"))],
)  # fmt: skip
async def test_a_round_that_fails_is_told_as_what_it_is(bus, monkeypatch, error, told):
    """And the next round comes."""
    count = 0

    async def failing(*_):
        nonlocal count
        count += 1
        if count == 1:
            raise error

    monkeypatch.setattr(mailbox_lanes, "one", failing)
    lanes = mailbox_lanes.Lanes(bus.portal, every=0.0)
    with capture_logs() as logs:
        async with asyncio.timeout(60):
            while count < 2:
                lanes.fill()
                await asyncio.sleep(0)
        await lanes.drain()
    assert [(one["event"], one["log_level"]) for one in logs] == [told]
