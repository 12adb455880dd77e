"""Opening a part: given whole only when it is what was put up; then it counts as seen."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from gateway.connector.guard import GuardedReader
from gateway.domain.stuk import State
from gateway.errors import Denied, PortalError
from gateway.flows import documents, notices
from gateway.flows.accordering.tasks import find, record
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor
from gateway.store import klanten, stukken
from gateway.store.stukken import PartRow, Stuk


@dataclass(slots=True)
class Opening:
    """A part that is being given. `pieces` records that it was seen, when its last byte went."""

    portal: Portal
    visitor: Visitor
    stuk: Stuk
    row: PartRow
    name: str
    reader: GuardedReader

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes. The last piece is held back until the whole is known to be what was put up:
        a client never has a whole document that is another."""
        digest, length, held = hashlib.sha256(), 0, b""
        async for piece in self.reader:
            digest.update(piece)
            length += len(piece)
            if held:
                yield held
            held = piece
        if length != self.row.length or digest.hexdigest() != self.row.sha256:
            await _changed_before(self.portal, self.visitor, self.stuk, self.row)
            raise PartChanged
        if held:
            yield held
        await _saw(self.portal, self.visitor, self.stuk, self.row)  # the last byte was taken


class PartChanged(PortalError):
    """The source holds other bytes than were put up."""


@asynccontextmanager
async def opening(
    portal: Portal, visitor: Visitor, id: UUID, number: int
) -> AsyncIterator[Opening]:
    """One part, live from its source. Raises Denied, also for what was withdrawn (it may have been
    put up for the wrong klant), and the source's errors."""
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await find(c, visitor, id)
        row = next((r for r in await stukken.parts(c, id) if r.number == number), None)
        klant = await klanten.find(c, stuk.klant)
    if row is None or klant is None or stuk.state is State.WITHDRAWN:
        raise Denied
    where = portal.keys.open("document", row.document_sealed)
    async with documents.reading(portal, visitor.firm, klant, row.source, where) as reader:
        name = portal.keys.open("name", row.name_sealed)
        yield Opening(portal, visitor, stuk, row, name, reader)


async def _saw(portal: Portal, visitor: Visitor, stuk: Stuk, row: PartRow) -> None:
    async with portal.db.tenant(visitor.firm.id) as c:
        await stukken.saw(c, visitor.firm.id, stuk.id, visitor.person_id, row.number, row.sha256)
        await record(c, visitor, stuk, "stuk_opened", part=row.number, sha256=row.sha256)


async def _changed_before(portal: Portal, visitor: Visitor, stuk: Stuk, row: PartRow) -> None:
    """Nobody may approve it any more as it is; the relatiebeheerder puts up a new version."""
    async with portal.db.tenant(visitor.firm.id) as c:
        await record(c, visitor, stuk, "stuk_part_changed", part=row.number)
        await notices.problem(
            portal, c, visitor.firm, stuk,
            "Het document in de bron is een ander dan het document dat is klaargezet.",
            "Zet het document opnieuw klaar.",
        )  # fmt: skip
