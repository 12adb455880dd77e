"""Delivering: from an approved stuk to the receiver, once, and its statuses to the end.

trust.md section 4 is the contract. Each call of `step` does the one thing that is due for one
delivery, under its session lock, and commits what happened. It may be killed at any point: the
next call finds in the database what was intended, and asks the receiver before anything is sent
a second time.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from gateway import log
from gateway.delivery import wus
from gateway.delivery.client import Client
from gateway.delivery.outcomes import DeliveryError, NotSent, Refused, Unclear, Unsendable
from gateway.domain import delivery as rules
from gateway.domain import sbr, statuscode
from gateway.domain import stuk as stuk_rules
from gateway.domain.accordering import mandated
from gateway.domain.delivery import Asked, Candidate, Outcome, State, Timing, Verdict
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.sbr import Aanlevering, Bestand, Identiteit, Ontvangst
from gateway.domain.soort import Soort
from gateway.domain.stuk import Role
from gateway.errors import ConfigInvalid, NotFound, PortalError, SourceError
from gateway.flows import documents, notices
from gateway.flows.portal import Portal
from gateway.flows.receivers import Guard, Receivers
from gateway.flows.visitor import today
from gateway.store import audit, deliveries, klanten, mandates, stukken
from gateway.store.database import Connection
from gateway.store.deliveries import Attempt, Delivery
from gateway.store.stukken import PartRow, Stuk

#: Words for `trouble`: why a delivery does not go on.
SOURCE, CHANGED, MANDATE, CONFIG = "bron", "gewijzigd", "mandaat", "configuratie"
CHANNEL, SENDING, UNCLEAR, REFUSED, SILENT = "kanaal", "verzenden", "onduidelijk", "fout", "stil"
#: Seconds that a worker leaves a delivery alone which it could do nothing for.
ALONE = 0.5


@dataclass(frozen=True, slots=True)
class Works:
    """What the worker delivers with. operations: address that hears of shared certificates."""

    portal: Portal
    receivers: Receivers
    guard: Guard
    operations: str = ""

    def timing(self, delivery: Delivery) -> Timing:
        """The times of its destination."""
        one = self.portal.destinations.get(delivery.destination)
        return one.times.timing() if one else Timing()


@dataclass(frozen=True, slots=True)
class Case:
    """A delivery with all that belongs to it, as read at the beginning of a step."""

    firm: Firm
    delivery: Delivery
    stuk: Stuk
    soort: Soort
    klant: Klant
    rows: tuple[PartRow, ...]
    identity: Identiteit
    timing: Timing


async def step(works: Works, firm_id: str, id: UUID) -> bool:
    """Do what is due for one delivery; False when another worker has it or nothing is due."""
    portal = works.portal
    firm = portal.firms.get(firm_id)
    if firm is None:
        return False
    async with deliveries.claimed(portal.db, id) as mine:
        if not mine:
            return False
        case = await _case(works, firm, id)
        if case is None:
            return False
        try:
            await _do(works, case)
        except ConfigInvalid as e:
            await _later(works, case, CONFIG, str(e), 300)
    return True


async def _case(works: Works, firm: Firm, id: UUID) -> Case | None:
    """What is known of it now; None when nothing is due any more."""
    portal = works.portal
    async with portal.db.tenant(firm.id) as c:
        delivery = await deliveries.find(c, id)
        if delivery is None or delivery.state not in rules.WORKING:
            return None
        if delivery.due_at > await deliveries.now(c):
            return None
        stuk = await stukken.find(c, delivery.stuk)
        klant = await klanten.find(c, stuk.klant) if stuk else None
        soort = firm.soorten.get(stuk.soort) if stuk else None
        if stuk is None or klant is None or soort is None:
            return None
        rows = await stukken.parts(c, stuk.id)
    type, number = ("", "")
    if stuk.identity_sealed is not None:
        type, number = json.loads(portal.keys.open("identity", stuk.identity_sealed))
    return Case(
        firm, delivery, stuk, soort, klant, tuple(rows), Identiteit(number, type),
        works.timing(delivery),
    )  # fmt: skip


async def _do(works: Works, case: Case) -> None:
    if case.delivery.kind == "backoffice":
        await _hand_back(works, case)
        return
    async with works.portal.db.tenant(case.firm.id) as c:
        attempt = await deliveries.the_open_attempt(c, case.delivery.id)
    if attempt is not None:
        await _reconcile(works, case, attempt)
        return
    if case.delivery.state is State.ACCEPTED:
        await _poll(works, case)
        return
    if case.delivery.ask_from is not None:
        await _ask_first(works, case)
        return
    await _send(works, case)
    return


# --- sending


async def _send(works: Works, case: Case) -> None:
    """Fetch, compare, intend, send. Nothing leaves before the intent is committed."""
    if not await _still_mandated(works, case):
        await _stop(works, case, MANDATE)
        return
    try:
        files = await _fetched(works, case)
    except NotFound:
        await _changed(works, case)
        return
    except SourceError as e:
        await _unavailable(works, case, e)
        return
    if files is None:
        await _changed(works, case)
        return
    aanlevering = _aanlevering(works, case, files)
    client = await works.receivers.get(case.firm, case.delivery.destination)
    message_id = wus.new_message_id()
    if not await _intend(works, case, message_id):
        await _later(works, case, CHANNEL, "", case.timing.poll)
        return
    try:
        reply = await client.deliver(aanlevering, message_id)
    except Unsendable as e:
        await _ended(works, case, Outcome.NOT_SENT, e, message_id)
    except NotSent as e:
        await _not_sent(works, case, e, message_id)
    except Refused as e:
        if e.code.startswith("ALS"):
            await _ended(works, case, Outcome.REFUSED, e, message_id)
        else:  # a signed fault of another kind may come after the booking
            unclear = Unclear("fault", e.text, code=e.code)
            await _unclear(works, case, unclear, message_id)
    except Unclear as e:
        await _unclear(works, case, e, message_id)
    else:
        await _accepted(works, case, reply, message_id)


async def _still_mandated(works: Works, case: Case) -> bool:
    """Whether those who approved still may (features row 18: effective at send time).

    A paper consent was recorded by the firm, which answers for it.
    """
    async with works.portal.db.tenant(case.firm.id) as c:
        given = [a for a in await stukken.akkoorden(c, case.stuk.id) if a.confirmed_at]
        found = await mandates.of_klanten(c, [case.stuk.klant])
    able = mandated(found, case.stuk.klant, case.stuk.soort, today())
    counting = [a.person for a in given if a.act == "paper" or a.person in able]
    good = all(a.manifest == case.delivery.manifest for a in given if a.person in counting)
    return good and case.stuk.rule.complete(counting)


async def _fetched(works: Works, case: Case) -> list[tuple[PartRow, bytes]] | None:
    """What is filed, in memory; None when any part is another than was approved.

    The parts that are only read (akkoorddocument) are compared too: what was seen is what is sent.
    """
    portal, found = works.portal, []
    for row in case.rows:
        where = portal.keys.open("document", row.document_sealed)
        if row.role is Role.AKKOORD:
            read = await documents.hashed(portal, case.firm, case.klant, row.source, where)
        else:
            read = await documents.whole(
                portal, case.firm, case.klant, row.source, where, most=sbr.MOST
            )
        if (read.length, read.sha256) != (row.length, row.sha256):
            return None
        if row.role is not Role.AKKOORD:
            found.append((row, read.data))
    return found if case.stuk.manifest == case.delivery.manifest else None


def _aanlevering(works: Works, case: Case, files: Sequence[tuple[PartRow, bytes]]) -> Aanlevering:
    made = {row.number: _file(works, row, data) for row, data in files}
    instance = next(row.number for row, _ in files if row.role is Role.INSTANCE)
    one = works.portal.destinations[case.delivery.destination]
    receiver = one.receivers.get(case.delivery.receiver)
    return Aanlevering(
        berichtsoort=case.delivery.berichtsoort,
        aanleverkenmerk=case.delivery.aanleverkenmerk,
        belanghebbende=case.identity,
        rol=one.rol or case.soort.rol,
        inhoud=made.pop(instance),
        bijlagen=tuple(made.values()),
        ontvanger=receiver.identiteit if receiver else None,
    )


def _file(works: Works, row: PartRow, data: bytes) -> Bestand:
    name = works.portal.keys.open("name", row.name_sealed)
    return Bestand(name, row.media_type.partition(";")[0], data)


async def _intend(works: Works, case: Case, message_id: str) -> bool:
    """Commit the attempt, and note it outside the database; False when the channel is taken."""
    portal = works.portal
    async with portal.db.tenant(case.firm.id) as c:
        await c.execute("set local synchronous_commit = on")
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state is not case.delivery.state:
            return False
        if await deliveries.open_attempt(c, case.firm.id, at, message_id) is None:
            return False
        if not await deliveries.move(c, at, State.ATTEMPT, tries=at.tries + 1):
            return False
        number, _ = await deliveries.attempts_made(c)
        await _record(c, case, "delivery_attempt", message_id=message_id)
    await asyncio.to_thread(works.guard.note, number)
    return True


async def _accepted(works: Works, case: Case, reply: Ontvangst, message_id: str) -> None:
    """The reply tells a kenmerk; when it is another delivery's, the reply tells nothing."""
    try:
        await _taken(works, case, reply, message_id)
    except deliveries.KenmerkTaken:
        await _unclear(works, case, Unclear("echo", "a kenmerk that came before"), message_id)


