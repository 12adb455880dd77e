"""What a package keeps in step: klanten, personen and mandaten, many at once.

Every fault of a batch is told, by its place in it; with a fault nothing is changed. What is not
said stays as it is. The batches of a firm go one after the other (klanten.one_batch).
"""

import asyncio
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import UUID
from weakref import WeakKeyDictionary

from gateway.domain import mail, phone
from gateway.domain.accordering import ALL, Mandate
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.person import Person, Role, State
from gateway.errors import Invalid
from gateway.flows import people, stukbeheer
from gateway.flows.packages import Caller
from gateway.flows.portal import Portal
from gateway.flows.signing_in import as_username
from gateway.flows.visitor import today
from gateway.store import audit, klanten, mandates, persons, sessions
from gateway.store.database import Connection

#: Rows of one batch.
MOST = 1000
#: Whose turn it is in this process, by firm: who waits for it has no connection of the pool.
_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()
TWICE = "Dit staat er tweemaal."


@dataclass(frozen=True, slots=True)
class KlantWish:
    """A klant. numbers: at the receivers, by type (`BTW`, `Fi`, `kvk`); they are added. keep: its
    relatiebeheerder stays who it is."""

    klant: Klant
    numbers: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False


@dataclass(frozen=True, slots=True)
class PersonWish:
    """A client. klanten: all that the person has access to; others are taken away; None leaves
    them as they are. mobile: of a new account; None leaves it as it is."""

    username: str
    name: str
    klanten: Sequence[str] | None = None
    mobile: str | None = None


@dataclass(frozen=True, slots=True)
class MandateWish:
    """Who may approve for which klant. until: the last day; None: it has none."""

    username: str
    klant: str
    soort: str
    since: date
    until: date | None = None


@asynccontextmanager
async def _turn(portal: Portal, firm: Firm) -> AsyncIterator[Connection]:
    """A transaction in which no other batch of the firm is worked on."""
    turns = _TURNS.setdefault(asyncio.get_running_loop(), {})
    async with turns.setdefault(firm.id, asyncio.Lock()), portal.db.tenant(firm.id) as c:
        await klanten.one_batch(c, firm.id)
        yield c


async def put_klanten(portal: Portal, caller: Caller, wishes: Sequence[KlantWish]) -> int:
    """Add or change klanten; how many. Raises Invalid."""
    firm, faults = caller.firm, _too_many(wishes)
    for i, wish in enumerate(wishes):
        found = people.klant_faults(firm, wish.klant)
        for type, number in wish.numbers.items():
            if stukbeheer.plain_number(type, number) is None:
                found[f"nummers.{type}"] = f"Dit is geen geldig nummer van het type {type}."
        faults |= {f"klanten.{i}.{k}": v for k, v in found.items()}
    for i in _again(w.klant.number for w in wishes):
        faults[f"klanten.{i}.nummer"] = TWICE
    if faults:
        raise Invalid(faults)
    identities = [
        (wish.klant.number, type, portal.keys.digest("identity", type, plain))
        for wish in wishes
        for type, number in wish.numbers.items()
        if (plain := stukbeheer.plain_number(type, number)) is not None
    ]
    async with _turn(portal, firm) as c:
        kept = frozenset(w.klant.number for w in wishes if w.keep)
        await klanten.put(c, firm.id, [w.klant for w in wishes], kept)
        await mandates.put_identities(c, firm.id, identities)
        await audit.record(
            c, "klanten_put", firm=firm.id, data={"count": len(wishes), "by": caller.by}
        )
    return len(wishes)


