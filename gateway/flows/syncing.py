"""What a package keeps in step: klanten, personen and mandaten, many at once.

Every fault of a batch is told, by its place in it; with a fault nothing is changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from gateway.domain import phone
from gateway.domain.accordering import ALL
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.person import Person, Role, State
from gateway.errors import Invalid
from gateway.flows import people, stukbeheer
from gateway.flows.packages import Caller
from gateway.flows.portal import Portal
from gateway.flows.signing_in import as_username
from gateway.store import audit, klanten, mandates, persons, sessions
from gateway.store.database import Connection

#: Rows of one batch.
MOST = 1000


@dataclass(frozen=True, slots=True)
class KlantWish:
    """A klant. numbers: at the receivers, by type (`BTW`, `Fi`, `kvk`); they are added."""

    klant: Klant
    numbers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PersonWish:
    """A client. klanten: all that the person has access to; others are taken away. mobile: of a
    new account; None leaves it as it is."""

    username: str
    name: str
    klanten: Sequence[str]
    mobile: str | None = None


@dataclass(frozen=True, slots=True)
class MandateWish:
    """Who may approve for which klant. until: the last day; one that is past ends it."""

    username: str
    klant: str
    soort: str
    since: date
    until: date | None = None


async def put_klanten(portal: Portal, caller: Caller, wishes: Sequence[KlantWish]) -> int:
    """Add or change klanten; how many. Raises Invalid."""
    firm, faults = caller.firm, _too_many(wishes)
    known = {e.id for e in firm.employees}
    for i, wish in enumerate(wishes):
        one, at = wish.klant, f"klanten.{i}"
        if not people.KLANT_NUMBER.fullmatch(one.number):
            faults[f"{at}.nummer"] = "Een nummer heeft 1 tot 40 letters, cijfers of ._/-"
        if not 0 < len(one.name.strip()) <= 200:
            faults[f"{at}.naam"] = "Een naam heeft 1 tot 200 tekens."
        if one.relatiebeheerder is not None and one.relatiebeheerder not in known:
            faults[f"{at}.relatiebeheerder"] = "Deze medewerker staat niet in de configuratie."
        for type, number in wish.numbers.items():
            if stukbeheer.plain_number(type, number) is None:
                faults[f"{at}.nummers.{type}"] = f"Dit is geen geldig nummer van het type {type}."
    if faults:
        raise Invalid(faults)
    async with portal.db.tenant(firm.id) as c:
        await klanten.put(c, firm.id, [w.klant for w in wishes])
        for wish in wishes:
            for type, number in wish.numbers.items():
                plain = stukbeheer.plain_number(type, number) or ""
                digest = portal.keys.digest("identity", type, plain)
                await mandates.put_identity(c, firm.id, wish.klant.number, type, digest)
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
    async with portal.db.tenant(firm.id) as c:
        for i, wish in enumerate(wishes):
            faults |= {
                f"personen.{i}.{k}": v for k, v in (await _person_faults(portal, c, wish)).items()
            }
        if faults:
            raise Invalid(faults)
        for wish in wishes:
            await _put_person(portal, c, caller, wish)
    return len(wishes)


async def _person_faults(portal: Portal, c: Connection, wish: PersonWish) -> dict[str, str]:
    found: dict[str, str] = {}
    username = as_username(wish.username)
    if not people.MAIL.fullmatch(username):
        found["gebruikersnaam"] = people.NO_MAIL
    if not 0 < len(wish.name.strip()) <= 200:
        found["naam"] = "Een naam heeft 1 tot 200 tekens."
    for n, number in enumerate(wish.klanten):
        if await klanten.find(c, number) is None:
            found[f"klanten.{n}"] = f"Er is geen klant {number}."
    person = await persons.by_username(c, username)
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


async def _put_person(portal: Portal, c: Connection, caller: Caller, wish: PersonWish) -> None:
    firm, username = caller.firm, as_username(wish.username)
    name = " ".join(wish.name.split())
    person = await persons.by_username(c, username)
    new = person is None
    if person is None:
        person = await persons.add(c, firm.id, username, name, Role.CLIENT)
        if person is None:  # another request was first
            raise Invalid({"gebruikersnaam": "Deze gebruikersnaam bestaat al."})
    elif person.name != name:
        await persons.rename(c, person.id, name)
    mobile = phone.mobile(wish.mobile, portal.sms_countries) if wish.mobile else None
    if mobile and person.state is State.INVITED:
        await people.put_mobile(portal, c, person, mobile)
    await _put_access(c, caller, person, wish.klanten)
    if new:
        await audit.record(
            c, "person_added", firm=firm.id, person=person.id, data={"by": caller.by}
        )
        await people.mail_link(portal, c, firm, person, "invitation")


async def _put_access(
    c: Connection, caller: Caller, person: Person, wanted: Sequence[str]
) -> None:
    firm = caller.firm.id
    has = {k.number for k in await klanten.of_person(c, person.id)}
    for number in sorted(set(wanted) - has):
        await klanten.grant(c, firm, person.id, number)
        await audit.record(c, "access_given", firm=firm, person=person.id, klant=number,
                           data={"by": caller.by})  # fmt: skip
    for number in sorted(has - set(wanted)):
        await klanten.revoke(c, person.id, number)
        await audit.record(c, "access_taken", firm=firm, person=person.id, klant=number,
                           data={"by": caller.by})  # fmt: skip
    if not wanted:
        await sessions.end_all(c, person.id)


async def put_mandates(portal: Portal, caller: Caller, wishes: Sequence[MandateWish]) -> int:
    """Give, shorten or end mandates; how many rows were asked for. Raises Invalid."""
    firm, faults = caller.firm, _too_many(wishes)
    async with portal.db.tenant(firm.id) as c:
        found: list[Person | None] = []
        for i, wish in enumerate(wishes):
            person = await persons.by_username(c, as_username(wish.username))
            found.append(person)
            faults |= {
                f"mandaten.{i}.{k}": v
                for k, v in (await _mandate_faults(c, firm, wish, person)).items()
            }
        if faults:
            raise Invalid(faults)
        for wish, person in zip(wishes, found, strict=True):
            if person is not None:
                await _put_mandate(c, caller, wish, person)
    return len(wishes)


async def _mandate_faults(
    c: Connection, firm: Firm, wish: MandateWish, person: Person | None
) -> dict[str, str]:
    if person is None:
        return {"gebruikersnaam": "Deze gebruikersnaam is er niet."}
    found: dict[str, str] = {}
    if person.role is not Role.CLIENT:  # trust.md case 4
        found["gebruikersnaam"] = "Een medewerker geeft geen akkoord voor een klant."
    elif all(k.number != wish.klant for k in await klanten.of_person(c, person.id)):
        found["klant"] = "Deze persoon heeft geen toegang tot deze klant."
    if wish.soort != ALL and wish.soort not in firm.soorten:
        found["soort"] = f"Dit soort is er niet; wel: {', '.join(sorted(firm.soorten))}."
    if wish.until is not None and wish.until < wish.since:
        found["tot"] = "Het einde ligt voor het begin."
    return found


async def _put_mandate(c: Connection, caller: Caller, wish: MandateWish, person: Person) -> None:
    """One row a person, klant and soort that runs: the same again changes nothing."""
    firm = caller.firm.id
    running = [
        m
        for m in await mandates.of_klanten(c, [wish.klant], person=person.id, invited=True)
        if (m.soort, m.since) == (wish.soort, wish.since)
    ]
    if any(m.until == wish.until for m in running):
        return
    if running and wish.until is not None:
        await mandates.end(c, person.id, wish.klant, wish.soort, wish.until)
        event = "mandate_ended"
    else:
        await mandates.add(c, firm, person.id, wish.klant, wish.soort, wish.since, wish.until)
        event = "mandate_given"
    await audit.record(c, event, firm=firm, person=person.id, klant=wish.klant,
                       data={"soort": wish.soort, "by": caller.by})  # fmt: skip


def _too_many(wishes: Sequence[object]) -> dict[str, str]:
    if 0 < len(wishes) <= MOST:
        return {}
    return {"body": f"Een reeks heeft 1 tot {MOST} regels."}
