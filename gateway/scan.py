"""Looks for viruses in what comes in, by clamd's INSTREAM (clamd(8)), as the bytes pass by."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar
from urllib.parse import urlsplit

from gateway.errors import PortalError

#: Bytes of a piece that clamd gets.
PIECE = 64 * 1024
T = TypeVar("T")


class Infected(PortalError):
    """The scanner found a virus in the document."""

    def __init__(self, name: str) -> None:
        super().__init__(f"found: {name}")
        self.name = name


class ScannerDown(PortalError):
    """The virus scanner does not answer; nothing is taken in meanwhile."""


class Scanner:
    """One clamd. address: `unix:/run/clamav/clamd.ctl` or `tcp://127.0.0.1:3310`."""

    def __init__(self, address: str, *, timeout: float = 60.0) -> None:
        """timeout: seconds without an answer after the last byte, and without taking a piece."""
        self._address, self._timeout = address, timeout

    async def passing(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The same bytes, and at their end the verdict. Raises Infected and ScannerDown; whoever
        writes the bytes down must not call it done before this has ended."""
        reader, writer = await self._opened()
        try:
            writer.write(b"zINSTREAM\0")
            async for piece in body:
                for start in range(0, len(piece), PIECE):
                    part = piece[start : start + PIECE]
                    writer.write(len(part).to_bytes(4, "big") + part)
                    await self._within(writer.drain())
                yield piece
            writer.write(b"\0\0\0\0")
            await self._within(writer.drain())
            _judge(await self._within(reader.readuntil(b"\0")))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as e:
            raise ScannerDown(type(e).__name__) from None
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ping(self) -> None:
        """Raises ScannerDown."""
        reader, writer = await self._opened()
        try:
            writer.write(b"zPING\0")
            if await self._within(reader.readuntil(b"\0")) != b"PONG\0":
                raise ScannerDown("no PONG")
        except (ConnectionError, asyncio.IncompleteReadError) as e:
            raise ScannerDown(type(e).__name__) from None
        finally:
            writer.close()

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        where = urlsplit(self._address)
        try:
            async with asyncio.timeout(self._timeout):
                if where.scheme == "unix":
                    return await asyncio.open_unix_connection(where.path)
                return await asyncio.open_connection(where.hostname, where.port)
        except (OSError, TimeoutError) as e:
            raise ScannerDown(type(e).__name__) from None

    async def _within(self, work: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(work, self._timeout)
        except TimeoutError:
            raise ScannerDown("no answer in time") from None


def _judge(answer: bytes) -> None:
    """`stream: OK`, `stream: NAME FOUND`, or an error."""
    text = answer.rstrip(b"\0").decode("utf-8", "replace").removeprefix("stream: ")
    if text.endswith(" FOUND"):
        raise Infected(text.removesuffix(" FOUND"))
    if text != "OK":
        raise ScannerDown(text[:100])
