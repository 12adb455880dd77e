"""Accordering: what waits for a client, opening it, and approving, rejecting and sending it.

Approving is provisional until a code confirms it ("klaar om te verzenden"); one code confirms a
whole batch and is bound to the hashes of exactly those stukken (decision 4 of the inventory).
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from gateway import log
from gateway.connector.guard import GuardedReader
from gateway.domain import phone as phones
from gateway.domain import stuk as rules
from gateway.domain.accordering import Mandate, mandated
from gateway.domain.code import SENDS, Purpose
from gateway.domain.firm import Firm
from gateway.domain.payment import Payment, Receiver
from gateway.domain.sbr import Statusmelding
from gateway.domain.soort import Soort
from gateway.domain.stuk import OPEN, Role, State
from gateway.errors import Denied, Invalid, PortalError, Stale
from gateway.flows import codes, documents, filing, notices
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor, now, today
from gateway.store import audit, deliveries, klanten, mandates, persons, stukken
from gateway.store.database import Connection
from gateway.store.deliveries import Delivery
from gateway.store.stukken import Akkoord, PartRow, Stuk

T = TypeVar("T")
#: Stukken that one code may confirm.
MOST = 50
#: Letters that a reason for rejecting has at the least and at the most.
REASON = (10, 2000)

NOT_SEEN = "Open eerst alle onderdelen van het document. Daarna kunt u goedkeuren of afkeuren."
CHANGED = "Het document is veranderd sinds u het opende. Bekijk het opnieuw."
NOT_OPEN = "Dit document wacht niet meer op uw akkoord."
NOTHING = "Kies ten minste één document."
NO_REASON = "Geef een reden van ten minste 10 tekens. Uw accountant leest die."
NO_BANK = "Kies ten minste één bank die de rapportage mag krijgen."


@dataclass(frozen=True, slots=True)
class Task:
    """One stuk in a list. ready: this visitor approved it and must still send it."""

    stuk: Stuk
    soort: Soort
    mine: bool
    ready: bool
    overdue: bool


@dataclass(frozen=True, slots=True)
class PartShown:
    """A part as the page shows it. seen: this visitor has got it to its last byte."""

    row: PartRow
    name: str
    seen: bool


@dataclass(frozen=True, slots=True)
class Detail:
    """All that the page of one stuk tells."""

    task: Task
    parts: tuple[PartShown, ...]
    akkoorden: tuple[Akkoord, ...]
    names: Mapping[UUID, str]
    opmerking: str
    deliveries: tuple[Delivery, ...]
    banks: tuple[str, ...] = field(default=())

    @property
    def may_act(self) -> bool:
        """Whether the buttons "goedkeuren" and "afkeuren" do something."""
        return self.task.mine and all(p.seen for p in self.parts)


async def tasks(portal: Portal, visitor: Visitor) -> list[Task]:
    """What waits for this visitor, of all his organisations, by deadline."""
    async with portal.db.tenant(visitor.firm.id) as c:
        numbers = [k.number for k in visitor.klanten]
        found = await stukken.of_klanten(c, numbers, states=OPEN)
        made = await _tasks(c, visitor, found)
    return [t for t in made if t.mine or t.ready]


async def count(portal: Portal, visitor: Visitor) -> int:
    """How many."""
    return len(await tasks(portal, visitor))


async def overview(
    portal: Portal,
    visitor: Visitor,
    *,
    state: str,
    jaar: int | None,
    soort: str,
    search: str = "",
) -> list[Task]:
    """Every stuk of the visitor's organisations, filtered; the empty filter is [Alle]. search:
    words that all stand in its klant, type, periode or year, as the visitor reads them."""
    known = {s.value for s in State}
    states = [State(state)] if state in known else None
    language = visitor.language
    titles = {
        key: f"{one.title.in_(language)} {one.short.in_(language)}"
        for key, one in visitor.firm.soorten.items()
    }
    async with portal.db.tenant(visitor.firm.id) as c:
        found = await stukken.of_klanten(
            c,
            [k.number for k in visitor.klanten],
            states=states,
            jaar=jaar,
            soort=soort or None,
            words=search.split(),
            titles=titles,
        )
        return await _tasks(c, visitor, [s for s in found if s.state is not State.CONCEPT])


async def years(portal: Portal, visitor: Visitor) -> list[int]:
    """The years of which there is a stuk, the newest first."""
    async with portal.db.tenant(visitor.firm.id) as c:
        return await stukken.years(c, [k.number for k in visitor.klanten])


async def _tasks(c: Connection, visitor: Visitor, found: Sequence[Stuk]) -> list[Task]:
    """Each as this visitor has it; two statements, however many there are."""
    waiting = [s for s in found if s.state in OPEN]
    given = await stukken.akkoorden_of(c, [s.id for s in waiting])
    held = await mandates.of_klanten(
        c, sorted({s.klant for s in waiting}), person=visitor.person_id
    )
    of_klant: dict[str, list[Mandate]] = {}
    for one in held:
        of_klant.setdefault(one.klant, []).append(one)
    day = today()
    return [
        _as_task(
            visitor,
            s,
            given.get(s.id, []),
            bool(mandated(of_klant.get(s.klant, []), s.klant, s.soort, day)),
            day,
        )
        for s in found
    ]


async def _task(c: Connection, visitor: Visitor, stuk: Stuk) -> Task:
    (task,) = await _tasks(c, visitor, [stuk])
    return task


def _as_task(
    visitor: Visitor, stuk: Stuk, given: Sequence[Akkoord], has_mandate: bool, day: date
) -> Task:
    """given: what counts of a stuk that waits."""
    confirmed = [a.person for a in given if a.confirmed_at]
    mine = [a for a in given if a.person == visitor.person_id and a.act == "approved"]
    able = stuk.state in OPEN and has_mandate
    ready = able and any(a.confirmed_at is None for a in mine)
    return Task(
        stuk,
        visitor.firm.soorten.get(stuk.soort) or _unknown(stuk),
        mine=able and not mine and stuk.rule.may(visitor.person_id, confirmed),
        ready=ready,
        overdue=stuk.deadline is not None and stuk.state in OPEN and stuk.deadline < day,
    )


def _unknown(stuk: Stuk) -> Soort:
    """For a soort that the firm took out of its file."""
    text = {"nl": stuk.soort, "en": stuk.soort}
    return Soort.model_validate({"title": text, "short": text, "route": stuk.route})


async def _find(c: Connection, visitor: Visitor, id: UUID, *, lock: bool = False) -> Stuk:
    """A stuk of one of the visitor's klanten. Raises Denied for any other."""
    stuk = await stukken.find(c, id, lock=lock)
    if (
        stuk is None
        or stuk.state is State.CONCEPT
        or all(k.number != stuk.klant for k in visitor.klanten)
    ):
        raise Denied
    return stuk


