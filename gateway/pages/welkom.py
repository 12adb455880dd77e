"""The page after signing in (manual 3, 3.1-3.3), and changing the organisation."""

from urllib.parse import urlsplit

from aiohttp import web

from gateway.flows import welkom as flow
from gateway.pages import messages, render
from gateway.pages.context import portal, signed_in
from gateway.pages.routing import Access, Routes, local_path
from gateway.pages.security import FORM

ROUTES = Routes()

#: Pages that exist for every organisation: after a change of organisation one stays there.
_KEPT = ("/welkom", "/dossier", "/accordering")


@ROUTES.get("/welkom", Access.SESSION)
async def show(request: web.Request) -> web.StreamResponse:
    """ "Welkom"."""
    told = await flow.welcome(portal(request), signed_in(request))
    return render.page(
        request,
        "pages/welkom/welkom.html",
        contact=told.contact,
        tasks=told.tasks,
        message=messages.asked(request),
    )


@ROUTES.get("/organisaties", Access.SESSION)
async def organisations(request: web.Request) -> web.StreamResponse:
    """All organisations of the visitor, to search and choose from."""
    visitor, search = signed_in(request), request.query.get("zoek", "")[:100]
    return render.page(
        request,
        "pages/welkom/organisaties.html",
        found=flow.organisations(visitor, search),
        total=len(visitor.klanten),
        search=search,
    )


@ROUTES.post("/organisatie", Access.SESSION)
async def switch(request: web.Request) -> web.StreamResponse:
    """ "Wisselen van organisatie"."""
    form = request[FORM]
    await flow.switch(portal(request), signed_in(request), form.get("klant", ""))
    return render.redirect(request, _same_page(form.get("terug")))


def _same_page(text: str | None) -> str:
    """The page that was open, without what belonged to the other organisation."""
    path = urlsplit(local_path(text) or "").path
    return next((kept for kept in _KEPT if f"{path}/".startswith(f"{kept}/")), _KEPT[0])
