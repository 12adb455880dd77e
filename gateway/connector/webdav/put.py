"""Writing to a WebDAV server: under a name of ours, and MOVE gives the document its own.

MOVE may not overwrite when it is told so (`Overwrite: F`), which every server knows; a PUT that
may not (`If-None-Match: *`) is not known to all, and may show half a document meanwhile.
Source: RFC 4918, 9.3 (MKCOL), 9.7 (PUT), 9.9 (MOVE), 10.3, 10.6; RFC 9110, 13.1.1 (If-Match).
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from weakref import WeakValueDictionary

from gateway.connector.body import Announced
from gateway.connector.walk import ABANDONED, PARTIAL, Parts
from gateway.connector.webdav.document import same, wishes
from gateway.connector.webdav.wire import Dav
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    IntegrityError,
    NotFound,
    PermissionDenied,
    SourceError,
    TooLarge,
    Unavailable,
)

_OURS = re.compile(re.escape(PARTIAL) + "[0-9a-f]{32}")
_PATIENCE = 30.0  # seconds to take away what was not finished
_NONE: Mapping[str, str] = MappingProxyType({})
_AGAIN = (0.0, 1.0, 5.0)  # seconds before each try


class Writer:
    """Puts documents on one server."""

    def __init__(self, dav: Dav) -> None:
        self._dav = dav
        self._tasks: set[asyncio.Task[None]] = set()
        self._making = asyncio.Lock()
        self._turns: WeakValueDictionary[Parts, asyncio.Lock] = WeakValueDictionary()

    async def put(
        self, to: Parts, sent: Announced, media_type: str | None, *, replace: bool
    ) -> None:
        """Raises AlreadyExists, IntegrityError, what the body raises, and what answers mean."""
        await self._dav.enter()
        if await self._prepared(to) and not replace:
            raise AlreadyExists
        draft = (*to[:-1], f"{PARTIAL}{secrets.token_hex(16)}")
        headers = {"Content-Type": media_type or "application/octet-stream"}
        if sent.size is not None:
            headers["Content-Length"] = str(sent.size)
        try:
            await self._send(draft, sent, headers)
            stored = (await self._dav.look(draft)).size
            if stored not in (None, sent.count):
                raise IntegrityError(f"the server kept {stored} bytes of {sent.count}")
            async with self._turn(to):
                if replace and await self._is_there(to):
                    raise AlreadyExists  # a folder, and what is in it would go
                await self._move(draft, to, overwrite=replace)
        except BaseException:
            self._later(self._taken_away(draft))
            raise

    async def move(self, old: Parts, to: Parts, version: str | None) -> None:
        """Give a document another path, whose folder is made when it is not there. version: of the
        document that is meant; one that is weak yet (Apache's in its first second) the server does
        not compare. Raises AlreadyExists, ConditionFailed, and what answers mean."""
        await self._make(to[:-1])
        try:
            async with self._turn(to):
                await self._move(old, to, overwrite=False, headers=wishes(0, None, version))
        except AlreadyExists:  # one status for both
            if version is not None and not same(version, (await self._dav.look(old)).version):
                raise ConditionFailed from None
            raise

    async def aclose(self) -> None:
        """Nothing is left under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, draft: Parts, sent: Announced, headers: Mapping[str, str]) -> None:
        body = _Body(sent)
        try:
            await self._dav.done("PUT", draft, (200, 201, 204), headers=headers, data=body)
        except SourceError:
            if body.failed is None:
                raise
        if body.failed is not None:
            raise body.failed
        sent.judge()

    def _turn(self, to: Parts) -> asyncio.Lock:
        """One writer of a name at a time: many servers look whether it is there and move in two
        steps, and let two writers win. Another process is kept out by the server alone."""
        return self._turns.setdefault(to, asyncio.Lock())

    async def _prepared(self, to: Parts) -> bool:
        """Whether the document is there already. Its folder is made when it is not, and what
        writers left in it that died goes."""
        folder = to[:-1]
        try:
            rows = await self._dav.folder(folder)
        except NotFound as e:
            if not isinstance(e, PermissionDenied):  # who may write may not always look
                await self._make(folder)
            return False
        except (Unavailable, TooLarge):
            return False  # wsgidav's, when something goes meanwhile; PUT and MOVE will tell
        old = datetime.now(UTC) - timedelta(seconds=ABANDONED)
        for row in rows:
            if _OURS.fullmatch(row.name) and row.modified is not None and row.modified < old:
                with suppress(SourceError):  # somebody else may be sweeping
                    await self._remove((*folder, row.name))
        return any(row.name == to[-1] for row in rows)

    async def _make(self, folder: Parts) -> None:
        """What is missing of it; one at a time, for servers mind two. Raises NotFound where a
        document stands in the way."""
        async with self._making:
            there = len(folder)
            while there > 0 and not await self._is_there(folder[:there]):
                there -= 1
            for count in range(there + 1, len(folder) + 1):
                try:
                    await self._dav.done("MKCOL", folder[:count], (200, 201), folder=True)
                except SourceError:  # another program may have made it at the same moment
                    if not await self._is_there(folder[:count]):
                        raise

    async def _is_there(self, folder: Parts) -> bool:
        try:
            await self._dav.look(folder, folder=True)
        except PermissionDenied:
            return True
        except NotFound:
            return False
        return True

    async def _move(
        self, draft: Parts, to: Parts, *, overwrite: bool, headers: Mapping[str, str] = _NONE
    ) -> None:
        """Raises AlreadyExists."""
        headers = {**headers, "Overwrite": "T" if overwrite else "F"}
        try:
            # Some compare the scheme, which they do not know behind a server that ends TLS.
            for destination in (self._dav.address(to), self._dav.path(to)):
                headers["Destination"] = destination
                try:
                    return await self._dav.done("MOVE", draft, (201, 204), headers=headers)
                except Unavailable as e:
                    if e.native != "502" or destination == self._dav.path(to):
                        raise
        except ConditionFailed as e:
            raise AlreadyExists(str(e), native=e.native) from None

    async def _remove(self, draft: Parts) -> None:
        await self._dav.done("DELETE", draft, (200, 202, 204))

    async def _taken_away(self, draft: Parts) -> None:
        """Who left in the midst of a PUT may be sooner than the server, which then keeps it."""
        for wait in _AGAIN:
            await asyncio.sleep(wait)
            with suppress(NotFound):
                await self._remove(draft)
                return

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_patiently(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _patiently(work: Coroutine[Any, Any, None]) -> None:
    with suppress(SourceError, TimeoutError):  # a later writer takes it away
        async with asyncio.timeout(_PATIENCE):
            await work


class _Body:
    """What is sent. failed: what stopped it; the session tells of that in its own words only."""

    failed: Exception | None = None

    def __init__(self, sent: Announced) -> None:
        self._sent = sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._sent:
                yield piece
        except Exception as e:
            self.failed = e
            raise
