"""A document of an FTP server being read."""

from collections.abc import AsyncIterator

from gateway.connector.contract import CHUNK, Entry
from gateway.connector.ftps.file import Download
from gateway.connector.ftps.line import Line
from gateway.connector.ftps.lines import Lines


class FtpsReader:
    """See Reader. Holds a connection until it is closed, and what has come but was not taken stays
    with the network: a slow client holds little memory."""

    def __init__(
        self, lines: Lines, line: Line, entry: Entry, coming: Download, offset: int
    ) -> None:
        self.entry, self.offset, self.length = entry, offset, coming.left
        self._lines, self._line, self._coming = lines, line, coming
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader."""
        while self._coming.left and not self._closed:
            block = await self._lines.call(self._line, self._next)
            for start in range(0, len(block), CHUNK):
                yield block[start : start + CHUNK]

    async def aclose(self) -> None:
        """See Reader. Who leaves early leaves the data connection, not the signed-in one."""
        if not self._closed:
            self._closed = True
            self._lines.give(self._line)

    def _next(self, _: Line) -> bytes:
        return self._coming.next()