async def put_persons(portal: Portal, caller: Caller, wishes: Sequence[PersonWish]) -> int:
    """Add or change clients; a new one gets an invitation by mail. How many. Raises Invalid.

    The mobile number of an account that is in use is not changed here: whoever has a package's
    key would otherwise receive the client's codes.
    """
    firm, faults = caller.firm, _too_many(wishes)
    names = [as_username(w.username) for w in wishes]
    async with _turn(portal, firm) as c:
        there = await persons.by_usernames(c, names)
        known = await klanten.known(c, sorted({n for w in wishes for n in w.klanten or ()}))
        for i, wish in enumerate(wishes):
            found = await _person_faults(portal, c, wish, there.get(names[i]), known)
            faults |= {f"personen.{i}.{k}": v for k, v in found.items()}
        for i in _again(names):
            faults[f"personen.{i}.gebruikersnaam"] = TWICE
        if faults:
            raise Invalid(faults)
        access = await klanten.access_of(c, [p.id for p in there.values()])
        for i, wish in enumerate(wishes):
            person = there.get(names[i])
            if person is None:
                person = await _add_person(portal, c, caller, wish, i)
            else:
                await _change_person(portal, c, wish, person)
            if wish.klanten is not None:
                has = access.get(person.id, set())
                await _put_access(c, caller, person, has, set(wish.klanten))
    return len(wishes)


async def _person_faults(
    portal: Portal, c: Connection, wish: PersonWish, person: Person | None, known: Set[str]
) -> dict[str, str]:
    """person: who has that username. known: numbers of klanten."""
    found: dict[str, str] = {}
    if mail.written(as_username(wish.username)) is None:
        found["gebruikersnaam"] = people.NO_MAIL
    if fault := people.name_fault(wish.name):
        found["naam"] = fault
    for n, number in enumerate(wish.klanten or ()):
        if number not in known:
            found[f"klanten.{n}"] = f"Er is geen klant {number}."
    if person is not None and person.role is not Role.CLIENT:
        found["gebruikersnaam"] = "Dit is een medewerker van het kantoor."
    mobile = phone.mobile(wish.mobile, portal.sms_countries) if wish.mobile else None
    if mobile is None and (person is None or wish.mobile):
        found["mobiel"] = people.NO_MOBILE
    elif mobile and person is not None and await _other_mobile(portal, c, person, mobile):
        found["mobiel"] = "Het nummer van een account dat in gebruik is, wijzigt het kantoor zelf."
    return found


async def _other_mobile(portal: Portal, c: Connection, person: Person, mobile: str) -> bool:
    """Whether an account that is in use has another number."""
    digest = portal.keys.digest("mobile", mobile)
    return person.state is not State.INVITED and digest != await persons.mobile_digest(
        c, person.id
    )


async def _add_person(
    portal: Portal, c: Connection, caller: Caller, wish: PersonWish, place: int
) -> Person:
    firm, name = caller.firm, " ".join(wish.name.split())
    person = await persons.add(c, firm.id, as_username(wish.username), name, Role.CLIENT)
    if person is None:  # the firm's operations were first
        raise Invalid({f"personen.{place}.gebruikersnaam": "Deze gebruikersnaam bestaat al."})
    await _put_mobile(portal, c, wish, person)
    await audit.record(c, "person_added", firm=firm.id, person=person.id, data={"by": caller.by})
    await people.mail_link(portal, c, firm, person, "invitation")
    return person


async def _change_person(portal: Portal, c: Connection, wish: PersonWish, person: Person) -> None:
    name = " ".join(wish.name.split())
    if person.name != name:
        await persons.rename(c, person.id, name)
    await _put_mobile(portal, c, wish, person)


async def _put_mobile(portal: Portal, c: Connection, wish: PersonWish, person: Person) -> None:
    mobile = phone.mobile(wish.mobile, portal.sms_countries) if wish.mobile else None
    if mobile and person.state is State.INVITED:
        await people.put_mobile(portal, c, person, mobile)


async def _put_access(
    c: Connection, caller: Caller, person: Person, has: Set[str], wanted: Set[str]
) -> None:
    firm = caller.firm.id
    for number in sorted(wanted - has):
        await klanten.grant(c, firm, person.id, number)
        await audit.record(c, "access_given", firm=firm, person=person.id, klant=number,
                           data={"by": caller.by})  # fmt: skip
    for number in sorted(has - wanted):
        await klanten.revoke(c, person.id, number)
        await audit.record(c, "access_taken", firm=firm, person=person.id, klant=number,
                           data={"by": caller.by})  # fmt: skip
    if not wanted:
        await sessions.end_all(c, person.id)