async def _taken(works: Works, case: Case, reply: Ontvangst, message_id: str) -> None:
    async with works.portal.db.tenant(case.firm.id) as c:
        await deliveries.add_reply(
            c, case.firm.id, case.delivery.id, "aanleveren", message_id, reply.reply.decode()
        )
        if reply.status is not None:
            await deliveries.add_statuses(c, case.firm.id, case.delivery.id, [reply.status])
        await _adopt(c, works, case, reply.kenmerk, Outcome.ACCEPTED)


async def _adopt(c: Connection, works: Works, case: Case, kenmerk: str, outcome: Outcome) -> None:
    """The receiver has it: close the attempt, keep the kenmerk, tell the stuk."""
    at = await deliveries.find(c, case.delivery.id, lock=True)
    if at is None or at.state in rules.ENDED or at.state is State.ACCEPTED:
        if at is not None and at.kenmerk != kenmerk:
            await _once_more(c, works, case, kenmerk)
        return
    await deliveries.close_attempt(c, at.id, outcome)
    await deliveries.move(c, at, State.ACCEPTED, kenmerk=kenmerk, after=case.timing.poll, tries=0)
    await deliveries.calm(c, at.id)
    await _move_stuk(c, case, stuk_rules.State.FILED)
    await _record(c, case, "delivery_accepted", kenmerk=kenmerk, outcome=outcome)
    log.get().info("delivery_accepted", firm=case.firm.id, delivery=str(at.id), kenmerk=kenmerk)


