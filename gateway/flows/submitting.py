"""A stuk that comes with its documents: they go to the firm's source first, then it is put up.

An instance is checked before a byte of it is written, and whose it is; so is everything that needs
no document.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from gateway.domain import sbr
from gateway.domain.firm import Firm, Source
from gateway.domain.klant import Klant
from gateway.domain.stuk import Role
from gateway.errors import Invalid, TooMany
from gateway.flows import intake, uploads
from gateway.flows.intake import PartWish, Twice, Wish
from gateway.flows.portal import Portal
from gateway.store.database import Connection

#: Bytes of all instances that a process takes in at the same moment.
MOST_HELD = 256 * 2**20
ABSENT = "De inhoud van dit onderdeel ontbreekt."
TWICE = "Deze inhoud staat bij meer dan één onderdeel."


@dataclass(slots=True)
class Submission:
    """A stuk on its way in. Each part that comes by content is named in `parts` by an empty id;
    `take` fills them in as their bytes come, in any order, and `finish` puts it up.
    """

    portal: Portal
    firm: Firm
    wish: Wish
    klant: Klant
    source: Source | None
    folder: str
    most: int
    #: Why it is not to be put up: it is there already.
    twice: Twice | None = None

    @classmethod
    async def begin(cls, portal: Portal, firm: Firm, wish: Wish) -> "Submission":
        """Raises Invalid with every fault that can be told without the documents."""
        klant = await intake.precheck(portal, firm, wish)
        where = firm.intake
        if where is None and any(not p.id for p in wish.parts):
            raise Invalid({"parts": "Dit kantoor neemt geen documenten bij een stuk aan."})
        source = firm.source(where.source) if where else None
        wish = replace(wish, id=uuid4())
        folder = f"{where.folder}/{wish.id}" if where else ""
        most = where.most_mib * 2**20 if where else 0
        return cls(portal, firm, wish, klant, source, folder, most)

    async def take(
        self, number: int, name: str, body: AsyncIterator[bytes], sha256: str = ""
    ) -> str:
        """The bytes of a part, counted from 0; its SHA-256. Raises Invalid by `parts.<number>`,
        and the source's errors."""
        source, part = self.source, self.wish.parts[number]
        if source is None:
            raise Invalid({"parts": "Dit kantoor neemt geen documenten bij een stuk aan."})
        if part.role is not Role.INSTANCE:
            return await self._write(number, source, name, body, sha256)
        async with AsyncExitStack() as stack:
            with _of_part(number):
                data = await stack.enter_async_context(_held(body))
                await intake.check_instance(self.firm, self.wish.soort, name, data)
            try:
                await intake.check_owner(self.portal, self.firm, self.klant, self.wish, data)
            except Twice as e:
                self.twice = e
                return hashlib.sha256(data).hexdigest()
            return await self._write(number, source, name, _again(data), sha256)

    async def _write(
        self, number: int, source: Source, name: str, body: AsyncIterator[bytes], sha256: str
    ) -> str:
        with _of_part(number):
            done = await uploads.put(
                self.portal, self.firm, self.klant, source, self.folder, name, body,
                most=self.most, sha256=sha256,
            )  # fmt: skip
        parts = list(self.wish.parts)
        parts[number] = PartWish(parts[number].role, done.source, done.entry.id)
        self.wish = replace(self.wish, parts=parts)
        return done.sha256

    async def finish(
        self, also: Callable[[Connection, UUID], Awaitable[None]] | None = None
    ) -> UUID:
        """Put it up. Raises Invalid, as intake.put_up does, and for parts that did not come.
        also: done in the same transaction."""
        if self.twice is not None:
            raise self.twice
        missing = [i for i, p in enumerate(self.wish.parts) if not p.id]
        if missing:
            raise Invalid({f"parts.{i}": ABSENT for i in missing})
        return await intake.put_up(self.portal, self.firm, self.wish, also)


@contextmanager
def _of_part(number: int) -> Iterator[None]:
    """What is wrong there is wrong with that part."""
    try:
        yield
    except Invalid as e:
        at = f"parts.{number}"
        raise Invalid({f"{at}.{k}".rstrip("."): v for k, v in e.faults.items()}) from e


class _Held:
    """Bytes of instances that this process holds now."""

    count = 0


@asynccontextmanager
async def _held(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """All of an instance, as long as it is used. Raises Invalid, and TooMany when this process
    holds too much."""
    data = bytearray()
    try:
        async for piece in body:
            if len(data) + len(piece) > sbr.MOST:
                raise Invalid({"": "Dit bestand is te groot: meer dan 20 MB kan niet mee."})
            if _Held.count + len(piece) > MOST_HELD:
                raise TooMany(5.0, "instances under way")
            data += piece
            _Held.count += len(piece)
        yield bytes(data)
    finally:
        _Held.count -= len(data)
        data.clear()  # whoever hangs up leaves an exception that knows this frame for a while


async def _again(data: bytes) -> AsyncIterator[bytes]:
    yield data
