"""A firm's front door: its own address here, what it tells, and the block for its site."""

from aiohttp import web

from gateway.domain.firm import Firm
from gateway.errors import NotFound
from gateway.pages import render
from gateway.pages.context import here, named_firm, portal
from gateway.pages.routing import Access, Routes

ROUTES = Routes()

_BLOCK = """\
<div class="portal-login">
  <strong>Portal Login</strong><br>
  <a href="{link}">Direct inloggen op Mijn Accountants Portal</a>
</div>"""


def start_of(firm: Firm | None) -> str:
    """Where a firm's pages for who is not signed in begin; "" on the shared address."""
    return f"/kantoor/{firm.id}" if firm else ""


@ROUTES.get("/", Access.PUBLIC)
async def front(request: web.Request) -> web.StreamResponse:
    """To the first page that is of use."""
    visitor = here(request).visitor
    if visitor is not None:
        return render.redirect(
            request, "/welkom" if visitor.stage == "full" else "/inloggen/token"
        )
    expired = "?verlopen=1" if here(request).cookie_is_stale else ""
    return render.redirect(request, f"{start_of(named_firm(request))}/inloggen{expired}")


@ROUTES.get("/kantoor/{firm}", Access.PUBLIC)
async def office(request: web.Request) -> web.StreamResponse:
    """A firm's address without more is its sign-in page."""
    return render.redirect(request, f"{start_of(named_firm(request))}/inloggen")


@ROUTES.get("/meer-informatie", Access.PUBLIC)
@ROUTES.get("/kantoor/{firm}/meer-informatie", Access.PUBLIC)
async def information(request: web.Request) -> web.StreamResponse:
    """ "Meer informatie": what the firm tells, and what the portal is."""
    named_firm(request)
    return render.page(request, "pages/kantoor/informatie.html")


@ROUTES.get("/kantoor/{firm}/inlogblok", Access.PUBLIC)
async def block(request: web.Request) -> web.StreamResponse:
    """What the firm's webmaster pastes into its own site: a link, and nothing else."""
    firm = named_firm(request)
    if firm is None:
        raise NotFound
    link = _address(portal(request).base_url, firm)
    return render.page(
        request, "pages/kantoor/inlogblok.html", link=link, block=_BLOCK.format(link=link)
    )


def _address(base_url: str, firm: Firm) -> str:
    """The firm's sign-in page; at its own host name when it has one."""
    scheme, _, rest = base_url.partition("://")
    _, colon, port = rest.partition(":")
    if firm.host:
        return f"{scheme}://{firm.host}{colon}{port}/inloggen"
    return f"{base_url}{start_of(firm)}/inloggen"
