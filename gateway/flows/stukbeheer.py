"""What the firm does with stukken and mandates: staff, packages and operations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from gateway.domain import delivery as delivery_rules
from gateway.domain import stuk as rules
from gateway.domain.accordering import ALL
from gateway.domain.delivery import Outcome
from gateway.domain.firm import Firm
from gateway.domain.person import Person
from gateway.domain.person import Role as PersonRole
from gateway.domain.soort import Route
from gateway.domain.stuk import OPEN, State
from gateway.domain.wire import NOT_LINES, one_line
from gateway.domain.xbrl import numbers
from gateway.errors import Denied, Invalid, NotFound
from gateway.flows import filing, notices
from gateway.flows.accordering import tasks
from gateway.flows.portal import Portal
from gateway.flows.signing_in import as_username
from gateway.flows.visitor import Visitor
from gateway.store import audit, deliveries, klanten, mandates, persons, stukken
from gateway.store.database import Connection
from gateway.store.deliveries import Delivery
from gateway.store.stukken import Stuk

TOO_LATE = "Dit kan niet meer: het document is al verzonden of afgehandeld."
NO_STUK = "Er is geen stuk met dit nummer."
NO_MANDATE = "Deze persoon heeft voor deze klant en dit soort geen mandaat dat dan nog loopt."
NO_REASON = "Geef een reden van ten minste 10 tekens."
_CHECKS = {"BTW": numbers.ob, "Fi": numbers.fiscal, "kvk": numbers.kvk}


# --- mandates and numbers


async def identify(portal: Portal, firm: Firm, klant: str, type: str, number: str) -> None:
    """A klant's number at the receivers; only its keyed digest is kept. Raises Invalid."""
    digest = _digest(portal, type, number)
    async with portal.db.tenant(firm.id) as c:
        if await klanten.find(c, klant) is None:
            raise Invalid({"klant": f"Er is geen klant {klant}."})
        await mandates.put_identities(c, firm.id, [(klant, type, digest)])
        await audit.record(c, "klant_identified", firm=firm.id, klant=klant, data={"type": type})


async def take_identity(portal: Portal, firm: Firm, klant: str, type: str, number: str) -> None:
    """Such a number is not the klant's: what names it is refused from now on. Raises Invalid when
    the klant did not have it."""
    digest = _digest(portal, type, number)
    async with portal.db.tenant(firm.id) as c:
        if not await mandates.take_identity(c, klant, type, digest):
            raise Invalid({"nummer": "Deze klant heeft dit nummer niet."})
        await audit.record(c, "klant_identity_taken", firm=firm.id, klant=klant,
                           data={"type": type})  # fmt: skip


def _digest(portal: Portal, type: str, number: str) -> str:
    plain = plain_number(type, number)
    if plain is None:
        raise Invalid({"nummer": f"Dit is geen geldig nummer van het type {type}."})
    return portal.keys.digest("identity", type, plain)


def plain_number(type: str, number: str) -> str | None:
    """A number at a receiver without its dress; None when it is not one of that type."""
    plain = number.strip().upper().removeprefix("NL").replace(".", "").replace(" ", "")
    good = _CHECKS.get(type)
    return plain if plain and (good is None or good(plain)) else None


async def give_mandate(
    portal: Portal,
    firm: Firm,
    username: str,
    klant: str,
    soort: str,
    since: date,
    until: date | None = None,
) -> UUID:
    """A person may approve for a klant, whom he must have access to. Raises Invalid."""
    if soort != ALL and soort not in firm.soorten:
        raise Invalid({"soort": f"Dit soort is er niet; wel: {', '.join(sorted(firm.soorten))}."})
    if until is not None and until < since:
        raise Invalid({"until": "Het einde ligt voor het begin."})
    async with portal.db.tenant(firm.id) as c:
        person = await _person(c, username)
        if person.role is not PersonRole.CLIENT:  # trust.md case 4
            raise Invalid({"gebruikersnaam": "Een medewerker geeft geen akkoord voor een klant."})
        if all(k.number != klant for k in await klanten.of_person(c, person.id)):
            raise Invalid({"klant": "Deze persoon heeft geen toegang tot deze klant."})
        id = await mandates.add(c, firm.id, person.id, klant, soort, since, until)
        await audit.record(c, "mandate_given", firm=firm.id, person=person.id, klant=klant,
                           data={"soort": soort})  # fmt: skip
    return id


