"""Digipoort, or the banks' gateway, over HTTPS: what goes in, what comes out, what goes wrong."""

import asyncio
import contextlib
import socket
import ssl
import struct
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from aiohttp import web
from cryptography import x509

from gateway.simulators.digipoort import koppelvlak, mtom, reply, soap
from gateway.simulators.digipoort.control import control
from gateway.simulators.digipoort.desk import Desk, Options
from gateway.simulators.digipoort.flavour import FLAVOURS
from gateway.simulators.digipoort.koppelvlak import Form
from gateway.simulators.digipoort.ledger import Booking, Ledger
from gateway.simulators.digipoort.names import Element, Refused, Service
from gateway.simulators.digipoort.pki import Pki, make, oin_of, stranger
from gateway.simulators.digipoort.scenarios import SCENARIOS, Act, Telling

#: Octets of a request, at most: a full document with several bijlagen, in base64.
LARGEST = 200 * 1024 * 1024
#: Seconds between two looks whether a client is still there.
_LOOK = 0.02
#: On, with nothing to wait for: closing sends a reset.
_AT_ONCE = struct.pack("ii", 1, 0)


def ssl_context(pki: Pki) -> ssl.SSLContext:
    """TLS that asks every client for a certificate of the test authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.ca.certificate))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(pki.server.certificate, pki.server.key)
    return context


def build(desk: Desk) -> web.Application:
    """The services, to be served with `ssl_context`."""
    server = _Server(desk)
    app = web.Application(client_max_size=LARGEST)
    for path, service in desk.flavour.paths.items():
        app.router.add_post(path, server.handler(service))
    app.on_shutdown.append(server.close)
    return app


async def run(
    folder: Path,
    *,
    kind: str = "digipoort",
    clients: Mapping[str, str] | None = None,
    options: Options | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    control_port: int = 0,
    ready: Callable[[str, str], None] | None = None,
) -> None:
    """Serve until cancelled. `ready` gets the address of the services and of the control page.

    folder: gets ledger.sqlite and the certificates (in pki). kind: digipoort or bank. clients:
    as for `pki.make`.
    """
    pki = make(folder / "pki", clients)
    ledger = Ledger(folder / "ledger.sqlite")
    desk = Desk(pki, ledger, FLAVOURS[kind], options)
    runners = [
        web.AppRunner(app, access_log=None, shutdown_timeout=2)
        for app in (build(desk), control(desk))
    ]
    try:
        for runner in runners:
            await runner.setup()
        await web.TCPSite(runners[0], host, port, ssl_context=ssl_context(pki)).start()
        await web.TCPSite(runners[1], "127.0.0.1", control_port).start()
        if ready is not None:
            ports = [runner.addresses[0][1] for runner in runners]
            ready(f"https://{host}:{ports[0]}", f"http://127.0.0.1:{ports[1]}")
        await asyncio.Event().wait()
    finally:
        for runner in runners:
            await runner.cleanup()
        ledger.close()


class _Server:
    """The services of one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ca, _ = desk.pki.ca.load()
        self._signer = reply.Signer(*desk.pki.signing.load())
        self._seen: set[str] = set()
        self._closing = asyncio.Event()

    async def close(self, _: web.Application) -> None:
        """Nothing waits for a client, or for a slow answer, any longer."""
        self._closing.set()

    def handler(self, service: Service) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Takes the requests of one service."""

        async def handle(request: web.Request) -> web.StreamResponse:
            self._desk.under_way += 1
            try:
                return await answer(request)
            finally:
                self._desk.under_way -= 1

        async def answer(request: web.Request) -> web.StreamResponse:
            data = await request.read()
            asked = ("", "")
            try:
                root = await asyncio.to_thread(
                    mtom.parse, request.headers.get("Content-Type", ""), data
                )
                asked = soap.glance(root)
                return await self._handle(request, service, root)
            except Refused as e:
                message_id, operation = asked
                if operation not in service.operations:
                    operation = service.operations[0]
                return _xml(reply.fault(service, operation, message_id, str(e)), status=500)

        return handle

    async def _handle(
        self, request: web.Request, service: Service, root: Element
    ) -> web.StreamResponse:
        expected = self._expected(request, service)
        envelope, operation, form = await asyncio.to_thread(self._read, root, expected)
        await self._once(envelope.message_id)
        oin = oin_of(expected.client)
        headers = reply.fresh(service, operation, envelope.message_id)
        if operation == "aanleveren":
            return await self._taken(request, headers, form, oin)
        return await self._told(headers, operation, form, oin)

    def _expected(self, request: web.Request, service: Service) -> soap.Expected:
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        der = tls.getpeercert(binary_form=True) if tls is not None else None
        if der is None:
            raise Refused("de verbinding heeft geen clientcertificaat")
        base = self._desk.options.url or f"https://{request.host}"
        return soap.Expected(
            to=base.rstrip("/") + request.path,
            service=service,
            soap_action=request.headers.get("SOAPAction", ""),
            client=x509.load_der_x509_certificate(der),
            ca=self._ca,
        )

    def _read(self, root: Element, expected: soap.Expected) -> tuple[soap.Envelope, str, Form]:
        envelope, operation = soap.check(root, expected)
        rol_needed = self._desk.flavour.rol_needed
        request = next(e for e in envelope.body if isinstance(e.tag, str))
        form = koppelvlak.read(request, operation, rol_needed=rol_needed)
        if operation == "aanleveren":
            self._desk.examine(form)
        return envelope, operation, form

    async def _once(self, message_id: str) -> None:
        """Remember a MessageID. Raises Refused when it came before, or was booked ever."""
        known = message_id in self._seen
        self._seen.add(message_id)
        if known or await asyncio.to_thread(self._desk.was_booked, message_id):
            raise Refused("wsa:MessageID is eerder gebruikt")

    # --- questions

    async def _told(
        self, headers: reply.Headers, operation: str, form: Form, oin: str
    ) -> web.StreamResponse:
        telling = await asyncio.to_thread(self._desk.telling, operation, form, oin)
        if telling is Telling.FAULT:
            raise Refused("scenario StatusInformatieFault")
        if telling is Telling.UNAVAILABLE:
            return _unavailable()
        if telling is Telling.SLOW:
            await self._sleep(self._desk.options.slow)
        content = await asyncio.to_thread(self._desk.told, operation, form, oin)
        return _xml(await asyncio.to_thread(reply.signed, headers, content, self._signer))

    # --- aanleveren

    async def _taken(
        self, request: web.Request, headers: reply.Headers, form: Form, oin: str
    ) -> web.StreamResponse:
        scenario = self._desk.choose(form)
        act = SCENARIOS[scenario].act
        if act is Act.FAULT:
            raise Refused(f"scenario {scenario}")
        if act is Act.UNAVAILABLE:
            return _unavailable()
        if act is Act.RESET_BEFORE:
            return _reset(request)
        if act is Act.LATE and not await self._after_leaving(request):
            return _reset(request)
        booking = await asyncio.to_thread(self._desk.book, form, headers.relates_to, oin, scenario)
        return await self._answered(request, act, headers, booking)

    async def _after_leaving(self, request: web.Request) -> bool:
        """Wait until the client has left, and a little longer; False when the server ends."""
        await self._left(request)
        return not await self._sleep(self._desk.options.late)

    async def _answered(
        self, request: web.Request, act: Act, headers: reply.Headers, booking: Booking
    ) -> web.StreamResponse:
        if act is Act.RESET_AFTER:
            return _reset(request)
        if act is Act.ERROR_AFTER:
            return web.Response(status=500, text="Internal Server Error")
        if act is Act.SILENT:
            await self._left(request)
            return _reset(request)
        if act is Act.SLOW:
            await self._sleep(self._desk.options.slow)
        return _xml(await asyncio.to_thread(self._reply, act, headers, booking))

    def _reply(self, act: Act, headers: reply.Headers, booking: Booking) -> Element:
        """aanleverResponse, good unless the scenario wants it wrong."""
        kenmerk = booking["kenmerk"]
        if act is Act.OTHER_KENMERK:
            before = self._desk.before(booking)
            kenmerk = before["kenmerk"] if before else kenmerk
        if act is Act.OTHER_RELATES_TO:
            headers = replace(headers, relates_to=f"urn:uuid:{uuid.uuid4()}")
        content = self._desk.answer(booking, kenmerk)
        if act is Act.UNSIGNED:
            return reply.unsigned(headers, content)
        signer = reply.Signer(*stranger()) if act is Act.FORGED else self._signer
        made = reply.signed(headers, content, signer)
        spoil = {Act.TAMPERED: reply.tampered, Act.WRAPPED: reply.wrapped}.get(act)
        return spoil(made) if spoil else made

    # --- waiting

    async def _sleep(self, seconds: float) -> bool:
        """Wait; True as soon as the server ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        return self._closing.is_set()

    async def _left(self, request: web.Request) -> None:
        """Until the client has closed the connection, or the server ends."""
        while request.transport is not None and not request.transport.is_closing():
            if await self._sleep(_LOOK):
                return


def _xml(envelope: Element, status: int = 200) -> web.Response:
    return web.Response(
        body=reply.serialized(envelope), status=status, content_type="text/xml", charset="utf-8"
    )


def _unavailable() -> web.Response:
    return web.Response(status=503, text="Service Unavailable")


def _reset(request: web.Request) -> web.Response:
    """Cut the connection with a TCP reset; the response goes nowhere."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        transport.abort()
    return web.Response()
