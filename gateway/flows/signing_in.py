"""Signing in: password, then a code by SMS, then a session; and ending it again.

The cookie holds ``<firm>.<token>``. The firm in it only says where to look; what opens the
session is the token, of which the database keeps a digest. Every step gives a new token, so a
token that was planted or seen before is worth nothing after it.
"""

import asyncio
import contextlib
import dataclasses
import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway import log
from gateway.domain import code as codes_rules
from gateway.domain import keys, phone, session, throttle
from gateway.domain.code import Purpose
from gateway.domain.firm import Firm
from gateway.domain.person import Person, State
from gateway.domain.session import Stage
from gateway.errors import Invalid, PortalError, TooMany
from gateway.flows import codes, letters
from gateway.flows.portal import Portal
from gateway.flows.throttling import check, forgive, spent, take
from gateway.flows.visitor import From, Visitor, now
from gateway.store import audit, klanten, persons, sessions
from gateway.store.database import Connection

#: One sentence for every way in which a username and password can be wrong.
WRONG = "De gebruikersnaam of het wachtwoord klopt niet."
NO_MORE_SENDS = "U kunt in deze aanmelding geen nieuw token meer aanvragen."


@dataclass(frozen=True, slots=True)
class Half:
    """The password was right: `cookie` holds the half session. sms: what went wrong, or ""."""

    cookie: str
    sms: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One username and password at several firms: which one is meant?"""

    firms: tuple[Firm, ...]
    ticket: str


def _storable(text: str) -> str:
    """What PostgreSQL takes, of what a browser sent: bytes that are no text come as surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()


# --- password


async def check_password(
    portal: Portal,
    firm: Firm | None,
    username: str,
    password: str,
    origin: From,
    *,
    onward: str | None = None,
) -> Half | Choice:
    """First step. firm: None on the shared address; then every firm with that username counts.

    Raises Invalid with one and the same sentence whatever is wrong, and TooMany.
    """
    username = as_username(username)
    stopped = await _allow(portal, username, origin)
    candidates = await _candidates(portal, firm, username)
    right = await _right(portal, candidates, password[:1024])
    if stopped or not right:
        await _refused(portal, candidates, username, origin, stopped)
        raise Invalid({"gebruikersnaam": WRONG})
    await forgive(portal, username, throttle.ACCOUNT, throttle.CONSECUTIVE)
    if len(right) > 1:
        return Choice(tuple(f for f, _ in right), _ticket(portal, username, right))
    found, person = right[0]
    person = await _rehash(portal, found, person, password)
    return await _begin_half(portal, found, person, origin, onward)


def as_username(text: str) -> str:
    """The form in which a username is kept, of what somebody typed."""
    return "".join(c for c in text.strip().lower() if c.isprintable())[:254]


Candidates = list[tuple[Firm, Person | None]]


async def _right(
    portal: Portal, candidates: Candidates, password: str
) -> list[tuple[Firm, Person]]:
    """Where the password fits. All are tried side by side, and each, whatever its state."""
    fits = await asyncio.gather(
        *(
            portal.passwords.verify(one.password if one else None, password)
            for _, one in candidates
        )
    )
    return [
        (at, one)
        for fit, (at, one) in zip(fits, candidates, strict=True)
        if fit and one is not None and one.may_sign_in
    ]


def _ticket(portal: Portal, username: str, right: list[tuple[Firm, Person]]) -> str:
    """What proves at the next step that the password was right: for five minutes, and for as
    long as it is the password."""
    proofs = {firm.id: _proof(portal, person) for firm, person in right}
    until = now().timestamp() + 300
    return portal.keys.seal("choice", json.dumps([until, username, proofs]))


def _proof(portal: Portal, person: Person) -> str:
    return portal.keys.digest("choice", str(person.id), person.password or "")


async def choose_firm(
    portal: Portal, ticket: str, firm_id: str, origin: From, *, onward: str | None = None
) -> Half:
    """The firm is chosen. Raises Invalid for a ticket that is old, broken or for others."""
    try:
        until, username, proofs = json.loads(portal.keys.open("choice", ticket))
    except (PortalError, ValueError):
        raise Invalid({"kantoor": WRONG}) from None
    firm = portal.firms.get(firm_id)
    if firm is None or until < now().timestamp():
        raise Invalid({"kantoor": WRONG})
    async with portal.db.tenant(firm.id) as c:
        person = await persons.by_username(c, username)
    if person is None or proofs.get(firm_id) != _proof(portal, person):
        raise Invalid({"kantoor": WRONG})
    return await _begin_half(portal, firm, person, origin, onward)


async def _allow(portal: Portal, username: str, origin: From) -> bool:
    """Count the attempt for the account; right passwords take it back. Networks and everyone
    together are only counted when they are wrong: an office with many people is no attack.

    True when so many were wrong that no password is right any more. Raises TooMany.
    """
    async with portal.db.connection() as c:
        await check(portal, c, throttle.EVERYONE, "")
        await check(portal, c, throttle.NETWORK, throttle.network(origin.address))
        await take(portal, c, throttle.ACCOUNT, username)
        return await spent(portal, c, throttle.CONSECUTIVE, username)