async def end_mandate(
    portal: Portal, firm: Firm, username: str, klant: str, soort: str, last: date
) -> int:
    """End the mandates of that soort after a last day; how many. Raises Invalid when none ran:
    with a soort that was mistyped somebody would go on approving."""
    async with portal.db.tenant(firm.id) as c:
        person = await _person(c, username)
        count = await mandates.end(c, person.id, klant, soort, last)
        if not count:
            raise Invalid({"soort": NO_MANDATE})
        await audit.record(c, "mandate_ended", firm=firm.id, person=person.id, klant=klant,
                           data={"soort": soort, "count": count})  # fmt: skip
    return count


async def _person(c: Connection, username: str) -> Person:
    person = await persons.by_username(c, as_username(username))
    if person is None:
        raise Invalid({"gebruikersnaam": "Deze gebruikersnaam is er niet."})
    return person


# --- the desk


@dataclass(frozen=True, slots=True)
class DeskLine:
    """One stuk in the list of the staff. trouble: the state of a delivery that needs a look."""

    id: UUID
    state: State
    route: Route
    trouble: str


@dataclass(frozen=True, slots=True)
class DeskRow:
    """One stuk for the staff: what came of it. trouble: why its delivery does not go on."""

    stuk: Stuk
    soort: str
    notified: bool
    opened: bool
    acted: bool
    trouble: str


def staff_only(visitor: Visitor) -> Firm:
    """The firm of somebody who works there. Raises Denied."""
    if visitor.role not in (PersonRole.STAFF, PersonRole.ADMIN):
        raise Denied
    return visitor.firm


async def desk(
    portal: Portal, visitor: Visitor, *, everything: bool, soort: str, search: str
) -> list[DeskLine]:
    """The stukken of the firm, the last changed first; what has ended only when asked for.
    soort: "" is any. search: words as in accordering.tasks.overview."""
    firm = staff_only(visitor)
    async with portal.db.tenant(firm.id) as c:
        found = await stukken.of_firm(
            c, open_only=not everything, soort=soort or None, words=search.split(),
            titles=tasks.titles(visitor),
        )  # fmt: skip
        troubles = {d.stuk: d.state.value for d in await deliveries.with_trouble(c)}
    return [DeskLine(id, state, route, troubles.get(id, "")) for id, state, route in found]


async def desk_rows(portal: Portal, visitor: Visitor, lines: Sequence[DeskLine]) -> list[DeskRow]:
    """Some of the list, in their order, with what came of each."""
    firm = staff_only(visitor)
    troubles = {line.id: line.trouble for line in lines}
    async with portal.db.tenant(firm.id) as c:
        found = await stukken.these(c, [line.id for line in lines])
        lights = await stukken.lights(c, [s.id for s in found])
    return [_desk_row(firm, s, lights.get(f"stuk:{s.id}", set()), troubles) for s in found]


def _desk_row(firm: Firm, stuk: Stuk, events: set[str], troubles: Mapping[UUID, str]) -> DeskRow:
    soort = firm.soorten.get(stuk.soort)
    return DeskRow(
        stuk,
        soort.title.nl if soort else stuk.soort,
        "stuk_notified" in events,
        "stuk_opened" in events,
        bool(events & {"stuk_approved", "stuk_rejected", "stuk_approved_on_paper"}),
        troubles.get(stuk.id, ""),
    )


@dataclass(frozen=True, slots=True)
class Desk:
    """One stuk for the staff. people: usernames and names of who may approve it on paper."""

    row: DeskRow
    deliveries: tuple[Delivery, ...]
    people: tuple[tuple[str, str], ...]

    @property
    def uncertain(self) -> bool:
        """Whether a person must decide about a delivery."""
        return any(d.state is delivery_rules.State.UNCERTAIN for d in self.deliveries)


