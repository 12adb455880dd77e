"""A document of an SFTP server being read: the next blocks are asked for while one is taken."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from gateway.connector.contract import CHUNK, Entry
from gateway.connector.sftp.file import BLOCK, Opened

_MOST = 8  # blocks on their way to a reader who keeps up; a slow one has no more than one
_FAST = 0.25  # seconds in which a block is taken by who can take more


class SftpReader:
    """See Reader. drop: closes the document at the server."""

    def __init__(
        self,
        entry: Entry,
        opened: Opened,
        offset: int,
        length: int,
        drop: Callable[[Opened], None],
    ) -> None:
        self.entry, self.offset, self.length = entry, offset, length
        self._opened, self._drop = opened, drop
        self._first = opened.first[:length]
        self._asked, self._end = offset + len(self._first), offset + length
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._window = 1
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader. A larger document is looked at again before its last block is given."""
        clock = asyncio.get_running_loop().time
        block, self._first = self._first, b""
        large = self._asked < self._end
        while not self._closed:
            if block:
                if large and not self._more:
                    await self._opened.verify()
                given = clock()
                if self._window > 1:
                    self._ask()
                for start in range(0, len(block), CHUNK):
                    yield block[start : start + CHUNK]
                fast = clock() - given < _FAST
                self._window = min(self._window * 2, _MOST) if fast else 1
            if not self._more:
                return
            self._ask()
            block = await self._waiting[0]
            self._waiting.popleft()

    async def aclose(self) -> None:
        """See Reader."""
        if not self._closed:
            self._closed = True
            for block in self._waiting:
                block.cancel()
            self._drop(self._opened)

    @property
    def _more(self) -> bool:
        return bool(self._waiting) or self._asked < self._end

    def _ask(self) -> None:
        while self._asked < self._end and len(self._waiting) < self._window:
            count = min(BLOCK, self._end - self._asked)
            block = asyncio.ensure_future(self._opened.read(self._asked, count))
            block.add_done_callback(_seen)
            self._waiting.append(block)
            self._asked += count


def _seen(block: asyncio.Future[bytes]) -> None:
    if not block.cancelled():
        block.exception()  # nobody may wait for it any more
