"""From a queued delivery to the receiver's answer: fetch, compare, intend, send."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from gateway import log
from gateway.delivery import wus
from gateway.delivery.outcomes import DeliveryError, NotSent, Refused, Unclear, Unsendable
from gateway.domain import delivery as rules
from gateway.domain import sbr, statuscode
from gateway.domain import stuk as stuk_rules
from gateway.domain.accordering import mandated
from gateway.domain.delivery import Outcome, State, Trouble
from gateway.domain.sbr import Aanlevering, Bestand, Ontvangst
from gateway.domain.stuk import Role
from gateway.errors import NotFound, SourceError
from gateway.flows import documents
from gateway.flows.delivering import asking, changes
from gateway.flows.delivering.cases import Case, Works
from gateway.flows.visitor import today
from gateway.store import deliveries, mandates, stukken
from gateway.store.stukken import PartRow


async def send(works: Works, case: Case) -> None:
    """Fetch, compare, intend, send. Nothing leaves before the intent is committed."""
    if not await _still_mandated(works, case):
        await _not_mandated(works, case)
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
        await changes.later(works, case, Trouble.CHANNEL, "", case.timing.poll)
        return
    try:
        await asking.know_before(works, case, client)
    except DeliveryError as e:
        await _not_sent(works, case, e, message_id)
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
        await changes.record(c, case, "delivery_attempt", message_id=message_id)
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
        await changes.adopt(c, works, case, reply.kenmerk, Outcome.ACCEPTED)


async def _not_sent(works: Works, case: Case, error: DeliveryError, message_id: str) -> None:
    """Surely nothing left: close the attempt, try again later."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await changes.still_open(c, case, Outcome.NOT_SENT, error.reason, message_id)
        if at is None:
            return
        wait = rules.backoff(at.tries, case.timing)
        await deliveries.move(c, at, State.QUEUED, trouble=Trouble.SENDING,
                              trouble_text=error.reason, after=wait)  # fmt: skip
        await changes.record(c, case, "delivery_not_sent", reason=error.reason)
        await changes.alarm_when_long(works, c, case, at)


async def _ended(
    works: Works, case: Case, outcome: Outcome, error: DeliveryError, message_id: str
) -> None:
    """Refused, for good or for now; or we cannot send it at all."""
    code = getattr(error, "code", "")
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await changes.still_open(c, case, outcome, str(error), message_id)
        if at is None:
            return
        if code in statuscode.TECHNICAL:
            wait = rules.backoff(at.tries, case.timing)
            await deliveries.move(c, at, State.QUEUED, trouble=Trouble.SENDING, trouble_text=code,
                                  after=wait)  # fmt: skip
        else:
            await changes.fail(works, c, case, at, f"{code}: {error}" if code else str(error))
        await changes.record(c, case, "delivery_refused", code=code)


async def _unclear(works: Works, case: Case, error: Unclear, message_id: str) -> None:
    """It may have arrived. The attempt stays open; the receiver is asked soon."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if not await deliveries.unclear(c, message_id, f"{error.reason} {error.code}".strip()):
            return
        if at is not None and at.state is State.ATTEMPT:
            text = f"{error.code}: {error.text}" if error.code else error.reason
            await deliveries.move(c, at, State.ATTEMPT, trouble=Trouble.UNCLEAR, trouble_text=text,
                                  after=min(case.timing.retry, case.timing.spacing))  # fmt: skip
        await changes.record(c, case, "delivery_unclear", reason=error.reason, code=error.code)
    log.get().warning(
        "delivery_unclear", firm=case.firm.id, delivery=str(case.delivery.id), reason=error.reason
    )


async def _changed(works: Works, case: Case) -> None:
    """Other bytes than were approved: nothing is sent, the relatiebeheerder is told."""
    await _end(
        works, case, State.HELD_CHANGED, stuk_rules.State.CHANGED, Trouble.CHANGED,
        "Het document is na het akkoord veranderd. Er is niets verzonden.",
        "Zet het document opnieuw klaar, dan vraagt het portaal opnieuw om akkoord.",
    )  # fmt: skip


async def _not_mandated(works: Works, case: Case) -> None:
    """Who approved it may not any more: nothing is sent."""
    await _end(
        works, case, State.WITHDRAWN, stuk_rules.State.WITHDRAWN, Trouble.MANDATE,
        "Wie akkoord gaf, is daar niet meer toe gemachtigd. Er is niets verzonden.",
        "Zet het document opnieuw klaar voor wie wel gemachtigd is.",
    )  # fmt: skip


async def _end(
    works: Works, case: Case, new: State, stuk: stuk_rules.State, why: str, what: str, after: str
) -> None:
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state not in rules.WAITING:
            return
        await deliveries.move(c, at, new, trouble=why)
        await changes.move_stuk(c, case, stuk)
        await changes.record(c, case, f"delivery_{new}", why=why)
        await changes.alarm(works, c, case, what, after)


async def _unavailable(works: Works, case: Case, error: SourceError) -> None:
    """The back office does not give it: try again, for ever; after hours somebody is told."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state not in rules.WAITING:
            return
        now = await deliveries.now(c)
        long = now - at.created_at > timedelta(seconds=case.timing.held)
        state = State.HELD_UNAVAILABLE if long else at.state
        tries = at.tries + 1
        await deliveries.move(c, at, state, trouble=Trouble.SOURCE, trouble_text=error.code,
                              after=rules.backoff(tries, case.timing), tries=tries)  # fmt: skip
        if long:
            await changes.alarm(
                works, c, case, "De bron van het document is al uren niet bereikbaar.",
                "Herstel de verbinding met de bron. Daarna gaat de verzending vanzelf verder.",
            )  # fmt: skip
