"""The firm's desk: its stukken, and what staff does with them (inventory row 183)."""

from collections import Counter
from collections.abc import Awaitable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

from aiohttp import web

from gateway.domain import delivery as sending
from gateway.domain import dossier, statuscode
from gateway.domain import stuk as rules
from gateway.domain.delivery import Trouble
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.model import Text
from gateway.domain.soort import Route
from gateway.domain.stuk import Actor, Shown, State
from gateway.errors import Denied, Invalid
from gateway.flows import replacing
from gateway.flows import stukbeheer as flow
from gateway.flows.accordering import showing
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor, today
from gateway.pages import messages, paging, render
from gateway.pages.accordering.status import EVENTS
from gateway.pages.context import portal, signed_in
from gateway.pages.routing import Access, Routes
from gateway.pages.security import FORM
from gateway.store.deliveries import Delivery
from gateway.store.stukken import Stuk

ROUTES = Routes()

#: Whose turn it is: the choices of the first filter.
TURNS = {
    "": "Wat nog loopt",
    "kantoor": "Actie nodig van het kantoor",
    "klant": "Wacht op de klant",
    "onderweg": "Onderweg naar de ontvanger",
    "alles": "Alles, ook wat klaar is",
}
_TURN_OF = {
    Actor.FIRM: "kantoor",
    Actor.CLIENT: "klant",
    Actor.GATEWAY: "onderweg",
    Actor.RECEIVER: "onderweg",
    Actor.NOBODY: "klaar",
}

#: What a state asks of the firm; LABELS tells what it asks of the client.
NEXT = {
    State.CONCEPT: "De klant ziet dit nog niet.",
    State.TO_APPROVE: "De klant moet het document openen en goedkeuren of afkeuren.",
    State.PARTLY: "Er is nog een akkoord van een ander nodig.",
    State.READY: "De klant keurde het goed, maar moet het nog verzenden met een SMS code.",
    State.APPROVED: "Het portaal verzendt het document. U hoeft niets te doen.",
    State.REJECTED: "Neem contact op met de klant en zet een nieuwe versie klaar.",
    State.WITHDRAWN: "Er is niets verzonden. Zet zo nodig een nieuwe versie klaar.",
    State.REPLACED: "Er staat een nieuwe versie klaar.",
    State.CHANGED: "Het document in de bron is na het akkoord veranderd en daarom niet verzonden."
    " Zet een nieuwe versie klaar.",
    State.FAILED: "Herstel wat de ontvanger meldt en zet een nieuwe versie klaar.",
    State.FILED: "De ontvanger verwerkt het document. U hoeft niets te doen.",
    State.ACCEPTED: "De ontvanger heeft het document aangenomen. Er is niets meer te doen.",
    State.DONE: "Er is niets meer te doen.",
}
_TO_FILE = Shown(
    "Goedgekeurd",
    Actor.FIRM,
    "good",
    "De klant gaf akkoord. Dien het document in met het fiscale pakket.",
)
#: What a delivery that stands still asks of the firm, whatever the state of its stuk.
_STUCK = {
    sending.State.UNCERTAIN: Shown(
        "Niet zeker of het is aangekomen",
        Actor.FIRM,
        "bad",
        "Kijk bij de ontvanger of het document is aangekomen, en beslis.",
    ),
    sending.State.HELD_UNAVAILABLE: Shown(
        "Wacht op de bron",
        Actor.FIRM,
        "wait",
        "Herstel de verbinding met de bron. Daarna gaat de verzending vanzelf verder.",
    ),
}
_LOOK = "Kijk bij de verzending wat er niet goed gaat."

