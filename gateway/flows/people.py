"""Accounts: made and ended by the firm, and brought back by a mailed link.

A mailed link only lets somebody choose a password. It never signs in: the code by SMS is still
asked (ASVS 6.4.3). Opening it changes nothing (mail scanners open links); sending the form does.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import timedelta

from gateway.domain import keys, mail, password, phone, throttle
from gateway.domain.firm import Firm, safe_part
from gateway.domain.klant import Klant
from gateway.domain.person import RETURNS, Person, Role, State
from gateway.domain.wire import NOT_ONE_LINE, one_line
from gateway.errors import Denied, Invalid
from gateway.flows import letters
from gateway.flows.portal import Portal
from gateway.flows.signing_in import as_username
from gateway.flows.throttling import forgive, take, unhurried
from gateway.flows.visitor import From, now
from gateway.store import audit, klanten, links, persons, sessions
from gateway.store.database import Connection

LIFETIMES = {"password": timedelta(hours=1), "invitation": timedelta(hours=72)}
NO_MOBILE = "Vul een mobiel nummer in, bijvoorbeeld 06 12345678."
NOT_EQUAL = "De twee wachtwoorden zijn niet gelijk."
NO_MAIL = "Vul een e-mailadres in, zonder accenten voor de @: naam@kantoor.nl."
NO_NUMBER = "Een nummer heeft 1 tot 40 letters, cijfers of ._- en is niet alleen punten."
KLANT_NUMBER = re.compile(r"[\w./-]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Chooser:
    """Who stands behind a link that is still good, and by which rule a password is chosen."""

    firm: Firm
    person: Person
    purpose: str

    @property
    def rule(self) -> str:
        """The policy as a sentence."""
        if self.firm.passwords == "handleiding-2018":
            return password.MANUAL_RULE
        return "Neem ten minste 12 tekens. Een zin of vier losse woorden werkt goed."


# --- by the firm


async def add(
    portal: Portal,
    firm: Firm,
    *,
    username: str,
    name: str,
    mobile: str,
    role: Role = Role.CLIENT,
    klanten_of: Sequence[str] = (),
) -> Person:
    """A new person, with an invitation by mail. Raises Invalid with every fault."""
    number = phone.mobile(mobile, portal.sms_countries)
    username = as_username(username)
    name = " ".join(name.split()) or username
    faults = {} if number else {"mobile": NO_MOBILE}
    if mail.written(username) is None:
        faults["username"] = NO_MAIL
    if fault := name_fault(name):
        faults["name"] = fault
    async with portal.db.tenant(firm.id) as c:
        for klant in klanten_of:
            if await klanten.find(c, klant) is None:
                faults["klant"] = f"Klant {klant} bestaat niet."
        if faults or number is None:
            raise Invalid(faults)
        person = await persons.add(c, firm.id, username, name, role)
        if person is None:
            raise Invalid({"username": "Deze gebruikersnaam bestaat al."})
        await put_mobile(portal, c, person, number)
        for klant in klanten_of:
            await klanten.grant(c, firm.id, person.id, klant)
        await audit.record(c, "person_added", firm=firm.id, person=person.id)
        await mail_link(portal, c, firm, person, "invitation")
    return person


async def set_mobile(portal: Portal, firm: Firm, username: str, mobile: str) -> None:
    """Another number, by the firm. Raises Invalid."""
    number = phone.mobile(mobile, portal.sms_countries)
    if number is None:
        raise Invalid({"mobile": NO_MOBILE})
    async with portal.db.tenant(firm.id) as c:
        person = await _known(c, username)
        await put_mobile(portal, c, person, number)
        await sessions.end_all(c, person.id)
        await audit.record(c, "mobile_changed", firm=firm.id, person=person.id)


async def reset(portal: Portal, firm: Firm, username: str) -> None:
    """Mail a link to choose a password, whatever the account's state; brings it back."""
    async with portal.db.tenant(firm.id) as c:
        person = await _known(c, username)
        await persons.set_state(
            c, person.id, State.INVITED, of=frozenset({State.DISABLED, State.DEACTIVATED})
        )
        await audit.record(c, "password_reset_by_firm", firm=firm.id, person=person.id)
        await mail_link(portal, c, firm, person, "invitation")


