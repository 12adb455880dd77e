"""Kind `ftps` on vsftpd and on pyftpdlib, and on servers that lie."""

import asyncio
import hashlib
import ipaddress
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.ftps import Ftps, FtpsConfig
from gateway.connector import conformance
from gateway.connector.conformance import (
    MIB,
    NESTED,
    PERMANENT,
    Conformance,
    World,
)
from gateway.connector.context import Context
from gateway.connector.contract import Place
from gateway.connector.egress import EgressPolicy
from gateway.connector.faultproxy import FaultProxy, Mode
from tests.servers.ftp import HOST, FtpServer, Implicit, Pyftpd, Vsftpd, served

FOLDERS = (PERMANENT, NESTED)
PROXY = "127.0.0.1"
LOOPBACK = EgressPolicy((f"{HOST}:*", f"{PROXY}:*"), (ipaddress.ip_network("127.0.0.0/8"),))


class Followed(FaultProxy):
    """In the mode of another one."""

    def __init__(self, leader: "FtpProxy", port: int) -> None:
        self._leader = leader
        super().__init__(leader.host, port)

    def __getattribute__(self, name: str) -> Any:
        if name in ("mode", "after"):
            return getattr(object.__getattribute__(self, "_leader"), name)
        return object.__getattribute__(self, name)

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._accept, PROXY, self.port)
        return self.port


class FtpProxy(FaultProxy):
    """Before an FTP server, for its data connections too: on the same ports of 127.0.0.1."""

    def __init__(self, server: FtpServer) -> None:
        super().__init__(HOST, server.port)
        self._data = [Followed(self, port) for port in server.data]

    async def start(self) -> int:
        for proxy in self._data:
            await proxy.start()
        return await super().start()

    async def stop(self) -> None:
        await asyncio.gather(super().stop(), *(proxy.stop() for proxy in self._data))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is Mode.GARBAGE:  # the server speaks first
            reader.feed_data(b"x")
        await super()._serve(reader, writer)


class FtpWorld(World):
    """A folder of its own, filled past the server."""

    def __init__(self, server: FtpServer, base: Path) -> None:
        self.server, self.base = server, base
        self.path = server.path / f"kantoor-{uuid.uuid4().hex[:12]}"
        self.path.mkdir()
        self.place = Place("300001", "klanten/300001", FOLDERS)
        self.other = Place("300002", "klanten/300002", FOLDERS)
        self.policy = LOOPBACK
        self._opened: list[tuple[Context, Ftps]] = []
        (base / "wachtwoord").write_text(server.password)
        (base / "verkeerd").write_text("verkeerd")

    async def open(self, **options: Any) -> Ftps:
        context = Context("kantoor/ftps", egress=self.policy, base=self.base)
        told = {"host": HOST, "port": self.server.port, "path": self.server.at(self.path)}
        told |= {"username": self.server.user, "password": "file:wachtwoord"}
        told |= {"ca": str(self.server.folder / "cert.pem"), **options}
        if isinstance(self.server, Implicit):
            told["tls"] = "implicit"
        connector = await Ftps.open(FtpsConfig.model_validate(told), context)
        self._opened.append((context, connector))
        return connector

    def at(self, place: Place, folder: str, name: str = "") -> Path:
        path = self.path / place.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        self.at(place, folder, name).write_bytes(body)

    async def seed_large(self, place: Place, folder: str, name: str, size: int) -> bytes:
        digest, block = hashlib.sha256(), os.urandom(MIB)
        with self.at(place, folder, name).open("wb") as out:
            for _ in range(size // MIB):
                out.write(block)
                digest.update(block)
        return digest.digest()

    async def remove(self, place: Place, folder: str, name: str) -> None:
        self.at(place, folder, name).unlink()

    def wrong_credentials(self) -> dict[str, Any]:
        return {"password": "file:verkeerd"}

    def upstream(self) -> tuple[str, int]:
        return HOST, self.server.port

    def through(self, port: int) -> dict[str, Any]:
        return {"host": PROXY, "port": port}

    async def aclose(self) -> None:
        for context, connector in self._opened:
            await connector.aclose()
            await context.aclose()
        shutil.rmtree(self.path, ignore_errors=True)


@pytest.fixture(scope="session", params=[Vsftpd, Pyftpd])
def server(request: pytest.FixtureRequest) -> Iterator[FtpServer]:
    yield from served(request.param)


@pytest.fixture
async def world(
    server: FtpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FtpWorld]:
    monkeypatch.setattr(conformance, "FaultProxy", lambda *_: FtpProxy(server))
    made = FtpWorld(server, tmp_path)
    yield made
    await made.aclose()


class TestFtps(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}
