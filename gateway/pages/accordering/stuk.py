"""One stuk: its page, its parts, the instance as a person reads it, and its proof."""

import json
from typing import Any
from uuid import UUID

from aiohttp import web
from markupsafe import Markup

from gateway import log
from gateway.connector.contract import Entry
from gateway.domain import statuscode
from gateway.domain.payment import Payment, qr_text
from gateway.domain.stuk import State
from gateway.domain.xbrl import instance as xbrl
from gateway.domain.xbrl import view
from gateway.errors import Denied, SourceError
from gateway.flows import filing
from gateway.flows.accordering import showing
from gateway.flows.accordering.opening import Opening, PartChanged, opening
from gateway.flows.accordering.showing import Detail
from gateway.flows.proof import gathering, printing
from gateway.pages import messages, qr, render, stream
from gateway.pages.accordering.status import EVENTS, shown
from gateway.pages.context import here, portal, signed_in
from gateway.pages.routing import Access, Routes

ROUTES = Routes()


def id_of(request: web.Request) -> UUID:
    """Which stuk the address names. Raises Denied."""
    return uuid_of(request.match_info["stuk"])


def uuid_of(text: str) -> UUID:
    """The number of a stuk, read. Raises Denied."""
    try:
        return UUID(text)
    except ValueError:
        raise Denied from None


@ROUTES.get("/accordering/{stuk}", Access.SESSION)
async def show(request: web.Request) -> web.StreamResponse:
    """ "Document details"."""
    return await stuk_page(request)


async def stuk_page(
    request: web.Request,
    *,
    status: int = 200,
    faults: dict[str, str] | None = None,
    reason: str = "",
) -> web.Response:
    """The page, also when what was asked is refused. faults: by field; reason: as typed."""
    running, visitor = portal(request), signed_in(request)
    found = await showing.detail(running, visitor, id_of(request))
    firm = visitor.firm
    return render.page(
        request,
        "pages/accordering/stuk.html",
        status=status,
        detail=found,
        task=found.task,
        stuk=found.task.stuk,
        told=shown(found.task),
        address=f"/accordering/{found.task.stuk.id}",
        employee=firm.employee(found.task.stuk.relatiebeheerder),
        history=await _history(request, found),
        figures=showing.figures(running, found.task.stuk),
        meanings=await _meanings(request, found),
        payment=(payment := showing.to_pay(running, firm, found.task.stuk)),
        code=_qr(request, payment),
        banks=filing.banks(running) if found.task.soort.bank else {},
        faults=faults or {},
        reason=reason,
        message=messages.asked(request),
        refresh=found.task.stuk.state in (State.APPROVED, State.FILED),
    )


def _qr(request: web.Request, payment: Payment | None) -> Markup:
    """The payment as a code that a bank's app reads (EPC069-12)."""
    if payment is None:
        return Markup("")
    return qr.svg(qr_text(payment), render.text(request, "QR-code voor uw bank"))


async def _history(request: web.Request, found: Detail) -> list[tuple[showing.Event, str]]:
    rows = await showing.history(portal(request), signed_in(request), found.task.stuk.id)
    return [(row, EVENTS[row.event]) for row in rows if row.event in EVENTS]


async def _meanings(request: web.Request, found: Detail) -> list[tuple[Any, statuscode.Meaning]]:
    """Every status of the receiver with what it means, the newest first."""
    rows = await showing.statuses(portal(request), signed_in(request), found)
    return [(s, statuscode.of_status(s.statuscode, s.foutcode)) for s in reversed(rows)]


@ROUTES.get("/accordering/{stuk}/onderdeel/{nummer}", Access.SESSION)
async def part(request: web.Request) -> web.StreamResponse:
    """One part, live from its source; that it was seen is written with its last byte."""
    number = request.match_info["nummer"]
    if not (number.isascii() and number.isdigit() and len(number) < 4):
        raise Denied
    save = request.query.get("opslaan") == "1"
    async with opening(portal(request), signed_in(request), id_of(request), int(number)) as opened:
        return await _pour(request, opened, save=save)


async def _pour(request: web.Request, opened: Opening, *, save: bool) -> web.StreamResponse:
    entry = Entry(opened.name, opened.name, size=opened.row.length)
    headers = stream.headers(entry, save=save)
    headers["Cache-Control"] = "no-store"
    headers.pop("Accept-Ranges", None)
    pieces = opened.pieces()
    first = await anext(pieces, b"")  # what is wrong at once is told with a page
    response = web.StreamResponse(headers=headers)
    response.content_length = opened.row.length
    if request.method == "HEAD":
        return response
    await response.prepare(request)
    try:
        await response.write(first)
        async for piece in pieces:
            await response.write(piece)
    except (SourceError, PartChanged) as e:
        log.get().warning("part_broken", error=type(e).__name__, request=here(request).id)
        stream.broken(request)
    await response.write_eof()
    return response


@ROUTES.get("/accordering/{stuk}/weergave", Access.SESSION)
async def rendering(request: web.Request) -> web.StreamResponse:
    """The XBRL instance as a person can read it; seen in full, so that it counts as opened."""
    running, visitor = portal(request), signed_in(request)
    found = await showing.detail(running, visitor, id_of(request))
    part = showing.instance_of(found.parts)
    if part is None:
        raise Denied
    async with opening(running, visitor, found.task.stuk.id, part.row.number) as opened:
        data = b"".join([piece async for piece in opened.pieces()])
    sections = await showing.in_thread(lambda: view.view(xbrl.read(data)))
    return render.page(
        request,
        "pages/accordering/weergave.html",
        stuk=found.task.stuk,
        soort=found.task.soort,
        name=part.name,
        sections=sections,
        address=f"/accordering/{found.task.stuk.id}",
    )


@ROUTES.get("/accordering/{stuk}/bewijs.json", Access.SESSION)
async def proof_to_check(request: web.Request) -> web.StreamResponse:
    """The proof as JSON, for `gateway proof verify`."""
    data = await gathering.bundle(portal(request), signed_in(request), id_of(request))
    text = json.dumps(data, ensure_ascii=False, indent=1)
    return _saved(request, text.encode(), "application/json", "json")


@ROUTES.get("/accordering/{stuk}/bewijs.pdf", Access.SESSION)
async def proof_to_read(request: web.Request) -> web.StreamResponse:
    """The proof as a PDF."""
    data = await gathering.bundle(portal(request), signed_in(request), id_of(request))
    body = await showing.in_thread(lambda: printing.pdf(data))
    return _saved(request, body, "application/pdf", "pdf")


def _saved(request: web.Request, body: bytes, kind: str, ending: str) -> web.Response:
    name = f"bewijs-{id_of(request)}.{ending}"
    return web.Response(
        body=body,
        content_type=kind,
        headers={"Content-Disposition": stream.disposition(name, save=True)},
    )
