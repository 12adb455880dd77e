"""A source that is a tree of folders, of which the server lists one at a time.

A document's id is its path below the klant's place. What leads from a place and an id to a path at
the server, and no further than the border, is here; what a kind does there is its own.
"""

from abc import abstractmethod
from collections.abc import AsyncIterable, Sequence

from gateway.connector import walk
from gateway.connector.body import Announced
from gateway.connector.contract import C, Capability, Connector, Entry, Page, Place, Reader
from gateway.connector.walk import Parts, Row
from gateway.errors import ConfigInvalid, NotFound, RangeNotSatisfiable, Unsupported


class TreeConnector(Connector[C]):
    """One such source.

    A kind gets paths: plain names below the source's own folder, those of the klant's place first.
    A document's path lies in the published part.
    """

    @staticmethod
    def is_plain(name: str) -> bool:
        """Whether a name means itself to the server; a kind may refuse more of them."""
        return walk.is_plain(name)

    @classmethod
    def own_folder(cls, path: str) -> str:
        """The source's own folder, from an option `path`. Raises ConfigInvalid."""
        parts = _parts(path)
        if not all(map(cls.is_plain, parts)):
            raise ConfigInvalid("a path without .. is expected", field="path")
        return "/" * path.startswith("/") + "/".join(parts)

    # --- what a kind says

    @abstractmethod
    async def _enter(self) -> None:
        """Look at the source's own folder. Raises Unavailable when it is not there."""

    @abstractmethod
    async def _folder(self, at: Parts) -> Sequence[Row]:
        """What is in a folder, in any order. Raises NotFound."""

    @abstractmethod
    async def _look(self, at: Parts) -> Row:
        """What is told of a document. Raises NotFound, and Unavailable as `_enter` does."""

    @abstractmethod
    async def _read(
        self, at: Parts, folder: Parts, offset: int, length: int | None, version: str | None
    ) -> Reader:
        """See Connector.read; no offset is below 0, and a version comes only with VERSION.
        folder: of its entry."""

    async def _put(
        self, to: Parts, sent: Announced, media_type: str | None, *, replace: bool
    ) -> None:
        """See Connector.put."""
        raise Unsupported(f"{self.kind}: put")

    async def _move(self, old: Parts, to: Parts, version: str | None) -> None:
        """See Connector.move."""
        raise Unsupported(f"{self.kind}: move")

    # --- the same for every kind

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list. Page.next is the id of the last document given."""
        found = await walk.page(
            lambda parts: self._folder(self._at(place, parts)),
            self.is_plain,
            place.folders,
            page,
            limit,
        )
        if not found.entries:
            await self._enter()  # a source that is away is no empty dossier
        return found

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat."""
        at, folder = self._document(place, id)
        return walk.entry_of(folder, await self._look(at))

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> Reader:
        """See Connector.read."""
        at, folder = self._document(place, id)
        if version is not None and Capability.VERSION not in self.capabilities:
            raise Unsupported("this source tells no versions")
        if offset < 0:
            raise RangeNotSatisfiable
        return await self._read(at, folder, offset, length, version)

    async def put(
        self,
        place: Place,
        folder: str,
        name: str,
        body: AsyncIterable[bytes],
        *,
        size: int | None = None,
        media_type: str | None = None,
        sha256: bytes | None = None,
        if_absent: bool = True,
    ) -> Entry:
        """See Connector.put."""
        id = self.new_id(folder, name)
        to, _ = self._document(place, id)
        await self._put(to, Announced(body, size, sha256), media_type, replace=not if_absent)
        return await self.stat(place, id)

    async def move(
        self, place: Place, id: str, folder: str, name: str, *, version: str | None = None
    ) -> Entry:
        """See Connector.move."""
        new = self.new_id(folder, name)
        (old, _), (to, _) = self._document(place, id), self._document(place, new)
        await self._move(old, to, version)
        return await self.stat(place, new)

    def _at(self, place: Place, parts: Parts) -> Parts:
        """A path below the klant's place. Raises NotFound."""
        at = (*_parts(place.root), *parts)
        if not all(map(self.is_plain, at)):
            raise NotFound
        return at

    def _document(self, place: Place, id: str) -> tuple[Parts, Parts]:
        """The path of a document, and its entry's folder. NotFound outside the published part."""
        parts = tuple(id.split("/"))
        if not walk.fits(parts) or not place.holds(parts[:-1]):
            raise NotFound
        return self._at(place, parts), parts[:-1]


def _parts(path: str) -> Parts:
    return tuple(part for part in path.split("/") if part)
