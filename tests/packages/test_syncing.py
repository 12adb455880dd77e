"""Klanten, personen and mandaten from packages: at once, again, changed, ended, and wrong."""

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from gateway.domain.klant import Klant
from gateway.domain.wire import NOT_ONE_LINE
from gateway.flows import people, syncing
from gateway.flows.visitor import today
from gateway.store import klanten, persons
from gateway.store import mandates as store
from tests.domain.xbrl import made
from tests.filing.conftest import KLANT

SANNE = "sanne@bakkerij.example"
TODAY = today()


def day(offset: int) -> str:
    """So many days from today."""
    return (TODAY + timedelta(days=offset)).isoformat()


async def rows(office: Any, query: str, *values: Any) -> list[Any]:
    """What stands in the firm's rows."""
    async with office.portal.db.tenant(office.firm.id) as c:
        return list(await c.fetch(query, *values))


async def put(package: Any, what: str, *given: dict[str, Any]) -> Any:
    """One batch."""
    return await package.post(f"/{what}", {what: list(given)})


# --- at once


async def test_batches_at_once_in_another_order_are_all_taken(office, proef):
    many = [{"nummer": f"k{n}", "naam": f"Klant {n}", "nummers": {"BTW": made.NUMBER}}
            for n in range(200)]  # fmt: skip
    orders = [many, many[::-1]] * 3
    told = await asyncio.gather(*(put(proef, "klanten", *o) for o in orders))
    assert [t.status for t in told] == [200] * 6
    several = [{"gebruikersnaam": f"p{n}@x.example", "naam": f"P {n}", "mobiel": "06 12345678",
                "klanten": ["k1", "k2"]} for n in range(60)]  # fmt: skip
    told = await asyncio.gather(*(put(proef, "personen", *o) for o in (several, several[::-1])))
    assert [(t.status, t.faults) for t in told] == [(200, {})] * 2
    asked = [{"gebruikersnaam": f"p{n}@x.example", "klant": "k1", "vanaf": day(0)}
             for n in range(60)]  # fmt: skip
    orders = [asked, asked[::-1]] * 2
    told = await asyncio.gather(*(put(proef, "mandaten", *o) for o in orders))
    assert [t.status for t in told] == [200] * 4
    assert len(await rows(office, "select from mandate")) == 60
    assert len(await rows(office, "select from outbox where event = 'invitation'")) == 60


