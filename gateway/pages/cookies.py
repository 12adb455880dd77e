"""Cookies, and the token that every form carries."""

from aiohttp import web

from gateway.pages.context import here, portal


def cookie_name(base_url: str, name: str) -> str:
    """``__Host-`` where the address is https; over plain http (a demonstration) browsers and
    tools would not keep such a cookie."""
    return f"__Host-{name}" if base_url.startswith("https:") else f"map-{name}"


def set_cookie(
    request: web.Request,
    response: web.StreamResponse,
    name: str,
    value: str,
    age: int | None = None,
) -> None:
    """A cookie that scripts and other sites do not get. `age` in seconds; None: the browser's
    own session; an empty value deletes it."""
    base_url = portal(request).base_url
    response.set_cookie(
        cookie_name(base_url, name),
        value,
        max_age=0 if not value else age,
        path="/",
        httponly=True,
        secure=base_url.startswith("https:"),
        samesite="Lax",
    )


def cookie(request: web.Request, name: str) -> str:
    """The value of such a cookie, or ""."""
    return request.cookies.get(cookie_name(portal(request).base_url, name), "")


def form_token(request: web.Request) -> str:
    """The token that every form of this answer carries."""
    return portal(request).keys.digest("form", here(request).form_key)
