"""What goes on without a browser: mail from the outbox, and forgetting what has served."""

import asyncio
import contextlib
from datetime import UTC, datetime

from gateway import log
from gateway.errors import PortalError
from gateway.flows import letters
from gateway.flows.portal import Portal
from gateway.notify.mail import Mailer
from gateway.store import housekeeping

#: Seconds between two looks into the outbox, and between two clean-ups.
LOOK = 1.0
CLEAN = 3600.0
#: Seconds of rest after the database was away; doubles up to the last.
REST, REST_MOST = 1.0, 30.0


async def run(portal: Portal, mailer: Mailer, stop: asyncio.Event) -> None:
    """Work until `stop`. A lost database is waited for; any number of workers may run."""
    log.get().info("worker_started")
    rest = REST
    cleaned: float | None = None
    clock = asyncio.get_running_loop().time
    while not stop.is_set():
        try:
            sent = await letters.deliver_due(portal, mailer, datetime.now(UTC))
            if cleaned is None or clock() - cleaned >= CLEAN:
                await _forget(portal)
                cleaned = clock()
            rest, wait = REST, 0.0 if sent else LOOK
        except PortalError as e:
            log.get().warning("worker_waits", error=str(e), seconds=rest)
            rest, wait = min(rest * 2, REST_MOST), rest
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)
    log.get().info("worker_stopped")


async def _forget(portal: Portal) -> None:
    async with portal.db.connection() as c:
        count = await housekeeping.forget(c)
    log.get().info("forgotten", rows=count)