async def _candidates(portal: Portal, firm: Firm | None, username: str) -> Candidates:
    """Firms to try, never none: an unknown username costs one verification as well."""
    if firm is None:
        async with portal.db.connection() as c:
            names = await persons.firms_of(c, username)
        firms = [portal.firms[n] for n in names if n in portal.firms]
    else:
        firms = [firm]
    found: Candidates = []
    for one in firms or [next(iter(portal.firms.values()))]:
        async with portal.db.tenant(one.id) as c:
            found.append((one, await persons.by_username(c, username)))
    return found


async def _refused(
    portal: Portal, candidates: Candidates, username: str, origin: From, stopped: bool
) -> None:
    """Count it; whoever's password is stopped by this one is told."""
    async with portal.db.connection() as c:
        for limit, subject in (
            (throttle.NETWORK, throttle.network(origin.address)),
            (throttle.EVERYONE, ""),
            (throttle.CONSECUTIVE, username),
        ):
            with contextlib.suppress(TooMany):  # this one was let in already
                await take(portal, c, limit, subject)
        last = await spent(portal, c, throttle.CONSECUTIVE, username) and not stopped
    for firm, person in candidates:
        async with portal.db.tenant(firm.id) as c:
            await audit.record(
                c, "sign_in_refused", firm=firm.id, person=person.id if person else None
            )
            if last and person is not None and person.may_sign_in:
                await _tell_stopped(portal, c, firm, person)
    log.get().info("sign_in_refused")


async def _tell_stopped(portal: Portal, c: Connection, firm: Firm, person: Person) -> None:
    await letters.put(
        portal,
        c,
        firm,
        "password_stopped",
        person.username,
        person.language,
        name=person.name,
        link=f"{portal.base_url}/kantoor/{firm.id}/wachtwoord-vergeten",
    )
    await audit.record(c, "password_stopped", firm=firm.id, person=person.id)


async def _rehash(portal: Portal, firm: Firm, person: Person, password: str) -> Person:
    """The person, with today's hash."""
    if not (person.password and portal.passwords.outdated(person.password)):
        return person
    hashed = await portal.passwords.hash(password)
    async with portal.db.tenant(firm.id) as c:
        await persons.rehash(c, person.id, person.password, hashed)
    return dataclasses.replace(person, password=hashed)


async def _begin_half(
    portal: Portal, firm: Firm, person: Person, origin: From, onward: str | None
) -> Half:
    """A half session, if the password that was right still is."""
    token = keys.token()
    idle, end = session.ends(Stage.HALF, firm.sessions, now())
    async with portal.db.tenant(firm.id) as c:
        at_last = await persons.by_id(c, person.id, lock=True)
        if at_last is None or not at_last.may_sign_in or at_last.password != person.password:
            raise Invalid({"gebruikersnaam": WRONG})
        await sessions.add(
            c,
            firm.id,
            sessions.New(
                keys.fingerprint(token),
                person.id,
                Stage.HALF,
                None,
                onward,
                origin.address,
                _storable(origin.agent),
                idle,
                end,
            ),
        )
        await audit.record(c, "password_right", firm=firm.id, person=person.id)
    cookie = f"{firm.id}.{token}"
    try:
        visitor = await resume(portal, cookie)
        if visitor is not None:
            await send_code(portal, visitor)
    except (Invalid, TooMany) as e:
        return Half(cookie, codes.SMS_FAILED if isinstance(e, Invalid) else NO_MORE_SENDS)
    return Half(cookie)


# --- the code


async def resend_state(portal: Portal, visitor: Visitor) -> codes.Resend:
    """Whether a new code may be asked."""
    return await codes.resend_state(portal, visitor, Purpose.SIGNING_IN)


async def send_code(portal: Portal, visitor: Visitor) -> None:
    """Send a new code; the one before is void. Raises as `codes.send`."""
    await codes.send(
        portal,
        visitor,
        Purpose.SIGNING_IN,
        lambda code, language: codes_rules.message(code, visitor.firm.short, language),
    )


async def confirm_code(portal: Portal, visitor: Visitor, origin: From, *boxes: str) -> str:
    """Second step. The cookie of the full session; the half one is over.

    Raises Invalid. The try is counted before the code is looked at, in one statement. The person
    is locked first, as in `send_code`: in another order two requests could wait for each other.
    """
    given = codes.entered(*boxes)
    moment = now()
    async with portal.db.tenant(visitor.firm.id) as c:
        person = await persons.by_id(c, visitor.person_id, lock=True)
        tried = await codes.try_one(portal, c, visitor, Purpose.SIGNING_IN, "", given, moment)
        if person is None or not person.may_sign_in:
            raise Invalid({"code1": codes.NO_CODE_LEFT})
        if (
            tried.good
            and await codes.use(c, tried, moment)
            and await sessions.end(c, visitor.digest)  # False: broken off in the meantime
        ):
            return await _begin_full(c, visitor, person, origin, moment)
        await audit.record(c, "code_wrong", firm=visitor.firm.id, person=visitor.person_id)
    raise Invalid({"code1": tried.wrong})


