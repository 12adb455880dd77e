"""The lists: what waits for this visitor, and every stuk, also as CSV."""

import csv
import io
from urllib.parse import urlencode

from aiohttp import web

from gateway.domain import stuk as rules
from gateway.domain.stuk import State
from gateway.flows.accordering import tasks as flow
from gateway.flows.accordering.tasks import Task
from gateway.pages import messages, paging, render, stream
from gateway.pages.accordering.status import shown
from gateway.pages.context import here, portal, signed_in
from gateway.pages.routing import Access, Routes

ROUTES = Routes()

#: Rows on the page, which has no second one (manual 4.3); the CSV has them all.
MOST = 1000


@ROUTES.get("/accordering", Access.SESSION)
async def tasks(request: web.Request) -> web.StreamResponse:
    """ "Openstaande taken", with "klaar om te verzenden" on top."""
    found = await flow.tasks(portal(request), signed_in(request))
    return render.page(
        request,
        "pages/accordering/taken.html",
        ready=[t for t in found if t.ready],
        waiting=[t for t in found if t.mine],
        shown=shown,
        message=messages.asked(request),
        faults={},
    )


@ROUTES.get("/accordering/overzicht", Access.SESSION)
async def overview(request: web.Request) -> web.StreamResponse:
    """ "Overzicht documenten": every stuk, filtered by the address; [Alle] unless said."""
    chosen, found = await _overview(request, limit=MOST + 1)
    firm = signed_in(request).firm
    return render.page(
        request,
        "pages/accordering/overzicht.html",
        found=found[:MOST],
        more=len(found) > MOST,
        shown=shown,
        chosen=chosen,
        states=[(s.value, rules.LABELS[s].label) for s in State if s is not State.CONCEPT],
        years=sorted(
            {t.stuk.jaar for t in found} | ({int(chosen["jaar"])} if chosen["jaar"] else set()),
            reverse=True,
        ),
        soorten=sorted(firm.soorten.items(), key=lambda item: item[1].title.nl),
        export=f"/accordering/overzicht.csv?{urlencode(chosen)}",
    )


async def _overview(
    request: web.Request, limit: int | None = None
) -> tuple[dict[str, str], list[Task]]:
    query = request.query
    jaar = query.get("jaar", "")
    chosen = {
        "status": query.get("status", ""),
        "jaar": jaar if jaar.isascii() and jaar.isdigit() and len(jaar) == 4 else "",
        "type": kind if (kind := query.get("type", "")) in signed_in(request).firm.soorten else "",
        "zoek": paging.words(query.get("zoek", "")),
    }
    found = await flow.overview(
        portal(request),
        signed_in(request),
        state=chosen["status"],
        jaar=int(chosen["jaar"]) if chosen["jaar"] else None,
        soort=chosen["type"],
        search=chosen["zoek"],
        limit=limit,
    )
    return chosen, found


@ROUTES.get("/accordering/overzicht.csv", Access.SESSION)
async def export(request: web.Request) -> web.StreamResponse:
    """The overview as CSV (RFC 4180), for a spreadsheet."""
    _, found = await _overview(request)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    language = here(request).language
    writer.writerow([render.text(request, w) for w in _COLUMNS])
    for task in found:
        s = task.stuk
        writer.writerow(
            map(_cell, (
                s.deadline.strftime("%d-%m-%Y") if s.deadline else "",
                task.soort.title.in_(language), s.periode, str(s.jaar), s.klant_name, s.klant,
                render.text(request, shown(task).label), s.created_at.strftime("%d-%m-%Y"),
            ))
        )  # fmt: skip
    return web.Response(
        body="\ufeff" + out.getvalue(),
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": stream.disposition("overzicht documenten.csv", save=True),
        },
    )


_COLUMNS = (
    "Deadline",
    "Type",
    "Periode",
    "Jaar",
    "Klant",
    "Klantnummer",
    "Status",
    "Aangemaakt op",
)


def _cell(text: str) -> str:
    """A text that a spreadsheet does not run, whatever blanks stand before it (ASVS 1.2.10)."""
    return f"'{text}" if text.lstrip(" \t\r\n")[:1] in ("=", "+", "-", "@") and text else text
