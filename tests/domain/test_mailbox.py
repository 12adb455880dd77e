"""The rules of mailboxes: what belongs together, when it is taken, what names and notes say."""

import json
from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from gateway.domain import mailbox, sidecar
from gateway.domain.mailbox import File, Mailbox, bundles, is_ready
from gateway.domain.sidecar import Sidecar
from gateway.domain.stuk import Role
from gateway.domain.xbrl.instance import Period

NAME = {"from": "name", "pattern": r"^(?P<klant>\d+)_"}


def box(*rules, **fields) -> Mailbox:
    rules = rules or ({"match": "*", "klant": NAME},)
    return Mailbox.model_validate(
        {"id": "proef", "source": "bus", "folder": "uit", "rules": rules, **fields}
    )


def files(*names: str, still: float = 1000.0) -> list[File]:
    return [File(f"uit/{n}", n, still) for n in names]


def together(found, notes=None) -> list[list[str]]:
    return [[f.name for f in b.files] for b in bundles(box(), found, notes or {})]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.pdf"], [["a.pdf"]]),
        (["a.pdf", "a.xbrl"], [["a.xbrl", "a.pdf"]]),
        (["A.PDF", "a.xbrl"], [["a.xbrl", "A.PDF"]]),
        (["a.pdf", "b.pdf"], [["a.pdf"], ["b.pdf"]]),
        (["a.b.pdf", "a.b.xml", "a.pdf"], [["a.b.xml", "a.b.pdf"], ["a.pdf"]]),
        (["zonder"], [["zonder"]]),
        (["a.zip", "a.pdf"], [["a.pdf", "a.zip"]]),
    ],
)
def test_what_belongs_together(names, expected):
    assert together(files(*names)) == expected


def test_a_note_stands_behind_its_documents_and_may_name_others():
    found = files("a.json", "a.pdf", "los.zip", "b.pdf")
    note = Sidecar(onderdelen=[{"rol": "akkoorddocument", "inhoud": "a.pdf"},
                               {"rol": "bijlage", "inhoud": "los.zip"},
                               {"rol": "bijlage", "inhoud": "weg.pdf"}])  # fmt: skip
    (a, b) = bundles(box(), found, {"uit/a.json": note})
    assert [f.name for f in a.files] == ["a.pdf", "los.zip", "a.json"]
    assert (a.missing, a.spare) == (("weg.pdf",), ())
    assert [f.name for f in b.files] == ["b.pdf"]


def test_a_second_note_is_a_document():
    notes = dict.fromkeys(("uit/a.json", "uit/a.xml"), Sidecar())
    (made,) = bundles(box(), files("a.json", "a.xml", "a.pdf"), notes)
    assert made.note.name == "a.json"
    assert [f.name for f in made.documents] == ["a.xml", "a.pdf"]


def test_documents_are_taken_one_by_one():
    into = {"match": "*", "klant": NAME, "into": {"source": "s", "folder": "f"}}
    made = list(bundles(box(into), files("1_a.pdf", "1_a.docx"), {}))
    assert [[f.name for f in b.files] for b in made] == [["1_a.pdf"], ["1_a.docx"]]


def test_the_leading_file_chooses_the_rule():
    rules = (
        {"match": "*.pdf", "klant": NAME, "into": {"source": "s", "folder": "f"}},
        {"match": "*.XBRL", "klant": {"from": "xbrl"}},
    )
    (made,) = bundles(box(*rules), files("1_a.pdf", "1_a.xbrl"), {})
    assert made.rule.klant.from_ == "xbrl"
    assert box(*rules).rule_of(["x.docx"]) is None


@pytest.mark.parametrize(
    ("names", "still", "ready"),
    [
        (["1_a.pdf", "1_a.xbrl"], 9.0, False),
        (["1_a.pdf", "1_a.xbrl"], 10.0, True),
        (["1_a.pdf"], 29.0, False),
        (["1_a.pdf"], 30.0, True),
        (["1_a.xbrl"], 10.0, False),
        (["1_a.xbrl"], 30.0, True),
        (["1_a.json"], 10.0, False),
    ],
)
def test_when_a_set_is_taken(names, still, ready):
    made = box(settle_seconds=10)
    notes = {f"uit/{n}": Sidecar() for n in names if n.endswith(".json")}
    (found,) = bundles(made, files(*names, still=still), notes)
    assert is_ready(made, found) is ready