async def _once_more(c: Connection, works: Works, case: Case, kenmerk: str) -> None:
    """The receiver has it under a second kenmerk: a person has to see to that."""
    await _record(c, case, "delivery_accepted_twice", kenmerk=kenmerk)
    await deliveries.calm(c, case.delivery.id)
    await _alarm(
        works, c, case, f"De ontvanger heeft het document nog een keer: kenmerk {kenmerk}.",
        "Kijk bij de ontvanger welke van de twee geldt, en trek de andere zo nodig in.",
    )  # fmt: skip
    log.get().error("delivery_accepted_twice", firm=case.firm.id, kenmerk=kenmerk)


async def _still_open(
    c: Connection, case: Case, outcome: Outcome, why: str, message_id: str
) -> Delivery | None:
    """The delivery, after its attempt was closed; None when that is open no more.

    A worker that stood still may come with the end of an old attempt while another one, which
    must be asked about, is open.
    """
    at = await deliveries.find(c, case.delivery.id, lock=True)
    if at is None or at.state is not State.ATTEMPT:
        return None
    closed = await deliveries.close_attempt(c, at.id, outcome, why, message_id=message_id)
    return at if closed else None


async def _not_sent(works: Works, case: Case, error: NotSent, message_id: str) -> None:
    """Surely nothing left: close the attempt, try again later."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await _still_open(c, case, Outcome.NOT_SENT, error.reason, message_id)
        if at is None:
            return
        wait = rules.backoff(at.tries, case.timing)
        await deliveries.move(c, at, State.QUEUED, trouble=SENDING, trouble_text=error.reason,
                              after=wait)  # fmt: skip
        await _record(c, case, "delivery_not_sent", reason=error.reason)
        await _alarm_when_long(works, c, case, at)


async def _ended(
    works: Works, case: Case, outcome: Outcome, error: DeliveryError, message_id: str
) -> None:
    """Refused, for good or for now; or we cannot send it at all."""
    code = getattr(error, "code", "")
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await _still_open(c, case, outcome, str(error), message_id)
        if at is None:
            return
        if code in statuscode.TECHNICAL:
            wait = rules.backoff(at.tries, case.timing)
            await deliveries.move(c, at, State.QUEUED, trouble=SENDING, trouble_text=code,
                                  after=wait)  # fmt: skip
        else:
            await _fail(works, c, case, at, REFUSED, f"{code}: {error}" if code else str(error))
        await _record(c, case, "delivery_refused", code=code)


async def _unclear(works: Works, case: Case, error: Unclear, message_id: str) -> None:
    """It may have arrived. The attempt stays open; the receiver is asked soon."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if not await deliveries.unclear(c, message_id, f"{error.reason} {error.code}".strip()):
            return
        if at is not None and at.state is State.ATTEMPT:
            text = f"{error.code}: {error.text}" if error.code else error.reason
            await deliveries.move(c, at, State.ATTEMPT, trouble=UNCLEAR, trouble_text=text,
                                  after=min(case.timing.retry, case.timing.spacing))  # fmt: skip
        await _record(c, case, "delivery_unclear", reason=error.reason, code=error.code)
    log.get().warning(
        "delivery_unclear", firm=case.firm.id, delivery=str(case.delivery.id), reason=error.reason
    )