async def disable(portal: Portal, firm: Firm, username: str) -> None:
    """Nobody gets in with it any more, from this moment on. Raises Invalid."""
    async with portal.db.tenant(firm.id) as c:
        person = await _known(c, username)
        if not await persons.set_state(c, person.id, State.DISABLED, of=RETURNS):
            return
        await sessions.end_all(c, person.id)
        await links.drop(c, person.id)
        await letters.put(
            portal,
            c,
            firm,
            "account_disabled",
            person.username,
            person.language,
            name=person.name,
        )
        await audit.record(c, "person_disabled", firm=firm.id, person=person.id)


async def put_klanten(
    portal: Portal, firm: Firm, found: Sequence[Klant], keep: Set[str] = frozenset()
) -> None:
    """Add or change klanten. keep: numbers of those whose relatiebeheerder stays who it is.
    Raises Invalid for the first that is not right."""
    for klant in found:
        if faults := klant_faults(firm, klant):
            raise Invalid(faults)
    async with portal.db.tenant(firm.id) as c:
        await klanten.one_batch(c, firm.id)
        await klanten.put(c, firm.id, found, keep)
        await audit.record(c, "klanten_put", firm=firm.id, data={"count": len(found)})


def klant_faults(firm: Firm, klant: Klant) -> dict[str, str]:
    """What is wrong with a klant, by field. A number must have a place in a source: it is one part
    of a path, unless the firm's file names its place."""
    found: dict[str, str] = {}
    placed = any(klant.number in s.places for s in firm.sources)
    if not KLANT_NUMBER.fullmatch(klant.number) or not (safe_part(klant.number) or placed):
        found["nummer"] = NO_NUMBER
    if fault := name_fault(klant.name):
        found["naam"] = fault
    known = {e.id for e in firm.employees}
    if klant.relatiebeheerder is not None and klant.relatiebeheerder not in known:
        found["relatiebeheerder"] = "Deze medewerker staat niet in de configuratie."
    return found


def name_fault(name: str) -> str:
    """What is wrong with a name of a klant or person; "" when nothing is."""
    if not one_line(name):
        return NOT_ONE_LINE
    return "" if 0 < len(name.strip()) <= 200 else "Een naam heeft 1 tot 200 tekens."


async def grant(portal: Portal, firm: Firm, username: str, number: str) -> None:
    """Give a person access to a klant. Raises Invalid."""
    async with portal.db.tenant(firm.id) as c:
        person = await _known(c, username)
        if await klanten.find(c, number) is None:
            raise Invalid({"klant": f"Klant {number} bestaat niet."})
        await klanten.grant(c, firm.id, person.id, number)
        await audit.record(c, "access_given", firm=firm.id, person=person.id, klant=number)


async def revoke(portal: Portal, firm: Firm, username: str, number: str) -> None:
    """Take access away; it counts from the next request on. Raises Invalid when there was none:
    with a number that was mistyped somebody would keep what he should lose."""
    async with portal.db.tenant(firm.id) as c:
        person = await _known(c, username)
        if not await klanten.revoke(c, person.id, number):
            raise Invalid({"klant": "Deze persoon heeft geen toegang tot deze klant."})
        await audit.record(c, "access_taken", firm=firm.id, person=person.id, klant=number)


async def _known(c: Connection, username: str) -> Person:
    person = await persons.by_username(c, as_username(username))
    if person is None:
        raise Invalid({"username": "Deze gebruikersnaam bestaat niet."})
    return person


async def put_mobile(portal: Portal, c: Connection, person: Person, number: str) -> None:
    """Keep a number that was checked, sealed."""
    await persons.set_mobile(
        c,
        person.id,
        portal.keys.seal("mobile", number),
        portal.keys.digest("mobile", number),
    )


async def mail_link(
    portal: Portal, c: Connection, firm: Firm, person: Person, purpose: str
) -> None:
    """Mail a link to choose a password. purpose: of `LIFETIMES`."""
    token = keys.token()
    expires = now() + LIFETIMES[purpose]
    await links.add(c, firm.id, keys.fingerprint(token), person.id, purpose, expires)
    event = "invitation" if purpose == "invitation" else "password_reset"
    await letters.put(
        portal,
        c,
        firm,
        event,
        person.username,
        person.language,
        name=person.name,
        username=person.username,
        link=f"{portal.base_url}/wachtwoord/{firm.id}/{token}",
    )


# --- by the person, not signed in


