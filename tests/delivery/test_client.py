"""The client over real TLS: how each way of going wrong is called, and nothing goes twice."""

import asyncio
import contextlib
import socket
import ssl
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from gateway.delivery import wus
from gateway.delivery.client import Client, Destination, Limits
from gateway.delivery.outcomes import NotSent, Refused, Unclear, Unsendable
from gateway.delivery.xop import split
from gateway.domain.sbr import MOST, Bestand, Identiteit
from gateway.errors import ConfigInvalid
from tests.delivery.pki import Pki
from tests.delivery.replies import ACTION, NS, STATUS, Reply, fault, ontvangst, statussen
from tests.delivery.service import Behaviour, Request, Service, context, running
from tests.delivery.test_messages import BERICHT, PROCESSEN, SOORTEN

WHO = Identiteit("001000044B37", "Fi")
KENMERK = "700627b6-383e-4d8d-809f-b066845b36e0"


@pytest.fixture
async def service(pki: Pki, tmp_path: Path) -> AsyncIterator[Service]:
    async with running(context(pki, tmp_path)) as made:
        yield made


@pytest.fixture
def destination(pki: Pki, trust, service: Service) -> Destination:
    base = f"{service.url}/wus/2.0"
    return Destination(
        "test",
        f"{base}/aanleverservice/1.2",
        f"{base}/statusinformatieservice/1.2",
        f"{base}/ophaalservice/1.2",
        pki.client.credentials(),
        trust,
        tls_ca=pki.ca.pem,
    )


Open = Callable[..., "contextlib.AbstractAsyncContextManager[Client]"]


@pytest.fixture
def opened(destination: Destination) -> Open:
    """A client of the destination, with changes to it."""

    @contextlib.asynccontextmanager
    async def make(**changes: object) -> AsyncIterator[Client]:
        client = await Client.open(replace(destination, **changes))
        try:
            yield client
        finally:
            await client.close()

    return make


def answering(pki: Pki, status: str = "200 OK", **changes: object) -> Behaviour:
    """Answers what is asked with a signed reply, made a moment ago."""

    async def behave(request: Request) -> None:
        await request.read()
        reply = Reply(**{"relates_to": request.message_id, "created": now(), **changes})
        request.answer(reply.made(pki.service), status)

    return behave


def now() -> datetime:
    return datetime.now(UTC)


async def deliver(client: Client, bericht):
    return await client.deliver(bericht, wus.new_message_id())


async def test_a_delivery_is_taken_in(service, opened, pki, aanlevering):
    service.behave = answering(pki)
    async with opened() as client:
        message_id = wus.new_message_id()
        found = await client.deliver(aanlevering(), message_id)
    (request,) = service.requests
    assert (found.kenmerk, found.belanghebbende) == (KENMERK, WHO)
    assert request.message_id == message_id
    assert request.path == "/wus/2.0/aanleverservice/1.2"
    assert request.headers["soapaction"] == f'"{ACTION}Request"'
    assert request.headers["content-type"] == "text/xml; charset=utf-8"
    assert request.client == pki.client.certificate.public_bytes(Encoding.DER)
    assert etree.fromstring(found.reply).findtext(".//k:kenmerk", None, NS) == KENMERK


async def test_each_delivery_has_a_connection_of_its_own(service, opened, pki, aanlevering):
    """So a connection that the server closed in the mean time never gets one."""
    service.behave = answering(pki)
    async with opened() as client:
        for _ in range(3):
            await deliver(client, aanlevering())
    assert (service.connections, len(service.requests)) == (3, 3)


async def test_the_questions_are_answered(service, opened, pki):
    async with opened() as client:
        service.behave = answering(
            pki, action=f"{STATUS}getStatussenProcesResponse",
            content=statussen(("k-1", "500", "2026-03-07T11:00:02Z")),
        )  # fmt: skip
        found = await client.statuses("k-1", now() - timedelta(hours=1), now())
        assert [s.statuscode for s in found] == ["500"]
        service.behave = answering(
            pki, action=f"{STATUS}getProcessenResponse", content=PROCESSEN
        )  # fmt: skip
        assert [p.kenmerk for p in await client.processes("Omzetbelasting", WHO)] == ["k-1"]
        service.behave = answering(
            pki, action=f"{STATUS}getBerichtsoortenResponse", content=SOORTEN
        )  # fmt: skip
        assert await client.berichtsoorten(WHO) == ["Omzetbelasting", "ICP"]
        ophalen = STATUS.replace("statusinformatieservice", "ophaalservice").replace(
            "StatusinformatieService", "OphaalService"
        )
        service.behave = answering(
            pki, action=f"{ophalen}getBerichtenKenmerkResponse", content=BERICHT
        )  # fmt: skip
        bericht = await client.message("k-1")
        assert bericht is not None
        assert bericht.aanleverkenmerk == "MAP-0001"