# --- asking about an open attempt


async def _reconcile(works: Works, case: Case, attempt: Attempt) -> None:
    """Ask the receiver whether it has it; adopt, wait, send again, or leave it to a person.

    The moment is that of the question: a worker may stand still before it reads the answer.
    """
    async with works.portal.db.connection() as c:
        now = await deliveries.now(c)
    asked = Asked(attempt.opened_at, attempt.negatives, now, attempt.asked_at)
    try:
        client = await works.receivers.get(case.firm, case.delivery.destination)
        found = await _candidates(works, case, client)
    except DeliveryError as e:
        await _ask_again(works, case, e)
        return
    try:
        await _judged(works, case, attempt, asked, found)
    except deliveries.KenmerkTaken:
        await _elsewhere(works, case)


async def _judged(
    works: Works, case: Case, attempt: Attempt, asked: Asked, found: Sequence[Candidate]
) -> None:
    """Do what the verdict says. Raises KenmerkTaken."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state is not State.ATTEMPT:
            return
        verdict, kenmerk = rules.judge(asked, found, case.timing)
        if verdict is Verdict.ADOPT and kenmerk is not None:
            await _adopt(c, works, case, kenmerk, Outcome.ADOPTED)
        elif verdict is Verdict.UNCERTAIN:
            await _uncertain(works, c, case, at, "meer berichten passen bij deze verzending")
        elif verdict is Verdict.NOT_ARRIVED:
            await _not_arrived(works, c, case, at, attempt)
        else:
            if asked.counts(case.timing):
                await deliveries.not_yet(c, attempt.id, asked.now)
            await deliveries.move(
                c, at, State.ATTEMPT, trouble=at.trouble or UNCLEAR,
                trouble_text=at.trouble_text, after=_until_next(asked, case.timing),
            )  # fmt: skip


async def _elsewhere(works: Works, case: Case) -> None:
    """The receiver has it under a kenmerk that stands with another delivery: it told that one
    the wrong kenmerk, so nobody but a person can say which is which."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is not None and rules.may_move(at.state, State.UNCERTAIN):
            why = "het kenmerk van dit bericht staat bij een andere verzending"
            await _uncertain(works, c, case, at, why)


