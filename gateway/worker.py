"""What goes on without a browser: mail, deliveries and their statuses, webhooks, forgetting."""

import asyncio
import contextlib
from datetime import UTC, datetime

from gateway import log
from gateway.errors import PortalError
from gateway.flows import auditing, expiring, letters, mailbox_lanes, reminding, webhook_lanes
from gateway.flows.delivering.cases import Works
from gateway.flows.delivering.lanes import Lanes, watch_for_restore
from gateway.flows.portal import Portal
from gateway.notify.mail import Mailer
from gateway.store import housekeeping

#: Seconds between two looks into the outbox, and between two clean-ups.
LOOK = 1.0
CLEAN = 3600.0
#: Seconds between two looks whether an old backup was put back.
WATCH = 30.0
#: Seconds of rest after the database was away; doubles up to the last.
REST, REST_MOST = 1.0, 30.0


async def run(
    portal: Portal, mailer: Mailer, stop: asyncio.Event, works: Works | None = None
) -> None:
    """Work until `stop`. A lost database is waited for; any number of workers may run.

    works: what to deliver with; None: this worker delivers nothing.
    """
    log.get().info("worker_started")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_mail(portal, mailer, stop))
        tasks.create_task(_events(portal, stop))
        tasks.create_task(_mailboxes(portal, stop))
        if works is not None:
            tasks.create_task(_deliver(works, stop))
    log.get().info("worker_stopped")


async def _deliver(works: Works, stop: asyncio.Event) -> None:
    """Keep the lanes full. What is under way when it is told to stop is let to its end."""
    lanes, rest = Lanes(works), REST
    watched: float | None = None
    warned: float | None = None
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        try:
            # Nothing is sent before it is known whether a backup was put back.
            if watched is None or clock() - watched >= WATCH:
                await watch_for_restore(works)
                watched = clock()
            await lanes.fill()
            if warned is None or clock() - warned >= CLEAN:
                await expiring.warn(works)
                warned = clock()
            rest = REST
            await lanes.rest(LOOK / 4)
        except PortalError as e:
            log.get().warning("deliveries_wait", error=str(e), seconds=rest)
            await _until(stop, rest)
            rest = min(rest * 2, REST_MOST)
    await lanes.drain()


async def _mail(portal: Portal, mailer: Mailer, stop: asyncio.Event) -> None:
    rest = REST
    cleaned: float | None = None
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        try:
            sent = await letters.deliver_due(portal, mailer, datetime.now(UTC))
            if cleaned is None or clock() - cleaned >= CLEAN:
                await _forget(portal)
                await reminding.remind(portal)
                await auditing.checkpoint_all(portal)
                cleaned = clock()
            rest, wait = REST, 0.0 if sent else LOOK
        except PortalError as e:
            log.get().warning("worker_waits", error=str(e), seconds=rest)
            rest, wait = min(rest * 2, REST_MOST), rest
        await _until(stop, wait)


async def _events(portal: Portal, stop: asyncio.Event) -> None:
    """Tell webhooks what happened. Attempts under way when it is told to stop are let end."""
    lanes, rest = webhook_lanes.Lanes(portal), REST
    taken: float | None = None
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        try:
            if taken is None or clock() - taken >= LOOK:
                await webhook_lanes.take_over(portal)
                taken = clock()
            busy = await lanes.fill()
            rest = REST
            await (lanes.rest(LOOK / 4) if busy else _until(stop, LOOK))
        except PortalError as e:
            log.get().warning("webhooks_wait", error=str(e), seconds=rest)
            await _until(stop, rest)
            rest = min(rest * 2, REST_MOST)
    await lanes.drain()


async def _mailboxes(portal: Portal, stop: asyncio.Event) -> None:
    """Take in what packages dropped. A set that is being taken is let to its end."""
    lanes = mailbox_lanes.Lanes(portal)
    while not stop.is_set():
        lanes.fill()
        await _until(stop, LOOK)
    await lanes.drain()


async def _until(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _forget(portal: Portal) -> None:
    async with portal.db.connection() as c:
        count = await housekeeping.forget(c)
    log.get().info("forgotten", rows=count)
