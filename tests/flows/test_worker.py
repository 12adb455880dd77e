"""The worker: no fault of ours in one thing ends the work, of all firms."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from gateway import worker
from gateway.flows import auditing, expiring, letters, mailbox_lanes, reminding, webhook_lanes
from gateway.store.database import DatabaseDown
from tests.flows.test_letters import Post

PLACES = {
    "mail": (letters, "deliver_due"),
    "forget": (worker, "_forget"),
    "remind": (reminding, "remind"),
    "checkpoint_all": (auditing, "checkpoint_all"),
    "webhooks": (webhook_lanes, "take_over"),
    "webhooks, lanes": (webhook_lanes.Lanes, "fill"),
    "mailboxes": (mailbox_lanes.Lanes, "fill"),
    "deliveries": (worker, "watch_for_restore"),
    "deliveries, lanes": (worker.Lanes, "fill"),
    "warn": (expiring, "warn"),
}


@pytest.fixture
def works(portal) -> SimpleNamespace:
    """As much of it as a worker needs that has nothing to deliver."""
    return SimpleNamespace(
        portal=portal,
        guard=SimpleNamespace(remembered=lambda: 0),
        receivers=SimpleNamespace(held=lambda _: []),
        operations="",
    )


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [ZeroDivisionError, DatabaseDown])
async def test_every_loop_goes_on(portal, works, monkeypatch, place, error):
    monkeypatch.setattr(worker, "REST", 0.0)
    of, name = PLACES[place]
    real, stop, calls = getattr(of, name), asyncio.Event(), []

    def fails(*given, **named):
        calls.append(given)
        if len(calls) <= 2:
            raise error
        stop.set()
        return real(*given, **named)

    fails.__name__ = name
    monkeypatch.setattr(of, name, fails)
    with capture_logs() as logs:
        await asyncio.wait_for(worker.run(portal, Post(), stop, works), 60)
    loop = place.partition(",")[0]
    told = [e for e in logs if e["event"] == "worker_surprise"]
    if error is DatabaseDown:
        assert told == []
        assert sum(e["event"].endswith("_wait") or e["event"] == "worker_waits" for e in logs) == 2
    else:
        assert [(e["loop"], e["log_level"]) for e in told] == [(loop, "error")] * 2


async def test_only_cancellation_ends_it(portal, works):
    running = asyncio.create_task(worker.run(portal, Post(), asyncio.Event(), works))
    await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait_for(running, 60)
    assert running.cancelled()
