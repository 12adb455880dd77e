"""Webhooks over TLS: a worker tells a receiver that proves who it is, and no other."""

import asyncio
import os
import ssl
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from tests.delivery.pki import NOW, Pair, Pki, make
from tests.packages.test_webhooks import Receiver, happens, hook, owner, verified  # noqa: F401

DAY = timedelta(days=1)
#: What is wrong with a receiver's certificate, as its package reads it.
REASONS = {
    "unknown": "tls: unable to get local issuer certificate",
    "expired": "tls: certificate has expired",
    "elsewhere": "tls: IP address mismatch, certificate is not valid for '127.0.0.1'.",
    "itself": "tls: self-signed certificate",
    "clear": "tls",
}


@pytest.fixture(scope="module")
def authorities() -> Pki:
    return Pki()


def certificate(pki: Pki, name: str) -> Pair:
    """Of a receiver."""
    if name == "unknown":
        return make("localhost", pki.other_ca, host=True)
    if name == "expired":
        return make("localhost", pki.ca, host=True, begins=NOW - 30 * DAY, ends=NOW - DAY)
    if name == "elsewhere":
        return make("elders.example", pki.ca, host="elders.example")
    return make("localhost", host=True) if name == "itself" else pki.server


@pytest.fixture
async def receivers(authorities: Pki, tmp_path: Path) -> AsyncIterator[dict[str, Receiver]]:
    """By what is wrong with them. "clear" does not speak TLS; "good" is."""
    found, runners = {}, []
    for name in ("good", *REASONS):
        made, app = Receiver(), web.Application()
        app.router.add_post("/haak", made.take)
        tls = None
        if name != "clear":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*certificate(authorities, name).write(tmp_path, name))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        made.url = f"https://127.0.0.1:{runner.addresses[0][1]}/haak"
        found[name] = made
        runners.append(runner)
    yield found
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def worker(
    office, authorities: Pki, tmp_path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`gateway worker`, which trusts our authority alone."""
    trusted, _ = authorities.ca.write(tmp_path, "trusted")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "worker", "--config", str(tmp_path / "config"),
        env={**os.environ, "SSL_CERT_FILE": str(trusted)}, stdout=DEVNULL, stderr=DEVNULL,
    )  # fmt: skip
    yield process
    process.terminate()
    assert await process.wait() == 0


async def test_only_who_proves_its_name_is_told(office, proef, receivers, worker, owner):  # noqa: F811
    made = {name: await hook(proef, one) for name, one in receivers.items()}
    id = await office.put_up()
    await happens(office, id, "1")

    async def wait_for(query: str, count: int) -> None:
        async with asyncio.timeout(120):
            while (
                await owner.fetchval(f"select count(*) from webhook_event where {query}") < count
            ):
                assert worker.returncode is None
                await asyncio.sleep(0.02)

    bad = len(REASONS)
    await wait_for("state = 'sent'", 2)
    await wait_for("state = 'waiting' and trouble <> ''", bad)
    await owner.execute("update webhook_event set due_at = now() where trouble <> ''")
    await wait_for("state = 'waiting' and tries >= 2 and trouble <> ''", bad)
    await owner.execute(
        "update webhook_event set due_at = now(), created_at = now() - interval '73 hours'"
        " where trouble <> ''"
    )
    await wait_for("state = 'dead'", bad)
    for name, one in receivers.items():
        if name == "good":
            assert [c.told["nummer"] for c in one.good] == sorted(
                c.told["nummer"] for c in one.came
            )
            assert all(verified(c, made[name]["geheim"]) for c in one.good)
            continue
        dead = (await proef.get(f"/webhooks/{made[name]['id']}/dood")).body["gebeurtenissen"]
        assert [d["reden"] for d in dead] == [REASONS[name]]
        assert dead[0]["pogingen"] >= 3
        assert one.came == []
