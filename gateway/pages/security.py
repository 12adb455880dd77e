"""The middleware stack of every answer, from the outside in.

1. identify   request id, nonce, language, time and one log event an answer
2. errors     every failure becomes a page (or problem+json for machines) that says what happened
3. host       the address must be ours: links come from configuration, never from Host
4. visitor    the session behind the cookie
5. forms      cross-site requests refused; bodies bounded in size and time; form token checked

The headers are set in `protect`, on the signal that every answer passes, streams included.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from gateway import log
from gateway.domain import keys, proxy
from gateway.errors import PortalError
from gateway.flows import signing_in
from gateway.pages import failures
from gateway.pages.context import HERE, PROXIES, Here, here, portal
from gateway.pages.cookies import cookie, form_token, set_cookie

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Bytes of a form, and seconds for all of it to arrive.
FORM_BYTES = 64 * 1024
FORM_SECONDS = 30.0
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")

FORM: web.RequestKey[MultiDictProxy[str]] = web.RequestKey("form", MultiDictProxy)

_CSP = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}';"
    " img-src 'self'; font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
_HEADERS = {
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: that makes browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """Security headers on every answer; one that is set already (a document's) is kept."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    known = request.get(HERE)
    nonce = known.nonce if known else ""
    response.headers.setdefault("Content-Security-Policy", _CSP.format(nonce=nonce))
    response.headers["X-Request-Id"] = known.id if known else "-"
    response.headers["Server"] = "portal"


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id and nonce, and log how it ended."""
    language = cookie(request, "taal")
    request[HERE] = Here(
        id=secrets.token_hex(8),
        nonce=secrets.token_urlsafe(16),
        language=language if language in ("nl", "en") else "nl",
        address=proxy.client(
            request.remote or "",
            request.headers.getall("X-Forwarded-For", ()),
            request.config_dict[PROXIES],
        ),
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request=here(request).id)
    start = time.monotonic()
    status = 499  # the browser left
    try:
        response = await handler(request)
        status = response.status
        return response
    except web.HTTPException as e:  # a redirect
        status = e.status
        raise
    finally:
        resource = request.match_info.route.resource
        log.get().info(
            "request",
            method=request.method,
            route=resource.canonical if resource else "-",
            status=status,
            ms=round((time.monotonic() - start) * 1000, 1),
        )


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page for every failure; what is not foreseen is logged with its traceback."""
    try:
        return await handler(request)
    except web.HTTPException as e:
        if e.status < 400:
            raise
        return failures.of_status(request, e.status)
    except PortalError as e:
        return failures.of_error(request, e)
    except (ConnectionResetError, asyncio.CancelledError):
        raise
    except Exception as e:
        log.get().error("surprise", exc_info=e)
        return failures.of_status(request, 500)


def _hosts(request: web.Request) -> str:
    """The host that was asked, without port; "" when there is more than one or none."""
    named = request.headers.getall("Host", [])
    if len(named) != 1:
        return ""
    name = named[0].lower().rpartition(":")
    return (name[0] if name[2].isdigit() and name[0] else named[0].lower()).rstrip(".")


@web.middleware
async def host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Only our own addresses are answered (trust.md case 12)."""
    if request.path.startswith("/health/"):
        return await handler(request)
    running = portal(request)
    name = _hosts(request)
    shared = (urlsplit(running.base_url).hostname, *running.also)
    for firm in running.firms.values():
        if firm.host and firm.host == name:
            here(request).host_firm = firm
            return await handler(request)
    if name not in shared or request.raw_path.startswith("http"):
        raise web.HTTPMisdirectedRequest
    return await handler(request)


@web.middleware
async def visitor(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Find the session behind the cookie; a cookie that opens nothing is taken away."""
    known = here(request)
    value = cookie(request, "sessie")
    if value and not _without_session(request):
        known.visitor = await signing_in.resume(portal(request), value)
        known.cookie_is_stale = known.visitor is None
    if known.visitor and known.host_firm and known.visitor.firm.id != known.host_firm.id:
        known.visitor = None  # a session of one firm is nothing at another firm's address
    known.form_key = value if known.visitor else cookie(request, "formulier")
    if not known.form_key:
        known.form_key, known.form_key_is_new = keys.token(), True
    if known.visitor:
        known.language = known.visitor.language or known.language
        structlog.contextvars.bind_contextvars(
            firm=known.visitor.firm.id, person=str(known.visitor.person_id)
        )
    return await handler(request)


def _without_session(request: web.Request) -> bool:
    """Packages have keys (gateway.api), and no cookie of theirs is looked at."""
    return request.path.startswith(("/static/", "/health/", "/api/"))


def _allowed_origins(request: web.Request) -> set[str]:
    running = portal(request)
    base = urlsplit(running.base_url)
    port = f":{base.port}" if base.port else ""
    names = [base.hostname, *running.also, *(f.host for f in running.firms.values() if f.host)]
    return {f"{base.scheme}://{name}{port}" for name in names}


def _cross_site(request: web.Request) -> bool:
    """Whether a browser tells that another site made this request."""
    fetch = request.headers.get("Sec-Fetch-Site")
    if fetch is not None and fetch not in ("same-origin", "none"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and origin not in _allowed_origins(request)


@web.middleware
async def forms(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Bound and check what changes state: origin, size, time, and the form's token."""
    if request.method in ("GET", "HEAD", "OPTIONS") or request.path.startswith("/api/"):
        return await handler(request)
    if _cross_site(request):
        raise web.HTTPForbidden
    form = await _read_form(request)
    given = form.get("form_token", "")
    if not isinstance(given, str) or not hmac.compare_digest(
        given.encode(), form_token(request).encode()
    ):
        return failures.of_stale_form(request)
    request[FORM] = form
    return await handler(request)


async def _read_form(request: web.Request) -> MultiDictProxy[str]:
    if request.content_type not in FORM_TYPES[:1]:
        raise web.HTTPUnsupportedMediaType
    if (request.content_length or 0) > FORM_BYTES:
        raise web.HTTPRequestEntityTooLarge(FORM_BYTES, request.content_length or 0)
    try:
        async with asyncio.timeout(FORM_SECONDS):
            posted = await request.post()
        found = MultiDict((k, v) for k, v in posted.items() if isinstance(v, str))
        for text in (*found, *found.values()):
            text.encode()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    # Not UTF-8, half a character, an unknown charset, too many fields, an encoding that is none.
    except (ValueError, LookupError, web.RequestPayloadError):
        raise web.HTTPBadRequest from None
    return MultiDictProxy(found)


STACK = (identify, errors, host, visitor, forms)

__all__ = ["FORM", "STACK", "cookie", "form_token", "protect", "set_cookie"]