def _until_next(asked: Asked, timing: Timing) -> float:
    """Seconds until an answer may count again."""
    last = asked.now if asked.last is None or asked.counts(timing) else asked.last
    left = (last + timedelta(seconds=timing.spacing) - asked.now).total_seconds()
    return max(left, 0.05)


async def _ask_again(works: Works, case: Case, error: DeliveryError) -> None:
    """The receiver does not answer: nothing is known, nothing counts."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state not in rules.WORKING:
            return
        wait = rules.backoff(at.tries + 1, case.timing)
        await deliveries.move(c, at, at.state, trouble=at.trouble or UNCLEAR,
                              trouble_text=at.trouble_text or error.reason, after=wait,
                              tries=at.tries + 1)  # fmt: skip
        await _alarm_when_long(works, c, case, at)


async def _candidates(works: Works, case: Case, client: Client) -> list[Candidate]:
    """Kenmerken of this channel at the receiver that nobody here knows yet."""
    told = await client.processes(case.delivery.berichtsoort, case.identity)
    kenmerken = [p.kenmerk for p in told]
    async with works.portal.db.tenant(case.firm.id) as c:
        known = await deliveries.known(c, case.delivery.channel, kenmerken)
    found = [await _candidate(case, client, k) for k in kenmerken if k not in known]
    await _strangers(works, case, found)
    return found


async def _candidate(case: Case, client: Client, kenmerk: str) -> Candidate:
    """What the receiver tells about one; where it has no ophaalservice, when it began."""
    try:
        message = await client.message(kenmerk)
    except Refused:
        message = None
    if message is not None and message.aanleverkenmerk:
        ours = message.aanleverkenmerk == case.delivery.aanleverkenmerk
        return Candidate(kenmerk, ours, message.aangeleverd, message.aanleverkenmerk)
    statuses = await client.statuses(kenmerk)
    since = min((s.tijdstempel for s in statuses), default=None)
    return Candidate(kenmerk, None, since)


async def _strangers(works: Works, case: Case, found: Iterable[Candidate]) -> None:
    """Remember another product's berichten, so that they are not looked at again.

    One with an aanleverkenmerk that any delivery here has is no stranger: after a restore that
    delivery still has to find it.
    """
    async with works.portal.db.tenant(case.firm.id) as c:
        for one in found:
            if one.ours is False and not await deliveries.is_ours(c, one.aanleverkenmerk):
                await deliveries.add_stranger(c, case.firm.id, case.delivery.channel, one.kenmerk)


async def _not_arrived(
    works: Works, c: Connection, case: Case, at: Delivery, attempt: Attempt
) -> None:
    """The receiver surely has not got it: send again where that is allowed."""
    await deliveries.close_attempt(c, at.id, Outcome.NOT_ARRIVED, attempt.why)
    code = at.trouble_text.partition(":")[0]
    await _record(c, case, "delivery_not_arrived", why=attempt.why)
    if code in statuscode.FAULTS and code not in statuscode.TECHNICAL:
        await _fail(works, c, case, at, REFUSED, at.trouble_text)
    elif not case.soort.resend:
        await _uncertain(
            works, c, case, at, "niet aangekomen, en dit soort wordt niet vanzelf herhaald"
        )
    else:
        await deliveries.move(c, at, State.QUEUED, after=0)


async def _ask_first(works: Works, case: Case) -> None:
    """After an old backup was put back: whatever the receiver got since then may be ours."""
    try:
        client = await works.receivers.get(case.firm, case.delivery.destination)
        found = await _candidates(works, case, client)
    except DeliveryError as e:
        await _ask_again(works, case, e)
        return
    try:
        await _asked_first(works, case, found)
    except deliveries.KenmerkTaken:
        await _elsewhere(works, case)


async def _asked_first(works: Works, case: Case, found: Sequence[Candidate]) -> None:
    """Adopt it, leave it to a person, or let it be sent. Raises KenmerkTaken."""
    since = case.delivery.ask_from
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state not in (State.QUEUED, State.HELD_UNAVAILABLE):
            return
        certain = [f for f in found if f.ours]
        after = [f for f in found if f.since is None or since is None or f.since >= since]
        if len(certain) == 1:
            await _adopt(c, works, case, certain[0].kenmerk, Outcome.ADOPTED)
        elif after:
            await _uncertain(works, c, case, at, "na terugzetten van een reservekopie")
        else:
            await deliveries.asked_first(c, at.id)


# --- following


async def _poll(works: Works, case: Case) -> None:
    """Ask for statuses, with overlap; the end is told to the stuk."""
    at = case.delivery
    kenmerk = at.kenmerk or ""
    try:
        client = await works.receivers.get(case.firm, at.destination)
        told = await client.signed_statuses(kenmerk)
    except DeliveryError as e:
        await _ask_again(works, case, e)
        return
    async with works.portal.db.tenant(case.firm.id) as c:
        at_last = await deliveries.find(c, at.id, lock=True)
        if at_last is None or at_last.state is not State.ACCEPTED:
            return
        new = await deliveries.add_statuses(c, case.firm.id, at.id, told.meldingen)
        if new:
            await deliveries.add_reply(
                c, case.firm.id, at.id, "status", told.message_id, told.reply.decode()
            )
        everything = await deliveries.statuses(c, at.id)
        for status in new:
            await _record(c, case, "delivery_status", code=status.statuscode,
                          fault=status.foutcode)  # fmt: skip
        end = rules.ending(everything, case.soort)
        if end is None:
            await _poll_later(works, c, case, at_last, bool(new))
        else:
            await _final(works, c, case, at_last, *end)


async def _poll_later(
    works: Works, c: Connection, case: Case, at: Delivery, anything: bool
) -> None:
    tries = 0 if anything else at.tries + 1
    wait = min(case.timing.poll * 1.5 ** min(tries, 20), case.timing.poll_most)
    now = await deliveries.now(c)
    late = at.accepted_at is not None and now - at.accepted_at > timedelta(
        seconds=case.timing.alarm
    )
    await deliveries.move(c, at, State.ACCEPTED, trouble=SILENT if late else "", after=wait,
                          tries=tries)  # fmt: skip
    if late:
        await _alarm(works, c, case, "De ontvanger geeft al vier dagen geen eindstatus.",
                     "Vraag bij de ontvanger na hoe het ermee staat.")  # fmt: skip


async def _final(
    works: Works,
    c: Connection,
    case: Case,
    at: Delivery,
    state: State,
    status: sbr.Statusmelding,
) -> None:
    if state is State.FINAL_FAILED:
        text = f"{status.statuscode}: {status.foutbeschrijving or status.omschrijving}"
        await _fail(works, c, case, at, REFUSED, text)
        return
    await deliveries.move(c, at, State.FINAL_OK)
    await _record(c, case, "delivery_final", code=status.statuscode)
    if all(d.state is State.FINAL_OK for d in await deliveries.of_stuk(c, case.stuk.id)):
        bank = case.soort.bank
        new = stuk_rules.State.DONE if bank else stuk_rules.State.ACCEPTED
        if await _move_stuk(c, case, new):
            label = stuk_rules.LABELS[new].label
            await notices.to_clients(
                works.portal, c, case.firm, case.stuk, "stuk_accepted", status=label
            )


# --- what stops it


async def _changed(works: Works, case: Case) -> None:
    """Other bytes than were approved: nothing is sent, the relatiebeheerder is told."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state not in (State.QUEUED, State.HELD_UNAVAILABLE):
            return
        await deliveries.move(c, at, State.HELD_CHANGED, trouble=CHANGED)
        await _move_stuk(c, case, stuk_rules.State.CHANGED)
        await _record(c, case, "delivery_held_changed")
        await _alarm(
            works, c, case,
            "Het document is na het akkoord veranderd. Er is niets verzonden.",
            "Zet het document opnieuw klaar, dan vraagt het portaal opnieuw om akkoord.",
        )  # fmt: skip


