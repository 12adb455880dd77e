"""Rejecting, with a reason and a code."""

from aiohttp import web

from gateway.errors import Invalid, TooMany
from gateway.flows.accordering import rejecting, sending, showing
from gateway.pages import messages, render
from gateway.pages.accordering.stuk import id_of, stuk_page
from gateway.pages.context import portal, signed_in
from gateway.pages.routing import Access, Routes
from gateway.pages.security import FORM

ROUTES = Routes()


@ROUTES.post("/accordering/{stuk}/afkeuren", Access.SESSION)
async def reject(request: web.Request) -> web.StreamResponse:
    """ "afkeuren", with a reason: send a code, and ask for it."""
    form = request[FORM]
    reason, manifest = str(form.get("reden", "")), str(form.get("manifest", ""))
    again = form.get("nieuw") == "1"
    try:
        await rejecting.ask_rejection(
            portal(request), signed_in(request), id_of(request), manifest, reason, again=again
        )
    except Invalid as e:
        return await stuk_page(request, status=400, faults=e.faults, reason=reason)
    except TooMany:
        return await _rejection_page(
            request, reason, manifest, {"code1": messages.MESSAGES["wachten"].text}
        )
    return await _rejection_page(request, reason, manifest, {})


async def _rejection_page(
    request: web.Request, reason: str, manifest: str, faults: dict[str, str]
) -> web.Response:
    found = await showing.detail(portal(request), signed_in(request), id_of(request))
    return render.page(
        request,
        "pages/accordering/afkeuren.html",
        status=400 if faults else 200,
        stuk=found.task.stuk,
        soort=found.task.soort,
        reason=reason,
        manifest=manifest,
        faults=faults,
        phone=await sending.phone(portal(request), signed_in(request)),
        address=f"/accordering/{found.task.stuk.id}",
    )


@ROUTES.post("/accordering/{stuk}/afkeuren/token", Access.SESSION)
async def confirm_rejection(request: web.Request) -> web.StreamResponse:
    """The code: with the right one it is rejected, and the firm is told."""
    form = request[FORM]
    reason, manifest = str(form.get("reden", "")), str(form.get("manifest", ""))
    boxes = [str(form.get(name, "")) for name in ("code1", "code2")]
    try:
        await rejecting.reject(
            portal(request), signed_in(request), id_of(request), manifest, reason, *boxes
        )
    except Invalid as e:
        return await _rejection_page(request, reason, manifest, e.faults)
    return render.redirect(request, f"/accordering/{id_of(request)}?bericht=afgekeurd")
