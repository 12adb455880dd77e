"""Approving, and sending what was approved with one code."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from aiohttp import web
from multidict import MultiDictProxy

from gateway.errors import Invalid, TooMany
from gateway.flows.accordering import approving, sending
from gateway.flows.accordering.sending import Batch
from gateway.pages import messages, render
from gateway.pages.accordering.status import label
from gateway.pages.accordering.stuk import id_of, stuk_page, uuid_of
from gateway.pages.context import portal, signed_in
from gateway.pages.routing import Access, Routes
from gateway.pages.security import FORM

ROUTES = Routes()


def _chosen(form: MultiDictProxy[Any]) -> list[UUID]:
    return [uuid_of(str(value)) for value in form.getall("stuk", [])][: sending.MOST]


@ROUTES.post("/accordering/{stuk}/goedkeuren", Access.SESSION)
async def approve(request: web.Request) -> web.StreamResponse:
    """ "goedkeuren": send it now with a code, or later with others."""
    form = request[FORM]
    id = id_of(request)
    try:
        await approving.approve(
            portal(request), signed_in(request), id, str(form.get("manifest", "")),
            [str(b) for b in form.getall("bank", [])],
        )  # fmt: skip
    except Invalid as e:
        return await stuk_page(request, status=400, faults=e.faults)
    if form.get("wanneer") == "later":
        return render.redirect(request, "/accordering?bericht=klaargezet")
    return await _ask_code(request, [id])


@ROUTES.post("/accordering/{stuk}/terughalen", Access.SESSION)
async def take_back(request: web.Request) -> web.StreamResponse:
    """Off the list "klaar om te verzenden"."""
    await approving.take_back(portal(request), signed_in(request), id_of(request))
    return render.redirect(request, "/accordering?bericht=teruggehaald")


@ROUTES.post("/accordering/verzenden", Access.SESSION)
async def send(request: web.Request) -> web.StreamResponse:
    """The chosen ones: send a code, and ask for it."""
    return await _ask_code(request, _chosen(request[FORM]))


async def _ask_code(request: web.Request, ids: Sequence[UUID]) -> web.StreamResponse:
    try:
        chosen = await sending.batch(portal(request), signed_in(request), ids)
    except Invalid:
        return render.redirect(request, "/accordering?bericht=niets_gekozen")
    state = await sending.resend_state(portal(request), signed_in(request), chosen)
    faults: dict[str, str] = {}
    if not state.wait:  # a code that was just sent still serves
        faults = await _send_code(request, chosen)
    return await _code_page(request, chosen, faults=faults)


async def _send_code(request: web.Request, chosen: Batch) -> dict[str, str]:
    try:
        await sending.send_code(portal(request), signed_in(request), chosen)
    except Invalid as e:
        return e.faults
    except TooMany:
        return {"code1": messages.MESSAGES["wachten"].text}
    return {}


async def _code_page(
    request: web.Request, chosen: Batch, *, faults: dict[str, str], status: int = 200
) -> web.Response:
    return render.page(
        request,
        "pages/accordering/token.html",
        status=400 if faults and status == 200 else status,
        chosen=chosen,
        resend=await sending.resend_state(portal(request), signed_in(request), chosen),
        faults=faults,
        phone=await sending.phone(portal(request), signed_in(request)),
    )


@ROUTES.post("/accordering/verzenden/nieuw", Access.SESSION)
async def resend(request: web.Request) -> web.StreamResponse:
    """ "Nieuw token versturen", for the same batch."""
    chosen = await sending.batch(portal(request), signed_in(request), _chosen(request[FORM]))
    return await _code_page(request, chosen, faults=await _send_code(request, chosen))


@ROUTES.post("/accordering/verzenden/token", Access.SESSION)
async def confirm(request: web.Request) -> web.StreamResponse:
    """The code: with the right one everything chosen is sent."""
    form = request[FORM]
    ids = _chosen(form)
    boxes = [str(form.get(name, "")) for name in ("code1", "code2")]
    try:
        sent = await sending.send(portal(request), signed_in(request), ids, *boxes)
    except Invalid as e:
        if "stuk" in e.faults:
            return render.redirect(request, "/accordering?bericht=niets_gekozen")
        chosen = await sending.batch(portal(request), signed_in(request), ids)
        return await _code_page(request, chosen, faults=e.faults)
    return render.page(request, "pages/accordering/verzonden.html", sent=sent, label=label)
