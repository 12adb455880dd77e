"""Documents below folders, for a server that lists one folder at a time.

In the order of their paths' parts, page by page, the next folders asked for ahead. What the
server says is bounded here: how much, how deep, under which names, and nothing twice.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

from gateway.connector.contract import Entry, Page
from gateway.errors import NotFound, PermissionDenied, TooLarge

#: Documents that are being written have such names, and are not there yet for anyone.
PARTIAL = ".map-part-"
#: Seconds until what a writer left that died is taken away, by the next that writes there.
ABANDONED = 24 * 3600
#: Names that are taken of a server for one page; a dossier has fewer.
MOST = 200_000

_LONGEST_ID = 1024  # bytes in UTF-8, the contract's limit
_LONGEST_NAME = 255  # the same, of one part
_DEEPEST = 32  # folders below each other
_AHEAD = 4  # folders asked for before it is their turn
_NOT_IN_A_NAME = frozenset("/\\\0")

Parts = tuple[str, ...]


class Row(NamedTuple):
    """What a folder holds: a document or another folder."""

    name: str
    is_folder: bool
    size: int | None = None
    modified: datetime | None = None
    version: str | None = None


#: Gives what is in a folder, in any order. Raises SourceError.
Look = Callable[[Parts], Awaitable[Sequence[Row]]]
#: Says whether a name may be part of a path.
Plain = Callable[[str], bool]


async def page(
    look: Look, plain: Plain, folders: Sequence[str], after: str | None, limit: int
) -> Page:
    """Documents in and below the published folders, those after `after` (`Page.next`).

    A folder that is not there holds none, nor does one that may not be opened unless it is the
    published one itself (PermissionDenied). Raises TooLarge for a server that does not end.
    """
    walk = _Walk(look, plain, tuple(after.split("/")) if after else (), limit)
    await walk.into([parts for parts in outermost(folders) if all(map(plain, parts))])
    found = walk.found[:limit]
    return Page(found, found[-1].id if walk.full else None, walk.left_out)


def entry_of(parts: Parts, row: Row) -> Entry:
    """The document of a row in a folder."""
    id = "/".join((*parts, row.name))
    return Entry(id, row.name, parts, row.size, row.modified, version=row.version)


def is_plain(name: str) -> bool:
    """Whether a name means itself to every server. Windows takes ".. " for ".."."""
    return (
        name.strip(". ") != ""
        and _NOT_IN_A_NAME.isdisjoint(name)
        and not name.startswith(PARTIAL)
        and 0 < _length(name) <= _LONGEST_NAME
    )


def fits(parts: Parts) -> bool:
    """Whether a path is no deeper than we go, and no longer than an id may be."""
    return len(parts) <= _DEEPEST and 0 < _length("/".join(parts)) <= _LONGEST_ID


def outermost(folders: Sequence[str]) -> Sequence[Parts]:
    """The published folders without those that lie in another one, in order."""
    if "" in folders:
        return ((),)
    inner = tuple(f"{f}/" for f in folders)
    return sorted({tuple(f.split("/")) for f in folders if not f.startswith(inner)})


def _length(text: str) -> int:
    """In UTF-8; 0 for what is no Unicode."""
    try:
        return len(text if text.isascii() else text.encode())
    except UnicodeEncodeError:
        return 0


class _Walk:
    """Takes one document more than `limit`, to know whether there are more."""

    def __init__(self, look: Look, plain: Plain, after: Parts, limit: int) -> None:
        self._look, self._plain, self._after, self._limit = look, plain, after, limit
        self._names = self.left_out = 0
        self.found: list[Entry] = []

    @property
    def full(self) -> bool:
        return len(self.found) > self._limit

    async def into(self, folders: Sequence[Parts], *, inner: bool = False) -> None:
        """Take what is in and below these folders, which come in order."""
        folders = [parts for parts in folders if not self._before(parts)]
        with _Ahead(self._look, folders) as ahead:
            for parts in folders:
                if self.full:
                    return
                try:
                    rows = await anext(ahead)
                except NotFound as e:
                    if isinstance(e, PermissionDenied) and not inner:
                        raise
                    continue
                await self._take(parts, rows)

    async def _take(self, parts: Parts, rows: Sequence[Row]) -> None:
        self._names += len(rows)
        if self._names > MOST:
            raise TooLarge(f"more than {MOST} names for one page")
        for is_folder, some in _runs(self._usable(parts, rows)):
            if is_folder:
                await self.into([(*parts, row.name) for row in some], inner=True)
            else:
                room = self._limit + 1 - len(self.found)
                self.found += [entry_of(parts, row) for row in some[:room]]
            if self.full:
                return

    def _usable(self, parts: Parts, rows: Sequence[Row]) -> Iterator[Row]:
        """In order, each name once."""
        last = ""
        for row in sorted(rows, key=itemgetter(0)):
            here = (*parts, row.name)
            if row.name == last:
                continue
            if not self._plain(row.name) or not fits(here):
                own = row.name in ("", ".", "..") or row.name.startswith(PARTIAL)
                self.left_out += not own
                continue
            last = row.name
            if row.is_folder or here > self._after:
                yield row

    def _before(self, parts: Parts) -> bool:
        """Whether all that is in a folder was given already."""
        return parts < self._after[: len(parts)]


def _runs(rows: Iterable[Row]) -> Iterator[tuple[bool, list[Row]]]:
    """Neighbours of one sort."""
    some: list[Row] = []
    for row in rows:
        if some and some[0].is_folder != row.is_folder:
            yield some[0].is_folder, some
            some = []
        some.append(row)
    if some:
        yield some[0].is_folder, some


class _Ahead:
    """What is in some folders, in their order; the next few are being asked for meanwhile."""

    def __init__(self, look: Look, folders: Iterable[Parts]) -> None:
        self._look, self._rest = look, iter(folders)
        self._asked: deque[asyncio.Task[Sequence[Row]]] = deque()

    def __enter__(self) -> "_Ahead":
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._asked:
            task.cancel()

    async def __anext__(self) -> Sequence[Row]:
        for parts in islice(self._rest, _AHEAD - len(self._asked)):
            task = asyncio.ensure_future(_asked(self._look, parts))
            task.add_done_callback(_seen)
            self._asked.append(task)
        return await self._asked.popleft()


async def _asked(look: Look, parts: Parts) -> Sequence[Row]:
    return await look(parts)


def _seen(task: asyncio.Task[Sequence[Row]]) -> None:
    if not task.cancelled():
        task.exception()  # nobody may come to ask for it
