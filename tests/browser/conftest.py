"""The demonstration as a person meets it, and a real browser to meet it with."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@dataclass(frozen=True, slots=True)
class World:
    """A running demonstration. home: its folder; told: what ready.json says."""

    home: Path
    told: dict[str, Any]

    @property
    def portal(self) -> str:
        return str(self.told["portal"])

    def account(self, email: str) -> dict[str, str]:
        return next(a for a in self.told["accounts"] if a["email"] == email)

    def messages(self) -> list[dict[str, str]]:
        """Text messages sent so far, newest last."""
        with urllib.request.urlopen(self.told["sms"]) as answer:
            return list(json.load(answer))

    def code(self, mobile: str) -> str:
        """The newest code to a number, as "123-456"."""
        body = [m["body"] for m in self.messages() if m["to"] == mobile][-1]
        return re.search(r"\d{3}-\d{3}", body)[0]


def _port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def start(home: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start `gateway demo` and wait until it is ready."""
    env = {**os.environ, "MAP_HOME": str(home), "PORT": str(port)}
    env.pop("DATABASE_URL", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--json"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    ready = home / "ready.json"
    end = time.monotonic() + 120
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            told, _ = process.communicate()
            raise AssertionError(f"the demonstration did not start:\n{told.decode()}")
        time.sleep(0.1)
    return process


def stop(process: "subprocess.Popen[bytes]") -> int:
    """End it as Ctrl-C does; its exit code."""
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    return process.returncode


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """One demonstration for all tests of this folder (they run in one process)."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed (Debian: chromium)")
    home = Path(tempfile.mkdtemp(prefix="map-browser-"))
    home.chmod(0o711)
    process = start(home, _port())
    yield World(home, json.loads((home / "ready.json").read_text()))
    stop(process)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=list(ARGUMENTS)
        )
        yield found
        await found.close()


@dataclass(slots=True)
class Tab:
    """A page that remembers what its console complained of."""

    page: Page
    complaints: list[str]


async def open_tab(context: BrowserContext) -> Tab:
    """A tab whose console errors and refused content are kept."""
    tab = Tab(await context.new_page(), [])
    tab.page.on("console", lambda m: m.type == "error" and tab.complaints.append(m.text))
    tab.page.on("pageerror", lambda e: tab.complaints.append(str(e)))
    return tab


async def sign_in(page: Page, world: World, email: str, start: str = "/inloggen") -> None:
    """Password and SMS code, to the welcome screen."""
    account = world.account(email)
    await page.goto(world.portal + start)
    await page.get_by_label("Gebruikersnaam", exact=True).fill(email)
    await page.get_by_label("Wachtwoord", exact=True).fill(account["password"])
    await page.get_by_role("button", name="Ga verder").click()
    await page.get_by_role("heading", name="Identiteitsbevestiging").wait_for()
    first, second = world.code(account["mobile"]).split("-")
    await page.locator("input[name=code1]").fill(first)
    await page.locator("input[name=code2]").fill(second)
    await page.get_by_role("button", name="Aanmelden").click()
    await page.get_by_role("heading", name="Welkom").first.wait_for()
