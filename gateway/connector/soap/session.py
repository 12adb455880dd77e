"""The session that some services want first: login, keeping it alive, and login again."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping

from gateway.connector.soap import tree as soaptree
from gateway.connector.soap.profile import Session
from gateway.domain.xml import Element
from gateway.errors import ProtocolError, Unavailable

#: Calls an operation by its name in the profile; the answer, when it is no refusal.
Ask = Callable[[str, Mapping[str, str]], Awaitable[Element]]


class SessionEnded(Unavailable):
    """The source does not know our session any more."""


class Keeper:
    """The one session of a source. Made when it is first needed, and anew when it has ended.

    While calls come it is kept alive; `idle` seconds after the last it is logged out.
    """

    def __init__(self, told: Session, ask: Ask) -> None:
        self._told, self._ask = told, ask
        self._id = ""
        self._values: Mapping[str, str] = {}
        self._used = 0.0
        self._one = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def id(self, values: Mapping[str, str]) -> str:
        """Its id; `values` fill in the login. Raises what the source says to it."""
        self._used = time.monotonic()
        if self._id:
            return self._id
        async with self._one:  # of many calls, one logs in
            if not self._id:
                root = await self._ask("login", values)
                path = self._told.login.session.split("/")
                found = (soaptree.value(soaptree.body(root), path) or "").strip()
                if not found:
                    raise ProtocolError("a login without a session")
                self._id, self._values = found, {**values, "session.id": found}
                self._stop()
                self._task = asyncio.create_task(self._keep())
        return self._id

    def ended(self, id: str) -> None:
        """This one is not known any more."""
        if self._id == id:
            self._id = ""

    async def aclose(self) -> None:
        """Log out, if that is possible."""
        self._stop()
        await self._leave()

    def _stop(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _keep(self) -> None:
        id = self._id
        while self._id == id:
            await asyncio.sleep(self._told.every)
            if time.monotonic() - self._used > self._told.idle:
                await self._leave()
            elif self._told.keep is not None and self._id == id:
                try:
                    await self._ask("keep", self._values)
                except Exception:
                    self.ended(id)  # the next call logs in, and tells what is wrong

    async def _leave(self) -> None:
        id, self._id = self._id, ""
        if id and self._told.logout is not None:
            with contextlib.suppress(Exception):  # it ends by itself, too
                await self._ask("logout", self._values)
