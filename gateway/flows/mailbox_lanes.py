"""The mailboxes of every firm, a few at a time, each at its own pace."""

import asyncio
from collections.abc import Callable

from gateway import log
from gateway.domain.firm import Firm
from gateway.domain.mailbox import Mailbox
from gateway.errors import PortalError
from gateway.flows import mailbox, mailbox_out
from gateway.flows.mailbox import Watch
from gateway.flows.portal import Portal

#: Seconds between two rounds of a mailbox, and mailboxes that are worked on at once.
EVERY, LANES = 10.0, 4


class Lanes:
    """What this worker does for mailboxes."""

    def __init__(self, portal: Portal, every: float = EVERY) -> None:
        self._portal, self._every = portal, every
        self._clock = asyncio.get_running_loop().time
        self._watches: dict[tuple[str, str], Watch] = {}
        self._due: dict[tuple[str, str], float] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._stopping = False

    def fill(self) -> None:
        """Begin rounds that are due, those that wait longest first."""
        self._tasks = {k: t for k, t in self._tasks.items() if not t.done()}
        boxes = [(f, b) for f in self._portal.firms.values() for b in f.mailboxes]
        boxes.sort(key=lambda one: self._due.get((one[0].id, one[1].id), 0.0))
        for firm, box in boxes:
            key = firm.id, box.id
            if len(self._tasks) >= LANES or self._due.get(key, 0.0) > self._clock():
                return
            if key not in self._tasks:
                watch = self._watches.setdefault(key, Watch())
                self._tasks[key] = asyncio.create_task(self._round(firm, box, watch))

    async def drain(self) -> None:
        """Let the sets that are being taken come to their end, and begin no others."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def _round(self, firm: Firm, box: Mailbox, watch: Watch) -> None:
        try:
            await one(self._portal, firm, box, watch, lambda: self._stopping)
        except PortalError as e:  # PostgreSQL is away, or the source of the return messages
            log.get().warning("mailbox_waits", firm=firm.id, mailbox=box.id, error=str(e))
        except Exception as e:  # one mailbox must not stop the worker, nor the others
            log.get().error("mailbox_failed", firm=firm.id, mailbox=box.id, exc_info=e)
        finally:
            self._due[firm.id, box.id] = self._clock() + self._every


async def one(
    portal: Portal,
    firm: Firm,
    box: Mailbox,
    watch: Watch,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[mailbox.Round | None, int]:
    """A round, and the return messages; None when another worker is at it."""
    await mailbox_out.begin(portal, firm, box)
    done = await mailbox.run(portal, firm, box, watch, stop)
    return done, await mailbox_out.run(portal, firm, box)
