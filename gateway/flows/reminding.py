"""Reminders before a deadline: the ladder of each soort, once a day and stuk."""

from gateway import log
from gateway.domain.firm import Firm
from gateway.domain.soort import Soort
from gateway.domain.stuk import OPEN
from gateway.flows import notices
from gateway.flows.portal import Portal
from gateway.flows.visitor import today
from gateway.store import audit, stukken
from gateway.store.database import DatabaseDown
from gateway.store.stukken import Stuk


def is_due(soort: Soort | None, stuk: Stuk) -> bool:
    """Whether today is a step of the ladder."""
    return (
        soort is not None
        and stuk.deadline is not None
        and (stuk.deadline - today()).days in soort.reminders
    )


async def remind(portal: Portal) -> int:
    """Remind whose turn it is, of every stuk for which today is a step; how many stukken.

    Any number of workers may call it, any number of times a day.
    """
    count = 0
    for firm in portal.firms.values():
        async with portal.db.tenant(firm.id) as c:
            found = await stukken.with_deadline(c, OPEN)
        for stuk in found:
            if not is_due(firm.soorten.get(stuk.soort), stuk):
                continue
            try:
                count += await _one(portal, firm, stuk)
            except DatabaseDown:
                raise
            except Exception as e:  # this stuk's alone: the others must be told
                log.get().error("reminder_surprise", firm=firm.id, stuk=str(stuk.id), exc_info=e)
    if count:
        log.get().info("reminded", stukken=count)
    return count


async def _one(portal: Portal, firm: Firm, stuk: Stuk) -> bool:
    """Remind of one; False when that was done today, or it waits no longer."""
    async with portal.db.tenant(firm.id) as c:
        at = await stukken.find(c, stuk.id, lock=True)
        if at is None or at.state not in OPEN or await stukken.reminded(c, stuk.id, today()):
            return False
        people = await notices.to_approve(portal, c, firm, at)
        await audit.record(
            c, "stuk_reminded", firm=firm.id, klant=at.klant, subject=f"stuk:{at.id}",
            data={"day": today().isoformat(), "people": people},
        )  # fmt: skip
    return True
