"""What became of an open attempt, and after a restore: the receiver is asked."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from gateway import log
from gateway.delivery.client import Client
from gateway.delivery.outcomes import DeliveryError, Refused
from gateway.domain import delivery as rules
from gateway.domain import statuscode
from gateway.domain.delivery import Asked, Candidate, Outcome, State, Timing, Trouble, Verdict
from gateway.errors import ConfigInvalid
from gateway.flows.delivering import changes
from gateway.flows.delivering.cases import Case, Works
from gateway.store import deliveries
from gateway.store.database import Connection
from gateway.store.deliveries import Attempt, Delivery


async def reconcile(works: Works, case: Case, attempt: Attempt) -> None:
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
        await changes.ask_again(works, case, e)
        return
    try:
        await _judged(works, case, attempt, asked, found)
    except deliveries.KenmerkTaken:
        await changes.elsewhere(works, case)


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
            await changes.adopt(c, works, case, kenmerk, Outcome.ADOPTED)
        elif verdict is Verdict.UNCERTAIN:
            await changes.uncertain(
                works, c, case, at, "meer berichten passen bij deze verzending"
            )
        elif verdict is Verdict.NOT_ARRIVED:
            await _not_arrived(works, c, case, at, attempt)
        else:
            if asked.counts(case.timing):
                await deliveries.not_yet(c, attempt.id, asked.now)
            await deliveries.move(
                c, at, State.ATTEMPT, trouble=at.trouble or Trouble.UNCLEAR,
                trouble_text=at.trouble_text, after=_until_next(asked, case.timing),
            )  # fmt: skip


def _until_next(asked: Asked, timing: Timing) -> float:
    """Seconds until an answer may count again."""
    last = asked.now if asked.last is None or asked.counts(timing) else asked.last
    left = (last + timedelta(seconds=timing.spacing) - asked.now).total_seconds()
    return max(left, 0.05)


async def know_before(works: Works, case: Case, client: Client) -> None:
    """Where the receiver never tells whose a kenmerk is: what is there before we send is another
    product's. The channel is ours by now, so that nothing of ours can come between.

    Not while an attempt that was given up may still arrive there: that one is ours.
    """
    if client.destination.ophalen is not None:
        return
    watch = timedelta(seconds=case.timing.watch)
    async with works.portal.db.tenant(case.firm.id) as c:
        if await deliveries.may_come_late(c, case.delivery.channel, watch):
            return
    told = await client.processes(case.delivery.berichtsoort, case.identity)
    kenmerken = [p.kenmerk for p in told]
    async with works.portal.db.tenant(case.firm.id) as c:
        known = await deliveries.known(c, case.delivery.channel, kenmerken)
        for kenmerk in set(kenmerken) - known:
            await deliveries.add_stranger(c, case.firm.id, case.delivery.channel, kenmerk)


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
    every, long = (timedelta(seconds=s) for s in (case.timing.watch_every, case.timing.watch))
    await deliveries.watch(c, at.id, every, long)
    code = at.trouble_text.partition(":")[0]
    await changes.record(c, case, "delivery_not_arrived", why=attempt.why)
    if code in statuscode.FAULTS and code not in statuscode.TECHNICAL:
        await changes.fail(works, c, case, at, at.trouble_text)
    elif not case.soort.resend:
        await changes.uncertain(
            works, c, case, at, "niet aangekomen, en dit soort wordt niet vanzelf herhaald"
        )
    else:
        await deliveries.move(c, at, State.QUEUED, after=0)


async def watch(works: Works, case: Case) -> None:
    """Look whether what seemed not to have arrived came late, and tell a person of it."""
    found: list[Candidate] = []
    try:
        client = await works.receivers.get(case.firm, case.delivery.destination)
        found = await _candidates(works, case, client)
    except (DeliveryError, ConfigInvalid) as e:
        log.get().warning(
            "watch_waits", firm=case.firm.id, delivery=str(case.delivery.id), error=str(e)
        )
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None:
            return
        # An attempt that ended since the question has its kenmerk by now.
        known = await deliveries.known(c, at.channel, [one.kenmerk for one in found])
        busy = await deliveries.is_open(c, at.channel)
        new = [one for one in found if one.kenmerk not in known]
        for one in rules.late(new, at.state, busy=busy):
            await deliveries.add_stranger(c, case.firm.id, at.channel, one.kenmerk)
            await changes.came_late(c, works, case, at, one.kenmerk, ours=bool(one.ours))
        await deliveries.watched(c, at.id, timedelta(seconds=case.timing.watch_every))


async def ask_first(works: Works, case: Case) -> None:
    """After an old backup was put back: whatever the receiver got since then may be ours."""
    try:
        client = await works.receivers.get(case.firm, case.delivery.destination)
        found = await _candidates(works, case, client)
    except DeliveryError as e:
        await changes.ask_again(works, case, e)
        return
    try:
        await _asked_first(works, case, found)
    except deliveries.KenmerkTaken:
        await changes.elsewhere(works, case)


async def _asked_first(works: Works, case: Case, found: Sequence[Candidate]) -> None:
    """Adopt it, leave it to a person, or let it be sent. Raises KenmerkTaken."""
    since = case.delivery.ask_from
    async with works.portal.db.tenant(case.firm.id) as c:
        at = await deliveries.find(c, case.delivery.id, lock=True)
        if at is None or at.state not in rules.WAITING:
            return
        certain = [f for f in found if f.ours]
        after = [f for f in found if f.since is None or since is None or f.since >= since]
        if len(certain) == 1:
            await changes.adopt(c, works, case, certain[0].kenmerk, Outcome.ADOPTED)
        elif after:
            await changes.uncertain(works, c, case, at, "na terugzetten van een reservekopie")
        else:
            await deliveries.asked_first(c, at.id)