async def _unavailable(works: Works, case: Case, error: SourceError) -> None:
    """The back office does not give it: try again, for ever; after hours somebody is told."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state not in (State.QUEUED, State.HELD_UNAVAILABLE):
            return
        now = await deliveries.now(c)
        long = now - at.created_at > timedelta(seconds=case.timing.held)
        state = State.HELD_UNAVAILABLE if long else at.state
        tries = at.tries + 1
        await deliveries.move(c, at, state, trouble=SOURCE, trouble_text=error.code,
                              after=rules.backoff(tries, case.timing), tries=tries)  # fmt: skip
        if long:
            await _alarm(
                works, c, case, "De bron van het document is al uren niet bereikbaar.",
                "Herstel de verbinding met de bron. Daarna gaat de verzending vanzelf verder.",
            )  # fmt: skip


async def _stop(works: Works, case: Case, why: str) -> None:
    """Who approved it may not any more: nothing is sent."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state not in (State.QUEUED, State.HELD_UNAVAILABLE):
            return
        await deliveries.move(c, at, State.WITHDRAWN, trouble=why)
        await _move_stuk(c, case, stuk_rules.State.WITHDRAWN)
        await _record(c, case, "delivery_withdrawn", why=why)
        await _alarm(
            works, c, case, "Wie akkoord gaf, is daar niet meer toe gemachtigd. Er is niets"
            " verzonden.",
            "Zet het document opnieuw klaar voor wie wel gemachtigd is.",
        )  # fmt: skip


