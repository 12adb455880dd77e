"""Calls to a server that may be left at any moment, with nothing left open there."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gateway.connector.sftp import put as sftpput
from gateway.connector.sftp.file import Opened
from gateway.connector.sftp.line import Line, Server
from gateway.connector.sftp.put import Draft
from gateway.errors import SourceError

T = TypeVar("T")


class Calls:
    """What a call opened for who has left is closed; what does not answer then breaks the line."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tasks: set[asyncio.Future[Any]] = set()

    async def run(
        self, work: Callable[[Line], Coroutine[Any, Any, T]], stop: asyncio.Event | None = None
    ) -> T:
        """`work` with the line that works; `stop` is set when nobody waits for it any more."""
        line = await self._server.line()
        task = asyncio.ensure_future(line.ask(work(line)))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if stop is not None:
                stop.set()
            task.add_done_callback(self._unwanted)
            self._keep(line.watch(task))
            raise

    def drop(self, opened: Opened) -> None:
        """Close a document at the server, some time soon."""
        closing = asyncio.ensure_future(opened.line.ask(opened.file.close()))
        closing.add_done_callback(_seen)
        self._keep(opened.line.watch(closing))

    def discard(self, draft: Draft) -> None:
        """Take away what was being written, over another line if need be."""
        self._keep(self._discarded(draft))

    async def aclose(self) -> None:
        """Break the line, and wait for what that ends."""
        await self._server.aclose()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _unwanted(self, task: asyncio.Future[Any]) -> None:
        if task.cancelled() or task.exception() is not None:
            return
        if isinstance(task.result(), Opened):
            self.drop(task.result())
        elif isinstance(task.result(), Draft):
            self.discard(task.result())

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_seen)

    async def _discarded(self, draft: Draft) -> None:
        try:
            await self._watched(draft.line, draft.discard())
        except SourceError:
            line = await self._server.line()
            await self._watched(line, sftpput.remove(line, draft.path))

    async def _watched(self, line: Line, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(line.ask(work))
        task.add_done_callback(_seen)
        await line.watch(task)
        await task


def _seen(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()  # a broken line has closed everything by itself
