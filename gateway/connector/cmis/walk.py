"""Lists the documents below some folders, page by page, a folder at a time.

A place in the walk is written as the number of the next child in each folder on the way, and
the path of the last folder: "1.3.40:Permanent/Akten". Nothing is remembered between pages.
The first children of the folders that come next are asked for ahead.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.connector.cmis.object import entry_of, is_folder
from gateway.connector.cmis.wire import Child, Repository, is_plain
from gateway.connector.contract import Entry, Page
from gateway.errors import ConditionFailed, NotFound, PermissionDenied, ProtocolError

_AHEAD = 8  # folders that are listed at the same time
_MOST = 500  # children a call
_LEAST = 20  # and not fewer, for some of them are folders
_NUMBERS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,63}")

Path = tuple[str, ...]


@dataclass(slots=True)
class _Row:
    """A child: a folder to go into, or a document, or (neither) nothing to show."""

    path: Path
    folder: bool
    entry: Entry | None = None


@dataclass(slots=True)
class _Frame:
    """A folder on the way. at: the next child; rows: some of them, from `start` on."""

    path: Path
    at: int = 0
    start: int = 0
    rows: Sequence[_Row] = ()
    more: bool = True

    @property
    def left(self) -> Sequence[_Row]:
        """The rows that were fetched and not yet looked at."""
        return self.rows[self.at - self.start :]


@dataclass(slots=True)
class Walk:
    """One page of a listing. base: what stands before a path in the repository."""

    repository: Repository
    base: Path
    folders: Sequence[Path]
    _ahead: "dict[Path, asyncio.Task[tuple[Sequence[Child], bool]]]" = field(default_factory=dict)

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

    async def _next(self, stack: Sequence[_Frame], room: int) -> _Row | None:
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
            children, more = await (task or self._children(frame.path, frame.at, most))
        except PermissionDenied:
            raise
        except NotFound:
            children, more = (), False  # a folder that is not there has no documents
        rows = [_row(frame.path, child) for child in children]
        if frame.start != frame.at and rows and list(frame.rows[:1]) == rows[:1]:
            raise ProtocolError("the repository gives the same children again")
        frame.start, frame.rows, frame.more = frame.at, rows, more

    async def _children(self, path: Path, skip: int, most: int) -> tuple[Sequence[Child], bool]:
        return await self.repository.children((*self.base, *path), skip, most)

    def _look_ahead(self, rows: Sequence[_Row], room: int) -> None:
        for row in rows:
            if len(self._ahead) >= _AHEAD:
                return
            if row.folder and row.path not in self._ahead:
                call = self._children(row.path, 0, max(_LEAST, min(room, _MOST)))
                self._ahead[row.path] = asyncio.create_task(call)

    async def _leave(self) -> None:
        for task in self._ahead.values():
            task.cancel()
        await asyncio.gather(*self._ahead.values(), return_exceptions=True)

    def _begin(self, page: str | None) -> list[_Frame]:
        """The folders on the way to a place; the first holds the published ones."""
        top = _Frame((), rows=[_Row(path, True) for path in self.folders], more=False)
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


def _row(folder: Path, child: Child) -> _Row:
    path = (*folder, child.segment)
    if not is_plain(child.segment) or not _encodes(path):
        return _Row(path, False)
    if is_folder(child.properties):
        return _Row(path, True)
    return _Row(path, False, entry_of(path, child.properties))


def _encodes(path: Path) -> bool:
    try:
        return len("/".join(path).encode()) <= 1024
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