async def detail(portal: Portal, visitor: Visitor, id: UUID) -> Detail:
    """One stuk. Raises Denied."""
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await _find(c, visitor, id)
        task = await _task(c, visitor, stuk)
        rows = await stukken.parts(c, id)
        seen = await stukken.seen(c, id, visitor.person_id)
        given = await stukken.akkoorden(c, id)
        people = {a.person: await persons.by_id(c, a.person) for a in given}
        found = await deliveries.of_stuk(c, id)
        chosen = await stukken.banks(c, id)
    return Detail(
        task,
        tuple(
            PartShown(r, portal.keys.open("name", r.name_sealed), (r.number, r.sha256) in seen)
            for r in rows
        ),
        tuple(given),
        {id: p.name for id, p in people.items() if p is not None},
        portal.keys.open("opmerking", stuk.opmerking_sealed) if stuk.opmerking_sealed else "",
        tuple(found),
        tuple(chosen),
    )


# --- opening a part


@dataclass(slots=True)
class Opening:
    """A part that is being given. `pieces` records that it was seen, when its last byte went."""

    portal: Portal
    visitor: Visitor
    stuk: Stuk
    row: PartRow
    name: str
    reader: GuardedReader

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes. The last piece is held back until the whole is known to be what was put up:
        a client never has a whole document that is another."""
        digest, length, held = hashlib.sha256(), 0, b""
        async for piece in self.reader:
            digest.update(piece)
            length += len(piece)
            if held:
                yield held
            held = piece
        if length != self.row.length or digest.hexdigest() != self.row.sha256:
            await _changed_before(self.portal, self.visitor, self.stuk, self.row)
            raise PartChanged
        if held:
            yield held
        await _saw(self.portal, self.visitor, self.stuk, self.row)  # the last byte was taken


class PartChanged(PortalError):
    """The source holds other bytes than were put up."""


@asynccontextmanager
async def opening(
    portal: Portal, visitor: Visitor, id: UUID, number: int
) -> AsyncIterator[Opening]:
    """One part, live from its source. Raises Denied, and the source's errors."""
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await _find(c, visitor, id)
        row = next((r for r in await stukken.parts(c, id) if r.number == number), None)
        klant = await klanten.find(c, stuk.klant)
    if row is None or klant is None:
        raise Denied
    where = portal.keys.open("document", row.document_sealed)
    async with documents.reading(portal, visitor.firm, klant, row.source, where) as reader:
        name = portal.keys.open("name", row.name_sealed)
        yield Opening(portal, visitor, stuk, row, name, reader)


