"""The operations: each checks what was asked with the models of REST, does it with the functions
of REST, and gives the same members."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aiohttp import web

from gateway.api import documenten, gebeurtenissen, operation, stukken
from gateway.api.calling import OTHER, Once, digest, usable
from gateway.api.models import (
    DocumentVraag,
    GebeurtenissenVraag,
    IntrekkenIn,
    MeldenIn,
)
from gateway.api.problem import Problem
from gateway.api.soap import fields, schema
from gateway.api.soap.message import Message
from gateway.api.stukken import Coming
from gateway.domain.package import Scope
from gateway.domain.wire import StukIn
from gateway.domain.xml import Element, child
from gateway.errors import Invalid
from gateway.flows import stukbeheer, uploads
from gateway.flows.intake import Twice
from gateway.flows.packages import Caller
from gateway.flows.portal import Portal
from gateway.flows.uploads import Hashed

#: Children of an operation that no model of REST has.
_OURS = frozenset({"token", "berichtId", "klant", "id", "inhoud"})


class Documents:
    """The documents of a message, and what identifies them together."""

    def __init__(self, message: Message, operation: Element) -> None:
        self._message, self._operation = message, operation
        self._seen: list[tuple[str, str, str]] = []
        self.faults: dict[str, str] = {}

    async def coming(self) -> AsyncIterator[Coming]:
        """One after the other. At the end `faults` says what else is wrong with the message."""
        async for one in self._message.documents():
            name, filename = _text(one.holder, "naam"), _text(one.holder, "bestandsnaam")
            seen = hashlib.sha256()

            async def pieces(
                source: AsyncIterator[bytes] = one.pieces(), seen: "hashlib._Hash" = seen
            ) -> AsyncIterator[bytes]:
                async for piece in source:
                    seen.update(piece)
                    yield piece

            yield Coming(name, filename, pieces)
            self._seen.append((name, filename, seen.hexdigest()))
        self.faults |= self._message.faults | schema.faults(self._operation)

    async def whole(self) -> AsyncIterator[bytes]:
        """The bytes of the one document. Raises Invalid after the last when the message is not
        good, so that whoever writes them keeps nothing."""
        async for one in self.coming():
            async for piece in one.pieces():
                yield piece
        if self.faults:
            raise Invalid(self.faults)

    @property
    def digest(self) -> str:
        """The same for the same documents in another order, inline or as attachments."""
        return digest(json.dumps(sorted(self._seen)).encode())

    async def drain(self) -> None:
        """Read on to the end."""
        async for one in self.coming():
            async for _ in one.pieces():
                pass


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was let in. element: the operation's, up to its first document."""

    request: web.Request
    portal: Portal
    caller: Caller
    message: Message
    element: Element


@dataclass(frozen=True, slots=True)
class Answer:
    """Members of the response. again: it was given before."""

    members: Mapping[str, Any]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """handle: what it does."""

    scope: Scope
    handle: Callable[[Call], Awaitable[Answer]]


async def upload_message(call: Call) -> Answer:
    """A stuk, with documents or by reference."""
    holder = child(call.element, "stuk")
    if holder is None:
        raise _misshapen(call)
    given = fields.read(holder, StukIn)
    documents = Documents(call.message, call.element)

    async def put_up(once: Once | None) -> dict[str, Any]:
        try:
            id = await _put_up(call, given, documents)
        except Twice as e:
            id = await stukken.left_behind(once, e)
        return {"stuk": await stukken.told(call.portal, call.caller.firm, id)}

    return await _once(call, given.model_dump_json(), documents, put_up)


async def _put_up(call: Call, given: StukIn, documents: Documents) -> UUID:
    if call.message.with_documents or any(p.inhoud for p in given.onderdelen):
        return await stukken.by_content(
            call.portal, call.caller, given, documents.coming(), "document", documents.faults
        )
    return await stukken.by_reference(call.portal, call.caller, given)


async def get_message_status(call: Call) -> Answer:
    """How a stuk stands."""
    _check(call)
    id = stukken.identifier(_text(call.element, "id"))
    return Answer({"stuk": await stukken.told(call.portal, call.caller.firm, id)})


