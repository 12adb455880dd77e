"""Sending: one code confirms a batch, and is bound to exactly those stukken."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway import log
from gateway.domain import phone as phones
from gateway.domain import stuk as rules
from gateway.domain.code import Purpose
from gateway.domain.soort import Soort
from gateway.domain.stuk import State
from gateway.errors import Denied, Invalid
from gateway.flows import codes, filing, notices
from gateway.flows.accordering.approving import NOT_OPEN, settle
from gateway.flows.accordering.tasks import Task, record, soort_of, tasks, tasks_of
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor, now
from gateway.store import audit, persons, stukken
from gateway.store.database import Connection
from gateway.store.stukken import Stuk

#: Stukken that one code may confirm.
MOST = 50
NOTHING = "Kies ten minste één document."


@dataclass(frozen=True, slots=True)
class Batch:
    """The stukken that one code is to confirm, and what the code is bound to."""

    tasks: tuple[Task, ...]
    subject: str


async def batch(portal: Portal, visitor: Visitor, ids: Sequence[UUID]) -> Batch:
    """The chosen stukken that are ready. Raises Invalid when none is."""
    ready = {t.stuk.id: t for t in await tasks(portal, visitor) if t.ready}
    chosen = tuple(ready[id] for id in dict.fromkeys(ids) if id in ready)[:MOST]
    if not chosen:
        raise Invalid({"stuk": NOTHING})
    async with portal.db.tenant(visitor.firm.id) as c:
        return Batch(chosen, await _subject(c, [t.stuk for t in chosen]))


async def _subject(c: Connection, found: Sequence[Stuk]) -> str:
    """Of which stukken, of which bytes, and to which banks."""
    lines = ["|".join((str(s.id), s.manifest, *await stukken.banks(c, s.id))) for s in found]
    return rules.subject(lines)


async def send_code(portal: Portal, visitor: Visitor, chosen: Batch) -> None:
    """Send the code for a batch; the message names what is approved. Raises as codes.send."""
    await codes.send(
        portal,
        visitor,
        Purpose.APPROVING,
        lambda code, language: filing.message(
            visitor.firm, code, language, _told(chosen, language)
        ),
        chosen.subject,
    )


def _told(chosen: Batch, language: str) -> str:
    """What the message names: type, period and client of the first, and how many more."""
    first = chosen.tasks[0]
    text = f"{first.soort.short.in_(language)} {first.stuk.tijdvak} {first.stuk.klant_name}"
    more = len(chosen.tasks) - 1
    if not more:
        return text
    return f"{text} + {more} {'other(s)' if language == 'en' else 'andere'}"


async def resend_state(portal: Portal, visitor: Visitor, chosen: Batch) -> codes.Resend:
    """Whether a new code may be asked for this batch."""
    return await codes.resend_state(portal, visitor, Purpose.APPROVING, chosen.subject)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of each: approved to the last place, waiting for somebody else, or why not."""

    stuk: Stuk
    soort: Soort
    state: State
    problem: str = ""


async def send(portal: Portal, visitor: Visitor, ids: Sequence[UUID], *boxes: str) -> list[Sent]:
    """Confirm a batch with the code: ONE transaction consumes it and writes approvals,
    deliveries, audit and letters. Raises Invalid; a wrong code has cost a try.
    """
    given = codes.entered(*boxes)
    moment = now()
    async with portal.db.tenant(visitor.firm.id) as c:
        person = await persons.by_id(c, visitor.person_id, lock=True)
        if person is None or not person.may_sign_in:
            raise Denied
        found = await stukken.lock_all(c, ids[:MOST])
        chosen = [t.stuk for t in await tasks_of(c, visitor, found) if t.ready]
        if not chosen:
            raise Invalid({"stuk": NOT_OPEN})
        subject = await _subject(c, chosen)
        tried = await codes.try_one(portal, c, visitor, Purpose.APPROVING, subject, given, moment)
        if tried.good and await codes.use(c, tried, moment):
            return [await _send(portal, c, visitor, s, tried.id) for s in chosen]
        await audit.record(c, "code_wrong", firm=visitor.firm.id, person=visitor.person_id)
    raise Invalid({"code1": tried.wrong})


async def _send(portal: Portal, c: Connection, visitor: Visitor, stuk: Stuk, code: UUID) -> Sent:
    """One of the batch, for itself: when it cannot go, the others do."""
    soort = soort_of(visitor.firm, stuk)
    try:
        async with c.transaction():
            state = await _confirm(portal, c, visitor, stuk, soort, code)
    except Invalid as e:
        return Sent(stuk, soort, stuk.state, next(iter(e.faults.values())))
    log.get().info("stuk_confirmed", firm=visitor.firm.id, stuk=str(stuk.id), state=state)
    return Sent(stuk, soort, state)


async def _confirm(
    portal: Portal, c: Connection, visitor: Visitor, stuk: Stuk, soort: Soort, code: UUID
) -> State:
    if not await stukken.confirm(c, stuk.id, visitor.person_id, code):
        raise Invalid({"stuk": NOT_OPEN})
    await record(c, visitor, stuk, "stuk_confirmed", manifest=stuk.manifest, code=str(code))
    state = await settle(c, stuk)
    if state is State.APPROVED:
        return await filing.begin(portal, c, visitor.firm, stuk, soort)
    await notices.to_approve(portal, c, visitor.firm, stuk)
    return state


async def phone(portal: Portal, visitor: Visitor) -> str:
    """The masked number that codes go to."""
    async with portal.db.tenant(visitor.firm.id) as c:
        person = await persons.by_id(c, visitor.person_id)
    sealed = person.mobile_sealed if person else None
    return phones.masked(portal.keys.open("mobile", sealed)) if sealed else ""
