"""Operations of the interface for packages: each says who may, what it takes and what it gives.

From the same table come the routes, the checks and the OpenAPI description, so that they cannot
differ.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.api import calling, problem
from gateway.api.calling import Kept, Once
from gateway.api.problem import Problem
from gateway.domain import wire
from gateway.domain.firm import Firm
from gateway.domain.package import Scope
from gateway.domain.proxy import Network
from gateway.flows.packages import Caller
from gateway.flows.portal import Portal

PORTAL = web.AppKey("api_portal", Portal)
PROXIES: web.AppKey[Sequence[Network]] = web.AppKey("api_proxies", Sequence)

#: Bytes of a body in JSON, and seconds for all of it to arrive.
MOST_JSON = 4 * 1024 * 1024
#: What is larger counts as a document while it comes in.
SMALL = 256 * 1024
JSON_SECONDS = 60.0

B = TypeVar("B")
Q = TypeVar("Q")


@dataclass(frozen=True, slots=True)
class Call(Generic[B, Q]):
    """One call that was let in. body, query: checked. path: the parts of the address. once: of a
    POST; one that reads its body itself begins it."""

    request: web.Request
    portal: Portal
    caller: Caller
    path: Mapping[str, str]
    body: B
    query: Q
    once: Once | None = None

    @property
    def firm(self) -> Firm:
        """Of the key."""
        return self.caller.firm


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation gives. body: JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


#: Reads a body that is no JSON; gives what identifies it, once it was read whole.
Handler = Callable[[Call[Any, Any]], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """method and path: of the address below /api/v1. also: statuses besides the usual ones, with
    what they mean. content: media types of the body with their schema where it is no model."""

    method: str
    path: str
    scope: Scope
    summary: str
    handler: Handler
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    gives: type[BaseModel]
    status: int
    also: Mapping[int, str]
    content: Mapping[str, Any]


class Operations:
    """The operations of one module."""

    def __init__(self) -> None:
        self.all: list[Operation] = []

    def add(
        self,
        method: str,
        path: str,
        scope: Scope,
        summary: str,
        *,
        gives: type[BaseModel],
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        status: int = 200,
        also: Mapping[int, str] | None = None,
        content: Mapping[str, Any] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Mark a handler. With `content` it reads the body itself, and does without a key of its
        own for JSON: see `Once`."""

        def mark(handler: Handler) -> Handler:
            self.all.append(
                Operation(
                    method, path, scope, summary, handler, body, query, gives, status,
                    also or {}, content or {},
                )
            )  # fmt: skip
            return handler

        return mark


def route(operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The handler for aiohttp: lets in, checks, asks, tells."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            response = await _called(operation, request)
        except Exception as e:
            response = problem.of(e).response()
        response.headers.extend(calling.rate())
        return response

    handle.scope = operation.scope  # type: ignore[attr-defined]  # for the test of all routes
    return handle


async def _called(operation: Operation, request: web.Request) -> web.StreamResponse:
    portal = request.config_dict[PORTAL]
    caller = await calling.caller(portal, request, request.config_dict[PROXIES])
    caller.needs(operation.scope)
    if any("\0" in part for part in request.match_info.values()):
        raise Problem(404)
    query = _query(operation, request)
    if operation.method != "POST":
        call: Call[Any, Any] = Call(request, portal, caller, request.match_info, None, query)
        return _json(await operation.handler(call))
    once = Once.of(portal, caller, request)
    if operation.content and request.content_type != "application/json":
        call = Call(request, portal, caller, request.match_info, once, query)
        with calling.sending(caller):
            return _json(await operation.handler(call))
    large = (request.content_length or MOST_JSON) > SMALL
    with calling.sending(caller) if large else nullcontext():
        data = await _data(request)
    body = _body(operation, request, data)
    if before := await once.begin(request.method, request.path_qs, calling.digest(data)):
        return _json(again(before))
    call = Call(request, portal, caller, request.match_info, body, query, once)
    async with once.going():
        answer = await operation.handler(call)
        await once.answered(answer.status, answer.body, answer.headers)
    return _json(answer)


def again(kept: Kept) -> Answer:
    """An answer of before."""
    return Answer(kept.body, kept.status, {**kept.headers, **calling.REPLAYED})


def _json(answer: Answer) -> web.Response:
    return web.Response(
        body=json.dumps(answer.body, ensure_ascii=False).encode(),
        status=answer.status,
        content_type="application/json",
        headers=answer.headers,
    )


async def _data(request: web.Request) -> bytes:
    if (request.content_length or 0) > MOST_JSON:
        raise Problem(413)
    data = bytearray()
    try:
        async with asyncio.timeout(JSON_SECONDS):
            async for piece in request.content.iter_any():
                data += piece
                if len(data) > MOST_JSON:
                    raise Problem(413)
    except BaseException as e:
        data.clear()  # aiohttp keeps what it raised, and with that these frames, for a while
        if isinstance(e, TimeoutError):
            raise Problem(408) from None
        raise
    return bytes(data)


def _body(operation: Operation, request: web.Request, data: bytes) -> BaseModel | None:
    if operation.body is None:
        return None
    if request.content_type != "application/json":
        raise Problem(415, "Verwacht: application/json.")
    try:
        return operation.body.model_validate_json(data)
    except ValidationError as e:
        raise invalid(e) from None


def _query(operation: Operation, request: web.Request) -> BaseModel | None:
    given = dict(request.query)
    if len(given) != len(request.query):
        raise Problem(422, "Een parameter staat er tweemaal.")
    if operation.query is None:
        if given:
            raise Problem(422, faults=dict.fromkeys(given, "Deze parameter is er niet."))
        return None
    try:
        return operation.query.model_validate(given)
    except ValidationError as e:
        raise invalid(e) from None


def invalid(error: ValidationError) -> Problem:
    """Every fault with its field; values are not repeated."""
    return Problem(422, faults=wire.faults(error, "body"))
