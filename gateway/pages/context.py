"""What a request carries: keys for aiohttp's application and request storage."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway.domain.firm import Firm
from gateway.domain.proxy import Network
from gateway.errors import Denied, NotFound
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor

PORTAL = web.AppKey("portal", Portal)
PROXIES: web.AppKey[Sequence[Network]] = web.AppKey("proxies", Sequence)


@dataclass(slots=True)
class Here:
    """What is known of a request.

    id: request id, also in the logs and on error pages. host_firm: the firm whose own host
    name was asked; None on the shared address. visitor: who is signed in (or half way).
    address: the client's, past trusted proxies. nonce: of the answer's Content-Security-Policy.
    form_key: what form tokens are made of.
    """

    id: str
    nonce: str
    language: str = "nl"
    host_firm: Firm | None = None
    visitor: Visitor | None = None
    form_key: str = ""
    form_key_is_new: bool = False
    cookie_is_stale: bool = False
    address: str = ""


HERE: web.RequestKey[Here] = web.RequestKey("here", Here)


def portal(request: web.Request) -> Portal:
    """The running installation."""
    return request.config_dict[PORTAL]


def named_firm(request: web.Request) -> Firm | None:
    """The firm that the path names, or the host; None on the shared address. Raises NotFound."""
    host_firm, id = here(request).host_firm, request.match_info.get("firm")
    if id is None:
        return host_firm
    firm = portal(request).firms.get(id)
    if firm is None or host_firm not in (None, firm):
        raise NotFound
    return firm


def here(request: web.Request) -> Here:
    """What is known of this request."""
    return request[HERE]


def signed_in(request: web.Request) -> Visitor:
    """Who is behind the request, signed in or half way: the route's access rule has seen to it.
    Raises Denied."""
    visitor = here(request).visitor
    if visitor is None:
        raise Denied
    return visitor
