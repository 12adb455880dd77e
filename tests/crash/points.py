"""Named points at which a worker kills itself with SIGKILL: before or after a step of delivering.

A step that ends with its transaction is killed "before the commit" by its last audit row, which is
its last statement (I6), and "after the commit" when it returns.
"""

import functools
import importlib
import itertools
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from asyncpg.connection import Connection

_SEND = "gateway.flows.delivering.sending:"
_ASK = "gateway.flows.delivering.asking:"
_FOLLOW = "gateway.flows.delivering.following:"
_RECORD = "gateway.flows.delivering.changes:record"
_STORE = "gateway.store.deliveries:"
#: Scenarios of the simulator: booked without an answer, and not booked.
BOOKED, LOST = "AcceptedNoAnswer", "ResetBefore"


@dataclass(frozen=True)
class Point:
    """target: module:name of the step. before: else after. event: only the audit row of this
    name. scenario: what the delivery must meet to come here. tampered: its document is changed
    after the approval."""

    target: str
    before: bool = False
    event: str = ""
    scenario: str = ""
    tampered: bool = False


POINTS = {
    "claim-before": Point("gateway.flows.delivering.cases:read", before=True),
    "claim-after": Point("gateway.flows.delivering.cases:read"),
    "fetch-before": Point(_SEND + "_fetched", before=True),
    "fetch-after": Point(_SEND + "_fetched"),
    "intend-before": Point(_SEND + "_intend", before=True),
    "intend-before-move": Point(_STORE + "open_attempt"),
    "intend-before-commit": Point(_RECORD, event="delivery_attempt"),
    "intend-after-commit": Point("gateway.flows.receivers:Guard.note", before=True),
    "guard-after-note": Point("gateway.flows.receivers:Guard.note"),
    "send-before": Point("gateway.delivery.client:Client.deliver", before=True),
    "send-half": Point("body", before=True),
    "send-written": Point("body"),
    "reply-before-commit": Point(_SEND + "_accepted", before=True),
    "accepted-in-transaction": Point(_STORE + "add_reply"),
    "accepted-before-commit": Point(_RECORD, event="delivery_accepted"),
    "accepted-after-commit": Point(_SEND + "_accepted"),
    "not-sure-before": Point(_SEND + "_unclear", before=True, scenario=BOOKED),
    "not-sure-after": Point(_SEND + "_unclear", scenario=BOOKED),
    "ask-before": Point(_ASK + "_candidates", before=True, scenario=BOOKED),
    "ask-between": Point("gateway.delivery.client:Client.processes", scenario=BOOKED),
    "ask-after": Point(_ASK + "_candidates", scenario=BOOKED),
    "adopt-before-commit": Point(_RECORD, event="delivery_accepted", scenario=BOOKED),
    "adopt-after-commit": Point(_ASK + "reconcile", scenario=BOOKED),
    "wait-before-commit": Point(_STORE + "not_yet", scenario=LOST),
    "wait-after-commit": Point(_ASK + "reconcile", scenario=LOST),
    "not-arrived-before-commit": Point(_RECORD, event="delivery_not_arrived", scenario=LOST),
    "not-arrived-after-commit": Point(_ASK + "_not_arrived", scenario=LOST),
    "poll-before": Point(_FOLLOW + "poll", before=True),
    "poll-asked": Point("gateway.delivery.client:Client.signed_statuses"),
    "poll-before-commit": Point(_STORE + "statuses"),
    "final-before-commit": Point(_RECORD, event="delivery_final"),
    "final-after-commit": Point(_FOLLOW + "poll"),
    "changed-before": Point(_SEND + "_changed", before=True, tampered=True),
    "changed-before-commit": Point(_RECORD, event="delivery_held_changed", tampered=True),
    "changed-after-commit": Point(_SEND + "_changed", tampered=True),
}


def die() -> None:
    """End here, as the kernel does it."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: Point) -> None:
    """From now on the process dies at this point."""
    if point.target == "body":
        _arm_body(point)
        return
    module, _, path = point.target.partition(":")
    *within, name = path.split(".")
    holder = functools.reduce(getattr, within, importlib.import_module(module))
    step = getattr(holder, name)
    made = _sync(step, point) if name == "note" else _async(step, point)
    setattr(holder, name, made)


def _sync(step: Callable[..., object], point: Point) -> Callable[..., object]:
    def deadly(*given: Any) -> object:
        if not point.before:
            step(*given)
        die()
        return None

    return deadly


def _async(step: Callable[..., Awaitable[object]], point: Point) -> Callable[..., object]:
    async def deadly(*given: Any, **named: Any) -> object:
        mine = not point.event or point.event in given
        if mine and point.before:
            die()
        result = await step(*given, **named)
        if mine:
            die()
        return result

    return deadly


def _arm_body(point: Point) -> None:
    """While the body of an aanlevering is written: after half a piece, or after all of it."""
    (body,) = (c for c in aiohttp.Payload.__subclasses__() if c.__module__.startswith("gateway"))
    write, deliver = body.write, importlib.import_module("gateway.delivery.client").Client.deliver
    delivering = [False]

    async def delivers(*given: Any) -> object:
        delivering[0] = True
        return await deliver(*given)

    async def deadly(self: Any, writer: Any) -> None:
        if delivering[0] and point.before:
            self._pieces = _halved(self._pieces)
        await write(self, writer)
        if delivering[0]:
            die()

    importlib.import_module("gateway.delivery.client").Client.deliver = delivers
    body.write = deadly


def _halved(pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(iter(pieces))
    yield first[: len(first) // 2]
    die()


def arm_statement(number: int, of: str = "", *, after: bool = False) -> None:
    """Die before the so-manieth statement of the process that has this word, counted from 1; or
    after it, when its transaction has not ended yet."""
    count = itertools.count(1)
    execute = Connection._execute

    async def deadly(self: Any, query: str, *given: Any, **named: Any) -> object:
        mine = of in query and next(count) == number
        if mine and not after:
            die()
        result = await execute(self, query, *given, **named)
        if mine:
            die()
        return result

    Connection._execute = deadly
