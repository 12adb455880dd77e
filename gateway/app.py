"""Puts the portal together from the settings, and serves it. Composition only."""

import asyncio
import contextlib
import ipaddress
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from gateway import log
from gateway.api import app as api
from gateway.api import health
from gateway.domain import throttle
from gateway.domain.keys import Keys
from gateway.domain.proxy import Network
from gateway.flows.delivering.cases import Works
from gateway.flows.listings import Listings
from gateway.flows.passwords import Passwords
from gateway.flows.portal import Portal, events, looks
from gateway.flows.receivers import Guard, Receivers
from gateway.flows.sources import Sources
from gateway.notify import sms
from gateway.pages import (
    assets,
    dossier,
    inloggen,
    kantoor,
    render,
    security,
    welkom,
)
from gateway.pages.accordering import afkeuren, akkoord, overzicht, stuk
from gateway.pages.beheer import acties, lijst, vervangen
from gateway.pages.beheer import stuk as beheer
from gateway.pages.context import PORTAL, PROXIES
from gateway.scan import Scanner
from gateway.settings import Settings
from gateway.store.database import Database

TEMPLATES = Path(__file__).parents[1] / "templates"


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Portal]:
    """The running installation; closed at the end, in the opposite order.

    Raises ConfigInvalid when a secret does not resolve. Neither the database nor a source need
    be up.
    """
    gateway = settings.gateway
    async with contextlib.AsyncExitStack() as stack:
        keys = Keys(settings.secret(gateway.key))
        db = await Database.connect(gateway.database.url, most=gateway.database.most)
        stack.push_async_callback(db.close)
        sender = sms.sender(gateway.sms, settings.secret)
        stack.push_async_callback(sender.aclose)
        passwords = Passwords(keys)
        stack.callback(passwords.close)
        sources = await Sources.open(
            settings.firms.values(), gateway.egress.policy(), settings.folder, settings.options
        )
        stack.push_async_callback(sources.aclose)
        listings = Listings()
        stack.push_async_callback(listings.aclose)
        yield Portal(
            product=gateway.product,
            base_url=gateway.base_url,
            also=gateway.also,
            firms=settings.firms,
            db=db,
            keys=keys,
            sms=sender,
            sms_limits=throttle.per_number(gateway.sms.ten_minutes, gateway.sms.day),
            sms_countries=gateway.sms.countries,
            passwords=passwords,
            sources=sources,
            listings=listings,
            looks=looks(db),
            events=events(db),
            budget=gateway.budget,
            destinations=gateway.destinations,
            scanner=Scanner(gateway.scanner) if gateway.scanner else None,
            egress=gateway.egress.webhook_policy(),
        )


@contextlib.asynccontextmanager
async def works(settings: Settings, portal: Portal) -> AsyncIterator[Works]:
    """What a worker delivers with; closed at the end."""
    receivers = Receivers(portal.destinations, settings.secret)
    file = settings.gateway.guard_file
    guard = Guard(settings.folder / file if file else None)
    try:
        yield Works(portal, receivers, guard, settings.gateway.operations)
    finally:
        await receivers.aclose()


def build(
    portal: Portal, *, pictures: Path, metrics_token: str = "", proxies: tuple[Network, ...] = ()
) -> web.Application:
    """The web application of an opened portal. pictures: folder of the firms' files. proxies:
    networks whose X-Forwarded-For is believed."""
    app = web.Application(middlewares=security.STACK, client_max_size=security.FORM_BYTES)
    app[PORTAL], app[PROXIES] = portal, proxies
    app[render.ENVIRONMENT] = render.environments(TEMPLATES)
    app[assets.PICTURES] = assets.pictures(portal.firms.values(), pictures)
    app.on_response_prepare.append(security.protect)
    accordering, desk = (overzicht, stuk, akkoord, afkeuren), (lijst, beheer, acties, vervangen)
    for module in (assets, kantoor, inloggen, welkom, dossier, *accordering, *desk):
        module.ROUTES.add_to(app)
    app.add_subapp(api.PREFIX, api.build(portal, proxies))
    health.add_to(app, portal, metrics_token)
    return app


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; answers under way get ten seconds to end."""
    gateway = settings.gateway
    token = settings.secret(gateway.metrics_token) if gateway.metrics_token else ""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with opened(settings) as portal:
        app = build(
            portal,
            pictures=settings.folder / "firms",
            metrics_token=token,
            proxies=tuple(ipaddress.ip_network(n) for n in gateway.listen.proxies),
        )
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=10, keepalive_timeout=60, max_line_size=16384
        )
        await runner.setup()
        try:
            site = web.TCPSite(
                runner, gateway.listen.host, gateway.listen.port, reuse_port=True, backlog=1024
            )
            await site.start()
            log.get().info("serving", host=gateway.listen.host, port=gateway.listen.port)
            await stop.wait()
        finally:
            await runner.cleanup()
