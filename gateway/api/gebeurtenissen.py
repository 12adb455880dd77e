"""What happened to stukken, for a package that asks."""

from gateway.api.models import GebeurtenissenUit, GebeurtenissenVraag
from gateway.api.operation import Answer, Call, Operations
from gateway.api.problem import Problem
from gateway.domain.package import Scope
from gateway.flows import events

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
    if not found and asked.vanaf > (newest := await events.newest(call.portal, call.firm)):
        # Of another installation, or of before a backup was put back: it would wait for ever.
        raise Problem(422, faults={"vanaf": f"Zo ver is het nog niet: de laatste is {newest}."})
    last = found[-1].number if found else asked.vanaf
    return Answer({"gebeurtenissen": [events.told(e) for e in found], "vanaf": last})
