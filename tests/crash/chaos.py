"""Chaos by a seed: workers are killed and stopped, the database restarts hard, Digipoort fails."""

import asyncio
import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess

from tests.crash.world import World

#: What Digipoort does, by chance: trust.md section 4, and replies that cannot be trusted.
RATES: Mapping[str, float] = {
    "OverbelastAanleveren": 0.06,
    "ResetBefore": 0.06,
    "ResetAfter": 0.06,
    "LateBooking": 0.05,
    "AcceptedNoAnswer": 0.05,
    "ErrorAfter": 0.05,
    "ForgedReply": 0.04,
    "Slow": 0.04,
    "DuplicateReply": 0.03,
    "OtherRelatesTo": 0.03,
    "UnsignedReply": 0.03,
    "RepeatedStatuses": 0.05,
    "OutOfOrder": 0.05,
}


@dataclass(frozen=True)
class Plan:
    """workers: at once. kills, stops, restarts: how many, in a random order, a moment apart.
    pause: seconds that a worker stands still, from and to."""

    seed: int
    workers: int = 3
    kills: int = 60
    stops: int = 10
    restarts: int = 6
    pause: tuple[float, float] = (0.2, 1.0)
    moment: tuple[float, float] = (0.05, 0.45)
    rates: Mapping[str, float] = field(default_factory=lambda: RATES)


async def run(world: World, plan: Plan) -> None:
    """All of it; the workers that are left finish what is to be done."""
    await world.ask("/chaos", {"seed": plan.seed, "rates": plan.rates})
    chance = random.Random(plan.seed)
    workers = [world.start() for _ in range(plan.workers)]
    acts = ["kill"] * plan.kills + ["stop"] * plan.stops + ["restart"] * plan.restarts
    chance.shuffle(acts)
    paused: set[asyncio.Task[None]] = set()
    for act in acts:
        await asyncio.sleep(chance.uniform(*plan.moment))
        n = chance.randrange(plan.workers)
        if act == "restart":
            await world.restart()
        elif act == "kill":
            await world.kill(workers[n])
            workers[n] = world.start()
        else:
            task = asyncio.create_task(_pause(world, workers[n], chance.uniform(*plan.pause)))
            paused.add(task)
    await asyncio.gather(*paused)
    await world.finished(*workers)
    assert all(w.is_alive() for w in workers), world.log


async def _pause(world: World, worker: ForkServerProcess, seconds: float) -> None:
    """SIGSTOP and SIGCONT; it may be killed meanwhile."""
    world.signal(worker, signal.SIGSTOP)
    world.stops += 1
    await asyncio.sleep(seconds)
    if worker.is_alive():
        world.signal(worker, signal.SIGCONT)