#: How the state of a delivery is told.
SENDING: dict[str, tuple[str, str]] = {
    sending.State.QUEUED: ("busy", "Wacht op verzending"),
    sending.State.ATTEMPT: ("busy", "Wordt verzonden"),
    sending.State.ACCEPTED: ("busy", "Ontvangen, in behandeling"),
    sending.State.FINAL_OK: ("good", "Aangenomen"),
    sending.State.FINAL_FAILED: ("bad", "Niet aangenomen"),
    sending.State.HELD_CHANGED: ("bad", "Tegengehouden"),
    sending.State.HELD_UNAVAILABLE: ("wait", "Wacht op de bron"),
    sending.State.UNCERTAIN: ("bad", "Niet zeker of het is aangekomen"),
    sending.State.WITHDRAWN: ("bad", "Niet verzonden"),
}
#: Why a delivery does not go on.
TROUBLES: dict[str, str] = {
    Trouble.SOURCE: "De bron geeft het document niet. Het wordt vanzelf opnieuw geprobeerd.",
    Trouble.CHANGED: "Het document in de bron is na het akkoord veranderd.",
    Trouble.MANDATE: "Wie akkoord gaf, is daar niet meer toe gemachtigd.",
    Trouble.CONFIG: "De instellingen van deze ontvanger kloppen niet. Vraag de beheerder.",
    Trouble.CHANNEL: "Een eerdere verzending naar deze ontvanger moet eerst klaar zijn.",
    Trouble.SENDING: "De ontvanger was niet bereikbaar. Het wordt vanzelf opnieuw geprobeerd.",
    Trouble.UNCLEAR: "Het antwoord van de ontvanger was niet duidelijk. Het wordt nagevraagd.",
    Trouble.REFUSED: "De ontvanger nam het document niet aan.",
    Trouble.SILENT: "De ontvanger laat al lang niets weten. Neem contact met hem op.",
}

#: The desk sees more of what happened than a client does.
_EVENTS = EVENTS | {"stuk_notified": "Bericht gestuurd"}


# --- the list


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
        (line, _turn(line))
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


def _turn(line: flow.DeskLine) -> str:
    if line.trouble:
        return "kantoor"
    return _TURN_OF[_told(line.state, line.route, set()).actor]


def _line(firm: Firm, row: flow.DeskRow) -> Line:
    stuk = row.stuk
    told = _told(stuk.state, stuk.route, {row.trouble})
    turn = _turn(flow.DeskLine(stuk.id, stuk.state, stuk.route, row.trouble))
    late = stuk.state in rules.OPEN and stuk.deadline is not None and stuk.deadline < today()
    return Line(row, _title(firm, row), told, turn, late)


def _told(state: State, route: Route, sent: Set[str]) -> Shown:
    """The state of a stuk, with what it asks of the firm. sent: the states of its deliveries."""
    for stuck, shown in _STUCK.items():
        if stuck in sent:
            return shown
    if route is Route.BACKOFFICE and state is State.APPROVED:
        return _TO_FILE
    return replace(rules.LABELS[state], next=NEXT[state])


def _title(firm: Firm, row: flow.DeskRow) -> Text | str:
    soort = firm.soorten.get(row.stuk.soort)
    return soort.title if soort else row.soort


