"""Stukken: put up by content or by reference, followed, taken back, reported."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from gateway.api.calling import OTHER, Once, digest
from gateway.api.models import IntrekkenIn, MeldenIn, StukUit
from gateway.api.multipart import Body
from gateway.api.operation import Answer, Call, Operations, again, invalid
from gateway.api.problem import Problem
from gateway.domain.firm import Firm
from gateway.domain.package import Scope
from gateway.domain.wire import OnderdeelIn, StukIn
from gateway.errors import Invalid
from gateway.flows import events, intake, stukbeheer
from gateway.flows.intake import PartWish, Twice, Wish
from gateway.flows.packages import Caller
from gateway.flows.portal import Portal
from gateway.flows.submitting import TWICE, Submission

OPERATIONS = Operations()

_MULTIPART = {
    "multipart/form-data": {
        "type": "object",
        "required": ["stuk"],
        "properties": {
            "stuk": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": {"$ref": "#/components/schemas/StukIn"},
                "description": "het eerste deel: het stuk als JSON",
            }
        },
        "additionalProperties": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "een deel per onderdeel met `inhoud`; de bestandsnaam telt",
        },
    }
}


@OPERATIONS.add(
    "POST", "/stukken", Scope.STUKKEN, "Een stuk klaarzetten", body=StukIn, gives=StukUit,
    status=201, also={409: "Dit stuk staat er al"}, content=_MULTIPART,
)  # fmt: skip
async def zet_stuk_klaar(call: Call[Any, None]) -> Answer:
    """By reference as JSON, or with the documents in a multipart."""
    if isinstance(call.body, Once):
        return await _with_documents(call, call.body)
    try:
        id = await by_reference(call.portal, call.caller, call.body)
    except Twice as e:
        id = await left_behind(call.once, e)
    return await _created(call, id)


async def _with_documents(call: Call[Any, None], once: Once) -> Answer:
    body = await Body.of(call.request)
    text = await body.json("stuk")
    before = await once.begin("POST", call.request.path, "multipart", digest(text))
    if before is not None:
        await body.drain()
        if body.digest != before.content:
            raise Problem(409, OTHER)
        return again(before)
    async with once.going():
        given, came = _stuk(text), _coming(body)
        try:
            id = await by_content(call.portal, call.caller, given, came, "multipart", {})
        except Twice as e:
            id = await left_behind(once, e)
        answer = await _created(call, id)
        await once.answered(answer.status, answer.body, answer.headers, body.digest)
    return answer


async def left_behind(once: Once | None, error: Twice) -> UUID:
    """The stuk that a process made which died before it could answer. Raises the error when it
    is another one's."""
    if once is None or not once.over or error.id is None:
        raise error
    found = await events.status(once.portal, once.caller.firm, error.id)
    if found is None or found.stuk.put_up_by != once.caller.by:
        raise error
    return error.id


async def _coming(body: Body) -> AsyncIterator["Coming"]:
    while (part := await body.next()) is not None:
        yield Coming(body.name, body.filename, partial(body.pieces, part))


@dataclass(frozen=True, slots=True)
class Coming:
    """A document on its way in. name: what `inhoud` of its onderdeel says. pieces: the bytes that
    are still to come, from where they were left."""

    name: str
    filename: str
    pieces: Callable[[], AsyncIterator[bytes]]


async def by_reference(portal: Portal, caller: Caller, given: StukIn) -> UUID:
    """Put up a stuk whose parts stand in the firm's sources. Raises Problem and Invalid."""
    faults = _references(given)
    if faults:
        raise Problem(422, faults=faults)
    return await intake.put_up(portal, caller.firm, _wish(caller, given))


async def by_content(
    portal: Portal,
    caller: Caller,
    given: StukIn,
    coming: AsyncIterator[Coming],
    where: str,
    faults: dict[str, str],
) -> UUID:
    """Put up a stuk with its documents, taken in as they come. Every fault is told once all of
    them ended. where: what a document that nobody asked for is a part of. faults: what else is
    wrong; `coming` may add to it."""
    faults |= _contents(given)
    submission: Submission | None = None
    try:
        submission = await Submission.begin(portal, caller.firm, _wish(caller, given))
    except Invalid as e:
        faults |= e.faults
    waiting = {p.inhoud: i for i, p in enumerate(given.onderdelen) if p.inhoud}
    async for one in coming:
        number = waiting.pop(one.name, None)
        if number is None:
            faults[f"{where}.{one.name}"] = "Geen onderdeel heeft deze inhoud."
        if faults or submission is None or submission.twice or number is None:
            await _past(one)
            continue
        try:
            sha256 = given.onderdelen[number].sha256 or ""
            await submission.take(number, one.filename, one.pieces(), sha256)
        except Invalid as e:
            faults |= e.faults
            await _past(one)
    if faults or submission is None:
        raise Invalid(faults)
    return await submission.finish()


