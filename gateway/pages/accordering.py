"""Accordering (manual 4): what waits, one stuk, approving with a code, and the overview."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web
from markupsafe import Markup
from multidict import MultiDictProxy

from gateway import log
from gateway.connector.contract import Entry
from gateway.domain import statuscode
from gateway.domain import stuk as rules
from gateway.domain.payment import Payment, qr_text
from gateway.domain.soort import Route
from gateway.domain.stuk import State
from gateway.domain.xbrl import instance as xbrl
from gateway.domain.xbrl import view
from gateway.errors import Denied, Invalid, SourceError, TooMany
from gateway.flows import filing
from gateway.flows.accordering import approving, opening, rejecting, sending, showing
from gateway.flows.accordering import tasks as waiting
from gateway.flows.accordering.opening import Opening, PartChanged
from gateway.flows.accordering.sending import Batch
from gateway.flows.accordering.showing import Detail
from gateway.flows.accordering.tasks import Task
from gateway.flows.proof import gathering, printing
from gateway.pages import messages, qr, render, stream
from gateway.pages.context import here, portal, signed_in
from gateway.pages.routing import Access, Routes
from gateway.pages.security import FORM

ROUTES = Routes()

#: What the Geschiedenis calls an event; an event that is not here is not for clients.
EVENTS = {
    "stuk_put_up": "Klaargezet door het kantoor",
    "stuk_opened": "Document geopend",
    "stuk_part_changed": "Document in de bron is veranderd",
    "stuk_approved": "Goedgekeurd, klaar om te verzenden",
    "stuk_confirmed": "Akkoord bevestigd met SMS code",
    "stuk_taken_back": "Van de lijst gehaald",
    "stuk_rejected": "Afgekeurd",
    "stuk_withdrawn": "Ingetrokken door het kantoor",
    "stuk_replaced": "Vervangen",
    "stuk_reminded": "Herinnering gestuurd",
    "stuk_approved_on_paper": "Akkoord op papier, vastgelegd door het kantoor",
    "bank_consent": "Toestemming gegeven voor de bank",
    "delivery_queued": "Klaargezet voor verzending",
    "delivery_attempt": "Verzending begonnen",
    "delivery_not_sent": "Verzending niet gelukt, wordt herhaald",
    "delivery_unclear": "Antwoord van de ontvanger niet duidelijk, wordt nagevraagd",
    "delivery_not_arrived": "Bij navraag niet aangekomen",
    "delivery_accepted": "Ontvangen door de ontvanger",
    "delivery_refused": "Niet aangenomen door de ontvanger",
    "delivery_final": "Aangenomen door de ontvanger",
    "delivery_failed": "Verzending mislukt",
    "delivery_arrived_late": "Toch aangekomen bij de ontvanger",
    "delivery_accepted_twice": "Nog een keer aangekomen bij de ontvanger",
    "delivery_unknown_kenmerk": "Onbekend kenmerk bij de ontvanger",
    "delivery_held_changed": "Niet verzonden: gewijzigd na akkoord",
    "delivery_withdrawn": "Niet verzonden",
    "delivery_uncertain": "Wordt door het kantoor nagekeken",
    "delivery_decided": "Nagekeken door het kantoor",
    "approval_handed_back": "Akkoord doorgegeven aan het fiscale pakket",
    "package_done": "Afgehandeld door het fiscale pakket",
    "package_failed": "Niet afgehandeld door het fiscale pakket",
}

#: On the `backoffice` route nobody but the package files it.
_BY_PACKAGE = (
    "Goedgekeurd",
    "Uw accountant dient het document in met het fiscale pakket. U hoeft niets te doen.",
)


def _id(request: web.Request) -> UUID:
    return _uuid(request.match_info["stuk"])


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Denied from None


def _chosen(form: MultiDictProxy[Any]) -> list[UUID]:
    return [_uuid(str(value)) for value in form.getall("stuk", [])][: sending.MOST]


# --- lists


@ROUTES.get("/accordering", Access.SESSION)
async def tasks(request: web.Request) -> web.StreamResponse:
    """ "Openstaande taken", with "klaar om te verzenden" on top."""
    found = await waiting.tasks(portal(request), signed_in(request))
    return render.page(
        request,
        "pages/accordering/taken.html",
        ready=[t for t in found if t.ready],
        waiting=[t for t in found if t.mine],
        shown=_shown,
        message=messages.asked(request),
        faults={},
    )


def _shown(task: Task) -> rules.Shown:
    """How its state is told."""
    told = rules.LABELS[task.stuk.state]
    if task.stuk.route is Route.BACKOFFICE and task.stuk.state is State.APPROVED:
        label, after = _BY_PACKAGE
        return rules.Shown(label, rules.Actor.FIRM, told.tone, after)
    return told


@ROUTES.get("/accordering/overzicht", Access.SESSION)
async def overview(request: web.Request) -> web.StreamResponse:
    """ "Overzicht documenten": every stuk, filtered by the address; [Alle] unless said."""
    chosen, found = await _overview(request)
    firm = signed_in(request).firm
    return render.page(
        request,
        "pages/accordering/overzicht.html",
        found=found,
        shown=_shown,
        chosen=chosen,
        states=[(s.value, rules.LABELS[s].label) for s in State if s is not State.CONCEPT],
        years=sorted(
            {t.stuk.jaar for t in found} | ({int(chosen["jaar"])} if chosen["jaar"] else set()),
            reverse=True,
        ),
        soorten=sorted(firm.soorten.items(), key=lambda item: item[1].title.nl),
        export=f"/accordering/overzicht.csv?{urlencode(chosen)}",
    )


async def _overview(request: web.Request) -> tuple[dict[str, str], list[Task]]:
    query = request.query
    jaar = query.get("jaar", "")
    chosen = {
        "status": query.get("status", ""),
        "jaar": jaar if jaar.isascii() and jaar.isdigit() and len(jaar) == 4 else "",
        "type": kind if (kind := query.get("type", "")) in signed_in(request).firm.soorten else "",
        "zoek": _words(query.get("zoek", "")),
    }
    found = await waiting.overview(
        portal(request),
        signed_in(request),
        state=chosen["status"],
        jaar=int(chosen["jaar"]) if chosen["jaar"] else None,
        soort=chosen["type"],
        search=chosen["zoek"],
    )
    return chosen, found


def _words(text: str) -> str:
    """What somebody searches for, with one blank between words and no sign that cannot be read."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:100]


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
                render.text(request, _shown(task).label), s.created_at.strftime("%d-%m-%Y"),
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