async def test_a_bank_has_no_ophaalservice(service, opened):
    async with opened(ophalen=None) as client:
        assert await client.message("k-1") is None
    assert service.connections == 0


async def test_mtom_goes_and_comes(service, opened, pki, aanlevering):
    async def behave(request: Request) -> None:
        await request.read()
        assert b"<xbrl>" in request.body
        request.body, _ = split(request.headers["content-type"], request.body)
        reply = Reply(request.message_id, created=now()).made(pki.service)
        request.answer(
            b"--b\r\nContent-Type: application/xop+xml\r\nContent-ID: <0>\r\n\r\n" + reply
            + b"\r\n--b--\r\n",
            kind='multipart/related; type="application/xop+xml"; start="<0>"; boundary=b',
        )  # fmt: skip

    service.behave = behave
    async with opened(mtom=True) as client:
        assert (await deliver(client, aanlevering())).kenmerk == KENMERK
    assert service.requests[0].headers["content-type"].startswith("multipart/related")


# --- unclear: a byte of the body may have left


async def _reset_before_reading(request: Request) -> None:
    request.reset()


async def _reset_after_reading(request: Request) -> None:
    await request.read()
    request.reset()


async def _close_without_a_word(request: Request) -> None:
    await request.read()
    request.writer.close()


def _says(body: bytes, status: str, **how: object) -> Behaviour:
    async def behave(request: Request) -> None:
        await request.read()
        request.answer(body, status, **how)

    return behave


async def _no_http(request: Request) -> None:
    await request.read()
    request.writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")


async def _early_answer(request: Request) -> None:
    """Before the body was read, and then no more of it."""
    request.answer(b"", "503 Service Unavailable", more="Connection: close\r\n")
    await request.writer.drain()
    request.writer.close()


HTML = b"<html>Er ging iets mis</html>"
UNCLEAR = {
    "reset before the body was read": ("cut", _reset_before_reading),
    "reset after the body was read": ("cut", _reset_after_reading),
    "closed without a word": ("cut", _close_without_a_word),
    "500 with html": ("http_500", _says(HTML, "500 Oops", kind="text/html")),
    "500 with nothing": ("http_500", _says(b"", "500 Oops")),
    "302": ("http_302", _says(b"", "302 Found", more="Location: /wus/2.0/elders\r\n")),
    "307": ("http_307", _says(b"", "307 Found", more="Location: /wus/2.0/elders\r\n")),
    "401": ("http_401", _says(b"", "401 Unauthorized")),
    "503": ("http_503", _says(HTML, "503 Busy", more="Retry-After: 1\r\n")),
    "202 with nothing": ("http_202", _says(b"", "202 Accepted")),
    "200 with html": ("garbage", _says(HTML, "200 OK", kind="text/html")),
    "200 with nothing": ("garbage", _says(b"", "200 OK")),
    "200 with no multipart": ("garbage", _says(HTML, "200 OK", kind="multipart/related")),
    "200 compressed": ("garbage", _says(b"\x1f\x8b\x08", "200 OK",
                                        more="Content-Encoding: gzip\r\n")),
    "no HTTP": ("garbage", _no_http),
    "reply too large": ("too_large", _says(bytes(5000), "200 OK")),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "behave"), UNCLEAR.values(), ids=UNCLEAR.keys())
async def test_what_is_unclear(service, opened, aanlevering, reason, behave):
    service.behave = behave
    async with opened(limits=Limits(reply=4096)) as client:
        with pytest.raises(Unclear) as caught:
            await deliver(client, aanlevering())
    assert caught.value.reason == reason
    assert len(service.requests) == 1


