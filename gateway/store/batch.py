"""Many small questions as one: what comes in while PostgreSQL is answering goes out together.

No timer is involved. A lone question goes out at once; under load each round trip carries all
that has gathered. Everyone waits for the answer to the own question: an audit row is committed
before its document is given.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

#: Questions in one round trip at the most.
MOST = 500


class Batch(Generic[Q, A]):
    """Gathers questions for `ask`, which answers as many as it is given, in their order."""

    def __init__(self, ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        self._ask = ask
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def put(self, question: Q) -> A:
        """The answer. Raises what `ask` raised; a cancelled wait harms nobody else."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._round(taken)
        finally:
            self._worker = None

    async def _round(self, taken: Sequence[tuple[Q, "asyncio.Future[A]"]]) -> None:
        try:
            answers = await self._ask([question for question, _ in taken])
        except BaseException as e:
            for _, future in taken:
                if not future.done():
                    future.set_exception(e if isinstance(e, Exception) else ConnectionError())
            if not isinstance(e, Exception):
                raise
            return
        for (_, future), answer in zip(taken, answers, strict=True):
            if not future.done():
                future.set_result(answer)