async def _saw(portal: Portal, visitor: Visitor, stuk: Stuk, row: PartRow) -> None:
    async with portal.db.tenant(visitor.firm.id) as c:
        await stukken.saw(c, visitor.firm.id, stuk.id, visitor.person_id, row.number, row.sha256)
        await _record(c, visitor, stuk, "stuk_opened", part=row.number, sha256=row.sha256)


async def _changed_before(portal: Portal, visitor: Visitor, stuk: Stuk, row: PartRow) -> None:
    """Nobody may approve it any more as it is; the relatiebeheerder puts up a new version."""
    async with portal.db.tenant(visitor.firm.id) as c:
        await _record(c, visitor, stuk, "stuk_part_changed", part=row.number)
        await notices.problem(
            portal, c, visitor.firm, stuk,
            "Het document in de bron is een ander dan het document dat is klaargezet.",
            "Zet het document opnieuw klaar.",
        )  # fmt: skip


async def _record(c: Connection, visitor: Visitor, stuk: Stuk, event: str, **data: object) -> None:
    await audit.record(
        c,
        event,
        firm=visitor.firm.id,
        person=visitor.person_id,
        klant=stuk.klant,
        subject=f"stuk:{stuk.id}",
        data=data,
    )


# --- approving, provisionally


async def approve(
    portal: Portal, visitor: Visitor, id: UUID, manifest: str, banks: Sequence[str] = ()
) -> None:
    """ "goedkeuren": from now on it is "klaar om te verzenden". manifest: of the page that was
    seen. banks: those that may get a kredietrapportage.

    Raises Denied, Stale when the page was another version, Invalid when it may not be yet.
    """
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await _ready(c, visitor, id, manifest)
        await _choose_banks(portal, c, visitor, stuk, banks)
        await stukken.approve(c, visitor.firm.id, stuk, visitor.person_id, confirmed=False)
        await _settle(c, stuk)
        await _record(c, visitor, stuk, "stuk_approved", manifest=manifest)


async def _ready(c: Connection, visitor: Visitor, id: UUID, manifest: str) -> Stuk:
    """The stuk, locked, which this visitor may approve or reject now."""
    stuk = await _find(c, visitor, id, lock=True)
    task = await _task(c, visitor, stuk)
    if stuk.state not in OPEN or not task.mine:
        raise Invalid({"akkoord": NOT_OPEN})
    if manifest != stuk.manifest:
        raise Stale(CHANGED)
    rows = await stukken.parts(c, id)
    if not {(r.number, r.sha256) for r in rows} <= await stukken.seen(c, id, visitor.person_id):
        raise Invalid({"akkoord": NOT_SEEN})
    return stuk


