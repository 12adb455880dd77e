"""Each way out, against the simulator over real HTTP."""

import asyncio
import io
import json

import pytest
from aiohttp import web

from gateway import log
from gateway.notify.sms import BirdSender, MessagebirdSender, SimulatorSender, SmsFailed
from gateway.simulators import sms

KEY = "geheime-sleutel-van-de-provider"


@pytest.fixture
async def provider(aiohttp_server):
    return await aiohttp_server(sms.build())


def sender(kind: str, url: str, timeout: float = 3.0):
    if kind == "simulator":
        return SimulatorSender(url, timeout)
    return {"bird": BirdSender, "messagebird": MessagebirdSender}[kind](KEY, url, timeout)


KINDS = ["simulator", "bird", "messagebird"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_arrives(kind, provider, aiohttp_client):
    way = sender(kind, str(provider.make_url("")))
    await way.send("+31610000101", "Accountant", "123-456 is uw code")
    await way.aclose()
    client = await aiohttp_client(provider)
    (message,) = await (await client.get("/")).json()
    assert message["to"] == "+31610000101"
    assert (message["from"], message["body"]) == ("Accountant", "123-456 is uw code")
    assert "T" in message["at"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("number", "retryable"),
    [("+31610000900", True), ("+31610000902", False), ("+31610000903", True)],
)
async def test_what_a_provider_refuses(kind, number, retryable, provider):
    way = sender(kind, str(provider.make_url("")))
    with pytest.raises(SmsFailed) as told:
        await way.send(number, "Accountant", "tekst")
    await way.aclose()
    assert told.value.retryable is retryable


@pytest.mark.parametrize("kind", KINDS)
async def test_a_provider_that_does_not_answer_is_left(kind, provider):
    way = sender(kind, str(provider.make_url("")), timeout=0.2)
    with pytest.raises(SmsFailed):
        await way.send("+31610000901", "Accountant", "tekst")
    await way.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_provider_that_is_not_there(kind):
    way = sender(kind, "http://127.0.0.1:1")
    with pytest.raises(SmsFailed):
        await way.send("+31610000101", "Accountant", "tekst")
    await way.aclose()


async def _answering(aiohttp_server, text: str, status: int = 201) -> str:
    """The address of a provider that answers every message so."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, status=status)

    app = web.Application()
    app.router.add_post("/{any:.*}", answer)
    return str((await aiohttp_server(app)).make_url(""))


async def test_messagebird_does_not_hold_the_loop(aiohttp_server):
    """The provider is on the same loop, and answers nobody before four have asked."""
    all_here = asyncio.Barrier(4)

    async def answer(_: web.Request) -> web.Response:
        await all_here.wait()
        return web.Response(text='{"id": "1"}', status=201)

    app = web.Application()
    app.router.add_post("/{any:.*}", answer)
    way = sender("messagebird", str((await aiohttp_server(app)).make_url("")))
    sent = await asyncio.gather(*(way.send("+31610000101", "Accountant", "x") for _ in range(4)))
    await way.aclose()
    assert len(sent) == 4


@pytest.mark.parametrize("kind", ["bird", "messagebird"])
@pytest.mark.parametrize("status", [301, 400, 401, 404, 500, 503])
@pytest.mark.parametrize(
    "text", ["", "[]", "null", "<html>", '{"errors": null}', '{"errors": [5]}']
)
async def test_whatever_a_provider_answers_is_told_in_one_way(kind, status, text, aiohttp_server):
    way = sender(kind, await _answering(aiohttp_server, text, status))
    with pytest.raises(SmsFailed) as told:
        await way.send("+31610000101", "Accountant", "123-456")
    await way.aclose()
    assert KEY not in str(told.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "<html>", '{"recipients": 5}'])
async def test_messagebird_takes_no_answer_that_it_does_not_know(text, aiohttp_server):
    way = sender("messagebird", await _answering(aiohttp_server, text))
    with pytest.raises(SmsFailed):
        await way.send("+31610000101", "Accountant", "123-456")
    await way.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_logs_hold_no_key_number_or_text(kind, provider):
    stream = io.StringIO()
    log.configure(level="debug", stream=stream)
    way = sender(kind, str(provider.make_url("")))
    await way.send("+31610000101", "Accountant", "123-456 is uw code")
    with pytest.raises(SmsFailed):
        await way.send("+31610000902", "Accountant", "654-321 is uw code")
    await way.aclose()
    text = stream.getvalue()
    assert [json.loads(line)["event"] for line in text.splitlines()].count("sms_sent") == 1
    for secret in (KEY, "31610000101", "123-456", "654-321"):
        assert secret not in text
