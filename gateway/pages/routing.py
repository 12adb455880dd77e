"""Routes that cannot forget their access rule.

A page module makes one `Routes()` and marks its handlers; gateway.app adds them all. A handler
without an access rule cannot be written, and a test walks every route of the application.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from aiohttp import web

from gateway.domain.session import Stage
from gateway.pages.context import here

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Access(StrEnum):
    """Who may come in."""

    PUBLIC = "public"  # anyone
    HALF = "half"  # the password was right, the code is still to come
    SESSION = "session"  # signed in


_STAGES = {Access.HALF: Stage.HALF, Access.SESSION: Stage.FULL}


@dataclass(frozen=True, slots=True)
class Route:
    """One handler with its rule."""

    method: str
    path: str
    access: Access
    handler: Handler


class Routes:
    """The routes of one page module."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def get(self, path: str, access: Access) -> Callable[[Handler], Handler]:
        """Mark a handler for GET and HEAD."""
        return self._mark("GET", path, access)

    def post(self, path: str, access: Access) -> Callable[[Handler], Handler]:
        """Mark a handler for POST; the form was checked by gateway.pages.security."""
        return self._mark("POST", path, access)

    def _mark(self, method: str, path: str, access: Access) -> Callable[[Handler], Handler]:
        def mark(handler: Handler) -> Handler:
            self.all.append(Route(method, path, access, handler))
            return handler

        return mark

    def add_to(self, app: web.Application) -> None:
        """Put them on the application."""
        for route in self.all:
            handler = _kept(route.handler, route.access)
            if route.method == "GET":
                app.router.add_get(route.path, handler, allow_head=True)
            else:
                app.router.add_route(route.method, route.path, handler)


def _kept(handler: Handler, access: Access) -> Handler:
    async def keep(request: web.Request) -> web.StreamResponse:
        visitor = here(request).visitor
        stage = visitor.stage if visitor else None
        if access is Access.PUBLIC or stage is _STAGES[access]:
            return await handler(request)
        if stage is Stage.HALF and request.method in ("GET", "HEAD"):
            raise web.HTTPSeeOther("/inloggen/token")
        raise web.HTTPSeeOther(_sign_in(request))

    keep.access = access  # type: ignore[attr-defined]  # read by the test that walks the routes
    return keep


def _sign_in(request: web.Request) -> str:
    """The sign-in page, coming back here afterwards where that is possible."""
    expired = "&verlopen=1" if here(request).cookie_is_stale else ""
    if request.method in ("GET", "HEAD") and request.rel_url.path != "/":
        return f"/inloggen?verder={quote(str(request.rel_url), safe='')}{expired}"
    return "/inloggen" + (expired and "?verlopen=1")


def local_path(text: str | None) -> str | None:
    """The text when it is a path of ours; None for anything that could lead elsewhere."""
    if not text or not text.startswith("/") or text.startswith(("//", "/\\")) or len(text) > 500:
        return None
    return None if any(ord(c) < 33 or c == "\\" or ord(c) > 126 for c in text) else text