async def _fail(
    works: Works, c: Connection, case: Case, at: Delivery, trouble: str, text: str
) -> None:
    await deliveries.move(c, at, State.FINAL_FAILED, trouble=trouble, trouble_text=text)
    await _move_stuk(c, case, stuk_rules.State.FAILED)
    await _record(c, case, "delivery_failed", code=text.partition(":")[0])
    code = text.partition(":")[0]
    known = code in statuscode.STATUSES
    meaning = statuscode.of_status(code) if known else statuscode.of_fault(code)
    await _alarm(works, c, case, f"{meaning.text} ({text[:300]})", meaning.next)


async def _uncertain(works: Works, c: Connection, case: Case, at: Delivery, why: str) -> None:
    await deliveries.move(c, at, State.UNCERTAIN, trouble=UNCLEAR, trouble_text=why)
    await _record(c, case, "delivery_uncertain", why=why)
    await _alarm(
        works, c, case, "Het is niet zeker of het document bij de ontvanger is aangekomen.",
        "Kijk bij de ontvanger, en beslis op de pagina van dit stuk. Het wordt niet vanzelf"
        " opnieuw verzonden.",
    )  # fmt: skip


async def _later(works: Works, case: Case, trouble: str, text: str, seconds: float) -> None:
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is not None and at.state is case.delivery.state:
            await deliveries.move(c, at, at.state, trouble=trouble, trouble_text=text,
                                  after=seconds)  # fmt: skip


async def _alarm_when_long(works: Works, c: Connection, case: Case, at: Delivery) -> None:
    if await deliveries.now(c) - at.created_at > timedelta(seconds=case.timing.held):
        await _alarm(works, c, case, "De ontvanger is al uren niet bereikbaar.",
                     "De verzending wordt vanzelf herhaald.")  # fmt: skip


async def _alarm(works: Works, c: Connection, case: Case, what: str, after: str) -> None:
    """Tell the relatiebeheerder, once for each trouble."""
    if await deliveries.alarmed(c, case.delivery.id):
        await notices.problem(works.portal, c, case.firm, case.stuk, what, after)


