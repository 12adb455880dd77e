"""What a request carries: keys for aiohttp's application and request storage."""

from dataclasses import dataclass

from aiohttp import web

from gateway.domain.firm import Firm
from gateway.flows.portal import Portal
from gateway.flows.signing_in import Visitor

PORTAL = web.AppKey("portal", Portal)


@dataclass(slots=True)
class Here:
    """What is known of a request.

    id: request id, also in the logs and on error pages. host_firm: the firm whose own host
    name was asked; None on the shared address. visitor: who is signed in (or half way).
    nonce: of the answer's Content-Security-Policy. form_key: what form tokens are made of.
    """

    id: str
    nonce: str
    language: str = "nl"
    host_firm: Firm | None = None
    visitor: Visitor | None = None
    form_key: str = ""
    form_key_is_new: bool = False
    cookie_is_stale: bool = False


HERE: web.RequestKey[Here] = web.RequestKey("here", Here)


def portal(request: web.Request) -> Portal:
    """The running installation."""
    return request.config_dict[PORTAL]


def here(request: web.Request) -> Here:
    """What is known of this request."""
    return request[HERE]