async def test_one_question_for_the_klanten_of_a_batch(office, proef, monkeypatch):
    """Each of them in a question of its own took half a minute for a large batch."""
    asked = []
    known = klanten.known

    async def counted(c: Any, numbers: Any) -> set[str]:
        asked.append(numbers)
        return await known(c, numbers)

    async def never(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(klanten, "known", counted)
    monkeypatch.setattr(klanten, "find", never)
    monkeypatch.setattr(persons, "by_username", never)
    several = [{"gebruikersnaam": f"p{n}@x.example", "naam": "P", "mobiel": "06 12345678",
                "klanten": [KLANT, *(f"weg{m}" for m in range(12))]}
               for n in range(10)]  # fmt: skip
    told = await put(proef, "personen", *several)
    assert len(told.faults) == 120
    assert told.faults["personen.9.klanten.12"] == "Er is geen klant weg11."
    assert len(asked) == 1


# --- twice in one batch


@pytest.mark.parametrize(
    ("what", "first", "change", "field"),
    [
        ("klanten", {"nummer": "1", "naam": "A"}, {"naam": "B"}, "klanten.2.nummer"),
        ("personen", {"gebruikersnaam": "dup@x.example", "naam": "A", "mobiel": "06 12345678"},
         {"gebruikersnaam": "DUP@x.example"}, "personen.2.gebruikersnaam"),
        ("mandaten", {"gebruikersnaam": SANNE, "klant": KLANT, "vanaf": day(0)},
         {"tot": day(9)}, "mandaten.2"),
    ],
)  # fmt: skip
async def test_the_same_twice_in_one_batch(office, proef, person, what, first, change, field):
    await person()
    other = {"klanten": {"nummer": "2"}, "personen": {"gebruikersnaam": "other@x.example"},
             "mandaten": {"soort": "ob"}}[what]  # fmt: skip
    told = await put(proef, what, first, {**first, **other}, {**first, **change})
    assert (told.status, told.faults) == (422, {field: syncing.TWICE})
    assert not await rows(office, "select from klant where number = '1'")


# --- mandates

_ENDED = day(-1)

#: First and last days before; those that are sent; those that may be used today and later.
MANDATES: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    "new": ([], [(day(0), None)], [(day(0), None)]),
    "the same": ([(day(-9), day(9))], [(day(-9), day(9))], [(day(-9), day(9))]),
    "longer": ([(day(-9), day(3))], [(day(-9), day(9))], [(day(-9), day(9))]),
    "shorter": ([(day(-9), day(9))], [(day(-9), day(3))], [(day(-9), day(3))]),
    "without end": ([(day(-9), day(3))], [(day(-9), None)], [(day(-9), None)]),
    "ended": ([(day(-9), None)], [(day(-9), _ENDED)], []),
    "ended, begun later": ([(day(-9), None)], [(day(-3), _ENDED)], []),
    "ended, begun before": ([(day(-3), None)], [(day(-9), day(-5))], []),
    "ended, begun today": ([(day(0), None)], [(day(-9), _ENDED)], []),
    "ended, two of them": ([(day(-9), None), (day(-5), day(5))], [(day(-7), _ENDED)], []),
    "ended, yet to begin": ([(day(4), None)], [(day(-7), _ENDED)], []),
    "brought back": ([(day(-9), _ENDED)], [(day(-9), None)], [(day(-9), None)]),
    "overlapping": ([(day(-9), day(5))], [(day(-3), day(9))], [(day(-3), day(9))]),
    "put off": ([(day(-9), None)], [(day(4), None)], [(day(4), None)]),
    "begun earlier": ([(day(-3), None)], [(day(-9), None)], [(day(-9), None)]),
    "what was, and what is": (
        [(day(-3), None)], [(day(-9), day(-5)), (day(-3), day(9))], [(day(-3), day(9))],
    ),
    "now, and later": (
        [], [(day(4), None), (day(-9), day(2))], [(day(-9), day(2)), (day(4), None)],
    ),
    "the same four times": ([(day(-9), None)] * 4, [(day(-9), None)], [(day(-9), None)]),
}  # fmt: skip


@pytest.mark.parametrize("case", MANDATES)
async def test_after_the_call_what_was_asked_holds(office, proef, person, case):
    before, asked, after = MANDATES[case]
    sanne = await person(mandate="")
    firm = office.firm.id

    def of(text: str | None) -> date | None:
        return date.fromisoformat(text) if text else None

    async with office.portal.db.tenant(firm) as c:
        for since, until in before:
            await store.add(c, firm, sanne.visitor.person_id, KLANT, "*", of(since), of(until))
        await store.add(c, firm, sanne.visitor.person_id, KLANT, "ob", TODAY, None)
    for _ in range(2):
        given = [
            {"gebruikersnaam": SANNE, "klant": KLANT, "vanaf": since, "tot": until}
            for since, until in asked
        ]
        assert (await put(proef, "mandaten", *given)).body == {"aantal": len(asked)}
        found = await rows(
            office,
            "select since, until from mandate where soort = '*'"
            " and since <= coalesce(until, since) and coalesce(until, $1) >= $1"
            " order by since", TODAY,
        )  # fmt: skip
        assert [(r["since"], r["until"]) for r in found] == [(of(s), of(u)) for s, u in after]
    other = await rows(office, "select from mandate where soort = 'ob' and until is null")
    assert len(other) == 1


async def test_a_mandate_that_is_the_same_is_not_recorded_again(office, proef, person):
    await person(mandate="")
    given = {"gebruikersnaam": SANNE, "klant": KLANT, "vanaf": day(-9)}
    for until in (day(5), day(5), None, day(5), _ENDED):
        await put(proef, "mandaten", {**given, "tot": until})
    events = await rows(office, "select event from audit where event like 'mandate%' order by id")
    assert [r["event"].removeprefix("mandate_") for r in events] == [
        "given", "given", "ended", "ended",
    ]  # fmt: skip


async def test_a_mandate_of_somebody_whose_account_has_ended(office, proef, person):
    """It is not there once more each time that all are sent."""
    await person(mandate="")
    await people.disable(office.portal, office.firm, SANNE)
    for _ in range(3):
        await put(proef, "mandaten", {"gebruikersnaam": SANNE, "klant": KLANT, "vanaf": day(0)})
    assert len(await rows(office, "select from mandate")) == 1


