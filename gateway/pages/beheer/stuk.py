"""One stuk: how it stands, what happened, and what can be done."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from aiohttp import web

from gateway.domain import delivery as sending
from gateway.domain import statuscode
from gateway.domain import stuk as rules
from gateway.domain.klant import Klant
from gateway.domain.model import Text
from gateway.domain.stuk import Actor, Shown, State
from gateway.errors import Denied
from gateway.flows import stukbeheer as flow
from gateway.flows.accordering import showing
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor
from gateway.pages import messages, render
from gateway.pages.accordering.status import EVENTS
from gateway.pages.beheer.status import LOOK, SENDING, TROUBLES, overdue, title, told
from gateway.pages.context import portal, signed_in
from gateway.pages.routing import Access, Routes
from gateway.store.deliveries import Delivery
from gateway.store.stukken import Stuk

ROUTES = Routes()

#: The desk sees more of what happened than a client does.
_EVENTS = EVENTS | {"stuk_notified": "Bericht gestuurd"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery as the desk shows it. why: what it waits for, in words."""

    receiver: Text | str
    told: Shown
    why: str
    one: Delivery


def id_of(request: web.Request) -> UUID:
    """Of the stuk that the address names. Raises Denied."""
    try:
        return UUID(request.match_info["stuk"])
    except ValueError:
        raise Denied from None


@ROUTES.get("/beheer/stukken/{stuk}", Access.SESSION)
async def show(request: web.Request) -> web.StreamResponse:
    """One stuk: how it stands, what happened, and what can be done."""
    found = await flow.at_desk(portal(request), signed_in(request), id_of(request))
    return await page(request, found)


async def page(
    request: web.Request,
    found: flow.Desk,
    *,
    status: int = 200,
    faults: Mapping[str, str] | None = None,
) -> web.Response:
    """Its page; faults: why something could not be done."""
    visitor, stuk = signed_in(request), found.row.stuk
    return render.page(
        request,
        "pages/beheer/stuk.html",
        status=status,
        **about(request, found),
        **await inside(portal(request), visitor, stuk),
        sent=[_sent(portal(request), one) for one in found.deliveries],
        employee=visitor.firm.employee(stuk.relatiebeheerder),
        overdue=overdue(stuk),
        faults=faults or {},
        message=messages.asked(request),
    )


def about(request: web.Request, found: flow.Desk) -> dict[str, Any]:
    """What every page of one stuk tells."""
    stuk = found.row.stuk
    return {
        "desk": found,
        "stuk": stuk,
        "title": title(signed_in(request).firm, found.row),
        "told": _told_of(found),
        "may": may(found),
        "address": f"/beheer/stukken/{stuk.id}",
    }


def _told_of(found: flow.Desk) -> Shown:
    stuk = found.row.stuk
    shown = told(stuk.state, stuk.route, {d.state for d in found.deliveries})
    stands = any(d.trouble and d.ended_at is None for d in found.deliveries)
    return replace(shown, next=LOOK) if stands and shown.actor is not Actor.FIRM else shown


def may(found: flow.Desk) -> frozenset[str]:
    """What can be done with it now."""
    state, route = found.row.stuk.state, found.row.stuk.route
    untouched = all(d.state in sending.WITHDRAWABLE for d in found.deliveries)
    acts = {
        "herinneren": state in rules.OPEN,
        "papier": state in rules.OPEN and bool(found.people),
        "vervangen": rules.may_move(state, State.REPLACED, route),
        "intrekken": rules.may_move(state, State.WITHDRAWN, route) and untouched,
        "beslissen": found.uncertain,
    }
    return frozenset(act for act, can in acts.items() if can)


async def inside(running: Portal, visitor: Visitor, stuk: Stuk) -> dict[str, Any]:
    """Remarks, the client's reason, events and the receiver's statuses.

    The flows of accordering look at the klanten of the visitor; staff sees every klant of the
    firm, and that this is staff was seen by `at_desk`.
    """
    if stuk.state is State.CONCEPT:
        return {"opmerking": "", "reason": "", "parts": (), "history": [], "meanings": []}
    reader = replace(visitor, klanten=(Klant(stuk.klant, stuk.klant_name),))
    detail = await showing.detail(running, reader, stuk.id)
    events = await showing.history(running, reader, stuk.id)
    statuses = await showing.statuses(running, reader, detail)
    sealed = [a.reason_sealed for a in detail.akkoorden if a.act == "rejected" and a.reason_sealed]
    return {
        "opmerking": detail.opmerking,
        "reason": running.keys.open("reason", sealed[-1]) if sealed else "",
        "parts": detail.parts,
        "history": [(e, _EVENTS[e.event]) for e in events if e.event in _EVENTS],
        "meanings": [
            (s, statuscode.of_status(s.statuscode, s.foutcode)) for s in reversed(statuses)
        ],
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
