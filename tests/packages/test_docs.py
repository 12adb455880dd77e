"""docs/packages.md is followed from the top: its commands are run as they stand there."""

import asyncio
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "packages.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
#: The sandbox's own: the demonstration is tried in tests/demo and by the kit's tests.
_NOT_HERE = ("export ", "gateway ")


async def _run(code: str, kind: str, folder: Path, env: dict[str, str]) -> tuple[int, str]:
    words = ["bash", "-euc", code] if kind == "bash" else [sys.executable, "-c", code]
    made = await asyncio.create_subprocess_exec(
        *words, cwd=folder, env=env, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await made.communicate()
    return made.returncode or 0, told.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_examples_work(proef, tmp_path):
    """With the names of this office for those of the sandbox."""
    work = tmp_path / "work"
    work.mkdir()
    port = proef.client.server.port
    here = Path(sys.executable).parent
    env = {**os.environ, "PORTAL": f"http://127.0.0.1:{port}", "KEY": proef.key,
           "PATH": f"{here}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}  # fmt: skip
    ran = 0
    for kind, code in BLOCKS:
        if code.startswith(_NOT_HERE):
            continue
        mine = code.replace("archief", "map").replace("Correspondentie", "Stukken")
        status, told = await _run(mine, kind, work, env)
        assert status == 0, f"{code}\n{told}"
        ran += 1
    assert ran >= 7
