"""Mailboxes in which something is wrong with a few files, or with a source: the others come in."""

import asyncio
import dataclasses
import json
import os
from collections import Counter

import pytest
from structlog.testing import capture_logs

from connectors.local import LocalConnector
from gateway.connector.contract import Capability
from gateway.connector.guard import Guarded
from gateway.domain.klant import Klant
from gateway.errors import (
    Busy,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    RateLimited,
    TooMany,
    Unavailable,
)
from gateway.flows import mailbox, people
from gateway.flows.mailbox import AGAIN, MISSES, Watch
from gateway.flows.submitting import Submission
from gateway.scan import ScannerDown
from gateway.store import klanten
from tests.connectors.test_sftp import sshd  # noqa: F401
from tests.filing.conftest import KLANT
from tests.packages.test_mailbox import (  # noqa: F401
    BOX,
    PDF,
    Bus,
    _there,
    bus,
    command,
    configured,
    opened,
    sftp_bus,
    with_bus,
)

GOOD = f"brief_{KLANT}.pdf"
SLASH = "40/0901"


@pytest.fixture
def clock() -> list[float]:
    """What the watch looks at."""
    return [0.0]


@pytest.fixture
def watch(clock) -> Watch:
    """Of one worker, round after round."""
    return Watch(lambda: clock[0])


async def sick_klanten(bus: Bus, count: int = 5) -> list[str]:  # noqa: F811
    """Klanten, and for each a file that comes before the good one."""
    numbers = [str(300001 + n) for n in range(count)]
    await people.put_klanten(bus.portal, bus.firm, [Klant(n, "Ziek B.V.") for n in numbers])
    for number in numbers:
        bus.drop(f"brief_{number}.pdf", PDF)
    bus.drop(GOOD, PDF)
    return numbers


def puts(monkeypatch, numbers, error) -> list[str]:
    """Nothing can be put for these klanten; who was tried."""
    real, tried = LocalConnector.put, list[str]()

    async def put(self, place, *args, **more):
        if place.klant in numbers:
            tried.append(place.klant)
            raise error
        return await real(self, place, *args, **more)

    monkeypatch.setattr(LocalConnector, "put", put)
    return tried


# --- a place that cannot be


@pytest.mark.parametrize("into", ["stuk", {"source": "map", "folder": "Stukken"}])
async def test_a_klant_that_can_be_no_place_is_refused(office, bus, tmp_path, into):  # noqa: F811
    """Whose number has a slash, as could be once."""
    note = {"match": "note*", "klant": {"from": "sidecar"}, "into": into}
    source = next(s for s in bus.firm.model_dump(by_alias=True)["sources"] if s["id"] == "bus")
    office.firm = office.firm.model_copy(
        update={"sources": tuple(s for s in bus.firm.sources if s.id != "bus"), "mailboxes": ()}
    )
    firm, _ = with_bus(office, [source], [BOX | {"rules": [note, *BOX["rules"]]}])
    portal = await opened(office, firm, tmp_path)
    there = Bus(portal, firm, bus.folder, office)
    async with portal.db.tenant(firm.id) as c:
        await klanten.put(c, firm.id, [Klant(SLASH, "Schuin B.V.")])
    said = {"klant": SLASH, "soort": "jaarrekening", "jaar": 2025, "periode": "boekjaar"}
    for n in range(4):
        there.drop(f"note-{n}.json", json.dumps(said).encode())
        there.drop(f"note-{n}.pdf", PDF + b"%d" % n)
    there.drop(f"{KLANT}_jaarrekening.pdf", PDF)
    done = await there.run()
    assert Counter(t.verdict.outcome for t in done.took) == {"refused": 4, "stuk": 1}
    assert (done.trouble, there.names("uit")) == ("", [])
    assert "klant: Het nummer of de naam van deze klant kan geen map zijn" in there.reason(
        "note-0.pdf"
    )
    await portal.sources.aclose()


# --- what stays for ever, and what passes


@pytest.mark.parametrize("error", [NotFound, PermissionDenied])
async def test_a_few_without_a_folder_keep_nobody_waiting(bus, watch, clock, monkeypatch, error):  # noqa: F811
    numbers = await sick_klanten(bus)
    tried = puts(monkeypatch, numbers, error(native="ENOENT"))
    with capture_logs() as logs:
        done = await bus.run(watch)
    assert [t.name for t in done.took] == [GOOD]
    assert (done.trouble, bus.names("fout"), tried) == ("", [], numbers)
    assert [name for name, _ in done.missed] == [f"brief_{n}.pdf" for n in numbers]
    assert sum(e["event"] == "mailbox_left" for e in logs) == 5
    await bus.run(watch)
    assert len(tried) == 5  # not each round
    monkeypatch.undo()
    clock[0] = AGAIN
    assert len((await bus.run(watch)).took) == 5
    assert bus.names("uit") == []


