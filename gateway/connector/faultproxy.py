"""A TCP proxy that misbehaves on demand, for a connector's tests."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from enum import StrEnum


class Mode(StrEnum):
    """pass: hands everything on. refuse: closes at once. hang: accepts and says nothing.
    cut: closes after `after` bytes of the answer. garbage: answers bytes of no protocol.
    slow: hands the answer on in small pieces with pauses."""

    PASS = "pass"  # noqa: S105  # not a password
    REFUSE = "refuse"
    HANG = "hang"
    CUT = "cut"
    GARBAGE = "garbage"
    SLOW = "slow"


@dataclass
class FaultProxy:
    """Stands before a real server on 127.0.0.1. Changing `mode` counts for new connections and
    for what still flows on the old ones."""

    host: str
    port: int
    mode: Mode = Mode.PASS
    after: int = 100_000
    connections: int = 0
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    async def start(self) -> int:
        """Listen; the port to connect to."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio runs this as a task
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.REFUSE:
            return
        if self.mode is Mode.GARBAGE:
            await reader.read(1)
            writer.write(b"\x00\xff<<< this is no protocol of yours >>>\r\n\r\n" * 20)
            await writer.drain()
            return
        if self.mode is Mode.HANG:
            while await reader.read(65536):
                pass
            return
        up_reader, up_writer = await asyncio.open_connection(self.host, self.port)
        try:
            forward = asyncio.create_task(self._pump(reader, up_writer, answer=False))
            try:
                await self._pump(up_reader, writer, answer=True)
            finally:
                forward.cancel()
                await asyncio.gather(forward, return_exceptions=True)
        finally:
            up_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answer: bool
    ) -> None:
        passed = 0
        while data := await reader.read(1024 if self.mode is Mode.SLOW else 65536):
            while self.mode is Mode.HANG:  # noqa: ASYNC110  # the mode is a plain attribute
                await asyncio.sleep(0.05)
            if answer and self.mode is Mode.CUT and passed + len(data) > self.after:
                writer.write(data[: max(0, self.after - passed)])
                with contextlib.suppress(OSError):
                    await writer.drain()
                return
            if self.mode is Mode.REFUSE:
                return
            if answer and self.mode is Mode.SLOW:
                await asyncio.sleep(0.01)
            passed += len(data)
            writer.write(data)
            await writer.drain()
