"""The kit for package makers, against ourselves; and against what is broken."""

import asyncio
import json
import sys
from typing import Any

from gateway.api import stukken
from tests.domain.xbrl.made import NUMBER


async def run(proef) -> tuple[int | None, dict[str, Any]]:
    """Exit code and what it says, as a package maker runs it."""
    address = f"http://127.0.0.1:{proef.client.server.port}"
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "kit", address, "--key", proef.key,
        "--number", NUMBER, "--json", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await made.communicate()
    return made.returncode, json.loads(told)


async def test_all_of_it_passes_against_ourselves(proef):
    code, told = await run(proef)
    assert [s for s in told["steps"] if not s["passed"]] == []
    assert (code, len(told["steps"])) == (0, 11)


async def test_it_finds_what_is_broken(proef, monkeypatch):
    async def wrong(*_: object) -> dict[str, str]:
        return {"id": "x"}

    monkeypatch.setattr(stukken, "_told", wrong)
    code, told = await run(proef)
    assert code == 1
    assert {s["passed"] for s in told["steps"]} == {True, False}
