"""Webhooks: where a package hears of events. Made, shown, ended, and tried again by hand.

What goes out, and how, stands in gateway.flows.webhook_lanes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from gateway.connector.egress import EgressPolicy
from gateway.domain import webhook as rules
from gateway.domain.firm import Firm
from gateway.errors import ConfigInvalid, Invalid, NotFound
from gateway.flows.packages import Caller
from gateway.flows.portal import Portal
from gateway.store import audit, events, webhooks
from gateway.store.webhooks import Dead, Webhook

#: Events of one answer.
MOST_DEAD = 1000


@dataclass(frozen=True, slots=True)
class Made:
    """A new webhook. secret: in clear; it is told this once."""

    webhook: Webhook
    secret: str


async def make(portal: Portal, caller: Caller, url: str, since: int | None = None) -> Made:
    """A webhook of a package. since: number of the last event that it does not hear of; None:
    what still comes. Raises Invalid."""
    _check(portal.egress, url)
    firm, secret = caller.firm.id, rules.new_secret()
    async with portal.db.tenant(firm) as c:
        await webhooks.lock_package(c, caller.package)
        if len(await webhooks.of_package(c, caller.package)) >= rules.MOST:
            raise Invalid({"url": "Dit pakket heeft al tien webhooks."})
        newest = await events.last(c)
        cursor = newest if since is None else min(since, newest)
        sealed = portal.keys.seal("webhook", secret)
        id = await webhooks.add(c, firm, caller.package, url, sealed, cursor)
        await audit.record(
            c, "webhook_made", firm=firm, subject=f"webhook:{id}",
            data={"package": str(caller.package), "by": caller.by,
                  "url": portal.keys.seal("url", url)},
        )  # fmt: skip
        made = await webhooks.find(c, caller.package, id)
    if made is None:
        raise NotFound
    return Made(made, secret)


def _check(egress: EgressPolicy, url: str) -> None:
    if len(url) > rules.LONGEST:
        raise Invalid({"url": "Dit adres is te lang."})
    try:
        egress.check_url(url)
    except ConfigInvalid:
        raise Invalid({"url": "Naar dit adres verstuurt het portaal niets."}) from None
    if not url.startswith("https:") and not rules.may_be_clear(url):
        raise Invalid({"url": "Een webhook heeft een adres met https."})


@dataclass(frozen=True, slots=True)
class Operations:
    """The firm's operations: every package's webhooks are theirs to see and to send again."""

    firm: Firm
    package: None = None
    by: str = "beheer"


async def known(portal: Portal, caller: Caller | Operations) -> list[Webhook]:
    """A package's webhooks that have not ended."""
    async with portal.db.tenant(caller.firm.id) as c:
        return await webhooks.of_package(c, caller.package)


async def end(portal: Portal, caller: Caller, id: UUID) -> Webhook:
    """Send nothing there any more. Raises NotFound."""
    await _find(portal, caller, id)
    async with portal.db.tenant(caller.firm.id) as c:
        if await webhooks.end(c, id, "ended"):
            await audit.record(
                c, "webhook_ended", firm=caller.firm.id, subject=f"webhook:{id}",
                data={"by": caller.by, "why": "asked"},
            )  # fmt: skip
    return await _find(portal, caller, id)


async def dead(portal: Portal, caller: Caller | Operations, id: UUID) -> list[Dead]:
    """What could not be delivered, oldest first, `MOST_DEAD` at the most. Raises NotFound."""
    await _find(portal, caller, id)
    async with portal.db.tenant(caller.firm.id) as c:
        return await webhooks.dead(c, id, MOST_DEAD)


async def again(
    portal: Portal, caller: Caller | Operations, id: UUID, numbers: Sequence[int]
) -> int:
    """Let dead events go again, all of them when no numbers are given; how many. Later events of
    their stuk may have gone before. Raises NotFound, and Invalid for a webhook that has ended."""
    await _find(portal, caller, id)
    async with portal.db.tenant(caller.firm.id) as c:
        count = await webhooks.again(c, id, numbers)
        if count is None:
            raise Invalid({"id": "Deze webhook is gestopt."})
        if count:
            await audit.record(
                c, "webhook_replayed", firm=caller.firm.id, subject=f"webhook:{id}",
                data={"by": caller.by, "count": count},
            )  # fmt: skip
    return count


async def _find(portal: Portal, caller: Caller | Operations, id: UUID) -> Webhook:
    async with portal.db.tenant(caller.firm.id) as c:
        found = await webhooks.find(c, caller.package, id)
    if found is None:
        raise NotFound("Er is geen webhook met dit nummer.")
    return found
