"""Documents that stand in folders, and are found by their path: a `tree` in a profile.

A document's id is its path below the klant's place. Parts of it that some reader could take for
another path are neither listed nor asked for.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from zoneinfo import ZoneInfo

from gateway.connector.contract import Entry, Page, Place
from gateway.connector.pagedwalk import Path, Walk, is_path, is_plain, outermost
from gateway.connector.pagedwalk import Row as Found
from gateway.connector.soap.client import Row, SoapClient
from gateway.connector.soap.items import when
from gateway.connector.soap.profile import Profile, Tree
from gateway.errors import NotFound, ProtocolError


class Folders:
    """The folders of one source. fixed: values that are the same in every call."""

    def __init__(
        self,
        profile: Profile,
        tree: Tree,
        client: SoapClient,
        fixed: Mapping[str, str],
        page_size: int | None,
    ) -> None:
        self._profile, self._tree, self._client, self._fixed = profile, tree, client, fixed
        self._most = page_size or tree.page_size
        self._zone = ZoneInfo(profile.timezone)

    async def probe(self) -> None:
        """Asks for the folder that all others are in, or the one that the profile names."""
        await self._at(_parts(self._profile.probe))

    async def list(self, place: Place, *, page: str | None, limit: int) -> Page:
        """See Connector.list; `gateway.connector.pagedwalk` says what a page is."""
        root = _parts(place.root)
        known: dict[Path, str] = {}  # the ids of folders that were met on the way

        async def children(path: Path, skip: int, most: int) -> tuple[Sequence[Found], bool]:
            object = known.get(path)
            if object is None:
                row = await self._at((*root, *path))
                if row["kind"] != self._tree.folder:
                    raise NotFound
                object = row["object"]
            take = min(most, self._most)
            values = {"tree.object": object, "page.skip": str(skip), "page.take": str(take)}
            answer = await self._client.answer("children", {**self._fixed, **values})
            more = answer.more.lower() in ("true", "1")
            if more and not answer.rows:
                raise ProtocolError("there would be more, but nothing comes")
            found = [self._found(path, row) for row in answer.rows]
            known.update(
                (f.path, row["object"])
                for f, row in zip(found, answer.rows, strict=True)
                if f.folder
            )
            return found, more

        plain = all(map(is_plain, root))
        return await Walk(children, outermost(place.folders) if plain else ()).page(page, limit)

    async def find(self, place: Place, id: str) -> tuple[Entry, Mapping[str, str]]:
        """The document, and what a call that reads it is filled with. Raises NotFound."""
        path, root = tuple(id.split("/")), _parts(place.root)
        if not is_path(path) or not all(map(is_plain, root)) or not place.holds(path[:-1]):
            raise NotFound
        row = await self._at((*root, *path))
        entry = self._entry(path, row)
        if entry is None:
            raise NotFound
        return entry, {**self._fixed, "tree.object": row["object"]}

    async def _at(self, path: Path) -> Row:
        """The one object at a path from the source's own root on."""
        values = {**self._fixed, "tree.path": "/" + "/".join(path)}
        rows = await self._client.rows("at", values)
        if len(rows) != 1:
            raise ProtocolError(f"{len(rows)} objects stand at one path")
        return _whole(rows[0])

    def _found(self, folder: Path, row: Row) -> Found:
        row = _whole(row)
        path = (*folder, row.get("segment") or row["name"])
        if not is_path(path):
            return Found(path, False)
        if row["kind"] == self._tree.folder:
            return Found(path, True)
        return Found(path, False, self._entry(path, row))

    def _entry(self, path: Path, row: Row) -> Entry | None:
        """None for what is no document. Raises ProtocolError."""
        if row["kind"] != self._tree.document:
            return None
        size, changed = row.get("size", "").strip(), row.get("modified", "").strip()
        at = when(changed, self._zone)
        if at is None and "modified" in self._tree.at.fields:
            raise ProtocolError("a document without its date")
        told = (row["object"], row.get("version", ""), changed, size)
        return Entry(
            id="/".join(path),
            name=row["name"],
            folder=path[:-1],
            size=int(size) if size.isdecimal() else None if size else 0,
            modified=at,
            media_type=row.get("media") or None,
            version=blake2b(repr(told).encode("utf-8"), digest_size=12).hexdigest(),
        )


def _parts(path: str) -> Path:
    return tuple(path.strip("/").split("/")) if path.strip("/") else ()


def _whole(row: Row) -> Row:
    """Raises ProtocolError for an object that lacks what each has."""
    if not (row.get("object") and row.get("kind") and "name" in row):
        raise ProtocolError("an object without an id, a kind or a name")
    return row
