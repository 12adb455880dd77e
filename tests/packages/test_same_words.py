"""What REST refuses, SOAP refuses in the same words; what differs is the name of what carries a
document (`multipart` and `document`)."""

import base64
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.domain.package import Scope
from tests.filing.conftest import INSTANCES, KLANT
from tests.packages.conftest import ob, ob_files
from tests.packages.soap import ask, elements, mtom, send, upload

PDF = b"%PDF-1.7 een brief"


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
        faults = {k.replace("multipart.", "document."): v for k, v in told.faults.items()}
        said = " ".join(f"{k}: {v}" for k, v in faults.items())
        words = told.body.get("detail") or said or told.body["title"]
        return cls(told.status, faults, words, told.body.get("stuk", ""))

    @classmethod
    def of_soap(cls, told: Any) -> "Verdict":
        """Of a fault."""
        assert told.failed
        return cls(told.code, told.faults, told.words, told.text("stuk"))


async def _rest(package, stuk, files):
    if files is None:
        return Verdict.of(await package.post("/stukken", stuk))
    return Verdict.of(await package.put_up(stuk, files))


async def _inline(package, stuk, files):
    return Verdict.of_soap(await send(package, upload(package, stuk, files or {})))


async def _mtom(package, stuk, files):
    data, kind = mtom(package, stuk, files or {})
    return Verdict.of_soap(await send(package, data, **{"Content-Type": kind}))


def _refs(**change):
    return ob(onderdelen=[{"rol": "instance", "bron": "map", "id": "weg.xbrl"},
                          {"rol": "akkoorddocument", "bron": "map", "id": "Stukken/a.pdf"}],
              **change)  # fmt: skip


def _without(name):
    return {k: v for k, v in ob_files().items() if k != name}


_BAD = INSTANCES["ob"](1).replace(b"xbrli:xbrl", b"xbrli:zbrl")
_OTHER = INSTANCES["ob"](1).replace(b"001000044B37", b"001000056B01")

CASES = {
    "every fault": (
        ob(klant="999", soort="xyz", jaar=1900, periode=" ", relatiebeheerder="niemand"),
        ob_files(),
    ),
    "an instance that is none": (ob(), ob_files() | {"aangifte": ("ob.xbrl", _BAD)}),
    "no instance": (ob(onderdelen=[{"rol": "akkoorddocument", "inhoud": "pdf"}]), {}),
    "two instances": (ob(onderdelen=[{"rol": "instance", "inhoud": n} for n in "ab"]), {}),
    "a part that nobody asked for": (ob(), {**_without("pdf"), "over": ("x.pdf", PDF)}),
    "a part that does not come": (ob(), _without("pdf")),
    "no part that comes": (ob(), {}),
    "one content for two": (
        ob(onderdelen=[{"rol": "instance", "inhoud": "a"},
                       {"rol": "akkoorddocument", "inhoud": "a"}]), {},
    ),
    "neither content nor reference": (
        ob(onderdelen=[{"rol": "instance", "inhoud": "aangifte"}, {"rol": "akkoorddocument"}]),
        _without("pdf"),
    ),
    "both content and reference": (
        ob(onderdelen=[{"rol": "instance", "inhoud": "aangifte", "bron": "map", "id": "a"}]), {},
    ),
    "names": (ob(), ob_files() | {"pdf": ("../a.exe", PDF)}),
    "no pdf": (ob(), ob_files() | {"pdf": ("a.pdf", b"geen pdf")}),
    "an empty one": (ob(), ob_files() | {"pdf": ("a.pdf", b"")}),
    "another hash": (
        ob(onderdelen=[{"rol": "instance", "inhoud": "aangifte", "sha256": "0" * 64},
                       {"rol": "akkoorddocument", "inhoud": "pdf"}]), ob_files(),
    ),
    "a hash that is none": (
        ob(onderdelen=[{"rol": "instance", "inhoud": "aangifte", "sha256": "0"}]), {},
    ),
    "nobody of that name": (ob(akkoord_van=[{"personen": ["nobody@x.example"]}]), ob_files()),
    "more than there are": (
        ob(akkoord_van=[{"personen": ["sanne@bakkerij.example"], "nodig": 2}]), ob_files(),
    ),
    "an unknown member": (ob(kleur="rood"), ob_files()),
    "a member that is missing": ({k: v for k, v in ob().items() if k != "klant"}, ob_files()),
    "no year": (ob(jaar="dit jaar"), ob_files()),
    "no day": (ob(deadline="2026-02-30"), ob_files()),
    "no role": (ob(onderdelen=[{"rol": "x", "inhoud": "a"}]), {}),
    "no id of a stuk": (ob(vervangt="x"), ob_files()),
    "a stuk that is not there": (
        ob(vervangt="00000000-0000-0000-0000-000000000000"), ob_files(),
    ),
    "too long": (ob(opmerking="x" * 2001), ob_files()),
    "no such source": (_refs() | {"onderdelen": [{"rol": "instance", "bron": "x", "id": "y"}]},
                       None),
    "no such documents": (_refs(), None),
    "a reference to nothing": (ob(onderdelen=[{"rol": "instance", "bron": "map"}]), None),
    "two instances by reference": (
        ob(onderdelen=[{"rol": "instance", "bron": "map", "id": n} for n in "ab"]), None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_a_refused_stuk(proef, person, case):
    await person()
    stuk, files = CASES[case]
    rest = await _rest(proef, stuk, files)
    assert rest.status == 422
    assert rest.faults
    assert await _inline(proef, stuk, files) == rest
    soap = await _mtom(proef, stuk, files)
    assert soap == rest


async def test_the_same_twice_names_the_first(proef):
    first = await proef.put_up(ob(), ob_files())
    told = [await way(proef, ob(), ob_files()) for way in (_rest, _inline, _mtom)]
    assert [t.status for t in told] == [409] * 3
    assert [t.stuk for t in told] == [first.body["id"]] * 3
    assert told[0] == told[1] == told[2]


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
