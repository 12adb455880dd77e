"""Whether the portal lives, is ready, and how it is doing (Prometheus)."""

import hmac
import ipaddress

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.errors import PortalError
from gateway.flows.portal import Portal

PORTAL = web.AppKey("health_portal", Portal)
METRICS_TOKEN = web.AppKey("metrics_token", str)


async def live(_: web.Request) -> web.Response:
    """200 as long as the process answers."""
    return web.json_response({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """200 when the database answers; otherwise 503. Sources that are not are named either way:
    a sick back office is no reason to take the portal out of service."""
    portal = request.config_dict[PORTAL]
    database = "ok"
    try:
        await portal.db.ping()
    except PortalError as e:
        database = str(e)
    sources = {
        g.name: ("needs_attention" if g.breaker.needs_attention else "resting")
        for g in portal.sources.all().values()
        if g.resting
    } | {"/".join(k): f"not_opened: {e.code}" for k, e in portal.sources.failures().items()}
    told = {
        "status": "ready" if database == "ok" else "not_ready",
        "database": database,
        "sources": sources or "ok",
    }
    return web.json_response(told, status=200 if database == "ok" else 503)


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text format, for whoever has the token; without a token, for this machine:
    not for what a proxy on this machine hands on."""
    token = request.config_dict[METRICS_TOKEN]
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token:
        allowed = hmac.compare_digest(given.encode(), token.encode())
    else:
        handed_on = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
        allowed = ipaddress.ip_address(request.remote or "::").is_loopback and not handed_on
    if not allowed:
        raise web.HTTPNotFound
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def add_to(app: web.Application, portal: Portal, metrics_token: str = "") -> None:
    """Put the three addresses on the application."""
    app[PORTAL], app[METRICS_TOKEN] = portal, metrics_token
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/health/metrics", metrics)