# --- one stuk


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery as the desk shows it. why: what it waits for, in words."""

    receiver: Text | str
    told: Shown
    why: str
    one: Delivery


def _id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["stuk"])
    except ValueError:
        raise Denied from None


@ROUTES.get("/beheer/stukken/{stuk}", Access.SESSION)
async def show(request: web.Request) -> web.StreamResponse:
    """One stuk: how it stands, what happened, and what can be done."""
    found = await flow.at_desk(portal(request), signed_in(request), _id(request))
    return await _page(request, found)


async def _page(
    request: web.Request,
    found: flow.Desk,
    *,
    status: int = 200,
    faults: Mapping[str, str] | None = None,
) -> web.Response:
    visitor, stuk = signed_in(request), found.row.stuk
    return render.page(
        request,
        "pages/beheer/stuk.html",
        status=status,
        **_about(request, found),
        **await _inside(portal(request), visitor, stuk),
        sent=[_sent(portal(request), one) for one in found.deliveries],
        employee=visitor.firm.employee(stuk.relatiebeheerder),
        overdue=_line(visitor.firm, found.row).overdue,
        faults=faults or {},
        message=messages.asked(request),
    )


def _about(request: web.Request, found: flow.Desk) -> dict[str, Any]:
    """What every page of one stuk tells."""
    stuk = found.row.stuk
    return {
        "desk": found,
        "stuk": stuk,
        "title": _title(signed_in(request).firm, found.row),
        "told": _told_of(found),
        "may": _may(found),
        "address": f"/beheer/stukken/{stuk.id}",
    }


def _told_of(found: flow.Desk) -> Shown:
    stuk = found.row.stuk
    told = _told(stuk.state, stuk.route, {d.state for d in found.deliveries})
    stands = any(d.trouble and d.ended_at is None for d in found.deliveries)
    return replace(told, next=_LOOK) if stands and told.actor is not Actor.FIRM else told


def _may(found: flow.Desk) -> frozenset[str]:
    """What can be done with it now."""
    state = found.row.stuk.state
    untouched = all(d.state in sending.WITHDRAWABLE for d in found.deliveries)
    acts = {
        "herinneren": state in rules.OPEN,
        "papier": state in rules.OPEN and bool(found.people),
        "vervangen": state in rules.REPLACEABLE,
        "intrekken": rules.may_move(state, State.WITHDRAWN) and untouched,
        "beslissen": found.uncertain,
    }
    return frozenset(act for act, can in acts.items() if can)


async def _inside(running: Portal, visitor: Visitor, stuk: Stuk) -> dict[str, Any]:
    """Remarks, the client's reason, events and the receiver's statuses.

    The flows of accordering look at the klanten of the visitor; staff sees every klant of the
    firm, and that this is staff was seen by `at_desk`.
    """
    if stuk.state is State.CONCEPT:
        return {"opmerking": "", "reason": "", "parts": (), "history": [], "meanings": []}
    reader = replace(visitor, klanten=(Klant(stuk.klant, stuk.klant_name),))
    detail = await showing.detail(running, reader, stuk.id)
    events = await showing.history(running, reader, stuk.id)
    told = await showing.statuses(running, reader, detail)
    sealed = [a.reason_sealed for a in detail.akkoorden if a.act == "rejected" and a.reason_sealed]
    return {
        "opmerking": detail.opmerking,
        "reason": running.keys.open("reason", sealed[-1]) if sealed else "",
        "parts": detail.parts,
        "history": [(e, _EVENTS[e.event]) for e in events if e.event in _EVENTS],
        "meanings": [(s, statuscode.of_status(s.statuscode, s.foutcode)) for s in reversed(told)],
    }


def _sent(running: Portal, one: Delivery) -> Sent:
    destination = running.destinations.get(one.destination)
    bank = destination.receivers.get(one.receiver) if destination else None
    receiver = bank.title if bank else destination.title if destination else one.destination
    if one.kind == "backoffice":
        receiver = "Fiscaal pakket"
    tone, label = SENDING[one.state]
    asked = one.state is sending.State.UNCERTAIN  # then the page asks, and tells why
    return Sent(
        receiver,
        Shown(label, Actor.FIRM, tone, ""),
        "" if asked else TROUBLES.get(one.trouble, ""),
        one,
    )


# --- what can be done, each on a page of its own


async def _form(request: web.Request, act: str, **values: Any) -> web.StreamResponse:
    """The page of an act; the page of the stuk when it cannot be done (any more)."""
    found = await flow.at_desk(portal(request), signed_in(request), _id(request))
    faults: Mapping[str, str] = values.pop("faults", {})
    if act not in _may(found) or act not in _FORMS:
        if faults:
            return await _page(request, found, status=400, faults=faults)
        return render.redirect(request, f"/beheer/stukken/{found.row.stuk.id}")
    form = request[FORM] if request.method == "POST" else {}
    return render.page(
        request,
        f"pages/beheer/{act}.html",
        status=400 if faults else 200,
        **_about(request, found),
        faults=faults,
        **{"given": {name: str(form.get(name, "")) for name in _FIELDS}} | values,
    )


_FORMS = ("papier", "vervangen", "intrekken", "beslissen")
_FIELDS = ("wie", "reden", "aangekomen", "kenmerk")


async def _done(request: web.Request, act: str, work: Awaitable[object]) -> web.StreamResponse:
    """The stuk with what was done, or the form again with what was wrong."""
    try:
        await work
    except Invalid as e:  # what belongs to no field of the form is told without a link to one
        return await _form(
            request, act, faults={k if k in _FIELDS else "": v for k, v in e.faults.items()}
        )
    return render.redirect(request, f"/beheer/stukken/{_id(request)}?bericht=gedaan")


@ROUTES.post("/beheer/stukken/{stuk}/herinneren", Access.SESSION)
async def remind(request: web.Request) -> web.StreamResponse:
    """Send the notice again."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    work = flow.remind(portal(request), firm, _id(request), by)
    return await _done(request, "herinneren", work)


@ROUTES.get("/beheer/stukken/{stuk}/intrekken", Access.SESSION)
async def ask_withdraw(request: web.Request) -> web.StreamResponse:
    """Why it is taken back."""
    return await _form(request, "intrekken")


