"""Documents of this machine being read: small ones at once, larger ones block by block."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.connector.context import Threads
from gateway.connector.contract import CHUNK, Entry, length_of
from gateway.connector.local import file as localfile
from gateway.connector.local.file import File
from gateway.errors import ConditionFailed

#: Up to this size a document is read at once; it is also the first block of a larger one.
SMALL = 128 * 1024
#: The largest block, and how soon a block is taken by who can take more at a time.
LARGEST, FAST = 1024 * 1024, 0.25


@dataclass(frozen=True, slots=True)
class Wish:
    """Which part of which version."""

    offset: int
    length: int | None
    version: str | None

    def granted(self, entry: Entry) -> int:
        """How many bytes will come. Raises ConditionFailed, RangeNotSatisfiable."""
        if self.version is not None and self.version != entry.version:
            raise ConditionFailed
        return length_of(entry.size or 0, self.offset, self.length)


@dataclass(slots=True)
class Part:
    """A small document, or part, that is here already."""

    entry: Entry
    offset: int
    length: int
    data: bytes = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader."""
        for start in range(0, len(self.data), CHUNK):
            yield self.data[start : start + CHUNK]

    def shut(self) -> None:
        """Close what is open; from a thread."""

    async def aclose(self) -> None:
        """See Reader."""
        self.data = b""


class Large(Part):
    """A document that is read block by block, one ahead of who keeps up."""

    def __init__(
        self, entry: Entry, offset: int, length: int, file: File, threads: Threads
    ) -> None:
        super().__init__(entry, offset, length)
        self._file, self._threads = file, threads
        self._asked, self._end = offset, offset + length
        self._size = SMALL
        self._waiting: asyncio.Future[bytes] | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader."""
        clock = asyncio.get_running_loop().time
        self._ask()
        while self._waiting is not None:
            block, self._waiting = await self._waiting, None
            if self._size > SMALL:
                self._ask()
            since = clock()
            for start in range(0, len(block), CHUNK):
                yield block[start : start + CHUNK]
            fast = clock() - since < FAST
            self._size = min(self._size * 2, LARGEST) if fast else SMALL
            if self._waiting is None:
                self._ask()

    def _ask(self) -> None:
        """Have the next block read, if there is one."""
        at, count = self._asked, min(self._size, self._end - self._asked)
        if count:
            self._asked += count
            self._waiting = asyncio.ensure_future(self._threads.run(self._block, at, count))
            self._waiting.add_done_callback(_looked_at)

    def _block(self, at: int, count: int) -> bytes:
        try:
            with self._file.use() as file:
                data = localfile.read_block(file, count, at)
                if at + count == self._end:
                    localfile.verify(file, self.entry.version)
                return data
        except OSError as e:
            raise localfile.error_of(e) from e

    def fileno(self) -> int:
        """See HasFile."""
        return self._file.number

    async def verify(self) -> None:
        """See HasFile."""
        await self._threads.run(self._verify)

    def _verify(self) -> None:
        with self._file.use() as file:
            localfile.verify(file, self.entry.version)

    def shut(self) -> None:
        """See Part.shut."""
        self._file.close()

    async def aclose(self) -> None:
        """See Reader."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._asked = self._end
        self._threads.soon(self._file.close)


def document(number: int, entry: Entry, wish: Wish, threads: Threads) -> Part:
    """The wished part of a file that was opened; takes over its descriptor. Blocking.

    Raises ConditionFailed, RangeNotSatisfiable, IntegrityError, OSError.
    """
    file = File(number)
    try:
        length = wish.granted(entry)
        if length > SMALL:
            return Large(entry, wish.offset, length, file, threads)
        data = localfile.read_block(number, length, wish.offset)
        localfile.verify(number, entry.version)
    except BaseException:
        file.close()
        raise
    file.close()
    return Part(entry, wish.offset, length, data)


def _looked_at(done: "asyncio.Future[bytes]") -> None:
    if not done.cancelled():
        done.exception()  # nobody may wait for it any more