# --- one stuk


@ROUTES.get("/accordering/{stuk}", Access.SESSION)
async def show(request: web.Request) -> web.StreamResponse:
    """ "Document details"."""
    return await _detail(request)


async def _detail(
    request: web.Request,
    *,
    status: int = 200,
    faults: dict[str, str] | None = None,
    reason: str = "",
) -> web.Response:
    running, visitor = portal(request), signed_in(request)
    found = await showing.detail(running, visitor, _id(request))
    firm = visitor.firm
    return render.page(
        request,
        "pages/accordering/stuk.html",
        status=status,
        detail=found,
        task=found.task,
        stuk=found.task.stuk,
        told=_shown(found.task),
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
    async with opening.opening(
        portal(request), signed_in(request), _id(request), int(number)
    ) as opened:
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
    found = await showing.detail(running, visitor, _id(request))
    part = showing.instance_of(found.parts)
    if part is None:
        raise Denied
    async with opening.opening(running, visitor, found.task.stuk.id, part.row.number) as opened:
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


# --- approving and sending


@ROUTES.post("/accordering/{stuk}/goedkeuren", Access.SESSION)
async def approve(request: web.Request) -> web.StreamResponse:
    """ "goedkeuren": send it now with a code, or later with others."""
    form = request[FORM]
    id = _id(request)
    try:
        await approving.approve(
            portal(request), signed_in(request), id, str(form.get("manifest", "")),
            [str(b) for b in form.getall("bank", [])],
        )  # fmt: skip
    except Invalid as e:
        return await _detail(request, status=400, faults=e.faults)
    if form.get("wanneer") == "later":
        return render.redirect(request, "/accordering?bericht=klaargezet")
    return await _ask_code(request, [id])


@ROUTES.post("/accordering/{stuk}/terughalen", Access.SESSION)
async def take_back(request: web.Request) -> web.StreamResponse:
    """Off the list "klaar om te verzenden"."""
    await approving.take_back(portal(request), signed_in(request), _id(request))
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
    return render.page(request, "pages/accordering/verzonden.html", sent=sent, label=_label)


def _label(sent: sending.Sent) -> rules.Shown:
    if sent.stuk.route is Route.BACKOFFICE and sent.state is State.APPROVED:
        return rules.Shown(_BY_PACKAGE[0], rules.Actor.FIRM, "good", _BY_PACKAGE[1])
    return rules.LABELS[sent.state]


# --- rejecting


@ROUTES.post("/accordering/{stuk}/afkeuren", Access.SESSION)
async def reject(request: web.Request) -> web.StreamResponse:
    """ "afkeuren", with a reason: send a code, and ask for it."""
    form = request[FORM]
    reason, manifest = str(form.get("reden", "")), str(form.get("manifest", ""))
    again = form.get("nieuw") == "1"
    try:
        await rejecting.ask_rejection(
            portal(request), signed_in(request), _id(request), manifest, reason, again=again
        )
    except Invalid as e:
        return await _detail(request, status=400, faults=e.faults, reason=reason)
    except TooMany:
        return await _rejection_page(
            request, reason, manifest, {"code1": messages.MESSAGES["wachten"].text}
        )
    return await _rejection_page(request, reason, manifest, {})


async def _rejection_page(
    request: web.Request, reason: str, manifest: str, faults: dict[str, str]
) -> web.Response:
    found = await showing.detail(portal(request), signed_in(request), _id(request))
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
            portal(request), signed_in(request), _id(request), manifest, reason, *boxes
        )
    except Invalid as e:
        return await _rejection_page(request, reason, manifest, e.faults)
    return render.redirect(request, f"/accordering/{_id(request)}?bericht=afgekeurd")


# --- the proof


@ROUTES.get("/accordering/{stuk}/bewijs.json", Access.SESSION)
async def proof_to_check(request: web.Request) -> web.StreamResponse:
    """The proof as JSON, for `gateway proof verify`."""
    data = await gathering.bundle(portal(request), signed_in(request), _id(request))
    text = json.dumps(data, ensure_ascii=False, indent=1)
    return _saved(request, text.encode(), "application/json", "json")


@ROUTES.get("/accordering/{stuk}/bewijs.pdf", Access.SESSION)
async def proof_to_read(request: web.Request) -> web.StreamResponse:
    """The proof as a PDF."""
    data = await gathering.bundle(portal(request), signed_in(request), _id(request))
    body = await showing.in_thread(lambda: printing.pdf(data))
    return _saved(request, body, "application/pdf", "pdf")


def _saved(request: web.Request, body: bytes, kind: str, ending: str) -> web.Response:
    name = f"bewijs-{_id(request)}.{ending}"
    return web.Response(
        body=body,
        content_type=kind,
        headers={"Content-Disposition": stream.disposition(name, save=True)},
    )
