"""What goes on without a browser: mail, deliveries and their statuses, webhooks, forgetting."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

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
#: Seconds of rest after the database was away, or a fault of ours; doubles up to the last.
REST, REST_MOST = 1.0, 30.0

T = TypeVar("T")


async def run(
    portal: Portal, mailer: Mailer, stop: asyncio.Event, works: Works | None = None
) -> None:
    """Work until `stop`. A lost database is waited for; any number of workers may run.

    works: what to deliver with; None: this worker delivers nothing.
    """
    log.get().info("worker_started")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_mail(portal, mailer, stop))
        for job in (_forget, reminding.remind, auditing.checkpoint_all):
            tasks.create_task(_hourly(portal, job, stop))
        tasks.create_task(_events(portal, stop))
        tasks.create_task(_mailboxes(portal, stop))
        if works is not None:
            tasks.create_task(_deliver(works, stop))
            tasks.create_task(_hourly(works, expiring.warn, stop))
    log.get().info("worker_stopped")


async def _keep(
    stop: asyncio.Event,
    step: Callable[[], Awaitable[float]],
    *,
    loop: str,
    waits: str = "worker_waits",
) -> None:
    """Step after step until `stop`, and after each the seconds that it gives. Whatever a step
    raises, the next comes: one thing that goes wrong must not end the work of all firms.

    loop: its name in the log. waits: the event that tells of a lost database.
    """
    rest = REST
    while not stop.is_set():
        try:
            wait = await step()
            rest = REST
        except Exception as e:
            if isinstance(e, PortalError):
                log.get().warning(waits, error=str(e), seconds=rest)
            else:
                log.get().error("worker_surprise", loop=loop, seconds=rest, exc_info=e)
            rest, wait = min(rest * 2, REST_MOST), rest
        await _until(stop, wait)


async def _deliver(works: Works, stop: asyncio.Event) -> None:
    """Keep the lanes full. What is under way when it is told to stop is let to its end."""
    lanes = Lanes(works)
    watched: float | None = None
    clock = asyncio.get_running_loop().time

    async def step() -> float:
        nonlocal watched
        # Nothing is sent before it is known whether a backup was put back.
        if watched is None or clock() - watched >= WATCH:
            await watch_for_restore(works)
            watched = clock()
        await lanes.fill()
        await lanes.rest(LOOK / 4)
        return 0.0

    await _keep(stop, step, loop="deliveries", waits="deliveries_wait")
    await lanes.drain()


async def _mail(portal: Portal, mailer: Mailer, stop: asyncio.Event) -> None:
    async def step() -> float:
        return 0.0 if await letters.deliver_due(portal, mailer, datetime.now(UTC)) else LOOK

    await _keep(stop, step, loop="mail")


async def _hourly(of: T, job: Callable[[T], Awaitable[object]], stop: asyncio.Event) -> None:
    """One of the jobs that need no haste, each in a loop of its own: none keeps up another."""

    async def step() -> float:
        await job(of)
        return CLEAN

    await _keep(stop, step, loop=job.__name__.strip("_"))


async def _events(portal: Portal, stop: asyncio.Event) -> None:
    """Tell webhooks what happened. Attempts under way when it is told to stop are let end."""
    lanes = webhook_lanes.Lanes(portal)
    taken: float | None = None
    clock = asyncio.get_running_loop().time

    async def step() -> float:
        nonlocal taken
        if taken is None or clock() - taken >= LOOK:
            await webhook_lanes.take_over(portal)
            taken = clock()
        if not await lanes.fill():
            return LOOK
        await lanes.rest(LOOK / 4)
        return 0.0

    await _keep(stop, step, loop="webhooks", waits="webhooks_wait")
    await lanes.drain()


async def _mailboxes(portal: Portal, stop: asyncio.Event) -> None:
    """Take in what packages dropped. A set that is being taken is let to its end."""
    lanes = mailbox_lanes.Lanes(portal)

    async def step() -> float:
        lanes.fill()
        return LOOK

    await _keep(stop, step, loop="mailboxes")
    await lanes.drain()


async def _until(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _forget(portal: Portal) -> None:
    async with portal.db.connection() as c:
        count = await housekeeping.forget(c)
    log.get().info("forgotten", rows=count)