async def test_a_changed_file_is_tried_at_once(bus, watch, monkeypatch):  # noqa: F811
    numbers = await sick_klanten(bus, 1)
    puts(monkeypatch, numbers, NotFound())
    await bus.run(watch)
    monkeypatch.undo()
    assert (await bus.run(watch)).took == []
    bus.drop(f"brief_{numbers[0]}.pdf", PDF + b"anders")
    assert len((await bus.run(watch)).took) == 1


async def test_those_that_were_missed_go_to_the_back(bus, watch, monkeypatch):  # noqa: F811
    numbers = await sick_klanten(bus)
    tried = puts(monkeypatch, numbers, RateLimited())
    done = await bus.run(watch)
    assert (done.took, len(tried)) == ([], MISSES)  # a source that may be away is let alone
    assert "rate_limited" in done.trouble
    assert [t.name for t in (await bus.run(watch)).took] == [GOOD]
    bus.drop(GOOD.replace(".", "_2."), PDF + b"2")
    assert len((await bus.run(watch)).took) == 1
    assert set(tried) == set(numbers)
    assert bus.names("fout") == []


async def test_a_source_that_is_away_stops_only_what_goes_there(bus, watch, monkeypatch):  # noqa: F811
    numbers = await sick_klanten(bus, 10)
    real, tried = LocalConnector.put, []

    async def put(self, place, folder, *args, **more):
        if folder == "Stukken":
            tried.append(place.klant)
            raise Unavailable
        return await real(self, place, folder, *args, **more)

    monkeypatch.setattr(LocalConnector, "put", put)
    bus.drop_ob(stem="zz")
    done = await bus.run(watch)
    assert [t.name for t in done.took] == ["zz.xbrl"]
    assert len(tried) == MISSES
    assert "unavailable" in done.trouble
    assert bus.names("uit") == sorted([GOOD, *(f"brief_{n}.pdf" for n in numbers)])


async def test_a_mailbox_that_cannot_be_read_any_more(bus, watch, monkeypatch):  # noqa: F811
    await sick_klanten(bus, 10)
    tried = []

    async def read(self, place, id, **more):
        tried.append(id)
        raise DeadlineExceeded

    monkeypatch.setattr(LocalConnector, "read", read)
    done = await bus.run(watch)
    assert (done.took, len(tried)) == ([], MISSES)
    assert "deadline_exceeded" in done.trouble


@pytest.mark.parametrize("error", [RateLimited(retry_after=60), PermissionDenied(), NotFound()])
async def test_notes_that_cannot_be_read(bus, watch, clock, monkeypatch, error):  # noqa: F811
    """Their documents wait for them, and nobody else does."""
    said = {"klant": KLANT, "soort": "jaarrekening", "jaar": 2025, "periode": "boekjaar"}
    for n in range(5):
        bus.drop(f"note-{n}.json", json.dumps(said).encode())
        bus.drop(f"note-{n}.pdf", PDF + b"%d" % n)
    bus.drop_ob(stem="zz")
    real = LocalConnector.read

    async def read(self, place, id, **more):
        if id.endswith(".json"):
            raise error
        return await real(self, place, id, **more)

    monkeypatch.setattr(LocalConnector, "read", read)
    for _ in range(3):
        await bus.run(watch)
    assert len(await bus.stukken()) == 1
    assert (bus.names("fout"), len(bus.names("uit"))) == ([], 10)
    monkeypatch.undo()
    clock[0] = AGAIN
    assert [t.verdict.outcome for t in (await bus.run(watch)).took] == ["stuk"] * 5


async def test_files_that_will_not_move(bus, watch, monkeypatch):  # noqa: F811
    """They were taken; that they stay keeps nobody waiting, and nothing is taken twice."""
    numbers = await sick_klanten(bus)
    real, tried = LocalConnector.move, []

    async def move(self, place, id, *args, **more):
        if any(n in id for n in numbers):
            tried.append(id)
            raise PermissionDenied
        return await real(self, place, id, *args, **more)

    monkeypatch.setattr(LocalConnector, "move", move)
    took = [t.name for _ in range(5) for t in (await bus.run(watch)).took]
    assert sorted(took) == sorted([GOOD, *(f"brief_{n}.pdf" for n in numbers)])
    bus.drop(GOOD.replace(".", "_2."), PDF + b"2")
    before = len(tried)
    assert len((await bus.run(watch)).took) == 1
    assert len(tried) == before + MISSES
    monkeypatch.undo()
    done = await bus.run(watch)
    assert (done.took, done.waiting, bus.names("uit")) == ([], 0, [])


