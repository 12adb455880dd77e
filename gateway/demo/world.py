"""Starts everything on this machine, tells where it is, and ends it in order."""

import asyncio
import contextlib
import json
import os
import secrets
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from gateway import app, settings
from gateway.demo import data, follow, postgres, seed
from gateway.demo.seaweed import Identity, Seaweed
from gateway.errors import PortalError
from gateway.simulators import backoffice, mail, sms
from gateway.simulators.digipoort import server as digipoort
from gateway.simulators.digipoort.desk import Options
from gateway.store.migrate import migrate

CONFIG = Path(__file__).parents[2] / "config"


class DemoFailed(PortalError):
    """The demonstration could not start."""


class World:
    """Everything that runs, on one stack that ends it in the opposite order."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home.resolve(), port
        self.stack = contextlib.AsyncExitStack()
        self.children: list[asyncio.subprocess.Process] = []
        self.env: dict[str, str] = {}
        self.package: dict[str, str] = {}

    async def start(self, told: Callable[[str], None]) -> dict[str, Any]:
        """Start it all. What ready.json holds."""
        _refuse_taken(self.port)
        keys = self._secrets()
        self.env |= {
            "MAP_HOME": str(self.home),
            "PORT": str(self.port),
            "MAP_BASE_URL": f"http://127.0.0.1:{self.port}",
        }
        told("PostgreSQL")
        await self._postgres()
        told("file shares")
        await asyncio.to_thread(seed.files, self.home / "backoffice", self.home / "package")
        told("S3 (SeaweedFS)")
        await self._s3(keys)
        told("simulators")
        urls = await self._simulators(keys)
        urls |= await self._receivers()
        told("portal and worker")
        await self._accounts()
        self._environment()
        await self._child("serve")
        await self._child("worker")
        await self._ready()
        return self._told(urls)

    async def stop(self) -> None:
        """End it all: the portal first, PostgreSQL last."""
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
        for child in self.children:
            try:
                await asyncio.wait_for(child.wait(), 15)
            except TimeoutError:
                child.kill()
        await self.stack.aclose()

    # --- the parts

    def _secrets(self) -> Mapping[str, str]:
        """Secrets of this demonstration, made once and kept."""
        folder = self.home / "secrets"
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        found = {}
        for name in ("key", "s3_access_key", "s3_secret_key", "soap_token"):
            path = folder / name
            if not path.exists():
                path.write_text(secrets.token_hex(10 if name == "s3_access_key" else 24) + "\n")
                path.chmod(0o600)
            found[name] = path.read_text().strip()
        return found

    async def _postgres(self) -> None:
        server = postgres.from_environment(self.home / "postgres")
        await asyncio.to_thread(server.start)
        self.stack.push_async_callback(asyncio.to_thread, server.stop)
        if server.moved:
            print(f"  (its data is in {server.moved}: it may not run as root)", file=sys.stderr)
        await asyncio.to_thread(server.create, "portal")
        self.env["DATABASE_URL"] = server.dsn("portal")

    async def _s3(self, keys: Mapping[str, str]) -> None:
        identity = Identity("portal", keys["s3_access_key"], keys["s3_secret_key"])
        server = Seaweed(self.home / "s3", (identity,))
        await asyncio.to_thread(server.start)
        self.stack.push_async_callback(asyncio.to_thread, server.stop)
        self.env["MAP_S3_URL"] = server.endpoint
        await seed.objects(server.endpoint, identity.access_key, identity.secret_key)

    async def _simulators(self, keys: Mapping[str, str]) -> dict[str, str]:
        letters = mail.open_mailbox(self.home / "mail.jsonl")
        port = _free(self.port + 3)
        listener = await asyncio.get_running_loop().create_server(
            lambda: mail.smtp(letters), "127.0.0.1", port
        )
        self.stack.callback(listener.close)
        sms_url = await self._site(sms.build(self.home / "sms.jsonl"), 1)
        mail_url = await self._site(mail.build(letters), 2)
        package = backoffice.build(self.home / "package" / "lindehof", keys["soap_token"])
        soap_url = await self._site(package, 4)
        self.env |= {
            "MAP_SMTP_PORT": str(port),
            "MAP_SMS_URL": sms_url,
            "MAP_SOAP_URL": soap_url.rstrip("/"),
        }
        return {"sms": sms_url, "mail": mail_url, "soap": soap_url, "s3": self.env["MAP_S3_URL"]}

    async def _receivers(self) -> dict[str, str]:
        """Digipoort and the banks, at sixty times their pace; what ready.json tells of them."""
        found = {}
        for kind, variable, offset in (("digipoort", "DIGIPOORT", 5), ("bank", "BANK", 7)):
            urls: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
            task = asyncio.create_task(
                digipoort.run(
                    self.home / kind,
                    kind=kind,
                    clients={"kantoor": data.KVK},
                    options=Options(speed=60, receivers=data.BANKS),
                    port=_free(self.port + offset),
                    control_port=_free(self.port + offset + 1),
                    ready=_putter(urls),
                )
            )
            self.stack.push_async_callback(_ended, task)
            told = asyncio.create_task(urls.get())
            await asyncio.wait((task, told), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            self.env[f"MAP_{variable}_URL"], found[kind] = await told
        return found

    async def _site(self, application: web.Application, offset: int) -> str:
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        port = _free(self.port + offset)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return f"http://127.0.0.1:{port}/"

    async def _accounts(self) -> None:
        await migrate(self.env["DATABASE_URL"])
        found = settings.load(CONFIG, {**os.environ, **self.env})
        async with app.opened(found) as portal:
            await seed.people(portal)
            await seed.stukken(portal, self.home / "backoffice")
            self.package = await seed.package(portal, self.home / "secrets" / "package_key")

    def _environment(self) -> None:
        """What the commands of operations need to work on this world."""
        lines = [f"export {k}={shlex.quote(v)}\n" for k, v in sorted(self.env.items())]
        path = self.home / "env"
        path.touch(mode=0o600)
        path.write_text("".join(lines), encoding="utf-8")

    async def _child(self, command: str) -> None:
        log = (self.home / f"{command}.log").open("ab")
        with log:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway",
                command,
                "--config",
                str(CONFIG),
                env={**os.environ, **self.env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=follow.parent,
                start_new_session=True,  # Ctrl-C is for us; we end the children in order
            )
        self.children.append(child)

    async def _ready(self) -> None:
        """Wait until the portal says that it is ready."""
        url = f"http://127.0.0.1:{self.port}/health/ready"
        async with aiohttp.ClientSession() as session:
            for _ in range(600):
                if any(c.returncode is not None for c in self.children):
                    tail = (self.home / "serve.log").read_text(errors="replace")[-3000:]
                    raise DemoFailed(f"the portal ended at once:\n{tail}")
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.1)
        raise DemoFailed("the portal does not answer")

    def _told(self, urls: Mapping[str, str]) -> dict[str, Any]:
        return {
            "portal": f"http://127.0.0.1:{self.port}",
            **urls,
            "accounts": [
                {
                    "role": a.role.value,
                    "firm": a.firm,
                    "name": a.name,
                    "email": a.email,
                    "password": a.password,
                    "mobile": a.mobile,
                }
                for a in data.ACCOUNTS
            ],
            "packages": [self.package],
        }


def _free(wanted: int) -> int:
    """The wanted port, or another when somebody has it."""
    for port in (wanted, 0):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", port))
            return int(s.getsockname()[1])
    raise DemoFailed("no free port on 127.0.0.1")


def _putter(urls: "asyncio.Queue[tuple[str, str]]") -> Callable[[str, str], None]:
    return lambda url, control: urls.put_nowait((url, control))


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _refuse_taken(port: int) -> None:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            raise DemoFailed(
                f"port {port} of 127.0.0.1 is taken; choose another with PORT=..."
            ) from None


async def run(home: Path, port: int, *, as_json: bool = False) -> None:
    """Start, tell, and wait for Ctrl-C, SIGTERM or the end of a child.

    Writes `home`/ready.json when everything answers, and removes it at the end.
    """
    home.mkdir(parents=True, exist_ok=True)
    ready = home / "ready.json"
    ready.unlink(missing_ok=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    world = World(home, port)
    try:
        starting = asyncio.ensure_future(
            world.start(lambda part: print(f"  {part} ...", file=sys.stderr, flush=True))
        )
        if not await _first(starting, stop.wait()):
            return
        told = starting.result()
        _write(ready, told)
        print(json.dumps(told) if as_json else _text(told), flush=True)
        await _first(stop.wait(), *(child.wait() for child in world.children))
        if not stop.is_set():
            raise DemoFailed(f"a process ended; see {home}/serve.log and {home}/worker.log")
    finally:
        ready.unlink(missing_ok=True)
        print("  stopping ...", file=sys.stderr, flush=True)
        await world.stop()


async def _first(*waited: Awaitable[Any]) -> bool:
    """Wait for the first; True when it was the first of the list. Its error is raised."""
    tasks = [asyncio.ensure_future(w) for w in waited]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for task in done:
        task.result()
    return tasks[0] in done


def _write(path: Path, told: Mapping[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    new.replace(path)


def _text(told: Mapping[str, Any]) -> str:
    lines = ["", f"The portal is at {told['portal']}", ""]
    lines += [f"  {a['firm']:10} {a['email']:26} {a['password']}" for a in told["accounts"]]
    lines += [
        "",
        f"Codes by SMS arrive at {told['sms']}, mail at {told['mail']}",
        f"Firms by address: {told['portal']}/kantoor/lindehof and /kantoor/zeewind",
        "Ctrl-C ends it; the data stays.",
    ]
    return "\n".join(lines)