@ROUTES.post("/beheer/stukken/{stuk}/intrekken", Access.SESSION)
async def withdraw(request: web.Request) -> web.StreamResponse:
    """Take it back."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    reason = str(request[FORM].get("reden", ""))
    work = flow.withdraw(portal(request), firm, _id(request), by, reason)
    return await _done(request, "intrekken", work)


@ROUTES.get("/beheer/stukken/{stuk}/papier", Access.SESSION)
async def ask_paper(request: web.Request) -> web.StreamResponse:
    """Who gave consent on paper, and how."""
    return await _form(request, "papier")


@ROUTES.post("/beheer/stukken/{stuk}/papier", Access.SESSION)
async def paper(request: web.Request) -> web.StreamResponse:
    """Record a consent on paper."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    form = request[FORM]
    who, reason = str(form.get("wie", "")), str(form.get("reden", ""))
    if not who:
        return await _form(request, "papier", faults={"wie": "Kies wie akkoord gaf."})
    work = flow.paper(portal(request), firm, _id(request), who, by, reason)
    return await _done(request, "papier", work)


@ROUTES.get("/beheer/stukken/{stuk}/vervangen", Access.SESSION)
async def ask_replace(request: web.Request) -> web.StreamResponse:
    """Which documents take the place of its parts."""
    return await _replacing(request)


@ROUTES.post("/beheer/stukken/{stuk}/vervangen", Access.SESSION)
async def replace_it(request: web.Request) -> web.StreamResponse:
    """Put up the new version; the page of that one follows."""
    visitor, id, form = signed_in(request), _id(request), request[FORM]
    parts = ((name.removeprefix("deel-"), str(value)) for name, value in form.items())
    chosen = {int(n): value for n, value in parts if n.isascii() and n.isdecimal()}
    try:
        deadline = _day(str(form.get("deadline", "")))
        remark = str(form.get("opmerking", "")).strip()
        new = await replacing.replace(portal(request), visitor, id, chosen, deadline, remark)
    except Invalid as e:
        return await _replacing(request, _by_field(e.faults))
    return render.redirect(request, f"/beheer/stukken/{new}?bericht=vervangen")


async def _replacing(
    request: web.Request, faults: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """The form, as it was filled in; at first as the stuk is."""
    visitor = signed_in(request)
    found = await flow.at_desk(portal(request), visitor, _id(request))
    stuk, form = found.row.stuk, request[FORM] if request.method == "POST" else None
    if form is None:
        inside = await _inside(portal(request), visitor, stuk)
        deadline = stuk.deadline.isoformat() if stuk.deadline else ""
        given = {"opmerking": inside["opmerking"], "deadline": deadline}
    else:
        given = {"opmerking": "", "deadline": "", **{k: str(v) for k, v in form.items()}}
    return await _form(
        request,
        "vervangen",
        faults=faults or {},
        given=given,
        choices=await replacing.choices(portal(request), visitor, stuk.id),
    )


def _day(text: str) -> date | None:
    """Raises Invalid."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid({"deadline": "Dit is geen datum (jjjj-mm-dd)."}) from None


def _by_field(faults: Mapping[str, str]) -> dict[str, str]:
    """Faults of intake by the fields of the form; what belongs to none stands above it."""
    found: dict[str, list[str]] = {}
    for key, words in faults.items():
        kind, _, rest = key.partition(".")
        number = rest.partition(".")[0]
        if kind == "parts" and number:
            field = f"deel-{int(number) + 1}"
        else:
            field = key if key in ("deadline", "opmerking") else ""
        found.setdefault(field, []).append(words)
    return {field: " ".join(words) for field, words in found.items()}


@ROUTES.get("/beheer/stukken/{stuk}/beslissen", Access.SESSION)
async def ask_decide(request: web.Request) -> web.StreamResponse:
    """Whether it arrived."""
    return await _form(request, "beslissen")


@ROUTES.post("/beheer/stukken/{stuk}/beslissen", Access.SESSION)
async def decide(request: web.Request) -> web.StreamResponse:
    """Decide about a delivery of which nobody knows whether it arrived."""
    firm, by = flow.staff_only(signed_in(request)), signed_in(request).username
    form = request[FORM]
    arrived, kenmerk = str(form.get("aangekomen", "")), str(form.get("kenmerk", "")).strip()
    faults = {}
    if arrived not in ("ja", "nee"):  # nothing is sent again because nothing was chosen
        faults["aangekomen"] = "Kies of het document is aangekomen."
    elif arrived == "ja" and not kenmerk:
        faults["kenmerk"] = "Vul het kenmerk in."
    if faults:
        return await _form(request, "beslissen", faults=faults)
    reason = str(form.get("reden", ""))
    work = flow.decide(portal(request), firm, _id(request), by, reason,
                       kenmerk=kenmerk if arrived == "ja" else None)  # fmt: skip
    return await _done(request, "beslissen", work)
