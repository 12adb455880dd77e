"""What packages say, and what is said of what is wrong with it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.api import models
from gateway.domain import members, wire, xml
from gateway.domain.wire import StukIn

GOOD = {"klant": "1", "soort": "ob", "jaar": 2026, "periode": "q1",
        "onderdelen": [{"rol": "instance", "inhoud": "a"}]}  # fmt: skip


#: Controls, line ends, what hides or turns around, separators.
UNSEEN = ["\0", "\t", "\x1b", "\x7f", "\x85", "\r\n", "\r", "\xad", "\u200b", "\u202e",
          "\u2028", "\u2029", "\ufeff", "\U000e0041"]  # fmt: skip
#: What a text of more lines has all the same.
BLANK = ("\r\n", "\t")


def faults(model: Any, given: Any) -> dict[str, str]:
    """Of a message in JSON."""
    with pytest.raises(ValidationError) as e:
        model.model_validate_json(given if isinstance(given, str) else json.dumps(given))
    return wire.faults(e.value, "body")


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"klant": 1}, "klant", "Dit is geen tekst."),
        ({"klant": "x" * 201}, "klant", "Dit heeft ten hoogste 200 tekens."),
        *[({"periode": f"a{c}b"}, "periode", wire.NOT_ONE_LINE) for c in UNSEEN],
        *[({"opmerking": f"a{c}b"}, "opmerking", wire.NOT_LINES)
          for c in UNSEEN if c not in BLANK],
        ({"onderdelen": [{"rol": "instance", "id": "a\0"}]}, "onderdelen.0.id",
         "Dit past niet op ^[^\\x00]*$."),
        ({"jaar": "x"}, "jaar", "Dit is geen geheel getal."),
        ({"jaar": 2026.5}, "jaar", "Dit is geen geheel getal."),
        ({"jaar": None}, "jaar", "Dit is geen geheel getal."),
        ({"deadline": "2026-02-30"}, "deadline", "Dit is geen datum (jjjj-mm-dd)."),
        ({"deadline": "morgen"}, "deadline", "Dit is geen datum (jjjj-mm-dd)."),
        ({"deadline": True}, "deadline", "Dit is geen datum (jjjj-mm-dd)."),
        ({"vervangt": "x"}, "vervangt", "Dit is geen id."),
        ({"kleur": "rood"}, "kleur", "Dit veld bestaat niet."),
        ({"onderdelen": []}, "onderdelen", "Hier hoort ten minste 1 te staan."),
        ({"onderdelen": "x"}, "onderdelen", "Dit is geen lijst."),
        ({"onderdelen": [{"rol": "instance"}] * 21}, "onderdelen",
         "Hier horen er ten hoogste 20 te staan."),
        ({"onderdelen": ["x"]}, "onderdelen.0", "Dit is geen object."),
        ({"onderdelen": [{"rol": "x"}]}, "onderdelen.0.rol",
         "Dit kan niet; wel: 'akkoorddocument', 'instance' of 'bijlage'."),
        ({"onderdelen": [{}]}, "onderdelen.0.rol", "Dit veld ontbreekt."),
        ({"onderdelen": [{"rol": "instance", "sha256": "0"}]}, "onderdelen.0.sha256",
         "Dit past niet op ^[0-9a-fA-F]{64}$."),
        ({"akkoord_van": [{"personen": ["a"], "nodig": 0}]}, "akkoord_van.0.nodig",
         "Dit is ten minste 1."),
        ({"akkoord_van": [{"personen": ["a"], "nodig": 51}]}, "akkoord_van.0.nodig",
         "Dit is ten hoogste 50."),
    ],
)  # fmt: skip
def test_what_is_said(change, field, said):
    assert faults(StukIn, GOOD | change) == {field: said}


def test_what_is_seen_is_taken():
    said = {"periode": "1e kwartaal, é\u00a0€ \N{GRINNING FACE}", "opmerking": "a\r\nb\n\n\tc"}
    read = StukIn.model_validate(GOOD | said)
    assert read.periode == said["periode"]
    assert read.opmerking == "a\nb\n\n c"


@pytest.mark.parametrize("unseen", UNSEEN)
def test_a_reason_and_a_folder(unseen):
    where = {"bron": "map", "map": f"a{unseen}b", "naam": "a.pdf"}
    assert faults(models.DocumentVraag, where) == {"map": wire.NOT_ONE_LINE}
    if unseen not in BLANK:
        said = faults(models.IntrekkenIn, {"reden": f"een reden{unseen}die telt"})
        assert said == {"reden": wire.NOT_LINES}


def test_what_is_no_message():
    assert faults(StukIn, "{") == {"body": "Dit is geen JSON."}
    assert faults(StukIn, [1]) == {"body": "Dit is geen object."}
    assert faults(models.MeldenIn, {"gelukt": "x"}) == {"gelukt": "Dit is geen true of false."}
    assert faults(models.IntrekkenIn, {"reden": "kort"}) == {
        "reden": "Dit heeft ten minste 10 tekens."
    }
    for url in ("x", "ftp://x.example/", 1):
        assert faults(models.WebhookIn, {"url": url}) == {
            "url": "Dit is geen adres met http of https."
        }


def test_every_fault_that_the_models_can_have_is_said_in_dutch():
    odd = [None, True, 3, 0.5, -1, 10**30, "", "x", "x" * 3000, "\0", [], ["x"], {}, {"x": 1}]
    seen = set()
    asked = [m for n, m in vars(models).items() if n.endswith(("In", "Vraag"))]
    assert len(asked) > 8
    for model in [*asked, StukIn]:
        for name in model.model_fields:
            for value in odd:
                try:
                    model.model_validate({name: value})
                except ValidationError as e:
                    seen |= {
                        (one["type"], said)
                        for one, said in zip(
                            e.errors(), wire.faults(e, "body").values(), strict=True
                        )
                        if said == wire._OTHER
                    }
    assert not seen


def test_members_and_elements():
    said = {"id": "1", "deadline": None, "jaar": 2026, "reden": "a\x01<b>", "waar": True,
            "akkoorden": [{"naam": "x"}, {"naam": "y"}], "verzendingen": [],
            "gegevens": {"code": "1", "weg": None}}  # fmt: skip
    root = xml.parse(members.document("stuk", said))
    assert root.tag == f"{{{members.NAMESPACE}}}stuk"
    found = {xml.local(e.tag): e.text for e in root if not len(e)}
    assert found == {"id": "1", "jaar": "2026", "reden": "a\ufffd<b>", "waar": "true",
                     "gegevens": "1"}  # fmt: skip
    assert [e.text for e in root.iterfind("{*}akkoorden/{*}naam")] == ["x", "y"]


def test_a_stuk_in_xml_is_the_stuk_in_json():
    text = (
        "<stuk><klant>1</klant><soort>ob</soort><jaar>2026</jaar><periode>q1</periode>"
        "<onderdelen><rol>instance</rol><inhoud>a</inhoud></onderdelen>"
        "<deadline>2026-12-01+01:00</deadline>"
        "<akkoord_van><personen>a</personen><personen>b</personen><nodig>1</nodig></akkoord_van>"
        "</stuk>"
    )
    read = StukIn.model_validate(members.of(xml.parse(text.encode())))
    more = {"deadline": "2026-12-01", "akkoord_van": [{"personen": ["a", "b"], "nodig": 1}]}
    assert read == StukIn.model_validate_json(json.dumps(GOOD | more))


def test_of_a_flood_of_faults_only_the_number_is_told() -> None:
    """Each would take memory: this is a body of half a megabyte."""
    unknown = ", ".join(f'"a{n}": 1' for n in range(wire.MOST_FAULTS - 3))
    given = f'{{"klanten": [{{"nummer": 1, "naam": 1, {unknown}, "nummers": 1}}]}}'
    assert len(faults(models.KlantenIn, given)) == wire.MOST_FAULTS
    given = f'{{"klanten": [{{"nummer": 1, "naam": 1, {unknown}, "nummers": 1, "b": 1}}]}}'
    assert faults(models.KlantenIn, given) == {"body": "Er zijn 5001 fouten."}