async def _move_stuk(c: Connection, case: Case, new: stuk_rules.State) -> bool:
    """The stuk follows its delivery; a late or double event changes nothing."""
    stuk = await stukken.find(c, case.stuk.id, lock=True)
    return stuk is not None and stuk.state is not new and await stukken.move(c, stuk, new)


async def _record(c: Connection, case: Case, event: str, **data: object) -> None:
    await audit.record(
        c,
        event,
        firm=case.firm.id,
        klant=case.stuk.klant,
        subject=f"stuk:{case.stuk.id}",
        data={"delivery": str(case.delivery.id), **data},
    )


# --- handing the approval back


async def _hand_back(works: Works, case: Case) -> None:
    """The `backoffice` route: the package fetches the approval, and tells how it ended.

    The delivery waits in `accepted`; gateway.flows.stukbeheer.report ends it.
    """
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None:
            return
        if at.state is State.QUEUED:
            await deliveries.move(c, at, State.ACCEPTED, after=case.timing.alarm)
            await _record(c, case, "approval_handed_back")
            return
        await deliveries.move(c, at, at.state, trouble=SILENT, after=case.timing.alarm)
        await _alarm(works, c, case, "Het fiscale pakket meldt al dagen niet hoe het afliep.",
                     "Kijk in het pakket of de aangifte is ingediend.")  # fmt: skip


# --- the worker's round, and after a restore


class Lanes:
    """Deliveries being worked on, `most` at once: each holds a connection for its lock.

    What another worker has, or what failed here, is left alone for a moment: else the same few
    that are due would keep all the others from their turn.
    """

    def __init__(self, works: Works, most: int = 4) -> None:
        self._works, self._most = works, most
        self._under_way: dict[UUID, asyncio.Task[bool]] = {}
        self._alone: dict[UUID, float] = {}  # until when, by the loop's clock

    async def fill(self) -> int:
        """Begin what is due, as far as there are lanes; how many are under way."""
        for id in [id for id, task in self._under_way.items() if task.done()]:
            self._told(id, self._under_way.pop(id))
        free = self._most - len(self._under_way)
        if free:
            now = asyncio.get_running_loop().time()
            self._alone = {id: until for id, until in self._alone.items() if until > now}
            busy = self._alone.keys() | self._under_way.keys()
            async with self._works.portal.db.connection() as c:
                found = await deliveries.due(c, free + len(busy))
            fresh = [(firm, id) for firm, id in found if id not in busy]
            for firm, id in fresh[:free]:
                self._under_way[id] = asyncio.create_task(step(self._works, firm, id))
        return len(self._under_way)

    async def rest(self, seconds: float) -> None:
        """Wait for one to end, at most so long."""
        if self._under_way:
            await asyncio.wait(
                self._under_way.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        else:
            await asyncio.sleep(seconds)

    async def drain(self) -> None:
        """Let what is under way end: a delivery that is cut off has to be asked about."""
        if self._under_way:
            await asyncio.wait(self._under_way.values())
        for id, task in self._under_way.items():
            self._told(id, task)
        self._under_way.clear()

    def _told(self, id: UUID, task: "asyncio.Task[bool]") -> None:
        error = task.exception()
        if error is not None or not task.result():
            self._alone[id] = asyncio.get_running_loop().time() + ALONE
        if isinstance(error, PortalError):
            log.get().warning("delivery_waits", delivery=str(id), error=str(error))
        elif error is not None:
            log.get().error("delivery_step_failed", delivery=str(id), exc_info=error)


async def watch_for_restore(works: Works) -> bool:
    """Whether an old backup was put back; then everything asks its receiver first."""
    remembered = await asyncio.to_thread(works.guard.remembered)
    async with works.portal.db.connection() as c:
        number, at = await deliveries.attempts_made(c)
        if remembered <= number:
            return False
        since = at or await deliveries.now(c)
        count = await deliveries.ask_first(c, since, remembered)
    log.get().error("old_backup_put_back", remembered=remembered, found=number, asking=count)
    return True
