"""One stuk, whichever way it comes: the same row, and when it is wrong the same words.

Ways by content: REST (multipart), SOAP (inline and MTOM), a mailbox. By reference: REST, SOAP and
the command line. What differs is the name of what carries a document.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from gateway.cli import cli
from gateway.connector.guard import Guarded
from gateway.domain.package import Scope
from gateway.domain.stuk import State
from gateway.errors import (
    AuthFailed,
    Busy,
    ConfigInvalid,
    DeadlineExceeded,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from gateway.flows import stukbeheer
from gateway.flows.mailbox import Watch
from gateway.store import stukken
from tests.domain.xbrl import made
from tests.filing.conftest import INSTANCES, KLANT
from tests.packages.conftest import Package, ob, ob_files
from tests.packages.soap import ask, elements, mtom, send, upload
from tests.packages.test_mailbox import BOX, Bus, bus, opened, with_bus  # noqa: F401

PDF = b"%PDF-1.7 een brief"
NOTE = "notitie.json"

Files = Mapping[str, tuple[str, bytes]]


@dataclass
class Verdict:
    """Status and faults by field; words: what else was said. stuk: the one that is there."""

    status: int
    faults: dict[str, str]
    words: str = ""
    stuk: str = ""

    @classmethod
    def of(cls, told: Any) -> "Verdict":
        """Of an answer of REST."""
        if told.status == 201:
            return cls(201, {}, stuk=told.body["id"])
        faults = {k.replace("multipart.", "document."): v for k, v in told.faults.items()}
        said = " ".join(f"{k}: {v}" for k, v in faults.items())
        words = told.body.get("detail") or said or told.body["title"]
        return cls(told.status, faults, words, told.body.get("stuk", ""))

    @classmethod
    def of_soap(cls, told: Any) -> "Verdict":
        """Of an answer of SOAP."""
        if not told.failed:
            return cls(201, {}, stuk=told.text("id"))
        return cls(told.code, told.faults, told.words, told.text("stuk"))


@dataclass
class Ways:
    """All of them, into one firm."""

    package: Package
    bus: Bus
    base: Path

    async def rest(self, stuk: dict[str, Any], files: Files) -> Verdict:
        """A multipart."""
        return Verdict.of(await self.package.put_up(stuk, files))

    async def inline(self, stuk: dict[str, Any], files: Files) -> Verdict:
        """A message with base64."""
        return Verdict.of_soap(await send(self.package, upload(self.package, stuk, files)))

    async def mtom(self, stuk: dict[str, Any], files: Files) -> Verdict:
        """A message with attachments."""
        data, kind = mtom(self.package, stuk, files)
        return Verdict.of_soap(await send(self.package, data, **{"Content-Type": kind}))

    async def mailbox(self, stuk: dict[str, Any], files: Files) -> Verdict:
        """Files and a note that tells all."""
        names = {name: filename for name, (filename, _) in files.items()}
        parts = [
            {**p, **({"inhoud": names.get(p["inhoud"], p["inhoud"])} if "inhoud" in p else {})}
            for p in stuk["onderdelen"]
        ]
        for filename, data in files.values():
            self.bus.drop(filename, data)
        self.bus.drop(NOTE, json.dumps({**stuk, "onderdelen": parts}).encode())
        (took,) = (await self.bus.run(Watch())).took
        if took.verdict.outcome == "stuk":
            return Verdict(201, {}, stuk=str(took.verdict.stuk))
        order = [p.get("inhoud") for p in parts]
        faults = {f: v for k, v in took.verdict.faults.items() for f in _fields(k, order)}
        text = self.bus.reason(took.name)
        assert all(fault in text for fault in took.verdict.faults.values())
        for file in [*(self.bus.folder / "fout").iterdir()]:
            file.unlink()
        return Verdict(422, faults)

    async def reference(self, stuk: dict[str, Any], files: Files) -> Verdict:
        """JSON; the documents stand in the source."""
        return Verdict.of(await self.package.post("/stukken", self._put(stuk, files)))

    async def soap_reference(self, stuk: dict[str, Any], files: Files) -> Verdict:
        """A message without documents."""
        data = upload(self.package, self._put(stuk, files), {})
        return Verdict.of_soap(await send(self.package, data))

    async def command(self, stuk: dict[str, Any], files: Files) -> Verdict:
        """What operations types."""
        return await self.typed(self._put(stuk, files))

    async def typed(self, given: dict[str, Any]) -> Verdict:
        """`gateway stuk put-up`."""
        words = [given["klant"], given["soort"], "--jaar", given["jaar"], "--periode",
                 given["periode"], "--firm", "eikenhof", "--config", self.base / "config",
                 "--json"]  # fmt: skip
        for part in given["onderdelen"]:
            words += ["--part", f"{part['rol']}:{part['bron']}:{part['id']}"]
        for group in given.get("akkoord_van", ()):
            need = f"{group['nodig']}:" if "nodig" in group else ""
            words += ["--approver", need + ",".join(group["personen"])]
        for name, option in (
            ("deadline", "deadline"), ("opmerking", "opmerking"), ("vervangt", "replaces"),
            ("relatiebeheerder", "relatiebeheerder"),
        ):  # fmt: skip
            if name in given:
                words += [f"--{option}", given[name]]
        told = ["stuk", "put-up", *map(str, words)]
        done = await asyncio.to_thread(CliRunner().invoke, cli, told)
        said = json.loads(done.stdout)
        if said["ok"]:
            return Verdict(201, {}, stuk=said["stuk"])
        assert done.exit_code == 1
        return Verdict(422, {f["veld"]: f["melding"] for f in said["fouten"]})

    def _put(self, stuk: dict[str, Any], files: Files) -> dict[str, Any]:
        """The stuk with its documents in the source."""
        folder = f"Stukken/{uuid4()}"
        parts = []
        for part in stuk["onderdelen"]:
            filename, data = files[part["inhoud"]]
            path = self.bus.office.folder / folder / filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            parts.append({"rol": part["rol"], "bron": "map", "id": f"{folder}/{filename}"})
        return {**stuk, "onderdelen": parts}

    async def row(self, id: str) -> dict[str, Any]:
        """All that is kept of a stuk, but for who put it up, when, and where its documents lie."""
        portal, stuk = self.bus.portal, await self.bus.office.stuk(UUID(id))
        async with portal.db.tenant(self.bus.firm.id) as c:
            parts = await stukken.parts(c, stuk.id)
            subject = f"stuk:{stuk.id}"
            audit = await c.fetch(
                "select event, klant, data from audit where subject = $1 order by id", subject
            )
        keys = portal.keys
        found: dict[str, Any] = {
            name: getattr(stuk, name)
            for name in ("klant", "soort", "route", "state", "jaar", "periode", "deadline",
                         "relatiebeheerder", "manifest", "content", "rule", "replaces")
        }  # fmt: skip
        for name in ("opmerking", "identity", "summary", "payment"):
            sealed = getattr(stuk, f"{name}_sealed")
            found[name] = keys.open(name, sealed) if sealed else ""
        found["parts"] = [
            (p.number, p.role, keys.open("name", p.name_sealed), p.media_type, p.length, p.sha256)
            for p in parts
        ]
        found["audit"] = [
            (r["event"], r["klant"], {k: v for k, v in json.loads(r["data"]).items() if k != "by"})
            for r in audit
        ]
        return found


CONTENT = (Ways.rest, Ways.inline, Ways.mtom, Ways.mailbox)
REFERENCE = (Ways.reference, Ways.soap_reference, Ways.command)
Way = Callable[[Ways, dict[str, Any], Files], Awaitable[Verdict]]


def _fields(key: str, order: list[Any]) -> list[str]:
    """A field of a reason file as REST calls it; of a file that is named twice, both."""
    name, _, rest = key.partition(", ")
    if name == NOTE:
        return [rest]
    if name == "onderdelen":
        name, rest = rest, ""
    same = [i for i, one in enumerate(order) if one == name]
    return [f"onderdelen.{i}" + (f".{rest}" if rest else "") for i in same] or [key]


@pytest.fixture
async def ways(proef: Package, bus: Bus, tmp_path: Path) -> AsyncIterator[Ways]:  # noqa: F811
    """One firm that all of them come to."""
    source = next(s for s in bus.firm.model_dump(by_alias=True)["sources"] if s["id"] == "bus")
    box = BOX | {"rules": [{"match": "*", "klant": {"from": "sidecar"}}]}
    bus.office.firm = bus.office.firm.model_copy(
        update={"sources": tuple(s for s in bus.firm.sources if s.id != "bus"), "mailboxes": ()}
    )
    firm, _ = with_bus(bus.office, [source], [box])
    portal = await opened(bus.office, firm, tmp_path)
    yield Ways(proef, Bus(portal, firm, bus.folder, bus.office), tmp_path)
    await portal.sources.aclose()


FULL = {
    "deadline": "2026-12-01", "opmerking": "Graag vóór vrijdag, é€", "relatiebeheerder": "karim",
    "akkoord_van": [{"personen": ["sanne@bakkerij.example"]}],
}  # fmt: skip


@pytest.mark.parametrize("fields", [{}, FULL], ids=["plain", "everything"])
async def test_every_way_gives_the_same_row(ways, person, fields):
    await person()
    rows = {}
    for way in (*CONTENT, *REFERENCE):
        done = await way(ways, ob(**fields), ob_files())
        assert done.status == 201, (way, done)
        rows[way] = await ways.row(done.stuk)
        await stukbeheer.withdraw(
            ways.bus.portal, ways.bus.firm, UUID(done.stuk), "proef", "Voor de volgende keer."
        )
    first = rows[Ways.rest]
    assert [event for event, *_ in first["audit"]] == ["stuk_put_up", "stuk_notified"]
    assert first["summary"]
    assert first["payment"]
    assert {way: row for way, row in rows.items() if row != first} == {}


async def test_every_way_the_same_twice_names_the_first(ways):
    first = await ways.rest(ob(), ob_files())
    said = f"Dit stuk staat al klaar of is al verwerkt: {first.stuk}."
    for way in (*CONTENT, *REFERENCE):
        done = await way(ways, ob(), ob_files())
        assert done.faults == {"inhoud": said}, way
        assert done.status == (409 if done.stuk else 422)
        assert done.stuk in ("", first.stuk)
    assert len(await ways.bus.stukken()) == 1


async def test_every_way_replaces_what_has_the_same_instance(ways):
    """Only what the client reads was wrong."""
    first = await ways.rest(ob(), ob_files())
    before = first.stuk
    for number, way in enumerate((*CONTENT, *REFERENCE)):
        files = ob_files() | {"pdf": ("ob.pdf", b"%%PDF-1.4 verbeterd %d" % number)}
        done = await way(ways, ob(vervangt=before), files)
        assert (done.status, done.faults) == (201, {}), way
        assert (await ways.bus.office.stuk(UUID(before))).state is State.REPLACED
        before = done.stuk


# --- refusals


def _without(*names: str) -> Files:
    return {k: v for k, v in ob_files().items() if k not in names}


def _parts(*roles: tuple[str, str], **change: Any) -> dict[str, Any]:
    return ob(onderdelen=[{"rol": role, "inhoud": name} for role, name in roles], **change)


_BOTH = (("instance", "aangifte"), ("akkoorddocument", "pdf"))
_BAD = INSTANCES["ob"](1).replace(b"xbrli:xbrl", b"xbrli:zbrl")
_OTHERS = INSTANCES["ob"](1).replace(made.NUMBER.encode(), b"000000012B01")
NOBODY = "00000000-0000-0000-0000-000000000000"
EVERY = (*CONTENT, *REFERENCE)

#: What is wrong, the documents, and the ways that can say so.
CASES: dict[str, tuple[dict[str, Any], Files, tuple[Any, ...]]] = {
    "every fault": (
        ob(klant="999", soort="xyz", jaar=1900, periode="x" * 41, relatiebeheerder="niemand"),
        ob_files(), EVERY,
    ),
    "an instance that is none": (ob(), ob_files() | {"aangifte": ("ob.xbrl", _BAD)}, EVERY),
    "another's instance": (ob(), ob_files() | {"aangifte": ("ob.xbrl", _OTHERS)}, EVERY),
    "no instance": (_parts(("akkoorddocument", "pdf")), _without("aangifte"), EVERY),
    "two instances": (
        _parts(("instance", "a"), ("instance", "b")),
        {"a": ("a.xbrl", INSTANCES["ob"](1)), "b": ("b.xbrl", INSTANCES["ob"](2))}, EVERY,
    ),
    "nobody of that name": (
        ob(akkoord_van=[{"personen": ["nobody@x.example"]}]), ob_files(), EVERY,
    ),
    "more than there are": (
        ob(akkoord_van=[{"personen": ["sanne@bakkerij.example"], "nodig": 2}]), ob_files(), EVERY,
    ),
    "no id of a stuk": (ob(vervangt="x"), ob_files(), EVERY),
    "a stuk that is not there": (ob(vervangt=NOBODY), ob_files(), EVERY),
    "what is not seen": (
        ob(periode="1e\u200bkwartaal", opmerking="links\u202eom", relatiebeheerder="e\u2028va"),
        ob_files(), EVERY,
    ),
    "too long": (ob(opmerking="x" * 2001), ob_files(), EVERY),
    "names": (ob(), ob_files() | {"pdf": ("a.exe", PDF)}, CONTENT),
    "no pdf": (ob(), ob_files() | {"pdf": ("a.pdf", b"geen pdf")}, CONTENT),
    "an empty one": (ob(), ob_files() | {"pdf": ("a.pdf", b"")}, CONTENT),
    "another hash": (
        ob(onderdelen=[{"rol": "instance", "inhoud": "aangifte", "sha256": "0" * 64},
                       {"rol": "akkoorddocument", "inhoud": "pdf"}]), ob_files(), CONTENT,
    ),
    "a hash that is none": (
        ob(onderdelen=[{"rol": "instance", "inhoud": "aangifte", "sha256": "0"},
                       {"rol": "akkoorddocument", "inhoud": "pdf"}]), ob_files(), CONTENT,
    ),
    "an unknown member": (ob(kleur="rood"), ob_files(), CONTENT),
    "no year": (ob(jaar="dit jaar"), ob_files(), CONTENT),
    "no day": (ob(deadline="2026-02-30"), ob_files(), CONTENT),
    "no role": (_parts(("x", "aangifte"), ("akkoorddocument", "pdf")), ob_files(), CONTENT),
    "a part that does not come": (ob(), _without("pdf"), CONTENT),
    "one content for two": (
        _parts(("instance", "aangifte"), ("akkoorddocument", "aangifte")), _without("pdf"),
        CONTENT,
    ),
    # A mailbox's rule may tell what its note does not, and its files need no note.
    "a member that is missing": (
        {k: v for k, v in ob().items() if k != "klant"}, ob_files(), CONTENT[:3],
    ),
    "a part that nobody asked for": (
        ob(), {**_without("pdf"), "over": ("x.pdf", PDF)}, CONTENT[:3],
    ),
    "no part that comes": (ob(), {}, CONTENT[:3]),
    "a name with a path": (ob(), ob_files() | {"pdf": ("../a.pdf", PDF)}, CONTENT[:3]),
    "neither content nor reference": (
        ob(onderdelen=[{"rol": "instance", "inhoud": "aangifte"}, {"rol": "akkoorddocument"}]),
        _without("pdf"), CONTENT[:3],
    ),
    "both content and reference": (
        ob(onderdelen=[{"rol": "instance", "inhoud": "aangifte", "bron": "map", "id": "a"}]), {},
        CONTENT[:3],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_every_way_refuses_in_the_same_words(ways, person, case):
    await person()
    stuk, files, able = CASES[case]
    told = {way.__name__: await way(ways, stuk, files) for way in able}
    first = told["rest"]
    assert first.status == 422
    assert first.faults
    assert {way: one.faults for way, one in told.items() if one.faults != first.faults} == {}
    assert {one.status for one in told.values()} == {422}
    assert told["inline"] == told["mtom"] == first
    assert await ways.bus.stukken() == []


def _by_reference(*parts: dict[str, str]) -> dict[str, Any]:
    return ob(onderdelen=list(parts))


WRONG_REFERENCES = {
    "no such source": _by_reference({"rol": "instance", "bron": "x", "id": "y"}),
    "no such documents": _by_reference(
        {"rol": "instance", "bron": "map", "id": "weg.xbrl"},
        {"rol": "akkoorddocument", "bron": "map", "id": "Stukken/a.pdf"},
    ),
    "two instances": _by_reference(
        *({"rol": "instance", "bron": "map", "id": name} for name in "ab")
    ),
    "a reference to nothing": _by_reference({"rol": "instance", "bron": "map"}),
}


@pytest.mark.parametrize("case", WRONG_REFERENCES)
async def test_a_reference_that_is_wrong(ways, case):
    stuk = WRONG_REFERENCES[case]
    rest = Verdict.of(await ways.package.post("/stukken", stuk))
    assert rest.status == 422
    assert rest.faults
    assert Verdict.of_soap(await send(ways.package, upload(ways.package, stuk, {}))) == rest
    if all("id" in part for part in stuk["onderdelen"]):
        assert (await ways.typed(stuk)).faults == rest.faults


_REFERENCED = _by_reference(
    {"rol": "instance", "bron": "map", "id": "Stukken/ob.xbrl"},
    {"rol": "akkoorddocument", "bron": "map", "id": "Stukken/ob.pdf"},
)


def failing(monkeypatch: pytest.MonkeyPatch, error: type[SourceError]) -> None:
    """What klanten have cannot be read."""
    real = Guarded.read

    async def read(self, place, id, **more):
        if place.klant:
            raise error()
        return await real(self, place, id, **more)

    monkeypatch.setattr(Guarded, "read", read)


@pytest.mark.parametrize(
    "error", [NotFound, PermissionDenied, TooLarge, IntegrityError, Unsupported]
)
async def test_a_document_that_cannot_be_read(ways, monkeypatch, error):
    """It is told of each document, to be mended."""
    failing(monkeypatch, error)
    said = f"Dit document is niet te lezen in de bron ({error.code})."
    told = [
        Verdict.of(await ways.package.post("/stukken", _REFERENCED)),
        Verdict.of_soap(await send(ways.package, upload(ways.package, _REFERENCED, {}))),
        await ways.typed(_REFERENCED),
    ]
    for one in told:
        assert (one.status, set(one.faults.values())) == (422, {said})
        assert set(one.faults) == {"onderdelen.0", "onderdelen.1"}


@pytest.mark.parametrize(
    ("error", "status"),
    [(Busy, 503), (Unavailable, 503), (RateLimited, 503), (AuthFailed, 503),
     (DeadlineExceeded, 504), (ProtocolError, 502), (ConfigInvalid, 500)],
)  # fmt: skip
async def test_a_source_that_is_in_trouble_is_nobodys_fault(ways, monkeypatch, error, status):
    """The same request may be good in a minute: no way calls it wrong, and no key is used up."""
    failing(monkeypatch, error)
    told = await ways.package.post("/stukken", _REFERENCED, once="een")
    assert (told.status, told.faults) == (status, {})
    assert ("Retry-After" in told.headers) == (status in (503, 504))
    soap = Verdict.of_soap(await send(ways.package, upload(ways.package, _REFERENCED, {})))
    assert (soap.status, soap.faults) == (status, {})
    for way in CONTENT[:3]:
        assert (await way(ways, ob(), ob_files())).status == status
    words = ["stuk", "put-up", KLANT, "ob", "--jaar", "2026", "--periode", "1e kwartaal",
             "--firm", "eikenhof", "--config", str(ways.base / "config"),
             "--part", "instance:map:Stukken/ob.xbrl"]  # fmt: skip
    assert (await asyncio.to_thread(CliRunner().invoke, cli, words)).exit_code == 2
    assert await ways.bus.stukken() == []
    monkeypatch.undo()
    for name, (_, data) in {
        "ob.xbrl": ob_files()["aangifte"],
        "ob.pdf": ob_files()["pdf"],
    }.items():
        (ways.bus.office.folder / "Stukken").mkdir(parents=True, exist_ok=True)
        (ways.bus.office.folder / "Stukken" / name).write_bytes(data)
    assert (await ways.package.post("/stukken", _REFERENCED, once="een")).status == 201


async def test_what_cannot_be_done_with_a_stuk(office, proef, package):
    id = str(await office.put_up())
    reader = await package(Scope.STATUS, name="Lezer")
    short, good = {"reden": "kort"}, {"reden": "Verkeerde periode gekozen."}
    cases = [
        (proef, "intrekken", "Withdraw", short, 422),
        (reader, "intrekken", "Withdraw", good, 403),
        (proef, "melden", "Report", {"gelukt": "x"}, 422),
        (proef, "melden", "Report", {"gelukt": True}, 422),
    ]
    for who, path, name, asked, status in cases:
        rest = Verdict.of(await who.post(f"/stukken/{id}/{path}", asked))
        told = {k: str(v).lower() if v is True else v for k, v in asked.items()}
        soap = Verdict.of_soap(await ask(who, name, elements({"id": id} | told)))
        assert (rest.status, rest) == (status, soap)


@pytest.mark.parametrize(
    ("change", "data"),
    [
        ({"naam": "brief.exe"}, PDF),
        ({"naam": "../brief.pdf"}, PDF),
        ({}, b"MZ geen pdf"),
        ({}, b"geen pdf"),
        ({}, b""),
        ({"sha256": "0" * 64}, PDF),
        ({"sha256": "0"}, PDF),
        ({"bron": "geen"}, PDF),
        ({"map": "Prive"}, PDF),
        ({"map": "Stukken/../Prive"}, PDF),
        ({"naam": "x.zip"}, b"PK\x03\x04\x14\0\x01\0\x08\0abcdefgh"),
    ],
)
async def test_a_refused_document(proef, change, data):
    where = {"bron": "map", "map": "Stukken", "naam": "brief.pdf"} | change
    rest = await proef.ask(
        "POST", f"/klanten/{KLANT}/documenten", params=where, data=data,
        headers={"Content-Type": "application/octet-stream"},
    )  # fmt: skip
    inner = elements({"klant": KLANT, **where, "inhoud": base64.b64encode(data).decode()})
    assert Verdict.of_soap(await ask(proef, "UploadDocument", inner)) == Verdict.of(rest)