async def _past(one: Coming) -> None:
    async for _ in one.pieces():
        pass


def _stuk(data: bytes) -> StukIn:
    try:
        return StukIn.model_validate_json(data)
    except ValidationError as e:
        raise invalid(e) from None


def _references(given: StukIn) -> dict[str, str]:
    """What is wrong with the parts of a stuk without documents."""
    faults = {}
    for i, part in enumerate(given.onderdelen):
        if part.inhoud is not None:
            faults[f"onderdelen.{i}.inhoud"] = "Met inhoud is het verzoek een multipart."
        elif not (part.bron and part.id):
            faults[f"onderdelen.{i}"] = "Een onderdeel heeft een bron en een id."
    return faults


def _contents(given: StukIn) -> dict[str, str]:
    """What is wrong with the parts of a stuk with documents."""
    faults = {}
    names = [p.inhoud for p in given.onderdelen if p.inhoud]
    for i, part in enumerate(given.onderdelen):
        if bool(part.inhoud) == bool(part.bron and part.id):
            faults[f"onderdelen.{i}"] = "Een onderdeel heeft een inhoud, of een bron en een id."
        elif part.inhoud and names.count(part.inhoud) > 1:
            faults[f"onderdelen.{i}.inhoud"] = TWICE
    return faults


def _wish(caller: Caller, given: StukIn) -> Wish:
    return Wish(
        given.klant, given.soort, given.jaar, given.periode,
        [_part(p) for p in given.onderdelen], caller.by, given.deadline, given.opmerking,
        given.relatiebeheerder, None, given.vervangt,
        intake.groups(given.akkoord_van),
    )  # fmt: skip


def _part(given: OnderdeelIn) -> PartWish:
    """Without a source when its bytes are still to come."""
    return PartWish(given.rol, given.bron or "", "" if given.inhoud else given.id or "")


async def _created(call: Call[Any, None], id: UUID) -> Answer:
    told = await _told(call, id)
    return Answer(told, 201, {"Location": f"{call.portal.base_url}/api/v1/stukken/{id}"})


@OPERATIONS.add("GET", "/stukken/{id}", Scope.STATUS, "Hoe een stuk ervoor staat", gives=StukUit)
async def lees_stuk(call: Call[None, None]) -> Answer:
    """With its approvals, deliveries and their statuses."""
    return Answer(await _told(call, _id(call)))


@OPERATIONS.add(
    "POST", "/stukken/{id}/intrekken", Scope.STUKKEN, "Een stuk intrekken", body=IntrekkenIn,
    gives=StukUit,
)  # fmt: skip
async def trek_stuk_in(call: Call[IntrekkenIn, None]) -> Answer:
    """As long as nothing was sent."""
    id = _id(call)
    await stukbeheer.withdraw(call.portal, call.firm, id, call.caller.by, call.body.reden)
    return Answer(await _told(call, id))


@OPERATIONS.add(
    "POST", "/stukken/{id}/melden", Scope.STUKKEN, "Melden hoe het in het pakket afliep",
    body=MeldenIn, gives=StukUit,
)  # fmt: skip
async def meld_stuk(call: Call[MeldenIn, None]) -> Answer:
    """The `backoffice` route: the package filed it, or could not."""
    id = _id(call)
    await stukbeheer.report(call.portal, call.firm, id, call.body.gelukt, call.caller.by)
    return Answer(await _told(call, id))


def _id(call: Call[Any, Any]) -> UUID:
    return identifier(call.path["id"])


def identifier(text: str) -> UUID:
    """The id of a stuk. Raises Problem 404: what is no id is no stuk's."""
    try:
        return UUID(text)
    except ValueError:
        raise Problem(404) from None


async def _told(call: Call[Any, Any], id: UUID) -> dict[str, Any]:
    return await told(call.portal, call.firm, id)


async def told(portal: Portal, firm: Firm, id: UUID) -> dict[str, Any]:
    """A stuk as JSON. Raises Problem 404."""
    found = await events.status(portal, firm, id)
    if found is None:
        raise Problem(404)
    return events.standing(found)