async def forgot_password(portal: Portal, firm: Firm | None, username: str, origin: From) -> None:
    """ "Wachtwoord vergeten?": mail a link where there is an account. Says the same either way;
    raises TooMany only for what anyone could see by himself (too many requests)."""
    username = as_username(username)
    await _allow_mail(portal, username, origin)
    async with unhurried():
        for one in await _firms(portal, firm, username):
            async with portal.db.tenant(one.id) as c:
                person = await persons.by_username(c, username)
                if person is not None and person.state in RETURNS:
                    await audit.record(c, "password_forgotten", firm=one.id, person=person.id)
                    await mail_link(portal, c, one, person, "password")


async def forgot_username(portal: Portal, firm: Firm | None, given: str, origin: From) -> None:
    """ "Gebruikersnaam vergeten?": mail it to whoever has this mobile number or, at a firm's own
    page, access to the klant of this number. Raises Invalid for what is neither, and TooMany."""
    number = phone.mobile(given, portal.sms_countries)
    klant = given.strip() if firm and KLANT_NUMBER.fullmatch(given.strip()) else None
    if number is None and klant is None:
        raise Invalid({"mobiel": NO_MOBILE})
    await _allow_mail(portal, number or f"{firm.id if firm else ''} {klant}", origin)
    async with unhurried():
        for one in [firm] if firm else portal.firms.values():
            async with portal.db.tenant(one.id) as c:
                for person in await _named(portal, c, number, klant):
                    await _mail_username(portal, c, one, person)


async def _named(
    portal: Portal, c: Connection, number: str | None, klant: str | None
) -> list[Person]:
    if number is not None:
        return await persons.by_mobile(c, portal.keys.digest("mobile", number))
    return await persons.of_klant(c, klant or "")


async def _mail_username(portal: Portal, c: Connection, firm: Firm, person: Person) -> None:
    await letters.put(
        portal,
        c,
        firm,
        "username",
        person.username,
        person.language,
        name=person.name,
        username=person.username,
        link=f"{portal.base_url}/kantoor/{firm.id}/inloggen",
    )
    await audit.record(c, "username_forgotten", firm=firm.id, person=person.id)


async def _allow_mail(portal: Portal, subject: str, origin: From) -> None:
    async with portal.db.connection() as c:
        await take(portal, c, throttle.MAIL_NETWORK, throttle.network(origin.address))
        await take(portal, c, throttle.MAIL_ACCOUNT, subject)


async def _firms(portal: Portal, firm: Firm | None, username: str) -> list[Firm]:
    if firm is not None:
        return [firm]
    async with portal.db.connection() as c:
        names = await persons.firms_of(c, username)
    return [portal.firms[n] for n in names if n in portal.firms]


async def behind_link(portal: Portal, firm_id: str, token: str) -> Chooser:
    """Who may choose a password with this link. Changes nothing. Raises Denied."""
    firm = portal.firms.get(firm_id)
    if firm is None:
        raise Denied
    if not token.isascii():
        raise Denied
    async with portal.db.tenant(firm.id) as c:
        link = await links.find(c, keys.fingerprint(token), now())
        person = await persons.by_id(c, link.person) if link else None
    if link is None or person is None or person.state not in RETURNS:
        raise Denied
    return Chooser(firm, person, link.purpose)


async def choose_password(portal: Portal, firm_id: str, token: str, new: str, again: str) -> Firm:
    """Choose it: the link is used up, the account active, every session of it over.

    Raises Denied for a link that is no longer good, Invalid for the password. The person is
    locked before the link, as where the firm ends an account: the other order could deadlock.
    """
    chooser = await behind_link(portal, firm_id, token)
    firm, person = chooser.firm, chooser.person
    if password.normal(new) != password.normal(again):
        raise Invalid({"bevestig": NOT_EQUAL})
    words = (person.name, person.username, firm.name, portal.product)
    fault = await portal.passwords.fault(new, firm.passwords, words)
    if fault is not None:
        raise Invalid({"nieuw": fault})
    hashed = await portal.passwords.hash(new)
    async with portal.db.tenant(firm.id) as c:
        await persons.by_id(c, person.id, lock=True)
        link = await links.use(c, keys.fingerprint(token), now())
        if link is None or not await persons.set_password(c, person.id, hashed):
            raise Denied
        await sessions.end_all(c, person.id)
        await letters.put(
            portal,
            c,
            firm,
            "password_changed",
            person.username,
            person.language,
            name=person.name,
        )
        await audit.record(c, "password_chosen", firm=firm.id, person=person.id)
    await forgive(portal, person.username, throttle.ACCOUNT, throttle.CONSECUTIVE)
    return firm
