"""What happened to stukken, for a package that asks."""

from typing import Any

from gateway.api.models import GebeurtenissenUit, GebeurtenissenVraag
from gateway.api.operation import Answer, Call, Operations
from gateway.domain.package import Scope
from gateway.flows import events
from gateway.store.events import Event

OPERATIONS = Operations()


@OPERATIONS.add(
    "GET", "/gebeurtenissen", Scope.STATUS, "Wat er gebeurde sinds de vorige vraag",
    query=GebeurtenissenVraag, gives=GebeurtenissenUit,
)  # fmt: skip
async def lees_gebeurtenissen(call: Call[None, GebeurtenissenVraag]) -> Answer:
    """In the order of the commits; nothing comes in later with a lower number."""
    asked = call.query
    if asked.vanaf < 0:
        return Answer({"gebeurtenissen": [], "vanaf": await events.newest(call.portal, call.firm)})
    found = await events.since(
        call.portal, call.firm, asked.vanaf, most=asked.aantal, wait=asked.wacht
    )
    last = found[-1].number if found else asked.vanaf
    return Answer({"gebeurtenissen": [told(e) for e in found], "vanaf": last})


def told(event: Event) -> dict[str, Any]:
    """An event as it goes over the wire, also to a webhook (models.GebeurtenisUit)."""
    return {
        "nummer": event.number,
        "gebeurtenis": event.event,
        "stuk": str(event.stuk),
        "klant": event.klant,
        "op": event.at.isoformat(),
        "staat": event.state,
        "gegevens": {k: v for k, v in event.data.items() if k in _SHOWN},
    }


#: Members of an event's data that a package may read; the rest is sealed or our own.
_SHOWN = frozenset(
    {"manifest", "soort", "by", "replaces", "kenmerk", "code", "fault", "outcome", "why"}
)