# --- what is not said stays as it is


async def test_a_relatiebeheerder_stays_until_another_is_said(office, proef):
    async def now() -> str | None:
        (row,) = await rows(office, "select name, relatiebeheerder from klant where number = '1'")
        assert row["name"] == f"Naam {step}"
        found: str | None = row["relatiebeheerder"]
        return found

    steps: list[tuple[dict[str, Any], str | None]] = [
        ({"relatiebeheerder": "karim"}, "karim"), ({}, "karim"),
        ({"relatiebeheerder": "eva"}, "eva"), ({"relatiebeheerder": None}, None), ({}, None),
    ]  # fmt: skip
    for step, (said, who) in enumerate(steps):
        await put(proef, "klanten", {"nummer": "1", "naam": f"Naam {step}", **said})
        assert await now() == who


async def test_access_stays_until_klanten_are_said(office, proef, person):
    await person()

    async def now() -> tuple[int, int]:
        access = "select from access a join person p on p.id = a.person where username = $1"
        going = "select from session s join person p on p.id = s.person where username = $1"
        return len(await rows(office, access, SANNE)), len(await rows(office, going, SANNE))

    assert await now() == (1, 1)
    assert (
        await put(proef, "personen", {"gebruikersnaam": SANNE, "naam": "Anders"})
    ).status == 200
    assert await now() == (1, 1)
    (found,) = await rows(office, "select name from person where username = $1", SANNE)
    assert found["name"] == "Anders"
    none = {"gebruikersnaam": SANNE, "naam": "Anders", "klanten": []}
    assert (await put(proef, "personen", none)).status == 200
    assert await now() == (0, 0)
    new = {"gebruikersnaam": "nieuw@x.example", "naam": "Nieuw", "mobiel": "06 12345678"}
    assert (await put(proef, "personen", new)).status == 200


# --- what is no klant, and no text


@pytest.mark.parametrize("number", ["a/b", "/", ".", "..", "...", "a b", "", "é", "x" * 41, "a\n"])
async def test_a_number_that_can_have_no_place(office, proef, number):
    told = await put(proef, "klanten", {"nummer": number, "naam": "A"})
    assert told.status == 422
    said = NOT_ONE_LINE if number == "a\n" else people.NO_NUMBER
    assert told.faults == {("klanten.0.nummer"): said}


async def test_a_number_whose_place_the_firms_file_names(office):
    """The firm had it before, and says where it stands."""
    first, *more = office.firm.sources
    placed = first.model_copy(update={"places": {"a/b": "elders"}})
    firm = office.firm.model_copy(update={"sources": (placed, *more)})
    await people.put_klanten(office.portal, firm, [Klant("a/b", "A")])
    assert people.klant_faults(firm, Klant("c/d", "A")) == {"nummer": people.NO_NUMBER}


UNSEEN = ["a\0b", "a\r\nb", "a\nb", "\u200b\u202e", "a\u2028b", "\x7f", "a\tb"]


@pytest.mark.parametrize("text", UNSEEN)
async def test_what_is_not_seen_is_no_name(office, proef, text):
    told = await put(proef, "klanten", {"nummer": "1", "naam": text})
    assert (told.status, told.faults) == (422, {"klanten.0.naam": NOT_ONE_LINE})
    given = {"gebruikersnaam": "x@x.example", "naam": text, "mobiel": "06 12345678"}
    told = await put(proef, "personen", given)
    assert (told.status, told.faults) == (422, {"personen.0.naam": NOT_ONE_LINE})
    assert people.klant_faults(office.firm, Klant("1", text)) == {"naam": NOT_ONE_LINE}


@pytest.mark.parametrize(
    "address", ["a..b@x..example", "a@x.example.", "\u00fcn@x.example", "a@x.\ufdfa"]
)
async def test_an_address_that_no_letter_can_have(proef, address):
    person = {"gebruikersnaam": address, "naam": "A", "mobiel": "06 12345679"}
    told = await proef.post("/personen", {"personen": [person]})
    assert (told.status, set(told.faults)) == (422, {"personen.0.gebruikersnaam"})
