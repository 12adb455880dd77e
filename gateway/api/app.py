"""The interface for packages as one application, put below /api/v1."""

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from gateway.api import documenten, gebeurtenissen, klanten, openapi, stukken, webhooks
from gateway.api.operation import PORTAL, PROXIES, Operation, route
from gateway.api.problem import Problem
from gateway.api.soap import endpoint as soap
from gateway.domain.proxy import Network
from gateway.flows.portal import Portal

PREFIX = "/api/v1"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def operations() -> list[Operation]:
    """Every operation there is."""
    modules = (klanten, documenten, stukken, gebeurtenissen, webhooks)
    return [one for module in modules for one in module.OPERATIONS.all]


def build(portal: Portal, proxies: Sequence[Network] = ()) -> web.Application:
    """proxies: whose word about a client certificate is believed."""
    app = web.Application(client_max_size=0)
    app[PORTAL], app[PROXIES] = portal, proxies
    every = operations()
    described = openapi.describe(every, portal.base_url + PREFIX)

    async def description(_: web.Request) -> web.Response:
        return web.json_response(described)

    async def unknown(_: web.Request) -> web.Response:
        return Problem(404).response()

    app.router.add_get("/openapi.json", description)
    soap.add_to(app, portal.base_url + PREFIX)
    for path in dict.fromkeys(one.path for one in every):
        here = [one for one in every if one.path == path]
        resource = app.router.add_resource(path)
        for one in here:
            resource.add_route(one.method, route(one))
        resource.add_route("*", _not_allowed(sorted(one.method for one in here)))
    app.router.add_route("*", "/{tail:.*}", unknown)
    return app


def _not_allowed(methods: Sequence[str]) -> Handler:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return Problem(405, headers={"Allow": ", ".join(methods)}).response()

    return refuse