async def get_updated_messages(call: Call) -> Answer:
    """What happened, and with which stukken."""
    asked = fields.read(call.element, GebeurtenissenVraag, but=_OURS)
    _check(call)
    rest = operation.Call(call.request, call.portal, call.caller, {}, None, asked)
    heard = (await gebeurtenissen.lees_gebeurtenissen(rest)).body
    changed = dict.fromkeys(e["stuk"] for e in heard["gebeurtenissen"])
    return Answer({"antwoord": {"stukken": list(changed), **heard}})


async def upload_document(call: Call) -> Answer:
    """A document into a dossier."""
    asked = fields.read(call.element, DocumentVraag, but=_OURS)
    _check(call)
    number = _text(call.element, "klant")
    documents = Documents(call.message, call.element)
    klant, source = await uploads.where(call.portal, call.caller.firm, number, asked.bron)

    async def put(_: Once | None) -> dict[str, Any]:
        body = Hashed(documents.whole())
        done = await documenten.put(call.portal, call.caller, klant, source, asked, body)
        return {"document": done}

    return await _once(call, number + asked.model_dump_json(), documents, put)


async def withdraw(call: Call) -> Answer:
    """Take a stuk back."""
    asked = fields.read(call.element, IntrekkenIn, but=_OURS)
    _check(call)
    id, firm = stukken.identifier(_text(call.element, "id")), call.caller.firm

    async def taken_back(_: Once | None) -> dict[str, Any]:
        await stukbeheer.withdraw(call.portal, firm, id, call.caller.by, asked.reden)
        return {"stuk": await stukken.told(call.portal, firm, id)}

    return await _once(call, f"{id}{asked.model_dump_json()}", None, taken_back)


async def report(call: Call) -> Answer:
    """How a stuk of the package's own route ended."""
    asked = fields.read(call.element, MeldenIn, but=_OURS)
    _check(call)
    id, firm = stukken.identifier(_text(call.element, "id")), call.caller.firm

    async def reported(_: Once | None) -> dict[str, Any]:
        await stukbeheer.report(call.portal, firm, id, asked.gelukt, call.caller.by)
        return {"stuk": await stukken.told(call.portal, firm, id)}

    return await _once(call, f"{id}{asked.model_dump_json()}", None, reported)


OPERATIONS = {
    "UploadMessage": Operation(Scope.STUKKEN, upload_message),
    "GetMessageStatus": Operation(Scope.STATUS, get_message_status),
    "GetUpdatedMessages": Operation(Scope.STATUS, get_updated_messages),
    "UploadDocument": Operation(Scope.DOCUMENTEN, upload_document),
    "Withdraw": Operation(Scope.STUKKEN, withdraw),
    "Report": Operation(Scope.STUKKEN, report),
}


async def _once(
    call: Call,
    asked: str,
    documents: Documents | None,
    do: Callable[[Once | None], Awaitable[dict[str, Any]]],
) -> Answer:
    """Do it, or give the answer of before when the berichtId was used for the same."""
    _check(call)
    name = _text(call.element, "berichtId")
    if not name:
        return Answer(await do(None))
    if not usable(name):
        raise Problem(422, faults={"berichtId": "Dit heeft 1 tot 200 tekens van ASCII."})
    once = Once(call.portal, call.caller, name)
    before = await once.begin("SOAP", str(call.element.tag), digest(asked.encode()))
    if before is not None:
        if documents is not None:
            await documents.drain()
            if documents.digest != before.content:
                raise Problem(409, OTHER)
        return Answer(before.body, again=True)
    async with once.going():
        told = await do(once)
        await once.answered(200, told, {}, documents.digest if documents else "")
    return Answer(told)


def _check(call: Call) -> None:
    """What the models do not know: order, places, numbers. Raises Problem 422."""
    found = schema.faults(call.element)
    if found:
        raise Problem(422, faults=found)


def _misshapen(call: Call) -> Problem:
    return Problem(422, faults=schema.faults(call.element))


def _text(element: Element, name: str) -> str:
    found = child(element, name)
    return (found.text or "") if found is not None else ""