def test_one_that_is_still_written_holds_its_set():
    made = box(settle_seconds=10)
    (found,) = bundles(made, [*files("a.pdf", still=100), *files("a.xbrl", still=3)], {})
    assert not is_ready(made, found)


def test_a_missing_part_is_waited_for():
    made = box({"match": "*", "klant": {"from": "sidecar"}}, settle_seconds=10)
    note = Sidecar(onderdelen=[{"rol": "instance", "inhoud": "b.xbrl"}])
    for still, ready in ((15, False), (30, True)):
        (found,) = bundles(made, files("a.json", "a.pdf", still=still), {"uit/a.json": note})
        assert is_ready(made, found) is ready


@pytest.mark.parametrize(
    ("name", "left"),
    [("a.pdf", False), ("a.pdf.part", True), ("A.TMP", True), ("~$a.docx", True),
     ("a.filepart", True), (".map-mailbox", True), ("tmp", False), ("a~b.pdf", False)],
)  # fmt: skip
def test_what_is_left_alone(name, left):
    assert box().leaves(name) is left


@pytest.mark.parametrize(
    "fields",
    [
        {"folder": ""}, {"folder": "../x"}, {"folder": "/x"}, {"done": "uit"}, {"out": "uit/in"},
        {"failed": "verwerkt"}, {"place": ".."}, {"rules": []}, {"settle_seconds": -1},
        {"rules": [{"klant": {"from": "name"}}]},
        {"rules": [{"klant": {"from": "name", "pattern": "(?P<klant>"}}]},
        {"rules": [{"klant": {"from": "xbrl", "pattern": "(?P<klant>x)"}}]},
        {"rules": [{"klant": {"from": "name", "pattern": "(?P<klant>x)(?P<bsn>y)"}}]},
        {"rules": [{"klant": {"from": "elders"}}]},
        {"rules": [{"klant": {"from": "xbrl"}, "into": "dossier"}]},
    ],
)  # fmt: skip
def test_what_cannot_be_configured(fields):
    with pytest.raises(ValidationError):
        box(**fields)


def test_what_a_name_tells():
    rule = box({"klant": {"from": "name", "pattern":
                r"(?P<klant>\d+)_(?P<soort>[a-z]+)(_(?P<jaar>\d{4}))?"}}).rules[0]  # fmt: skip
    assert rule.named("400100_ob_2026.pdf") == {"klant": "400100", "soort": "ob", "jaar": "2026"}
    assert rule.named("400100_ob.pdf") == {"klant": "400100", "soort": "ob"}
    assert rule.named("anders.pdf") == {}


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (date(2026, 1, 1), date(2026, 3, 31), (2026, "1e kwartaal")),
        (date(2026, 10, 1), date(2026, 12, 31), (2026, "4e kwartaal")),
        (date(2026, 2, 1), date(2026, 4, 30), (2026, "1 februari 2026 t/m 30 april 2026")),
        (date(2024, 2, 1), date(2024, 2, 29), (2024, "februari")),
        (date(2025, 1, 1), date(2025, 12, 31), (2025, "2025")),
        (date(2025, 7, 1), date(2026, 6, 30), (2026, "1 juli 2025 t/m 30 juni 2026")),
        (date(2026, 1, 1), date(2026, 3, 30), (2026, "1 januari 2026 t/m 30 maart 2026")),
        (None, date(2025, 12, 31), (2025, "2025")),
        (None, None, (None, "")),
        (None, date.max, (9999, "9999")),
        (date(1, 1, 1), date.max, (9999, "1 januari 1 t/m 31 december 9999")),
    ],
)
def test_a_period_in_words(start, end, expected):
    assert mailbox.period(Period(start, end)) == expected


def test_roles_by_name():
    told = {n: mailbox.role(n) for n in ("a.XBRL", "a.xml", "a.pdf", "a.html", "a.zip", "a")}
    assert told == {"a.XBRL": Role.INSTANCE, "a.xml": Role.INSTANCE, "a.pdf": Role.AKKOORD,
                    "a.html": Role.AKKOORD, "a.zip": Role.BIJLAGE, "a": Role.BIJLAGE}  # fmt: skip


# --- notes

FULL = {
    "klant": "400100", "soort": "ob", "jaar": 2026, "periode": "1e kwartaal",
    "deadline": "2026-04-30", "opmerking": "Graag vóór vrijdag",
    "onderdelen": [{"rol": "instance", "inhoud": "a.xbrl"}],
}  # fmt: skip