async def at_desk(portal: Portal, visitor: Visitor, id: UUID) -> Desk:
    """One stuk. Raises Denied."""
    firm = staff_only(visitor)
    async with portal.db.tenant(firm.id) as c:
        stuk = await stukken.find(c, id)
        if stuk is None:
            raise Denied
        events = (await stukken.lights(c, [id])).get(f"stuk:{id}", set())
        found = await deliveries.of_stuk(c, id)
        waiting = stuk.rule.waiting(
            [a.person for a in await stukken.akkoorden(c, id) if a.confirmed_at]
        )
        able = {m.person for m in await mandates.of_klanten(c, [stuk.klant])}
        people = [await persons.by_id(c, p) for p in sorted((waiting or able) & able)]
    troubles = {d.stuk: d.trouble for d in found if d.trouble}
    return Desk(
        _desk_row(firm, stuk, events, troubles),
        tuple(found),
        tuple((p.username, p.name) for p in people if p is not None),
    )


# --- stukken


async def _find(c: Connection, id: UUID) -> Stuk:
    """The stuk, locked. Raises NotFound."""
    stuk = await stukken.find(c, id, lock=True)
    if stuk is None:
        raise NotFound(NO_STUK)
    return stuk


async def withdraw(portal: Portal, firm: Firm, id: UUID, by: str, reason: str) -> None:
    """Take a stuk back, as long as nothing was sent that may have arrived. Raises NotFound,
    Invalid."""
    words = _reason(reason)
    async with portal.db.tenant(firm.id) as c:
        stuk = await _find(c, id)
        for one in await deliveries.of_stuk(c, id, lock=True):
            if one.state not in delivery_rules.WITHDRAWABLE:
                raise Invalid({"stuk": TOO_LATE})
            await deliveries.move(c, one, delivery_rules.State.WITHDRAWN)
        was_open = stuk.state in OPEN
        if not await stukken.move(c, stuk, State.WITHDRAWN):
            raise Invalid({"stuk": TOO_LATE})
        if was_open:
            await notices.to_clients(portal, c, firm, stuk, "stuk_withdrawn")
        await _record(portal, c, firm, stuk, "stuk_withdrawn", by, words)


async def remind(portal: Portal, firm: Firm, id: UUID, by: str) -> int:
    """Send the notice again; to how many people. Raises NotFound, Invalid."""
    async with portal.db.tenant(firm.id) as c:
        stuk = await _find(c, id)
        if stuk.state not in OPEN:
            raise Invalid({"stuk": "Dit document wacht niet op een klant."})
        count = await notices.to_approve(portal, c, firm, stuk)
        await _record(portal, c, firm, stuk, "stuk_reminded", by)
    return count


async def paper(
    portal: Portal, firm: Firm, id: UUID, username: str, by: str, reason: str
) -> State:
    """Record a consent that was given on paper, with who gave it, who records it, why and how.

    by: the username of staff, or who else: then nobody of the firm is named. Raises NotFound,
    Invalid.
    """
    words = _reason(reason)
    async with portal.db.tenant(firm.id) as c:
        stuk = await _find(c, id)
        person = await _person(c, username)
        given = [a.person for a in await stukken.akkoorden(c, id) if a.confirmed_at]
        if stuk.state not in OPEN or not stuk.rule.may(person.id, given):
            raise Invalid({"stuk": "Van deze persoon is nu geen akkoord nodig."})
        staff = await _staff(c, by)
        await stukken.void(c, id, person.id)
        sealed = portal.keys.seal("reason", words)
        await stukken.approve(
            c, firm.id, stuk, person.id, act="paper", reason_sealed=sealed, staff=staff,
            confirmed=True,
        )  # fmt: skip
        await _record(
            portal, c, firm, stuk, "stuk_approved_on_paper", by, words, person=person.id,
            staff=str(staff) if staff else None,
        )  # fmt: skip
        return await _after_paper(portal, c, firm, stuk, [*given, person.id])


