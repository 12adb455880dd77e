"""The simulators as programs: what they keep, show and forget."""

import json

import pytest

from gateway.simulators import mail, sms
from gateway.simulators.kept import MOST, Kept

MESSAGE = {"to": "+31610000101", "from": "Accountant", "body": "123-456 <b>is uw code</b>"}


async def test_a_second_run_finds_the_messages(aiohttp_client, tmp_path):
    file = tmp_path / "sms.jsonl"
    first = await aiohttp_client(sms.build(file))
    for n in range(3):
        answer = await first.post("/", json={**MESSAGE, "body": f"nummer {n}"})
        assert answer.status == 201
    second = await aiohttp_client(sms.build(file))
    found = await (await second.get("/")).json()
    assert [m["body"] for m in found] == ["nummer 0", "nummer 1", "nummer 2"]
    assert set(found[0]) == {"to", "from", "body", "at"}
    assert (await second.delete("/")).status == 204
    assert await (await second.get("/")).json() == []
    assert not file.exists()


def test_the_file_does_not_grow_and_survives_a_kill(tmp_path):
    file = tmp_path / "kept.jsonl"
    kept = Kept(file)
    for n in range(MOST + 50):
        kept.add(n=n)
    with file.open("a") as out:
        out.write('{"n": "cut o')
    again = Kept(file)
    assert [m["n"] for m in again.all()] == list(range(50, MOST + 50))
    assert len(file.read_text().splitlines()) == MOST
    again.add(n="after")
    assert [json.loads(line)["n"] for line in file.read_text().splitlines()][-1] == "after"


@pytest.mark.parametrize("build", [sms.build, lambda: mail.build(mail.open_mailbox())])
async def test_a_person_gets_a_page(build, aiohttp_client):
    client = await aiohttp_client(build())
    await client.post("/", json=MESSAGE)
    answer = await client.get("/", headers={"Accept": "text/html"})
    text = await answer.text()
    assert "<a href=''>Vernieuwen</a>" in text
    assert "<b>is uw code</b>" not in text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("body", ["", "[]", "{}", "geen json"])
@pytest.mark.parametrize("path", ["/", "/messages", "/v1/sms/messages"])
async def test_what_is_no_message_is_refused(path, body, aiohttp_client):
    client = await aiohttp_client(sms.build())
    headers = {"Authorization": "AccessKey x" if path == "/messages" else "Bearer x"}
    answer = await client.post(path, data=body, headers={**headers, "Idempotency-Key": "1"})
    assert answer.status == 400
    assert await (await client.get("/")).json() == []
