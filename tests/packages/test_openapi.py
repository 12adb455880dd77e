"""The description is a good one, and the interface does what it says: schemathesis asks."""

import asyncio
import sys
from datetime import timedelta

from aiohttp.test_utils import TestServer
from openapi_spec_validator import validate

from gateway.api import calling
from gateway.api.app import PREFIX, operations
from gateway.domain.throttle import Limit
from gateway.flows import events

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,missing_required_header,unsupported_method,ignored_auth,"
    "negative_data_rejection"
)


async def test_the_description_is_openapi_3_1(proef):
    async with proef.client.get(f"{PREFIX}/openapi.json") as r:
        told = await r.json()
    validate(told)
    assert told["openapi"].startswith("3.1")
    described = {(m.upper(), p) for p, ms in told["paths"].items() for m in ms}
    assert described == {(o.method, o.path) for o in operations()}


async def test_schemathesis_finds_nothing(proef, monkeypatch, tmp_path):
    """No server error, and no answer that the description does not have."""
    monkeypatch.setattr(calling, "_LIMIT", Limit("much", 10**6, timedelta(minutes=1)))
    monkeypatch.setattr(events, "LONGEST", 0.1)
    server: TestServer = proef.client.server
    address = f"http://127.0.0.1:{server.port}{PREFIX}"
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json",
        "--url", address, "--header", f"Authorization: Bearer {proef.key}", "--checks", CHECKS,
        "--max-examples", "20", "--seed", "7", "--phases", "examples,coverage,fuzzing",
        "--generation-database", "none", "--no-color",
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await made.communicate()
    assert made.returncode == 0, told.decode()[-6000:]