async def _begin_full(
    c: Connection, visitor: Visitor, person: Person, origin: From, moment: datetime
) -> str:
    mine = await klanten.of_person(c, person.id)
    numbers = [k.number for k in mine]
    begin = person.preferred_klant if person.preferred_klant in numbers else None
    token = keys.token()
    idle, end = session.ends(Stage.FULL, visitor.firm.sessions, moment)
    await sessions.add(
        c,
        visitor.firm.id,
        sessions.New(
            keys.fingerprint(token),
            person.id,
            Stage.FULL,
            begin or (numbers[0] if numbers else None),
            None,
            origin.address,
            _storable(origin.agent),
            idle,
            end,
        ),
    )
    await persons.signed_in(c, person.id)
    await audit.record(c, "signed_in", firm=visitor.firm.id, person=person.id)
    return f"{visitor.firm.id}.{token}"


# --- sessions


async def resume(portal: Portal, cookie: str) -> Visitor | None:
    """Who is behind a cookie; None when it opens nothing (any more)."""
    firm_id, _, token = cookie.partition(".")
    firm = portal.firms.get(firm_id)
    if firm is None or not token.isascii() or not 0 < len(token) <= 100:
        return None
    found = await portal.looks.put((firm_id, keys.fingerprint(token)))
    moment = now()
    if found is None or min(found.session.idle_until, found.session.ends_at) <= moment:
        return None
    at = found.session
    if at.stage is Stage.FULL and moment - at.seen_at >= session.TOUCH:
        idle, _ = session.ends(Stage.FULL, firm.sessions, moment)
        async with portal.db.tenant(firm.id) as c:
            await sessions.touch(c, at.digest, moment, min(idle, at.ends_at))
    return _visitor(portal, firm, found)


def _visitor(portal: Portal, firm: Firm, found: sessions.Look) -> Visitor:
    at = found.session
    half = at.stage is Stage.HALF
    mine = () if half else found.klanten
    looked_at = at.klant if any(k.number == at.klant for k in mine) else None
    number = (
        portal.keys.open("mobile", found.mobile_sealed) if half and found.mobile_sealed else ""
    )
    return Visitor(
        firm=firm,
        person_id=at.person,
        username=found.username,
        name=masked_name(found.name) if half else found.name,
        phone=phone.masked(number) if number else "",
        role=found.role,
        stage=at.stage,
        language=found.language,
        klanten=mine,
        klant=looked_at or (mine[0].number if mine else None),
        digest=at.digest,
        next=at.next,
        idle_until=at.idle_until,
        ends_at=at.ends_at,
        previous_login_at=found.previous_login_at,
    )


def masked_name(name: str) -> str:
    """First letters only: a right password alone does not buy the name."""
    return " ".join(w if len(w) < 3 and w.islower() else f"{w[:1]}•••" for w in name.split())


async def extend(portal: Portal, visitor: Visitor) -> datetime:
    """ "Blijf ingelogd": the session goes on; the moment it ends without use."""
    moment = now()
    idle, _ = session.ends(Stage.FULL, visitor.firm.sessions, moment)
    async with portal.db.tenant(visitor.firm.id) as c:
        await sessions.touch(c, visitor.digest, moment, min(idle, visitor.ends_at))
    return min(idle, visitor.ends_at)


async def sign_out(portal: Portal, visitor: Visitor) -> None:
    """End this session, also a half one ("Afbreken")."""
    async with portal.db.tenant(visitor.firm.id) as c:
        await sessions.end(c, visitor.digest)
        await audit.record(c, "signed_out", firm=visitor.firm.id, person=visitor.person_id)


async def revoke_all(portal: Portal, firm: Firm, person: UUID) -> int:
    """End every session of a person, wherever it is open; how many there were."""
    async with portal.db.tenant(firm.id) as c:
        count = await sessions.end_all(c, person)
        await audit.record(c, "sessions_ended", firm=firm.id, person=person, data={"count": count})
    return count


async def deactivate(portal: Portal, visitor: Visitor) -> None:
    """ "Account deactiveren": nobody gets in any more; the person and the relatiebeheerder are
    told. A mailed link (people.forgot_password) or the firm brings the account back."""
    firm = visitor.firm
    async with portal.db.tenant(firm.id) as c:
        person = await persons.by_id(c, visitor.person_id, lock=True)
        if person is None or not await persons.set_state(
            c, person.id, State.DEACTIVATED, of=frozenset({State.ACTIVE})
        ):
            return
        await sessions.end_all(c, person.id)
        mine = await klanten.of_person(c, person.id)
        office = firm.employee(mine[0].relatiebeheerder if mine else None)
        await letters.put(
            portal,
            c,
            firm,
            "account_deactivated",
            person.username,
            person.language,
            name=person.name,
        )
        await letters.put(
            portal,
            c,
            firm,
            "account_deactivated_office",
            office.mail,
            "nl",
            name=office.name,
            person=person.name,
        )
        await audit.record(c, "account_deactivated", firm=firm.id, person=person.id)
