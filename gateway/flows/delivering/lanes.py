"""What the worker does in its round: one step for each delivery that is due."""

import asyncio
from uuid import UUID

from gateway import log
from gateway.domain.delivery import State, Trouble
from gateway.errors import ConfigInvalid, PortalError
from gateway.flows.delivering import asking, cases, changes, following, sending
from gateway.flows.delivering.cases import Case, Works
from gateway.store import deliveries

#: Seconds that a worker leaves a delivery alone which it could do nothing for.
ALONE = 0.5


async def step(works: Works, firm_id: str, id: UUID) -> bool:
    """Do what is due for one delivery; False when another worker has it or nothing is due."""
    portal = works.portal
    firm = portal.firms.get(firm_id)
    if firm is None:
        return False
    async with deliveries.claimed(portal.db, id) as mine:
        if not mine:
            return False
        case = await cases.read(works, firm, id)
        if case is None:
            return False
        try:
            await _do(works, case)
        except ConfigInvalid as e:
            await changes.later(works, case, Trouble.CONFIG, str(e), 300)
    return True


async def _do(works: Works, case: Case) -> None:
    if case.delivery.kind == "backoffice":
        await following.hand_back(works, case)
        return
    if case.watch:
        await asking.watch(works, case)
        return
    async with works.portal.db.tenant(case.firm.id) as c:
        attempt = await deliveries.the_open_attempt(c, case.delivery.id)
    if attempt is not None:
        await asking.reconcile(works, case, attempt)
        return
    if case.delivery.state is State.ACCEPTED:
        await following.poll(works, case)
        return
    if case.delivery.ask_from is not None:
        await asking.ask_first(works, case)
        return
    await sending.send(works, case)
    return


class Lanes:
    """Deliveries being worked on, `most` at once: each holds a connection for its lock.

    What another worker has, or what failed here, is left alone for a moment: else the same few
    that are due would keep all the others from their turn.
    """

    def __init__(self, works: Works, most: int = 4) -> None:
        self._works, self._most = works, most
        self._under_way: dict[UUID, asyncio.Task[bool]] = {}
        self._alone: dict[UUID, float] = {}  # until when, by the loop's clock

    async def fill(self) -> int:
        """Begin what is due, as far as there are lanes; how many are under way."""
        for id in [id for id, task in self._under_way.items() if task.done()]:
            self._told(id, self._under_way.pop(id))
        free = self._most - len(self._under_way)
        if free:
            now = asyncio.get_running_loop().time()
            self._alone = {id: until for id, until in self._alone.items() if until > now}
            busy = self._alone.keys() | self._under_way.keys()
            async with self._works.portal.db.connection() as c:
                found = await deliveries.due(c, free + len(busy))
            fresh = [(firm, id) for firm, id in found if id not in busy]
            for firm, id in fresh[:free]:
                self._under_way[id] = asyncio.create_task(step(self._works, firm, id))
        return len(self._under_way)

    async def rest(self, seconds: float) -> None:
        """Wait for one to end, at most so long."""
        if self._under_way:
            await asyncio.wait(
                self._under_way.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        else:
            await asyncio.sleep(seconds)

    async def drain(self) -> None:
        """Let what is under way end: a delivery that is cut off has to be asked about."""
        if self._under_way:
            await asyncio.wait(self._under_way.values())
        for id, task in self._under_way.items():
            self._told(id, task)
        self._under_way.clear()

    def _told(self, id: UUID, task: "asyncio.Task[bool]") -> None:
        error = task.exception()
        if error is not None or not task.result():
            self._alone[id] = asyncio.get_running_loop().time() + ALONE
        if isinstance(error, PortalError):
            log.get().warning("delivery_waits", delivery=str(id), error=str(error))
        elif error is not None:
            log.get().error("delivery_step_failed", delivery=str(id), exc_info=error)


async def watch_for_restore(works: Works) -> bool:
    """Whether an old backup was put back; then everything asks its receiver first."""
    remembered = await asyncio.to_thread(works.guard.remembered)
    async with works.portal.db.connection() as c:
        number, at = await deliveries.attempts_made(c)
        if remembered <= number:
            return False
        since = at or await deliveries.now(c)
        count = await deliveries.ask_first(c, since, remembered)
    log.get().error("old_backup_put_back", remembered=remembered, found=number, asking=count)
    return True