async def test_one_that_the_scanner_breaks_off(bus, watch):  # noqa: F811
    """clamd ends the connection at a file that is too large for it."""

    class Fake:
        async def passing(self, body):
            async for piece in body:
                if b"groot" in piece:
                    raise ScannerDown("size limit exceeded")
                yield piece

    portal = dataclasses.replace(bus.portal, scanner=Fake())
    bus.drop(f"brief_{KLANT}_0.pdf", PDF + b"groot")
    bus.drop(f"brief_{KLANT}_1.pdf", PDF)
    assert (await bus.run(watch, portal)).trouble
    done = await bus.run(watch, portal)
    assert [t.name for t in done.took] == [f"brief_{KLANT}_1.pdf"]
    assert done.trouble


async def test_the_portal_has_its_hands_full(bus, watch, monkeypatch):  # noqa: F811
    bus.drop_ob()

    async def full(self, *args):
        raise TooMany(5.0)

    monkeypatch.setattr(Submission, "take", full)
    assert (await bus.run(watch)).trouble
    monkeypatch.undo()
    assert len((await bus.run(watch)).took) == 1


@pytest.mark.parametrize("error", [Busy, Unavailable, DeadlineExceeded, RateLimited])
async def test_an_intake_that_cannot_be_read_for_a_moment(bus, watch, monkeypatch, error):  # noqa: F811
    """What was put there is read again before it is put up."""
    bus.drop_ob()
    real = Guarded.read

    async def read(self, place, id, **more):
        if place.klant:
            raise error()
        return await real(self, place, id, **more)

    monkeypatch.setattr(Guarded, "read", read)
    done = await bus.run(watch)
    assert (done.took, bus.names("fout"), len(bus.names("uit"))) == ([], [], 2)
    monkeypatch.undo()
    assert [t.verdict.outcome for t in (await bus.run(watch)).took] == ["stuk"]


async def test_the_command_names_what_waits(configured, monkeypatch):  # noqa: F811
    inbox = configured / "eikenhof" / "bus" / "uit"
    (inbox / f"{KLANT}_a.pdf").write_bytes(PDF)
    (inbox / f"{KLANT}_b.pdf").write_bytes(PDF + b"b")
    (inbox / "link.pdf").symlink_to(inbox / f"{KLANT}_a.pdf")
    real = LocalConnector.read

    async def read(self, place, id, **more):
        if id.endswith("_a.pdf") and not place.klant:
            raise PermissionDenied(native="EACCES")
        return await real(self, place, id, **more)

    monkeypatch.setattr(LocalConnector, "read", read)
    code, told = await command(configured, "run", "--id", "bus")
    assert (code, told["waiting"], len(told["took"])) == (0, 1, 1)
    assert told["missed"] == [
        {"file": f"{KLANT}_a.pdf", "why": "reading: permission_denied EACCES"}
    ]
    assert told["left_out"] == "1 names that cannot be read back, or links"


# --- where they go


async def test_after_a_thousand_namesakes(bus, monkeypatch):  # noqa: F811
    (bus.folder / "verwerkt").mkdir()
    for n in range(1000):
        name = GOOD if n == 0 else GOOD.replace(".", f" ({n + 1}).")
        (bus.folder / "verwerkt" / name).write_bytes(b"")
    bus.drop(GOOD, PDF)
    real, asked = LocalConnector.stat, []

    async def stat(self, place, id):
        asked.append(id)
        return await real(self, place, id)

    monkeypatch.setattr(LocalConnector, "stat", stat)
    assert [t.verdict.outcome for t in (await bus.run()).took] == ["document"]
    assert bus.names("uit") == []
    assert len(asked) < 12
    assert len(bus.names("verwerkt")) == 1001
    assert (await bus.run()).took == []


async def test_a_file_for_which_no_name_is_free(bus, watch, monkeypatch):  # noqa: F811
    real = mailbox._stands

    async def stands(at, folder, name):
        return name == GOOD or GOOD[:-4] in name or await real(at, folder, name)

    monkeypatch.setattr(mailbox, "_stands", stands)
    bus.drop(GOOD, PDF)
    done = await bus.run(watch)
    assert done.missed == [(GOOD, "a file cannot be moved: no name is free")]
    assert (done.waiting, bus.names("uit")) == (1, [GOOD])
    monkeypatch.undo()
    done = await bus.run(watch)
    assert (done.took, bus.names("uit"), bus.names("verwerkt")) == ([], [], [GOOD])


