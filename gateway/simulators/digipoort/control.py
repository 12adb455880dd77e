"""The control page: what was taken, and what later deliveries shall meet. For this machine alone.

* ``GET /``: the bookings, newest last, as JSON; a browser gets a page to read. ``GET /ledger``:
  the same, always as JSON.
* ``POST /scenario`` with ``{"name", "count", "berichtsoort", "nummer"}`` (all but the name may be
  left out): the next ``count`` deliveries that match meet this scenario. ``GET /unused``: what
  nobody met yet. ``DELETE /scenarios`` forgets it, and chance too.
* ``POST /chaos`` with ``{"seed", "rates": {name: probability}}``: chance chooses, always the same
  for the same seed and order of deliveries; no rates end it.
* ``GET /scenarios``: the names there are. ``GET /under-way``: how many requests have no end yet;
  one that a client has left may still be booked (LateBooking).
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

from aiohttp import web

from gateway.simulators import view
from gateway.simulators.digipoort.desk import Desk
from gateway.simulators.digipoort.scenarios import SCENARIOS, Queued

_SHOWN = ("berichtsoort", "nummer", "aanleverkenmerk", "kenmerk", "scenario", "inhoud",
          "bijlagen", "ontvanger", "oin", "at")  # fmt: skip

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def control(desk: Desk) -> web.Application:
    """Plain HTTP; whoever is not on this machine gets 403."""

    async def listing(request: web.Request) -> web.Response:
        if "text/html" in request.headers.get("Accept", ""):
            return view.page(desk.flavour.name, desk.ledger.all(), _SHOWN)
        return web.json_response(desk.ledger.all())

    async def ledger(_: web.Request) -> web.Response:
        return web.json_response(desk.ledger.all())

    async def names(_: web.Request) -> web.Response:
        return web.json_response(list(SCENARIOS))

    async def scenario(request: web.Request) -> web.Response:
        desk.chooser.queue(_queued(await _json(request)))
        return web.json_response({}, status=201)

    async def unused(_: web.Request) -> web.Response:
        return web.json_response([asdict(q) for q in desk.chooser.unused()])

    async def under_way(_: web.Request) -> web.Response:
        return web.json_response(desk.under_way)

    async def chaos(request: web.Request) -> web.Response:
        desk.chooser.chaos(*_chances(await _json(request)))
        return web.json_response({}, status=201)

    async def clear(_: web.Request) -> web.Response:
        desk.chooser.clear()
        return web.Response(status=204)

    app = web.Application(middlewares=[_local])
    app.router.add_get("/", listing)
    app.router.add_get("/ledger", ledger)
    app.router.add_get("/scenarios", names)
    app.router.add_post("/scenario", scenario)
    app.router.add_get("/unused", unused)
    app.router.add_get("/under-way", under_way)
    app.router.add_post("/chaos", chaos)
    app.router.add_delete("/scenarios", clear)
    return app


@web.middleware
async def _local(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.remote is None or not ip_address(request.remote).is_loopback:
        raise web.HTTPForbidden
    return await handler(request)


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        found = json.loads(await request.text())
    except ValueError:
        raise web.HTTPBadRequest(text="JSON is expected") from None
    if not isinstance(found, dict):
        raise web.HTTPBadRequest(text="a JSON object is expected")
    return found


def _queued(asked: dict[str, Any]) -> Queued:
    """Raises HTTPBadRequest."""
    try:
        queued = Queued(**asked)
    except TypeError:
        raise web.HTTPBadRequest(text="name, count, berichtsoort, nummer are known") from None
    _known(queued.name)
    if type(queued.count) is not int or queued.count < 1:
        raise web.HTTPBadRequest(text="count is a number from 1")
    if not all(v is None or isinstance(v, str) for v in (queued.berichtsoort, queued.nummer)):
        raise web.HTTPBadRequest(text="berichtsoort and nummer are texts")
    return queued


def _chances(asked: dict[str, Any]) -> tuple[int, dict[str, float]]:
    """Raises HTTPBadRequest."""
    seed, rates = asked.get("seed", 0), asked.get("rates", {})
    if type(seed) is not int or not isinstance(rates, dict):
        raise web.HTTPBadRequest(text="seed is a number, rates an object")
    for name, rate in rates.items():
        _known(name)
        if not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise web.HTTPBadRequest(text=f"{name}: a probability is from 0 to 1")
    if sum(rates.values()) > 1 + 1e-9:
        raise web.HTTPBadRequest(text="the probabilities are more than 1 together")
    return seed, {name: float(rate) for name, rate in rates.items()}


def _known(name: object) -> None:
    if not isinstance(name, str) or name not in SCENARIOS:
        raise web.HTTPBadRequest(text=f"no such scenario: {name}")
