"""A folder of this machine, or a share that is mounted on it.

A document's id is its path below the klant's place. Neither an id nor a link leads outside: see
`gateway.connector.local.file`. Names that are no Unicode (bytes of another encoding), hold a
backslash or make an id too long are not documents: no address could lead back to them. How many
were left out stands in the log (`names_left_out`).

Everything happens in a few threads of the source's own: a hung mount holds those and no others.
A small document is opened, read and closed in one visit to a thread.
"""

from collections.abc import AsyncIterable, Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import Field

from gateway.connector.body import Announced, blocks
from gateway.connector.context import Context
from gateway.connector.contract import (
    Capability,
    Connector,
    ConnectorConfig,
    Entry,
    Page,
    Place,
    Reader,
)
from gateway.connector.local import file as localfile
from gateway.connector.local.file import Draft, File, Root, Walk
from gateway.connector.local.read import Part, Wish, document
from gateway.errors import (
    NotFound,
)

T = TypeVar("T")

BLOCK = 1024 * 1024  # bytes written in one visit to a thread
MOST_TOLD = 10_000  # places of which it is remembered what was left out


class LocalConfig(ConnectorConfig):
    """Options of a `local` source."""

    path: str = Field(
        min_length=1,
        pattern=r"^[^\x00]+$",
        description="The folder; a relative path starts from the folder of the configuration",
    )
    writable: bool = Field(default=False, description="Documents may be written")
    mounted: bool = Field(
        default=False, description="A share is mounted there; without it the source is away"
    )
    threads: int = Field(
        default=8, ge=1, le=64, description="Files handled at once; a hung mount holds these only"
    )


class LocalConnector(Connector[LocalConfig]):
    """One folder."""

    kind = "local"
    main_option = "path"
    title = {"nl": "Map of gekoppelde schijf", "en": "Folder or mounted share"}
    Config = LocalConfig

    def __init__(self, config: LocalConfig, context: Context) -> None:
        self._root = Root(str(context.base / Path(config.path)), config.mounted)
        self._writable = config.writable
        self._threads = context.threads(config.threads)
        self._log = context.log
        self._left_out: dict[tuple[str, tuple[str, ...], str], int] = {}

    @classmethod
    async def open(cls, config: LocalConfig, context: Context) -> Self:
        """See Connector.open."""
        return cls(config, context)

    @property
    def capabilities(self) -> Capability:
        """See Connector.capabilities."""
        can = Capability.RANGE | Capability.SIZE_KNOWN | Capability.VERSION
        can |= Capability.MODIFIED | Capability.STREAMS
        if self._writable:
            can |= Capability.WRITE | Capability.IF_ABSENT | Capability.ATOMIC_WRITE
            can |= Capability.MOVE
        return can

    def target(self) -> str:
        """See Connector.target."""
        return self._root.path

    async def reach(self) -> str:
        """See Connector.reach."""
        await self._do(lambda: File(self._root.enter(())).close())
        return "the folder is there"

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list. Page.next is the id of the last document given."""
        way = Walk(page or "", limit)
        folders = _outermost(place.folders)
        await self._do(localfile.walk, self._root, _root_of(place), folders, way)
        self._tell_left_out(place, page, way.left_out)
        found = way.found[:limit]
        return Page(found, found[-1].id if way.full else None, way.left_out)

    def _tell_left_out(self, place: Place, page: str | None, count: int) -> None:
        """Once, until it changes: the same place is listed again and again."""
        of = place.root, tuple(place.folders), page or ""
        if count != self._left_out.pop(of, 0):
            self._log.warning("names_left_out", klant=place.klant, count=count)
        if count:
            if len(self._left_out) >= MOST_TOLD:
                self._left_out.clear()
            self._left_out[of] = count

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat."""
        return await self._do(self._look, place, id)

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> Reader:
        """See Connector.read. What comes back for a larger document is also a HasFile."""
        wish = Wish(offset, length, version)
        return await self._do(self._open, place, id, wish, undo=lambda part: part.shut())

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
        parents = localfile.parts_of(id)[:-1]
        if not place.holds(parents):
            raise NotFound
        above = (*_root_of(place), *parents)
        draft = await self._do(lambda: Draft(self._root.make(above)), undo=Draft.discard)
        try:
            async for block in blocks(Announced(body, size, sha256), BLOCK):
                await self._do(draft.write, block)
            return await self._do(draft.finish, id, if_absent)
        except Exception:
            await self._do(draft.discard)  # who hears that it failed finds nothing of it
            raise
        finally:
            self._threads.soon(draft.discard)

    async def move(
        self, place: Place, id: str, folder: str, name: str, *, version: str | None = None
    ) -> Entry:
        """See Connector.move: one rename; on a file system that cannot rename without
        overwriting (NFS) a second name, and then the first goes."""
        new = self.new_id(folder, name)
        if not place.holds(localfile.parts_of(new)[:-1]):
            raise NotFound
        if not place.holds(id.split("/")[:-1]):
            raise NotFound
        return await self._do(localfile.move, self._root, _root_of(place), id, new, version)

    async def aclose(self) -> None:
        """Nothing is held between calls."""

    # --- how

    async def _do(
        self, call: Callable[..., T], *args: Any, undo: Callable[[T], None] | None = None
    ) -> T:
        """In a thread, with the operating system's errors as ours."""
        try:
            return await self._threads.run(call, *args, undo=undo)
        except OSError as e:
            raise localfile.error_of(e) from e

    def _look(self, place: Place, id: str) -> Entry:
        file, entry = self._found(place, id)
        File(file).close()
        return entry

    def _found(self, place: Place, id: str) -> tuple[int, Entry]:
        if not place.holds(id.split("/")[:-1]):
            raise NotFound
        return localfile.open_document(self._root, _root_of(place), id)

    def _open(self, place: Place, id: str, wish: Wish) -> Part:
        return document(*self._found(place, id), wish, self._threads)


def _root_of(place: Place) -> tuple[str, ...]:
    return localfile.parts_of(place.root) if place.root else ()


def _outermost(folders: Sequence[str]) -> Sequence[tuple[str, ...]]:
    """The published folders without those that lie in another one, in the order of their ids."""
    if "" in folders:
        return ((),)
    inner = tuple(f"{f}/" for f in folders)
    chosen = {f for f in folders if not f.startswith(inner)}
    return [tuple(f.split("/")) for f in sorted(chosen, key=lambda f: f"{f}/")]
