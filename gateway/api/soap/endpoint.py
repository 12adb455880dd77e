"""The address of SOAP: the WSDL to a GET, an operation to a POST."""

from contextlib import nullcontext

from aiohttp import web

from gateway.api import calling, problem
from gateway.api.operation import PORTAL, PROXIES
from gateway.api.problem import Problem
from gateway.api.soap import faults, schema, security
from gateway.api.soap.message import Kind, Message
from gateway.api.soap.names import OURS, SOAP11
from gateway.api.soap.operations import OPERATIONS, Call
from gateway.domain import members
from gateway.domain.xml import local

PATH = "/soap"


def add_to(app: web.Application, server: str) -> None:
    """Put it on the application. server: the address before the path."""
    served = {"wsdl": schema.wsdl(server + PATH), "xsd": schema.xsd()}

    async def describe(request: web.Request) -> web.StreamResponse:
        name = request.query_string.lower().rstrip("=")
        if name not in served:
            return Problem(404, "Hier staat ?wsdl.").response()
        return web.Response(body=served[name], content_type="text/xml", charset="utf-8")

    resource = app.router.add_resource(PATH)
    resource.add_route("GET", describe)
    resource.add_route("POST", _post)
    resource.add_route("*", _not_allowed)


async def _not_allowed(_: web.Request) -> web.StreamResponse:
    return Problem(405, headers={"Allow": "GET, POST"}).response()


async def _post(request: web.Request) -> web.StreamResponse:
    version = SOAP11
    try:
        kind = Kind.of(request)
        version = kind.version
        response = await _answered(request, await Message.of(request, kind))
    except Exception as e:
        response = faults.response(version, problem.of(e))
    response.headers.extend(calling.rate())
    return response


async def _answered(request: web.Request, message: Message) -> web.Response:
    portal, version = request.config_dict[PORTAL], message.kind.version
    element = await message.head()
    headers = security.understood(version, message.reader.headers)
    key = security.key(request, headers, element)
    caller = await calling.with_key(portal, request, request.config_dict[PROXIES], key)
    name = local(element.tag)
    operation = OPERATIONS.get(name) if element.tag == f"{{{OURS}}}{name}" else None
    if operation is None:
        raise Problem(400, f"De operatie {name[:80]} is er niet; wel: {', '.join(OPERATIONS)}.")
    if message.kind.action not in ("", f"{OURS}/{name}"):
        raise Problem(400, f"De SOAPAction is niet die van {name}: {OURS}/{name}.")
    caller.needs(operation.scope)
    with calling.sending(caller) if message.with_documents else nullcontext():
        answer = await operation.handle(Call(request, portal, caller, message, element))
    envelope, body = faults.new(version)
    members.write(body, {f"{name}Response": answer.members})
    replayed = dict(calling.REPLAYED) if answer.again else None
    return faults.out(version, envelope, headers=replayed)
