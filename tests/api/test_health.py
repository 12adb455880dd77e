"""Health and metrics, for machines."""

import pytest

from gateway import app as application
from gateway.connector.breaker import State
from tests.faults.conftest import (  # noqa: F401
    Office,
    base_url,
    client,
    office,
    phone,
    plain_portal,
    portal,
    portal_app,
)


async def test_live(client):  # noqa: F811
    answer = await client.get("/health/live", headers={"Host": "10.1.2.3"})
    assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_ready_names_what_is_not(office: Office, client):  # noqa: F811
    answer = await client.get("/health/ready")
    assert (await answer.json())["sources"] == "ok"
    breaker = office.portal.sources.get("eikenhof", "ziek").breaker
    breaker.failed(breaker.enter(), attention=True)
    assert breaker.state is State.OPEN
    answer = await client.get("/health/ready")
    assert answer.status == 200  # a sick back office does not take the portal out of service
    assert (await answer.json())["sources"] == {"eikenhof/ziek": "needs_attention"}


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 200), ({"X-Forwarded-For": "127.0.0.1"}, 404)]
)
async def test_metrics_without_a_token(client, headers, status):  # noqa: F811
    answer = await client.get("/health/metrics", headers=headers)
    assert answer.status == status
    if status == 200:
        assert "map_source_calls_total" in await answer.text()


@pytest.mark.parametrize(
    ("given", "status"), [("Bearer s3cret", 200), ("Bearer anders", 404), ("", 404)]
)
async def test_metrics_with_a_token(portal, tmp_path, aiohttp_client, given, status):  # noqa: F811
    pictures = tmp_path / "config" / "firms"
    client = await aiohttp_client(  # noqa: F811
        application.build(portal, pictures=pictures, metrics_token="s3cret")
    )
    answer = await client.get("/health/metrics", headers={"Authorization": given})
    assert answer.status == status