async def _choose_banks(
    portal: Portal, c: Connection, visitor: Visitor, stuk: Stuk, banks: Sequence[str]
) -> None:
    soort = visitor.firm.soorten.get(stuk.soort)
    if soort is None or not (soort.bank and soort.files):
        return
    chosen = [b for b in banks if b in filing.banks(portal)]
    if not chosen:
        raise Invalid({"bank": NO_BANK})
    await stukken.consent(c, visitor.firm.id, stuk.id, visitor.person_id, chosen)
    await _record(c, visitor, stuk, "bank_consent", banks=chosen)


async def _settle(c: Connection, stuk: Stuk) -> State:
    """The state that the approvals give, written when it is another."""
    given = [a for a in await stukken.akkoorden(c, stuk.id) if a.act != "rejected"]
    confirmed = [a.person for a in given if a.confirmed_at]
    if stuk.rule.complete(confirmed):
        new = State.APPROVED
    elif stuk.rule.complete([a.person for a in given]):
        new = State.READY
    else:
        new = State.PARTLY if confirmed else State.TO_APPROVE
    if new is not stuk.state and not await stukken.move(c, stuk, new):
        raise Invalid({"akkoord": NOT_OPEN})
    return new


async def take_back(portal: Portal, visitor: Visitor, id: UUID) -> None:
    """Off the list "klaar om te verzenden" again. Raises Denied."""
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await _find(c, visitor, id, lock=True)
        if stuk.state in OPEN and await stukken.void(c, id, visitor.person_id):
            await _settle(c, stuk)
            await _record(c, visitor, stuk, "stuk_taken_back")


# --- sending: one code for a batch


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
    text = f"{first.soort.short.in_(language)} {first.stuk.periode} {first.stuk.klant_name}"
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
        chosen = [t.stuk for t in await _tasks(c, visitor, found) if t.ready]
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
    soort = visitor.firm.soorten.get(stuk.soort) or _unknown(stuk)
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
    await _record(c, visitor, stuk, "stuk_confirmed", manifest=stuk.manifest, code=str(code))
    state = await _settle(c, stuk)
    if state is State.APPROVED:
        return await filing.begin(portal, c, visitor.firm, stuk, soort)
    await notices.to_approve(portal, c, visitor.firm, stuk)
    return state


# --- rejecting


def _rejection(stuk: Stuk, reason: str) -> str:
    """What the code of a rejection is bound to: the stuk, and the words of the reason."""
    return hashlib.sha256(f"afkeuren|{stuk.id}|{stuk.manifest}|{reason}".encode()).hexdigest()


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not REASON[0] <= len(reason) <= REASON[1]:
        raise Invalid({"reden": NO_REASON})
    return reason


async def ask_rejection(
    portal: Portal, visitor: Visitor, id: UUID, manifest: str, reason: str, *, again: bool = False
) -> None:
    """ "afkeuren": send the code that confirms it. again: also when one was sent already.

    Raises Denied, Stale, Invalid, TooMany.
    """
    words = _reason(reason)
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await _ready(c, visitor, id, manifest)
    subject = _rejection(stuk, words)
    state = await codes.resend_state(portal, visitor, Purpose.REJECTING, subject)
    if again or state.left == SENDS:
        soort = visitor.firm.soorten.get(stuk.soort) or _unknown(stuk)
        await codes.send(
            portal,
            visitor,
            Purpose.REJECTING,
            lambda code, language: filing.rejection(
                visitor.firm, code, language, f"{soort.short.in_(language)} {stuk.periode}"
            ),
            subject,
        )