@pytest.mark.parametrize("again", ["the same", "refused"])
async def test_the_same_file_again_is_not_forgotten(bus, again, monkeypatch):  # noqa: F811
    """Nor what it was made of: a copy under another name is no second stuk."""
    name = f"{KLANT}_jaarrekening.pdf"
    path = bus.drop(name, PDF)
    await bus.run()
    (bus.folder / "verwerkt" / name).rename(path)
    if again == "refused":
        firm = bus.firm
        bus.firm = firm.model_copy(update={"soorten": {"ob": firm.soorten["ob"]}})
        assert [t.verdict.outcome for t in (await bus.run()).took] == ["refused"]
        bus.firm = firm
    else:
        assert [t.verdict.outcome for t in (await bus.run()).took] == ["stuk"]
    bus.drop(f"{KLANT}_jaarrekening kopie.pdf", PDF)
    assert [t.verdict.outcome for t in (await bus.run()).took] == ["refused"]
    assert len(await bus.stukken()) == 1


# --- what is no file


async def test_what_is_left_out_is_told(bus, watch):  # noqa: F811
    bus.drop(GOOD, PDF)
    inbox = bus.folder / "uit"
    os.mkfifo(inbox / "pijp.pdf")
    (inbox / "link.pdf").symlink_to(inbox / GOOD)
    (inbox / os.fsdecode(b"caf\xe9.pdf")).write_bytes(PDF)
    bus.drop("map/dieper.pdf", PDF)
    said = (await mailbox.check(bus.portal, bus.firm, bus.box)).said
    assert said["reachable"] == "yes, 1 files"
    assert said["left_out"] == (
        "3 names that cannot be read back, or links, 1 files in folders below it"
    )
    with capture_logs() as logs:
        done = [await bus.run(watch) for _ in range(3)][-1]
    told = [e for e in logs if e["event"] == "mailbox_left_out"]
    assert [(e["names"], e["below"]) for e in told] == [(3, 1)]
    assert (done.left_out.names, done.left_out.below) == (3, 1)
    for path in inbox.iterdir():
        if not path.is_dir():
            path.unlink()
    with capture_logs() as logs:
        await bus.run(watch)
        await bus.run(watch)
    told = [e for e in logs if e["event"] == "mailbox_left_out"]
    assert [(e["names"], e["below"]) for e in told] == [(0, 1)]


async def test_what_is_left_out_is_told_over_sftp(office, bus, sshd, tmp_path):  # noqa: F811
    source, root = sftp_bus(sshd, "scheef")
    async with _there(office, bus, source, root, tmp_path) as there:
        there.drop(GOOD, PDF)
        there.drop("a\\b.pdf", PDF)
        there.drop("map/dieper.pdf", PDF)
        done = await there.run()
        assert (done.left_out.names, done.left_out.below, len(done.took)) == (1, 1, 1)


# --- one source for everything


async def test_one_source_with_one_place(office, bus, tmp_path):  # noqa: F811
    """The mailbox and the intake in the same source, which does one thing at a time."""
    told = bus.firm.model_dump(by_alias=True)
    source = next(s for s in told["sources"] if s["id"] == "klaar")
    told["sources"] = [
        *(s for s in told["sources"] if s["id"] not in ("klaar", "bus")),
        source | {"limits": {"reads": 1, "queue_wait": 0.05}},
    ]
    told["mailboxes"] = [{**told["mailboxes"][0], "source": "klaar", "place": "bus", "rules": [
        {"match": "*", "klant": {"from": "name", "pattern": r"^(?P<klant>\d+)_"},
         "soort": "jaarrekening", "jaar": 2025, "periode": "2025"}]}]  # fmt: skip
    firm = type(bus.firm).model_validate(told)
    portal = await opened(office, firm, tmp_path)
    assert Capability.MOVE in portal.sources.get(firm.id, "klaar").capabilities
    there = Bus(portal, firm, tmp_path / "eikenhof" / "bus", office)
    there.drop(f"{KLANT}_a.pdf", PDF + b"x" * 500_000)
    async with asyncio.timeout(60):
        done = await there.run()
    assert [t.verdict.outcome for t in done.took] == ["stuk"], done
    await portal.sources.aclose()
