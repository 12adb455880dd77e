"""The firm's desk: its stukken, and what staff does with them (inventory row 183)."""

from collections.abc import Awaitable
from uuid import UUID

from aiohttp import web

from gateway.domain import stuk as rules
from gateway.errors import Denied, Invalid
from gateway.flows import stukbeheer as flow
from gateway.pages import messages, render
from gateway.pages.context import portal, signed_in
from gateway.pages.routing import Access, Routes
from gateway.pages.security import FORM

ROUTES = Routes()


@ROUTES.get("/beheer/stukken", Access.SESSION)
async def desk(request: web.Request) -> web.StreamResponse:
    """Every stuk of the firm that has not ended; all of them with ``?alles=1``."""
    everything = request.query.get("alles") == "1"
    rows = await flow.desk(portal(request), signed_in(request), everything=everything)
    return render.page(
        request,
        "pages/beheer/stukken.html",
        rows=rows,
        labels=rules.LABELS,
        everything=everything,
        message=messages.asked(request),
    )


def _id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["stuk"])
    except ValueError:
        raise Denied from None


@ROUTES.get("/beheer/stukken/{stuk}", Access.SESSION)
async def show(request: web.Request) -> web.StreamResponse:
    """One stuk, with what can be done."""
    return await _page(request)


async def _page(
    request: web.Request, *, status: int = 200, faults: dict[str, str] | None = None
) -> web.Response:
    found = await flow.at_desk(portal(request), signed_in(request), _id(request))
    return render.page(
        request,
        "pages/beheer/stuk.html",
        status=status,
        desk=found,
        stuk=found.row.stuk,
        told=rules.LABELS[found.row.stuk.state],
        open=found.row.stuk.state in rules.OPEN,
        address=f"/beheer/stukken/{found.row.stuk.id}",
        faults=faults or {},
        message=messages.asked(request),
    )


async def _done(request: web.Request, work: Awaitable[object]) -> web.StreamResponse:
    """The page again, with what was wrong or with what was done."""
    try:
        await work
    except Invalid as e:
        return await _page(request, status=400, faults=e.faults)
    return render.redirect(request, f"/beheer/stukken/{_id(request)}?bericht=gedaan")


@ROUTES.post("/beheer/stukken/{stuk}/intrekken", Access.SESSION)
async def withdraw(request: web.Request) -> web.StreamResponse:
    """Take it back."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    reason = str(request[FORM].get("reden", ""))
    return await _done(request, flow.withdraw(portal(request), firm, _id(request), by, reason))


@ROUTES.post("/beheer/stukken/{stuk}/herinneren", Access.SESSION)
async def remind(request: web.Request) -> web.StreamResponse:
    """Send the notice again."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    return await _done(request, flow.remind(portal(request), firm, _id(request), by))


@ROUTES.post("/beheer/stukken/{stuk}/papier", Access.SESSION)
async def paper(request: web.Request) -> web.StreamResponse:
    """Record a consent on paper."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    form = request[FORM]
    who, reason = str(form.get("wie", "")), str(form.get("reden", ""))
    return await _done(request, flow.paper(portal(request), firm, _id(request), who, by, reason))


@ROUTES.post("/beheer/stukken/{stuk}/beslissen", Access.SESSION)
async def decide(request: web.Request) -> web.StreamResponse:
    """Decide about a delivery of which nobody knows whether it arrived."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    form = request[FORM]
    arrived = form.get("aangekomen") == "ja"
    kenmerk = str(form.get("kenmerk", "")).strip()
    if arrived and not kenmerk:
        return await _page(request, status=400, faults={"kenmerk": "Vul het kenmerk in."})
    reason = str(form.get("reden", ""))
    return await _done(
        request,
        flow.decide(portal(request), firm, _id(request), by, reason,
                    kenmerk=kenmerk if arrived else None),
    )  # fmt: skip