async def reject(
    portal: Portal, visitor: Visitor, id: UUID, manifest: str, reason: str, *boxes: str
) -> Stuk:
    """Reject it for good: the firm is told the reason at once. Raises Denied, Stale, Invalid."""
    words = _reason(reason)
    given = codes.entered(*boxes)
    moment = now()
    async with portal.db.tenant(visitor.firm.id) as c:
        person = await persons.by_id(c, visitor.person_id, lock=True)
        stuk = await _ready(c, visitor, id, manifest)
        tried = await codes.try_one(
            portal, c, visitor, Purpose.REJECTING, _rejection(stuk, words), given, moment
        )
        if person is not None and tried.good and await codes.use(c, tried, moment):
            await stukken.approve(
                c, visitor.firm.id, stuk, visitor.person_id, act="rejected", code=tried.id,
                reason_sealed=portal.keys.seal("reason", words), confirmed=True,
            )  # fmt: skip
            await stukken.move(c, stuk, State.REJECTED)
            await _record(c, visitor, stuk, "stuk_rejected", manifest=manifest)
            await notices.to_office(
                portal, c, visitor.firm, stuk, "stuk_rejected_office",
                person=person.name, reason=words,
            )  # fmt: skip
            return stuk
        await audit.record(c, "code_wrong", firm=visitor.firm.id, person=visitor.person_id)
    raise Invalid({"code1": tried.wrong})


# --- what happened


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the Geschiedenis. who: the name, or "" for the portal itself."""

    at: datetime
    event: str
    who: str


async def history(portal: Portal, visitor: Visitor, id: UUID) -> list[Event]:
    """The Geschiedenis of a stuk, the newest first. Raises Denied."""
    async with portal.db.tenant(visitor.firm.id) as c:
        await _find(c, visitor, id)
        rows = await stukken.history(c, id)
    return [Event(r["at"], r["event"], r["name"] or "") for r in reversed(rows)]


async def statuses(portal: Portal, visitor: Visitor, found: Detail) -> list[Statusmelding]:
    """What the receivers told, by their clocks."""
    async with portal.db.tenant(visitor.firm.id) as c:
        told = [await deliveries.statuses(c, d.id) for d in found.deliveries]
    return sorted((s for some in told for s in some), key=lambda s: s.tijdstempel)


async def phone(portal: Portal, visitor: Visitor) -> str:
    """The masked number that codes go to."""
    async with portal.db.tenant(visitor.firm.id) as c:
        person = await persons.by_id(c, visitor.person_id)
    sealed = person.mobile_sealed if person else None
    return phones.masked(portal.keys.open("mobile", sealed)) if sealed else ""


def figures(portal: Portal, stuk: Stuk) -> list[tuple[str, str, Decimal]]:
    """The figures that matter: Dutch label, English label, amount."""
    if stuk.summary_sealed is None:
        return []
    rows = json.loads(portal.keys.open("summary", stuk.summary_sealed))
    return [(nl, en, Decimal(amount)) for nl, en, amount in rows]


def to_pay(portal: Portal, firm: Firm, stuk: Stuk) -> Payment | None:
    """What the client is to pay, once the stuk is on its way; None when nothing is."""
    soort = firm.soorten.get(stuk.soort)
    on_its_way = stuk.state in (State.APPROVED, State.FILED, State.ACCEPTED, State.DONE)
    if stuk.payment_sealed is None or soort is None or soort.payee is None or not on_its_way:
        return None
    amount, kenmerk, day = json.loads(portal.keys.open("payment", stuk.payment_sealed))
    payee = Receiver(soort.payee.name, soort.payee.iban, soort.payee.bic)
    return Payment(Decimal(amount), kenmerk, payee, date.fromisoformat(day) if day else None)


async def in_thread(work: Callable[[], T]) -> T:
    """Reading a large instance is not for the event loop."""
    return await asyncio.to_thread(work)


def instance_of(rows: Sequence[PartShown]) -> PartShown | None:
    """The XBRL instance among the parts."""
    return next((p for p in rows if p.row.role is Role.INSTANCE), None)
