"""Workers that are broken on purpose: with each of them the judge has to find something.

A horizon that is too short is the third control; it is a setting.
"""

from typing import Any

from asyncpg.pool import PoolConnectionProxy

from gateway import worker
from gateway.domain.delivery import Outcome, State
from gateway.flows.delivering import asking, sending
from gateway.flows.delivering.cases import Case, Works
from gateway.store import deliveries, webhooks


def blind_retry() -> None:
    """What is not answered is sent again, without asking."""

    async def again(works: Works, case: Case, *_: object) -> None:
        async with works.portal.db.tenant(case.firm.id) as c:
            at = await deliveries.find(c, case.delivery.id, lock=True)
            if at is not None and at.state is State.ATTEMPT:
                await deliveries.close_attempt(c, at.id, Outcome.NOT_SENT)
                await deliveries.move(c, at, State.QUEUED)

    sending._unclear = again
    asking.reconcile = again


def lazy_intent() -> None:
    """The intent is told to be committed before it is on the disk.

    Any other commit would take it there, so the rest of the worker keeps still.
    """

    async def nothing(*_: object, **__: object) -> int:
        return 0

    worker._forget = nothing
    worker.reminding.remind = nothing
    worker.auditing.checkpoint_all = nothing
    worker.letters.deliver_due = nothing
    execute = PoolConnectionProxy.execute

    def lazy(self: Any, query: str, *given: Any, **named: Any) -> Any:
        query = query.replace("synchronous_commit = on", "synchronous_commit = off")
        return execute(self, query, *given, **named)

    PoolConnectionProxy.execute = lazy


def note_first() -> None:
    """An event is noted as sent before it is."""
    claim = webhooks.claim

    async def noted(c: Any, *given: Any) -> object:
        one = await claim(c, *given)
        if one is not None:
            await webhooks.sent(c, one)
        return one

    webhooks.claim = noted


def no_order() -> None:
    """An event does not wait for the one before it of its stuk."""
    webhooks._FREE = webhooks._FREE.partition(" and not exists")[0]


CONTROLS = {
    "blind retry": blind_retry, "lazy intent": lazy_intent, "note first": note_first,
    "no order": no_order,
}  # fmt: skip