def test_a_note_in_json_and_in_xml_say_the_same():
    in_xml = (
        "<stuk xmlns='urn:x'><klant>400100</klant><soort>ob</soort><jaar>2026</jaar>"
        "<periode>1e kwartaal</periode><deadline>2026-04-30</deadline>"
        "<opmerking>Graag vóór vrijdag</opmerking><onderdelen><rol>instance</rol>"
        "<inhoud>a.xbrl</inhoud></onderdelen></stuk>"
    ).encode()
    note, faults = sidecar.of_json(b"\xef\xbb\xbf" + json.dumps(FULL).encode())
    assert sidecar.of_xml(in_xml) == (note, faults) == (note, {})
    assert note.names == ("a.xbrl",)
    assert note.deadline == date(2026, 4, 30)


@pytest.mark.parametrize("data", [b"<xbrl/>", b"", b"<stuk", b"<!DOCTYPE stuk []><stuk/>"])
def test_xml_that_is_no_note(data):
    assert sidecar.of_xml(data) is None


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"klnt": "1"}, "klnt"), ({"jaar": "x"}, "jaar"), ({"deadline": "morgen"}, "deadline"),
        ({"onderdelen": [{"inhoud": "a"}]}, "onderdelen.0.rol"), ([], "notitie"),
        ({"klant": "a\0"}, "klant"),
    ],
)  # fmt: skip
def test_a_faulty_note(data, field):
    note, faults = sidecar.of_json(json.dumps(data).encode())
    assert note is None or note.klant == ""
    assert list(faults) == [field]
    assert all(v.endswith(".") for v in faults.values())


def test_a_faulty_note_in_xml():
    assert sidecar.of_xml(b"<stuk><klnt>1</klnt></stuk>") == (
        None, {"klnt": "Dit veld bestaat niet."}
    )  # fmt: skip
    assert sidecar.of_json(b"{") == (None, {"notitie": "Dit is geen JSON."})


def test_a_faulty_note_still_names_its_files():
    parts = [{"rol": "x", "inhoud": "a.xbrl"}, {"inhoud": 1}, "b", {"inhoud": "c.pdf"}]
    note, faults = sidecar.of_json(json.dumps({"jaar": "x", "onderdelen": parts}).encode())
    assert note.names == ("a.xbrl", "c.pdf")
    assert "jaar" in faults
    note, faults = sidecar.of_xml(
        b"<stuk><jaar>x</jaar><onderdelen><inhoud>a.xbrl</inhoud></onderdelen></stuk>"
    )
    assert note.names == ("a.xbrl",)
    assert set(faults) == {"jaar", "onderdelen.0.rol"}


# --- what is written


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.pdf", "a.pdf"), ("a\nb:c.pdf", "a_b_c.pdf"), ("..", "_"), ("", "_"), ("x. ", "x"),
        (".map-mailbox", "_.map-mailbox"), ("..\\..\\x", ".._.._x"), ("\u202egnp.exe", "_gnp.exe"),
    ],
)  # fmt: skip
def test_a_plain_name(name, expected):
    assert mailbox.plain(name) == expected


def test_a_long_name_keeps_its_ending():
    made = mailbox.plain("é" * 200 + ".pdf")
    assert made.endswith("é.pdf")
    assert len(made.encode()) <= 180
    assert len(mailbox.plain("é" * 200).encode()) <= 180


def test_another_name():
    assert [mailbox.other("a.b.pdf", n) for n in (1, 2, 3)] == [
        "a.b.pdf", "a.b (2).pdf", "a.b (3).pdf"
    ]  # fmt: skip
    assert mailbox.other("a", 2) == "a (2)"


def test_the_reason_is_in_words():
    faults = mailbox.in_words(
        {"parts.0.content": "Het bestand is leeg.", "parts.1": "Weg.", "parts": "Te veel.",
         "klant": "Wie?", "parts.7.x": "?"}, ["a.xbrl", "a.pdf"],
    )  # fmt: skip
    assert faults == {
        "a.xbrl, inhoud": "Het bestand is leeg.", "a.pdf": "Weg.", "onderdelen": "Te veel.",
        "klant": "Wie?", "onderdelen.7.x": "?",
    }  # fmt: skip
    text = mailbox.reason(box(), "a.xbrl", faults, datetime(2026, 3, 1, 10, 5, tzinfo=UTC))
    assert text.startswith("a.xbrl is niet aangenomen door het portaal.\r\n")
    assert "- a.xbrl, inhoud: Het bestand is leeg.\r\n" in text
    assert "Postbus proef, 01-03-2026 10:05." in text