async def test_a_large_body_is_cut_halfway(service, opened, aanlevering):
    """The server goes away while it comes in."""
    service.behave = _reset_before_reading
    async with opened() as client:
        with pytest.raises(Unclear) as caught:
            await deliver(client, aanlevering(inhoud=Bestand("a", "b/c", bytes(MOST))))
    assert caught.value.reason == "cut"
    assert len(service.requests) == 1


async def test_an_answer_to_half_a_body_is_unclear(service, opened, aanlevering):
    service.behave = _early_answer
    async with opened() as client:
        with pytest.raises(Unclear) as caught:
            await deliver(client, aanlevering(inhoud=Bestand("a", "b/c", bytes(MOST))))
    assert caught.value.reason in ("http_503", "cut")


async def test_a_reply_that_is_cut_off(service, opened, pki, aanlevering):
    async def behave(request: Request) -> None:
        await request.read()
        reply = Reply(request.message_id, created=now()).made(pki.service)
        request.answer(reply[:-100], length=len(reply))
        await request.writer.drain()
        request.writer.close()

    service.behave = behave
    async with opened() as client:
        with pytest.raises(Unclear) as caught:
            await deliver(client, aanlevering())
    assert caught.value.reason == "cut"


async def test_no_answer_in_time(service, opened, aanlevering):
    gone = asyncio.Event()

    async def behave(request: Request) -> None:
        await request.read()
        await request.reader.read()  # until the client goes
        gone.set()

    service.behave = behave
    async with opened(limits=Limits(total=0.5)) as client:
        with pytest.raises(Unclear) as caught:
            await deliver(client, aanlevering())
        await gone.wait()
    assert caught.value.reason == "timeout"
    assert len(service.requests) == 1


FORGED = {
    "another message's reply": ({"relates_to": "urn:uuid:1"}, "forged"),
    "old": ({"created": datetime(2020, 1, 1, tzinfo=UTC)}, "forged"),
    "another service's action": ({"action": f"{STATUS}getProcessenResponse"}, "forged"),
    "another bericht": ({"content": ontvangst(aanleverkenmerk="MAP-0002")}, "echo"),
    "another client": ({"content": ontvangst(nummer="999999990B01")}, "echo"),
    "another berichtsoort": ({"content": ontvangst(soort="ICP")}, "echo"),
    "no kenmerk": ({"content": ontvangst(kenmerk="")}, "garbage"),
    "an answer to a question": ({"content": statussen()}, "garbage"),
}


@pytest.mark.parametrize(("changes", "reason"), FORGED.values(), ids=FORGED.keys())
async def test_a_reply_that_is_not_the_reply(
    service, opened, pki, aanlevering, changes, reason
):  # fmt: skip
    service.behave = answering(pki, **changes)
    async with opened() as client:
        with pytest.raises(Unclear) as caught:
            await deliver(client, aanlevering())
    assert caught.value.reason == reason


@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
async def test_an_unsigned_fault_is_unclear_with_its_code(service, opened, aanlevering, status):
    async def behave(request: Request) -> None:
        await request.read()
        reply = Reply(request.message_id, content=fault(), action=f"{ACTION}/Fault/")
        request.answer(reply.plain(), status)

    service.behave = behave
    async with opened() as client:
        with pytest.raises(Unclear) as caught:
            await deliver(client, aanlevering())
    assert (caught.value.reason, caught.value.code) == ("unsigned_fault", "ALS100")
    assert caught.value.text == "Het verzoek voldoet niet."


async def test_a_signed_fault_is_a_refusal(service, opened, pki, aanlevering):
    service.behave = answering(
        pki, "500 Internal Server Error", content=fault("ALS110"), action=f"{ACTION}/Fault/"
    )
    async with opened() as client:
        with pytest.raises(Refused) as caught:
            await deliver(client, aanlevering())
    assert caught.value.code == "ALS110"


# --- not sent: no byte of the body left


async def test_an_unknown_host(opened, aanlevering):
    urls = dict.fromkeys(("aanleveren", "statusinformatie"), "https://nergens.invalid/x")
    async with opened(**urls, ophalen=None) as client:
        with pytest.raises(NotSent) as caught:
            await deliver(client, aanlevering())
    assert caught.value.reason == "dns"


