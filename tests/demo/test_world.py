"""`gateway demo`: starts, tells, is found again, and ends without leaving anything behind."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import World, _port, start, stop

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="map-world-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _gateway(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of operations on the running world."""
    line = f'. {home}/env && exec "{sys.executable}" -m gateway "$@"'
    return subprocess.run(["sh", "-c", line, "sh", *words], capture_output=True, text=True)


def _ours(home: Path) -> list[str]:
    """Processes that were told this home, on their command line or in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            told = line and f"MAP_HOME={home}\0".encode() in (entry / "environ").read_bytes()
        except OSError:
            continue
        if told or str(home).encode() in line:
            found.append(line.decode())
    return found


def test_a_day_in_the_world(home: Path):
    port = _port()
    process = start(home, port)
    told = json.loads((home / "ready.json").read_text())
    assert told["portal"] == f"http://127.0.0.1:{port}"
    assert {"role", "firm", "name", "email", "password", "mobile"} <= set(told["accounts"][0])
    assert {a["firm"] for a in told["accounts"]} == {"lindehof", "zeewind"}

    added = _gateway(
        home, "person", "add", "--firm", "lindehof", "--mail", "nieuw@x.example", "--name", "N",
        "--mobile", "06 12345678", "--klant", "400101", "--json",
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["username"] == "nieuw@x.example"
    again = _gateway(
        home, "person", "add", "--firm", "lindehof", "--mail", "nieuw@x.example", "--name", "N",
        "--mobile", "0546",
    )  # fmt: skip
    assert again.returncode == 1
    assert "mobiel" in again.stderr
    assert _gateway(home, "person", "disable", "--firm", "niets", "a@b.example").returncode == 2
    for _ in range(200):
        with urllib.request.urlopen(told["mail"]) as answer:
            letters = json.load(answer)
        if letters:
            break
        time.sleep(0.1)
    assert letters[-1]["to"] == "nieuw@x.example"
    assert f"{told['portal']}/wachtwoord/lindehof/" in letters[-1]["body"]
    assert stop(process) == 0
    assert not (home / "ready.json").exists()
    assert _ours(home) == []

    process = start(home, port)  # and everything is still there
    world = World(home, json.loads((home / "ready.json").read_text()))
    assert world.told["accounts"] == told["accounts"]
    reset = _gateway(home, "person", "reset", "--firm", "lindehof", "nieuw@x.example")
    assert reset.returncode == 0, reset.stderr
    with urllib.request.urlopen(world.told["mail"]) as answer:
        assert json.load(answer)[0]["to"] == "nieuw@x.example"
    assert stop(process) == 0
    assert _ours(home) == []


def test_a_port_that_is_taken(home: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env = {**os.environ, "MAP_HOME": str(home), "PORT": str(taken.getsockname()[1])}
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "demo"], env=env, capture_output=True, text=True
        )
    assert done.returncode == 2
    assert "is taken; choose another with PORT=" in done.stderr
    assert "Traceback" not in done.stderr