async def put_mandates(portal: Portal, caller: Caller, wishes: Sequence[MandateWish]) -> int:
    """Give, lengthen, shorten or end mandates; how many rows were asked for. Raises Invalid.

    The rows of one person, klant and soort are all that there is of it: see `_put_mandates`.
    """
    firm, faults = caller.firm, _too_many(wishes)
    names = [as_username(w.username) for w in wishes]
    async with _turn(portal, firm) as c:
        there = await persons.by_usernames(c, names)
        ids = [p.id for p in there.values()]
        access = await klanten.access_of(c, ids)
        for i, wish in enumerate(wishes):
            found = _mandate_faults(firm, wish, there.get(names[i]), access)
            faults |= {f"mandaten.{i}.{k}": v for k, v in found.items()}
        keys = [(n, w.klant, w.soort, w.since) for n, w in zip(names, wishes, strict=True)]
        for i in _again(keys):
            faults[f"mandaten.{i}"] = TWICE
        if faults:
            raise Invalid(faults)
        had: dict[tuple[UUID, str, str], list[Mandate]] = {}
        for one in await mandates.of_persons(c, ids):
            had.setdefault((one.person, one.klant, one.soort), []).append(one)
        asked: dict[tuple[UUID, str, str], dict[date, date | None]] = {}
        for name, wish in zip(names, wishes, strict=True):
            key = there[name].id, wish.klant, wish.soort
            asked.setdefault(key, {})[wish.since] = wish.until
        for key, wanted in asked.items():
            await _put_mandates(c, caller, key, had.get(key, []), wanted)
    return len(wishes)


def _mandate_faults(
    firm: Firm, wish: MandateWish, person: Person | None, access: Mapping[UUID, Set[str]]
) -> dict[str, str]:
    if person is None:
        return {"gebruikersnaam": "Deze gebruikersnaam is er niet."}
    found: dict[str, str] = {}
    if person.role is not Role.CLIENT:  # trust.md case 4
        found["gebruikersnaam"] = "Een medewerker geeft geen akkoord voor een klant."
    elif wish.klant not in access.get(person.id, ()):
        found["klant"] = "Deze persoon heeft geen toegang tot deze klant."
    if wish.soort != ALL and wish.soort not in firm.soorten:
        found["soort"] = f"Dit soort is er niet; wel: {', '.join(sorted(firm.soorten))}."
    if wish.until is not None and wish.until < wish.since:
        found["tot"] = "Het einde ligt voor het begin."
    return found


async def _put_mandates(
    c: Connection,
    caller: Caller,
    key: tuple[UUID, str, str],
    had: Iterable[Mandate],
    wanted: Mapping[date, date | None],
) -> None:
    """From now on the mandates of this person, klant and soort are those that are wanted: last
    days by first days. One that begins on the same day gets the wanted last day; another that
    could still be used ended yesterday; what is over stays as it was. The same again changes
    nothing.
    """
    yesterday = today() - timedelta(days=1)
    missing = dict(wanted)
    for one in had:
        if one.since in missing:
            until = missing.pop(one.since)
        elif one.until is not None and one.until <= yesterday:
            continue
        else:
            until = yesterday
        if until == one.until:
            continue
        await mandates.until(c, one.id, until)
        longer = one.until is not None and (until is None or until > one.until)
        await _record_mandate(c, caller, key, "mandate_given" if longer else "mandate_ended")
    for since, until in missing.items():
        person, klant, soort = key
        await mandates.add(c, caller.firm.id, person, klant, soort, since, until)
        await _record_mandate(c, caller, key, "mandate_given")


async def _record_mandate(
    c: Connection, caller: Caller, key: tuple[UUID, str, str], event: str
) -> None:
    person, klant, soort = key
    await audit.record(c, event, firm=caller.firm.id, person=person, klant=klant,
                       data={"soort": soort, "by": caller.by})  # fmt: skip


def _too_many(wishes: Sequence[object]) -> dict[str, str]:
    if 0 < len(wishes) <= MOST:
        return {}
    return {"body": f"Een reeks heeft 1 tot {MOST} regels."}


def _again(keys: Iterable[Hashable]) -> list[int]:
    """The places of those that stood there before."""
    first: dict[Hashable, int] = {}
    return [i for i, key in enumerate(keys) if first.setdefault(key, i) != i]
