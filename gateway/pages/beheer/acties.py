"""What can be done with a stuk, each on a page of its own."""

from collections.abc import Awaitable, Mapping
from typing import Any

from aiohttp import web

from gateway.errors import Invalid
from gateway.flows import stukbeheer as flow
from gateway.pages import render
from gateway.pages.beheer.stuk import about, id_of, may, page
from gateway.pages.context import portal, signed_in
from gateway.pages.routing import Access, Routes
from gateway.pages.security import FORM

ROUTES = Routes()

_FORMS = ("papier", "vervangen", "intrekken", "beslissen")
_FIELDS = ("wie", "reden", "aangekomen", "kenmerk")


async def form(request: web.Request, act: str, **values: Any) -> web.StreamResponse:
    """The page of an act; the page of the stuk when it cannot be done (any more)."""
    found = await flow.at_desk(portal(request), signed_in(request), id_of(request))
    faults: Mapping[str, str] = values.pop("faults", {})
    if act not in may(found) or act not in _FORMS:
        if faults:
            return await page(request, found, status=400, faults=faults)
        return render.redirect(request, f"/beheer/stukken/{found.row.stuk.id}")
    sent = request[FORM] if request.method == "POST" else {}
    return render.page(
        request,
        f"pages/beheer/{act}.html",
        status=400 if faults else 200,
        **about(request, found),
        faults=faults,
        **{"given": {name: str(sent.get(name, "")) for name in _FIELDS}} | values,
    )


async def _done(request: web.Request, act: str, work: Awaitable[object]) -> web.StreamResponse:
    """The stuk with what was done, or the form again with what was wrong."""
    try:
        await work
    except Invalid as e:  # what belongs to no field of the form is told without a link to one
        return await form(
            request, act, faults={k if k in _FIELDS else "": v for k, v in e.faults.items()}
        )
    return render.redirect(request, f"/beheer/stukken/{id_of(request)}?bericht=gedaan")


@ROUTES.post("/beheer/stukken/{stuk}/herinneren", Access.SESSION)
async def remind(request: web.Request) -> web.StreamResponse:
    """Send the notice again."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    work = flow.remind(portal(request), firm, id_of(request), by)
    return await _done(request, "herinneren", work)


@ROUTES.get("/beheer/stukken/{stuk}/intrekken", Access.SESSION)
async def ask_withdraw(request: web.Request) -> web.StreamResponse:
    """Why it is taken back."""
    return await form(request, "intrekken")


@ROUTES.post("/beheer/stukken/{stuk}/intrekken", Access.SESSION)
async def withdraw(request: web.Request) -> web.StreamResponse:
    """Take it back."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    reason = str(request[FORM].get("reden", ""))
    work = flow.withdraw(portal(request), firm, id_of(request), by, reason)
    return await _done(request, "intrekken", work)


@ROUTES.get("/beheer/stukken/{stuk}/papier", Access.SESSION)
async def ask_paper(request: web.Request) -> web.StreamResponse:
    """Who gave consent on paper, and how."""
    return await form(request, "papier")


@ROUTES.post("/beheer/stukken/{stuk}/papier", Access.SESSION)
async def paper(request: web.Request) -> web.StreamResponse:
    """Record a consent on paper."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    sent = request[FORM]
    who, reason = str(sent.get("wie", "")), str(sent.get("reden", ""))
    if not who:
        return await form(request, "papier", faults={"wie": "Kies wie akkoord gaf."})
    work = flow.paper(portal(request), firm, id_of(request), who, by, reason)
    return await _done(request, "papier", work)


@ROUTES.get("/beheer/stukken/{stuk}/beslissen", Access.SESSION)
async def ask_decide(request: web.Request) -> web.StreamResponse:
    """Whether it arrived."""
    return await form(request, "beslissen")


@ROUTES.post("/beheer/stukken/{stuk}/beslissen", Access.SESSION)
async def decide(request: web.Request) -> web.StreamResponse:
    """Decide about a delivery of which nobody knows whether it arrived."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    sent = request[FORM]
    arrived, kenmerk = str(sent.get("aangekomen", "")), str(sent.get("kenmerk", "")).strip()
    faults = {}
    if arrived not in ("ja", "nee"):  # nothing is sent again because nothing was chosen
        faults["aangekomen"] = "Kies of het document is aangekomen."
    elif arrived == "ja" and not kenmerk:
        faults["kenmerk"] = "Vul het kenmerk in."
    if faults:
        return await form(request, "beslissen", faults=faults)
    reason = str(sent.get("reden", ""))
    work = flow.decide(portal(request), firm, id_of(request), by, reason,
                       kenmerk=kenmerk if arrived == "ja" else None)  # fmt: skip
    return await _done(request, "beslissen", work)
