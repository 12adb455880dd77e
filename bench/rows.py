"""What a benchmark tells: one row a comparison, measured beside its peer in the same run."""

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report.

    number: the row of the goals that it belongs to. ours, peer_value: medians, in `unit`.
    ratio: how many times better than the peer; above 1 is better. goal: in the same words.
    """

    number: str
    measured: str
    ours: float
    peer: str
    peer_value: float
    unit: str
    ratio: float
    goal: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one call."""

    cpu: float
    wall: float


async def interleaved(
    calls: Mapping[str, Callable[[], Awaitable[object]]], rounds: int
) -> dict[str, Cost]:
    """Median cost of each call, in the rhythm A B C A B C, so that a busy machine hits all alike.

    cpu: of this process, all threads.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in calls}
    for call in calls.values():
        await call()  # connections, caches and imports are not what is measured
    for _ in range(rounds):
        for name, call in calls.items():
            costs[name].append(await _cost(call))
    return {name: _median(some) for name, some in costs.items()}


async def _cost(call: Callable[[], Awaitable[object]]) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    await call()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(c.cpu for c in costs), statistics.median(c.wall for c in costs))
