"""Each way out, against the simulator over real HTTP."""

import asyncio
import io
import json

import pytest

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


async def test_messagebird_does_not_hold_the_loop(provider):
    way = sender("messagebird", str(provider.make_url("")))
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0)
            beats += 1

    heart = asyncio.create_task(beat())
    await asyncio.gather(*(way.send("+31610000101", "Accountant", "x") for _ in range(8)))
    heart.cancel()
    await way.aclose()
    assert beats > 50


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
