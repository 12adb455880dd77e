"""Documents that a package puts into a dossier, streamed through to the firm's own source."""

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from gateway.api.calling import OTHER, Once
from gateway.api.models import DocumentUit, DocumentVraag
from gateway.api.multipart import in_time
from gateway.api.operation import Answer, Call, Operations, again
from gateway.api.problem import Problem
from gateway.domain.firm import Source
from gateway.domain.klant import Klant
from gateway.domain.package import Scope
from gateway.flows import uploads
from gateway.flows.packages import Caller
from gateway.flows.portal import Portal
from gateway.flows.uploads import Hashed

OPERATIONS = Operations()

_BYTES = {"application/octet-stream": {"type": "string", "contentMediaType": "*/*"}}


@OPERATIONS.add(
    "POST", "/klanten/{nummer}/documenten", Scope.DOCUMENTEN, "Een document in een dossier zetten",
    query=DocumentVraag, gives=DocumentUit, status=201, content=_BYTES,
)  # fmt: skip
async def zet_document(call: Call[Once, DocumentVraag]) -> Answer:
    """The body is the document. Nothing stands in the source unless all of it came."""
    if call.request.content_type != "application/octet-stream":
        raise Problem(415, "Verwacht: application/octet-stream.")
    once, asked = call.body, call.query
    klant, source = await uploads.where(call.portal, call.firm, call.path["nummer"], asked.bron)
    body = Hashed(_pieces(call.request))
    before = await once.begin("POST", call.request.path_qs)
    if before is not None:
        async for _ in body:
            pass
        if body.sha256 != before.content:
            raise Problem(409, OTHER)
        return again(before)
    async with once.going():
        told = await put(call.portal, call.caller, klant, source, asked, body)
        await once.answered(201, told, {}, body.sha256)
    return Answer(told, 201)


async def put(
    portal: Portal, caller: Caller, klant: Klant, source: Source, asked: DocumentVraag,
    body: Hashed,
) -> dict[str, Any]:  # fmt: skip
    """Put the document that comes in its place; what stands there then, as JSON."""
    done = await uploads.put_document(
        portal, caller, klant, source, asked.map, asked.naam, body, sha256=asked.sha256 or ""
    )
    return DocumentUit(
        bron=done.source, id=done.entry.id, naam=asked.naam, lengte=done.length, sha256=done.sha256
    ).model_dump(mode="json")


async def _pieces(request: web.Request) -> AsyncIterator[bytes]:
    async for piece in in_time(request.content.iter_any()):
        yield piece
