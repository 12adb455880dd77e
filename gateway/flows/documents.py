"""Documents of a klant, read live for the portal's own use: hashed, or held to be filed."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.connector.contract import Entry, Place
from gateway.connector.guard import Guarded, GuardedReader
from gateway.domain.firm import Firm, Source
from gateway.domain.klant import Klant
from gateway.errors import NotFound, TooLarge
from gateway.flows.portal import Portal


def at(portal: Portal, firm: Firm, source: Source, klant: Klant) -> tuple[Guarded, Place]:
    """The opened source and the klant's place in it. Raises NotFound, or why it is not open."""
    root = source.place_of(klant.number, klant.name)
    if root is None:
        raise NotFound("the klant's number or name cannot be a place")
    return portal.sources.get(firm.id, source.id), Place(klant.number, root, source.folders)


@asynccontextmanager
async def reading(
    portal: Portal, firm: Firm, klant: Klant, source_id: str, id: str
) -> AsyncIterator[GuardedReader]:
    """One document of a klant, open. Raises NotFound, and the source's errors."""
    source = firm.source(source_id)
    if source is None:
        raise NotFound(f"no source {source_id}")
    guarded, place = at(portal, firm, source, klant)
    reader = await guarded.read(place, id)
    try:
        yield reader
    finally:
        await reader.aclose()


@dataclass(frozen=True, slots=True)
class Read:
    """A document that was read to its end. data: its bytes; empty when they were only hashed."""

    entry: Entry
    length: int
    sha256: str
    data: bytes


async def whole(
    portal: Portal, firm: Firm, klant: Klant, source: str, id: str, *, most: int
) -> Read:
    """Read it into memory, `most` bytes at the most. Raises TooLarge, and the source's errors."""
    async with reading(portal, firm, klant, source, id) as reader:
        pieces = bytearray()
        async for piece in reader:
            pieces += piece
            if len(pieces) > most:
                raise TooLarge(f"more than {most} bytes")
    data = bytes(pieces)
    return Read(reader.entry, len(data), hashlib.sha256(data).hexdigest(), data)


async def hashed(portal: Portal, firm: Firm, klant: Klant, source: str, id: str) -> Read:
    """Read it, and keep nothing but its hash and length. Raises the source's errors."""
    digest, length = hashlib.sha256(), 0
    async with reading(portal, firm, klant, source, id) as reader:
        async for piece in reader:
            digest.update(piece)
            length += len(piece)
    return Read(reader.entry, length, digest.hexdigest(), b"")
