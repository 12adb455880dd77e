"""The list: the firm's stukken, filtered by the address."""

from collections import Counter
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from gateway.domain import dossier
from gateway.domain.firm import Firm
from gateway.domain.model import Text
from gateway.domain.stuk import Shown
from gateway.flows import stukbeheer as flow
from gateway.pages import messages, paging, render
from gateway.pages.beheer import status
from gateway.pages.context import portal, signed_in
from gateway.pages.routing import Access, Routes

ROUTES = Routes()

#: Whose turn it is: the choices of the first filter.
TURNS = {
    "": "Wat nog loopt",
    "kantoor": "Actie nodig van het kantoor",
    "klant": "Wacht op de klant",
    "onderweg": "Onderweg naar de ontvanger",
    "alles": "Alles, ook wat klaar is",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the list. turn: a key of TURNS, or "klaar"."""

    row: flow.DeskRow
    title: Text | str
    told: Shown
    turn: str
    overdue: bool


_KEPT = ("toon", "type", "zoek", "pagina")


@ROUTES.get("/beheer/stukken", Access.SESSION)
async def desk(request: web.Request) -> web.StreamResponse:
    """The firm's stukken that have not ended, filtered by the address; or all of them."""
    visitor, query = signed_in(request), request.query
    turn = kind if (kind := query.get("toon", "")) in TURNS else ""
    soort = kind if (kind := query.get("type", "")) in visitor.firm.soorten else ""
    words = paging.words(query.get("zoek", ""))
    lines = [
        (line, status.turn(line))
        for line in await flow.desk(
            portal(request), visitor, everything=turn == "alles", soort=soort, search=words
        )
    ]
    counts = Counter(turn for _, turn in lines)
    counts[""] = len(lines) - counts["klaar"]
    found = [(line, of) for line, of in lines if turn in ("", "alles", of)]
    if turn != "alles":  # what waits for the reader comes first; else the last changed
        found.sort(key=lambda pair: pair[1] != "kantoor")
    pages = dossier.pages(len(found))
    number = paging.number(request, pages)
    cut = [line for line, _ in paging.cut(found, number)]
    rows = await flow.desk_rows(portal(request), visitor, cut)
    return render.page(
        request,
        "pages/beheer/stukken.html",
        lines=[_line(visitor.firm, row) for row in rows],
        found=len(found),
        turns=TURNS,
        counts=counts,
        chosen={"toon": turn, "type": soort, "zoek": words},
        soorten=sorted(visitor.firm.soorten.items(), key=lambda item: item[1].title.nl),
        number=number,
        pages=pages,
        address=partial(paging.address, request, "/beheer/stukken", _KEPT),
        message=messages.asked(request),
    )


def _line(firm: Firm, row: flow.DeskRow) -> Line:
    stuk = row.stuk
    told = status.told(stuk.state, stuk.route, {row.trouble})
    turn = status.turn(flow.DeskLine(stuk.id, stuk.state, stuk.route, row.trouble))
    return Line(row, status.title(firm, row), told, turn, status.overdue(stuk))
