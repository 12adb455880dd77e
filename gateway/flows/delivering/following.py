"""From the kenmerk, or the handing back, to the end."""

from datetime import timedelta

from gateway.delivery.outcomes import DeliveryError
from gateway.domain import delivery as rules
from gateway.domain import sbr
from gateway.domain import stuk as stuk_rules
from gateway.domain.delivery import State, Trouble
from gateway.flows import notices
from gateway.flows.delivering import changes
from gateway.flows.delivering.cases import Case, Works
from gateway.store import deliveries
from gateway.store.database import Connection
from gateway.store.deliveries import Delivery


async def poll(works: Works, case: Case) -> None:
    """Ask for statuses, with overlap; the end is told to the stuk."""
    at = case.delivery
    kenmerk = at.kenmerk or ""
    try:
        client = await works.receivers.get(case.firm, at.destination)
        told = await client.signed_statuses(kenmerk)
    except DeliveryError as e:
        await changes.ask_again(works, case, e)
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
            await changes.record(c, case, "delivery_status", code=status.statuscode,
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
    trouble = Trouble.SILENT if late else ""
    await deliveries.move(c, at, State.ACCEPTED, trouble=trouble, after=wait, tries=tries)
    if late:
        await changes.alarm(works, c, case, "De ontvanger geeft al vier dagen geen eindstatus.",
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
        await changes.fail(works, c, case, at, text)
        return
    await deliveries.move(c, at, State.FINAL_OK)
    await changes.record(c, case, "delivery_final", code=status.statuscode)
    if all(d.state is State.FINAL_OK for d in await deliveries.of_stuk(c, case.stuk.id)):
        bank = case.soort.bank
        new = stuk_rules.State.DONE if bank else stuk_rules.State.ACCEPTED
        if await changes.move_stuk(c, case, new):
            label = stuk_rules.LABELS[new].label
            await notices.to_clients(
                works.portal, c, case.firm, case.stuk, "stuk_accepted", status=label
            )


async def hand_back(works: Works, case: Case) -> None:
    """The `backoffice` route: the package fetches the approval, and tells how it ended.

    The delivery waits in `accepted`; gateway.flows.stukbeheer.report ends it.
    """
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None:
            return
        if at.state is State.QUEUED:
            await deliveries.move(c, at, State.ACCEPTED, after=case.timing.alarm)
            await changes.record(c, case, "approval_handed_back")
            return
        await deliveries.move(c, at, at.state, trouble=Trouble.SILENT, after=case.timing.alarm)
        await changes.alarm(
            works, c, case, "Het fiscale pakket meldt al dagen niet hoe het afliep.",
            "Kijk in het pakket of de aangifte is ingediend.",
        )  # fmt: skip
