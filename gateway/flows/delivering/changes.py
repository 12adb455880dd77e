"""What steps of delivering commit: the delivery, its stuk, the audit row and who is told,
in one transaction."""

from datetime import timedelta

from gateway import log
from gateway.delivery.outcomes import DeliveryError
from gateway.domain import delivery as rules
from gateway.domain import statuscode
from gateway.domain import stuk as stuk_rules
from gateway.domain.delivery import Outcome, State, Trouble
from gateway.flows import notices
from gateway.flows.delivering.cases import Case, Works
from gateway.store import audit, deliveries, stukken
from gateway.store.database import Connection
from gateway.store.deliveries import Delivery


async def adopt(c: Connection, works: Works, case: Case, kenmerk: str, outcome: Outcome) -> None:
    """The receiver has it: close the attempt, keep the kenmerk, tell the stuk."""
    at = await deliveries.find(c, case.delivery.id, lock=True)
    if at is None or at.state in rules.ENDED or at.state is State.ACCEPTED:
        if at is not None and at.kenmerk != kenmerk:
            await came_late(c, works, case, at, kenmerk)
        return
    await deliveries.close_attempt(c, at.id, outcome)
    await deliveries.move(c, at, State.ACCEPTED, kenmerk=kenmerk, after=case.timing.poll, tries=0)
    await deliveries.calm(c, at.id)
    await move_stuk(c, case, stuk_rules.State.FILED)
    await record(c, case, "delivery_accepted", kenmerk=kenmerk, outcome=outcome)
    log.get().info("delivery_accepted", firm=case.firm.id, delivery=str(at.id), kenmerk=kenmerk)


async def came_late(
    c: Connection, works: Works, case: Case, at: Delivery, kenmerk: str, *, ours: bool = True
) -> None:
    """The receiver has it under another kenmerk, or after all: a person has to see to that.

    ours: the receiver said that it is this document.
    """
    if not ours:
        event, what = "delivery_unknown_kenmerk", "Bij de ontvanger staat een onbekend kenmerk"
    elif at.kenmerk:
        event, what = "delivery_accepted_twice", "De ontvanger heeft het document nog een keer"
    else:
        event, what = "delivery_arrived_late", "De ontvanger heeft het document toch"
    await record(c, case, event, kenmerk=kenmerk)
    await deliveries.calm(c, at.id)
    await alarm(
        works, c, case, f"{what}: {kenmerk}.",
        "Kijk bij de ontvanger wat er geldt, en trek daar in wat te veel is.",
    )  # fmt: skip
    log.get().error(event, firm=case.firm.id, delivery=str(at.id), kenmerk=kenmerk)


async def still_open(
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


async def ask_again(works: Works, case: Case, error: DeliveryError) -> None:
    """The receiver does not answer: nothing is known, nothing counts."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state not in rules.WORKING:
            return
        wait = rules.backoff(at.tries + 1, case.timing)
        await deliveries.move(c, at, at.state, trouble=at.trouble or Trouble.UNCLEAR,
                              trouble_text=at.trouble_text or error.reason, after=wait,
                              tries=at.tries + 1)  # fmt: skip
        await alarm_when_long(works, c, case, at)


async def fail(works: Works, c: Connection, case: Case, at: Delivery, text: str) -> None:
    """The receiver does not want it. text: "code: its words"."""
    await deliveries.move(c, at, State.FINAL_FAILED, trouble=Trouble.REFUSED, trouble_text=text)
    await move_stuk(c, case, stuk_rules.State.FAILED)
    await record(c, case, "delivery_failed", code=text.partition(":")[0])
    code = text.partition(":")[0]
    known = code in statuscode.STATUSES
    meaning = statuscode.of_status(code) if known else statuscode.of_fault(code)
    await alarm(works, c, case, f"{meaning.text} ({text[:300]})", meaning.next)


async def uncertain(works: Works, c: Connection, case: Case, at: Delivery, why: str) -> None:
    """Nobody but a person can tell whether it arrived."""
    await deliveries.move(c, at, State.UNCERTAIN, trouble=Trouble.UNCLEAR, trouble_text=why)
    await record(c, case, "delivery_uncertain", why=why)
    await alarm(
        works, c, case, "Het is niet zeker of het document bij de ontvanger is aangekomen.",
        "Kijk bij de ontvanger, en beslis op de pagina van dit stuk. Het wordt niet vanzelf"
        " opnieuw verzonden.",
    )  # fmt: skip


async def later(works: Works, case: Case, trouble: str, text: str, seconds: float) -> None:
    """Nothing can be done now."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is not None and at.state is case.delivery.state:
            await deliveries.move(c, at, at.state, trouble=trouble, trouble_text=text,
                                  after=seconds)  # fmt: skip


async def elsewhere(works: Works, case: Case) -> None:
    """The receiver has it under a kenmerk that stands with another delivery: it told that one
    the wrong kenmerk, so nobody but a person can say which is which."""
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is not None and rules.may_move(at.state, State.UNCERTAIN):
            why = "het kenmerk van dit bericht staat bij een andere verzending"
            await uncertain(works, c, case, at, why)


async def alarm_when_long(works: Works, c: Connection, case: Case, at: Delivery) -> None:
    """Tell the relatiebeheerder when it has not gone on for hours."""
    if await deliveries.now(c) - at.created_at > timedelta(seconds=case.timing.held):
        await alarm(works, c, case, "De ontvanger is al uren niet bereikbaar.",
                     "De verzending wordt vanzelf herhaald.")  # fmt: skip


async def alarm(works: Works, c: Connection, case: Case, what: str, after: str) -> None:
    """Tell the relatiebeheerder, once for each trouble."""
    if await deliveries.alarmed(c, case.delivery.id):
        await notices.problem(works.portal, c, case.firm, case.stuk, what, after)


async def move_stuk(c: Connection, case: Case, new: stuk_rules.State) -> bool:
    """The stuk follows its delivery; a late or double event changes nothing."""
    stuk = await stukken.find(c, case.stuk.id, lock=True)
    return stuk is not None and stuk.state is not new and await stukken.move(c, stuk, new)


async def record(c: Connection, case: Case, event: str, **data: object) -> None:
    """The audit row of a change."""
    await audit.record(
        c,
        event,
        firm=case.firm.id,
        klant=case.stuk.klant,
        subject=f"stuk:{case.stuk.id}",
        data={"delivery": str(case.delivery.id), **data},
    )
