"""Documents below folders, for a server that gives a folder's children in pages.

A place in the walk is written as the number of the next child in each folder on the way, and
the path of the last folder: "1.3.40:Permanent/Akten". Nothing is remembered between pages.
The first children of the folders that come next are asked for ahead.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from gateway.connector.contract import Entry, Page
from gateway.errors import ConditionFailed, NotFound, PermissionDenied, ProtocolError

_AHEAD = 8  # folders that are listed at the same time
_MOST = 500  # children a call
_LEAST = 20  # and not fewer, for some of them are folders
_NUMBERS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,63}")

#: What no part of a path has: separators, and control characters, which web servers refuse.
_UNCLEAR = re.compile(r"[/\\\x00-\x1f\x7f]")
_LONGEST_ID = 1024

Path = tuple[str, ...]


@dataclass(slots=True)
class Row:
    """A child: a folder to go into, or a document, or (neither) nothing to show."""

    path: Path
    folder: bool
    entry: Entry | None = None


#: At most so many children of a folder, from one on, and whether there are more.
Children = Callable[[Path, int, int], Awaitable[tuple[Sequence[Row], bool]]]


@dataclass(slots=True)
class _Frame:
    """A folder on the way. at: the next child; rows: some of them, from `start` on."""

    path: Path
    at: int = 0
    start: int = 0
    rows: Sequence[Row] = ()
    more: bool = True

    @property
    def left(self) -> Sequence[Row]:
        """The rows that were fetched and not yet looked at."""
        return self.rows[self.at - self.start :]


@dataclass(slots=True)
class Walk:
    """One page of a listing of some folders, by what gives their children. Raises NotFound for
    a folder that is not there: it has no documents."""

    children: Children
    folders: Sequence[Path]
    _ahead: "dict[Path, asyncio.Future[tuple[Sequence[Row], bool]]]" = field(default_factory=dict)

    async def page(self, page: str | None, limit: int) -> Page:
        """From a page on. Raises ConditionFailed for one that is none."""
        stack = self._begin(page)
        entries: list[Entry] = []
        try:
            while stack:
                row = await self._next(stack, limit - len(entries))
                if row is None:
                    stack.pop()
                elif row.folder:
                    stack.append(_Frame(row.path))
                elif row.entry is not None:
                    entries.append(row.entry)
                    if len(entries) == limit and any(f.more or f.left for f in stack):
                        return Page(entries, _written(stack))
            return Page(entries)
        finally:
            await self._leave()

    async def _next(self, stack: Sequence[_Frame], room: int) -> Row | None:
        frame = stack[-1]
        if not frame.left:
            if not frame.more:
                return None
            await self._fetch(frame, max(_LEAST, min(room, _MOST)))
            if not frame.left:
                return None
        row = frame.left[0]
        if room > 1 and row.folder:
            self._look_ahead(frame.left, room)
        frame.at += 1
        return row

    async def _fetch(self, frame: _Frame, most: int) -> None:
        task = self._ahead.pop(frame.path, None) if frame.at == 0 else None
        try:
            rows, more = await (task or self.children(frame.path, frame.at, most))
        except PermissionDenied:
            raise
        except NotFound:
            rows, more = (), False  # a folder that is not there has no documents
        if frame.start != frame.at and rows and list(frame.rows[:1]) == list(rows[:1]):
            raise ProtocolError("the source gives the same children again")
        frame.start, frame.rows, frame.more = frame.at, rows, more

    def _look_ahead(self, rows: Sequence[Row], room: int) -> None:
        for row in rows:
            if len(self._ahead) >= _AHEAD:
                return
            if row.folder and row.path not in self._ahead:
                call = self.children(row.path, 0, max(_LEAST, min(room, _MOST)))
                self._ahead[row.path] = asyncio.ensure_future(call)

    async def _leave(self) -> None:
        for task in self._ahead.values():
            task.cancel()
        await asyncio.gather(*self._ahead.values(), return_exceptions=True)

    def _begin(self, page: str | None) -> list[_Frame]:
        """The folders on the way to a place; the first holds the published ones."""
        top = _Frame((), rows=[Row(path, True) for path in self.folders], more=False)
        if page is None:
            return [top]
        numbers, _, text = page.partition(":")
        path = tuple(text.split("/")) if text else ()
        if not _NUMBERS.fullmatch(numbers) or not all(map(is_plain, path)):
            raise ConditionFailed("no such page")
        top.at, *rest = map(int, numbers.split("."))
        outer = self.folders[top.at - 1] if 0 < top.at <= len(self.folders) else None
        if outer is None or path[: len(outer)] != outer or len(path) - len(outer) != len(rest) - 1:
            raise ConditionFailed("the listing is no longer what it was")
        return [top, *(_Frame(path[: len(outer) + i], n, n) for i, n in enumerate(rest))]


def is_plain(part: str) -> bool:
    """Whether a part of a path means itself to every reader, also to one that decodes it twice."""
    for _ in range(3):
        if not part.strip(". ") or _UNCLEAR.search(part):
            return False
        decoded = unquote(part)
        if decoded == part:
            return True
        part = decoded
    return False


def is_path(path: Sequence[str]) -> bool:
    """Whether a path below a klant's place can be an id, and lead back."""
    try:
        return len("/".join(path).encode()) <= _LONGEST_ID and all(map(is_plain, path))
    except UnicodeEncodeError:
        return False


def _written(stack: Sequence[_Frame]) -> str:
    return f"{'.'.join(str(f.at) for f in stack)}:{'/'.join(stack[-1].path)}"


def outermost(folders: Sequence[str]) -> Sequence[Path]:
    """The folders without those that lie in another one: nothing is listed twice."""
    if "" in folders:
        return ((),)
    inner = tuple(f"{f}/" for f in folders)
    kept = sorted({f for f in folders if not f.startswith(inner)})
    return [p for p in (tuple(f.split("/")) for f in kept) if all(map(is_plain, p))]