async def _staff(c: Connection, by: str) -> UUID | None:
    """The id of a member of the staff; None for operations and packages."""
    person = await persons.by_username(c, as_username(by))
    return person.id if person and person.role is not PersonRole.CLIENT else None


async def _after_paper(
    portal: Portal, c: Connection, firm: Firm, stuk: Stuk, given: list[UUID]
) -> State:
    if not stuk.rule.complete(given):
        await stukken.move(c, stuk, State.PARTLY)
        await notices.to_approve(portal, c, firm, stuk)
        return State.PARTLY
    await stukken.move(c, stuk, State.APPROVED)
    return await filing.begin(portal, c, firm, stuk, tasks.soort_of(firm, stuk))


async def report(
    portal: Portal, firm: Firm, id: UUID, done: bool, by: str, text: str = ""
) -> None:
    """The fiscal package tells how it ended (`backoffice` route): "Afgerond" or a failure.

    Raises NotFound, Invalid when it is not waiting for that.
    """
    async with portal.db.tenant(firm.id) as c:
        stuk = await _find(c, id)
        found = [d for d in await deliveries.of_stuk(c, id, lock=True) if d.kind == "backoffice"]
        if not found or found[0].state not in delivery_rules.WORKING:
            raise Invalid({"stuk": "Dit document wacht niet op het fiscale pakket."})
        (one,) = found
        end = delivery_rules.State.FINAL_OK if done else delivery_rules.State.FINAL_FAILED
        await deliveries.move(c, one, end, trouble_text=text)
        await stukken.move(c, stuk, State.DONE if done else State.FAILED)
        await _record(portal, c, firm, stuk, "package_done" if done else "package_failed", by)
        if done:
            await notices.to_clients(portal, c, firm, stuk, "stuk_accepted",
                                     status=rules.LABELS[State.DONE].label)  # fmt: skip


async def decide(
    portal: Portal, firm: Firm, id: UUID, by: str, reason: str, *, kenmerk: str | None
) -> None:
    """A person decides an uncertain delivery: it arrived with this kenmerk, or it did not (None)
    and is sent again. Raises NotFound, Invalid."""
    words = _reason(reason)
    async with portal.db.tenant(firm.id) as c:
        stuk = await _find(c, id)
        found = await deliveries.of_stuk(c, id, lock=True)
        uncertain = [d for d in found if d.state is delivery_rules.State.UNCERTAIN]
        if not uncertain:
            raise Invalid({"stuk": "Hier valt niets te beslissen."})
        await _decide(c, uncertain[0], kenmerk)
        if kenmerk is not None:
            await stukken.move(c, stuk, State.FILED)
        await _record(portal, c, firm, stuk, "delivery_decided", by, words)


async def _decide(c: Connection, one: Delivery, kenmerk: str | None) -> None:
    await deliveries.close_attempt(c, one.id, Outcome.DECIDED)
    await deliveries.asked_first(c, one.id)
    await deliveries.calm(c, one.id)
    if kenmerk is None:
        await deliveries.move(c, one, delivery_rules.State.QUEUED)
    else:
        await deliveries.move(c, one, delivery_rules.State.ACCEPTED, kenmerk=kenmerk.strip())


def _reason(text: str) -> str:
    words = " ".join(text.split())
    if not 10 <= len(words) <= 2000:
        raise Invalid({"reden": NO_REASON})
    if not one_line(words):
        raise Invalid({"reden": NOT_LINES})
    return words


async def _record(
    portal: Portal,
    c: Connection,
    firm: Firm,
    stuk: Stuk,
    event: str,
    by: str,
    words: str = "",
    *,
    person: UUID | None = None,
    **more: str | None,
) -> None:
    """person: the client that it is about, when it is about one."""
    reason = {"reason": portal.keys.seal("reason", words)} if words else {}
    await audit.record(
        c,
        event,
        firm=firm.id,
        person=person,
        klant=stuk.klant,
        subject=f"stuk:{stuk.id}",
        data={"by": by, **more, **reason},
    )
