"""Dossier (manual 3.7): the list, one document, several as a ZIP."""

from collections.abc import Callable
from functools import partial
from urllib.parse import urlencode

from aiohttp import web
from yarl import URL

from gateway.domain import dossier as rules
from gateway.domain.dossier import Order, Row
from gateway.errors import Invalid
from gateway.flows import dossier as flow
from gateway.pages import failures, paging, render, stream
from gateway.pages.context import here, portal, signed_in
from gateway.pages.routing import Access, Routes, local_path
from gateway.pages.security import FORM
from gateway.pages.zip import MOST, Streamed, Wanted

ROUTES = Routes()

#: Seconds that the page's second question waits for a slow source.
PATIENCE = 20.0

_KEPT = ("klant", "categorie", "zoek", "volgorde", "pagina")


@ROUTES.get("/dossier", Access.SESSION)
async def show(request: web.Request) -> web.StreamResponse:
    """The page. It answers within the budget, whatever the sources do."""
    return await _page(request, "pages/dossier/dossier.html", None)


@ROUTES.get("/dossier/inhoud", Access.SESSION)
async def contents(request: web.Request) -> web.StreamResponse:
    """The changing part alone, for a page that waits for a slow source."""
    return await _page(request, "pages/dossier/_inhoud.html", PATIENCE)


async def _page(request: web.Request, template: str, wait: float | None) -> web.StreamResponse:
    running, visitor, query = portal(request), signed_in(request), request.query
    found = await flow.overview(running, visitor, query.get("klant"), wait=wait)
    order = _order(query.get("volgorde", ""))
    category, search = query.get("categorie", ""), query.get("zoek", "")[:100]
    rows = rules.select(found.rows, category=category, search=search)
    pages = rules.pages(len(rows))
    number = paging.number(request, pages)
    return render.page(
        request,
        template,
        dossier=found,
        rows=rules.page(rows, order, number),
        found=len(rows),
        number=number,
        pages=pages,
        category=category,
        search=search,
        order=order,
        show_categories=await flow.shows_categories(running, visitor),
        can_upload=False,
        fill=paging.address(request, "/dossier/inhoud", _KEPT) if found.waiting else "",
        address=partial(paging.address, request, "/dossier", _KEPT),
        document=_document_address(found.klant.number),
    )


def _order(word: str) -> Order:
    return Order(word) if word in list(Order) else Order.NEWEST


def _document_address(klant: str) -> Callable[..., str]:
    def address(row: Row, *, save: bool = False) -> str:
        words = {"klant": klant} | ({"opslaan": "1"} if save else {})
        return f"/dossier/{row.source}/{row.handle}?{urlencode(words)}"

    return address


@ROUTES.get("/dossier/{source}/{handle}", Access.SESSION)
async def document(request: web.Request) -> web.StreamResponse:
    """One document: in the browser, or to save (``?opslaan=1``)."""
    save = request.query.get("opslaan") == "1"
    async with flow.open_document(
        portal(request),
        signed_in(request),
        request.query.get("klant"),
        request.match_info["source"],
        request.match_info["handle"],
        stream.wish(request, save=save),
    ) as opened:
        return await stream.send(request, opened, save=save)


@ROUTES.post("/dossier/zip", Access.SESSION)
async def several(request: web.Request) -> web.StreamResponse:
    """The chosen documents as one ZIP."""
    form = request[FORM]
    chosen = flow.names(form.getall("bestand", []))
    if not chosen:
        raise Invalid({"bestand": "Kies eerst een of meer documenten."})
    if len(chosen) > MOST:
        raise Invalid({"bestand": "Kies ten hoogste 200 documenten in een keer."})
    klant = await flow.may_see(portal(request), signed_in(request), form.get("klant"))
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/zip",
            "Content-Disposition": stream.disposition(f"Dossier {klant.number}.zip", save=True),
        }
    )
    await response.prepare(request)
    text = partial(render.text, request)
    archive = Streamed(
        [_wanted(request, klant.number, source, handle) for source, handle in chosen],
        lambda error: text(failures.sentence(error)),
        error_file=text("NIET OPGEHAALD.txt"),
        introduction=text("Deze documenten konden niet (helemaal) worden opgehaald:"),
    )
    async for piece in archive:
        await response.write(piece)
    await response.write_eof()
    return response


def _wanted(request: web.Request, klant: str, source_id: str, handle: str) -> Wanted:
    visitor = signed_in(request)
    source = visitor.firm.source(source_id)
    title = source.title.in_(here(request).language) if source else source_id
    name = (rules.id_of(handle) or handle).rpartition("/")[2]
    wish = flow.Wish(purpose="zip")
    return Wanted(
        title,
        f"{title} / {rules.file_name(name)}",
        partial(flow.open_document, portal(request), visitor, klant, source_id, handle, wish),
    )


@ROUTES.post("/dossier/categorie", Access.SESSION)
async def categories(request: web.Request) -> web.StreamResponse:
    """ "toon categorie" and "Verberg categorie", remembered."""
    form = request[FORM]
    await flow.show_categories(portal(request), signed_in(request), form.get("toon") == "ja")
    raise web.HTTPSeeOther(local_path(form.get("terug")) or "/dossier")


@ROUTES.post("/dossier/vernieuwen", Access.SESSION)
async def refresh(request: web.Request) -> web.StreamResponse:
    """ "Vernieuwen": ask the sources again, past what is remembered."""
    back = local_path(request[FORM].get("terug")) or "/dossier"
    klant = URL(back, encoded=True).query.get("klant")
    await flow.overview(portal(request), signed_in(request), klant, refresh=True)
    raise web.HTTPSeeOther(back)