@contextlib.contextmanager
def _port(listening: bool):
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        if listening:
            made.listen()
        url = f"https://127.0.0.1:{made.getsockname()[1]}/x"
        yield {"aanleveren": url, "statusinformatie": url, "ophalen": None}


@pytest.mark.parametrize(("listening", "reason"), [(False, "connect"), (True, "timeout")])
async def test_nobody_answers(opened, aanlevering, listening, reason):
    """A port that is closed, and one behind which nobody begins TLS."""
    with _port(listening) as urls:
        async with opened(**urls, limits=Limits(connect=0.3)) as client:
            with pytest.raises(NotSent) as caught:
                await deliver(client, aanlevering())
    assert caught.value.reason == reason


async def test_a_server_that_is_not_trusted(service, opened, pki, aanlevering):
    async with opened(tls_ca=pki.other_ca.pem) as client:
        with pytest.raises(NotSent) as caught:
            await deliver(client, aanlevering())
    assert caught.value.reason == "tls"
    assert service.requests == []


async def test_a_server_that_does_not_trust_us(pki, opened, aanlevering, tmp_path):
    """With TLS 1.2 the handshake fails; with 1.3 it may only fail after the body."""
    tls = context(pki, tmp_path)
    tls.maximum_version = ssl.TLSVersion.TLSv1_2
    async with running(tls) as service:
        urls = dict.fromkeys(("aanleveren", "statusinformatie"), f"{service.url}/x")
        changes = {**urls, "ophalen": None, "credentials": pki.stranger.credentials()}
        async with opened(**changes) as client:
            with pytest.raises(NotSent):
                await deliver(client, aanlevering())
        assert service.requests == []


async def test_what_breaks_the_limits_is_not_sent(service, opened, aanlevering):
    async with opened() as client:
        with pytest.raises(Unsendable) as caught:
            await deliver(client, aanlevering(inhoud=Bestand("a", "b/c", bytes(MOST + 1))))
    assert set(caught.value.faults) == {"berichtInhoud.inhoud"}
    assert service.connections == 0


# --- how it does it


async def test_the_largest_bericht_is_not_copied(service, opened, pki, aanlevering):
    """20 MiB over TLS costs pieces: it goes out as fast as it is taken."""

    async def behave(request: Request) -> None:
        left = int(request.headers["content-length"])
        first = await request.reader.readexactly(min(left, 8192))
        left -= len(first)
        while left:
            left -= len(await request.reader.read(65536))
        begin = first.index(b"urn:uuid:")
        message_id = first[begin : first.index(b"<", begin)].decode()
        request.answer(Reply(message_id, created=now()).made(pki.service))

    service.behave = behave
    largest = aanlevering(inhoud=Bestand("a.xbrl", "application/xml", bytes(MOST)))
    async with opened() as client:
        await deliver(client, aanlevering())
        tracemalloc.start()
        await deliver(client, largest)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 6 * 1024 * 1024


async def test_signing_is_not_done_on_the_loop(service, destination, pki, aanlevering):
    threads: list[int] = []

    def clock() -> datetime:
        threads.append(threading.get_ident())
        return now()

    service.behave = answering(pki)
    client = await Client.open(destination, clock)
    await deliver(client, aanlevering())
    await client.close()
    assert threads[0] != threading.get_ident()


async def test_a_cancelled_delivery_goes_no_further(service, opened, aanlevering):
    started, ended = asyncio.Event(), asyncio.Event()

    async def behave(request: Request) -> None:
        started.set()
        await request.reader.read()
        ended.set()

    service.behave = behave
    async with opened() as client:
        task = asyncio.create_task(deliver(client, aanlevering()))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(service.requests) == 1


def test_a_destination_is_one_host(destination):
    with pytest.raises(ConfigInvalid):
        replace(destination, ophalen="https://elders.example/x")
    with pytest.raises(ConfigInvalid):
        replace(destination, aanleveren="http://127.0.0.1/x")


def test_no_key_is_shown(destination, pki):
    secret = pki.client.key_pem.splitlines()[1]
    assert secret not in repr(destination)
    assert "PRIVATE" not in repr(destination.credentials)
