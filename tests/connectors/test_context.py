"""What the host lends: threads that nobody has to wait for."""

import asyncio
import contextvars
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from gateway.connector.context import Threads


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads("proef", 2)
    yield made
    made.close()


async def test_results_and_errors(threads: Threads):
    assert await threads.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 7, 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(next, iter(()))
    with pytest.raises(SystemExit):
        await threads.run(sys.exit, 1)
    assert await threads.run(divmod, 7, 2) == (3, 1)


async def test_no_more_than_its_workers(threads: Threads):
    inside, most = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.01)
        with lock:
            inside -= 1

    await asyncio.gather(*(threads.run(work) for _ in range(20)))
    assert most == 2


async def test_one_thread_is_enough_for_one_after_another(threads: Threads):
    names = set()
    for _ in range(20):
        names.add(await threads.run(lambda: threading.current_thread().name))
        await asyncio.sleep(0.001)
    assert names == {"proef-1"}


async def test_the_callers_context_variables(threads: Threads):
    request = contextvars.ContextVar("request", default="")
    request.set("r-1")
    assert await threads.run(request.get) == "r-1"


async def test_what_nobody_waits_for_is_undone(threads: Threads):
    undone: list[str] = []
    begun = threading.Event()

    def work() -> str:
        begun.set()
        time.sleep(0.03)
        return "open"

    task = asyncio.create_task(threads.run(work, undo=undone.append))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(200):
        if undone:
            break
        await asyncio.sleep(0.005)
    assert undone == ["open"]


async def test_what_was_cancelled_before_it_began_never_does(threads: Threads):
    free = threading.Event()
    holding = [asyncio.create_task(threads.run(free.wait, 5)) for _ in range(2)]
    begun: list[int] = []
    waiting = asyncio.create_task(threads.run(begun.append, 1))
    await asyncio.sleep(0.01)
    waiting.cancel()
    free.set()
    await asyncio.gather(*holding, return_exceptions=True)
    await threads.run(divmod, 1, 1)
    assert begun == []


async def test_closing_ends_what_waits_and_does_what_must_be_done(threads: Threads):
    free, done = threading.Event(), threading.Event()
    holding = [asyncio.create_task(threads.run(free.wait, 5)) for _ in range(2)]
    waiting = asyncio.create_task(threads.run(divmod, 1, 1))
    await asyncio.sleep(0.01)
    threads.soon(done.set)
    threads.close()
    threads.close()
    with pytest.raises(RuntimeError, match="closed"):
        await waiting
    with pytest.raises(RuntimeError, match="closed"):
        await threads.run(divmod, 1, 1)
    free.set()
    await asyncio.gather(*holding)
    assert await asyncio.to_thread(done.wait, 5)
    late = threading.Event()
    threads.soon(late.set)
    assert await asyncio.to_thread(late.wait, 5)


def test_a_hung_thread_does_not_keep_the_process():
    program = """
import asyncio, time
from gateway.connector.context import Threads
async def main():
    threads = Threads("hangt", 2)
    task = asyncio.ensure_future(threads.run(time.sleep, 3600))
    await asyncio.sleep(0.05)
    task.cancel()
    threads.close()
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


async def test_a_result_that_comes_with_the_cancellation_is_undone(threads: Threads):
    """Both in one turn of the loop: the result first, so the call can no longer be cancelled."""
    undone: list[int] = []
    for _ in range(20):
        task = asyncio.create_task(threads.run(lambda: 1, undo=undone.append))
        await asyncio.sleep(0)
        time.sleep(0.003)  # the thread is done, the loop does not know
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.gather(task, return_exceptions=True)
    for _ in range(200):
        if len(undone) == 20:
            break
        await asyncio.sleep(0.005)
    assert undone == [1] * 20
