"""Kind `smb` on a real smbd, and on servers that lie."""

import asyncio
import hashlib
import ipaddress
import os
import random
import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connectors.smb import Smb, SmbConfig
from gateway.connector.conformance import (
    MIB,
    NESTED,
    PERMANENT,
    Conformance,
    World,
    content,
    everything,
    proxied,
)
from gateway.connector.context import Context
from gateway.connector.contract import Connector, Place, Scope
from gateway.connector.egress import EgressPolicy
from gateway.errors import (
    AuthFailed,
    ConfigInvalid,
    NotFound,
    ProtocolError,
    RateLimited,
    SourceError,
    Unavailable,
)
from tests.servers.samba import HOST, Samba, served

FOLDERS = (PERMANENT, NESTED)
LOOPBACK = EgressPolicy((f"{HOST}:*",), (ipaddress.ip_network("127.0.0.0/8"),))


class SambaWorld(World):
    """A folder of its own in a share, filled past Samba."""

    def __init__(self, samba: Samba, base: Path, share: str = "dossiers", user: int = 0) -> None:
        self.samba, self.base, self.share, self.user = samba, base, share, user
        self.path = f"kantoor/{uuid.uuid4().hex[:12]}"
        self.place = Place("300001", "klanten/300001", FOLDERS)
        self.other = Place("300002", "klanten/300002", FOLDERS)
        self._opened: list[tuple[Context, Smb]] = []

    async def open(self, **options: Any) -> Smb:
        who = self.samba.users[self.user]
        (self.base / "wachtwoord").write_text(who.password)
        (self.base / "verkeerd").write_text("verkeerd")
        context = Context("kantoor/smb", egress=LOOPBACK, base=self.base)
        told = {"host": HOST, "port": self.samba.port, "share": self.share, "path": self.path}
        told |= {"username": who.name, "password": "file:wachtwoord", **options}
        connector = await Smb.open(SmbConfig.model_validate(told), context)
        self._opened.append((context, connector))
        return connector

    def at(self, place: Place, folder: str, name: str = "") -> Path:
        path = self.samba.path(self.share) / self.path / place.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        path = self.at(place, folder, name)
        path.write_bytes(body)
        for made in (path, *path.parents):  # for Samba's second user too
            if made == self.samba.path(self.share):
                return
            made.chmod(0o666 if made == path else 0o777)

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
        return HOST, self.samba.port

    def through(self, port: int) -> dict[str, Any]:
        return {"port": port}

    async def aclose(self) -> None:
        for context, connector in self._opened:
            await connector.aclose()
            await context.aclose()
        shutil.rmtree(self.samba.path(self.share) / self.path, ignore_errors=True)


samba = pytest.fixture(scope="session")(served)


@pytest.fixture
async def world(samba: Samba, tmp_path: Path) -> AsyncIterator[SambaWorld]:
    made = SambaWorld(samba, tmp_path)
    yield made
    await made.aclose()


class TestSmb(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


class TestSmbReadOnly(Conformance):
    """The same share, not to be written to."""


class TestSmbEncrypted(Conformance):
    """Everything encrypted."""

    @pytest.fixture
    async def connector(self, world: SambaWorld) -> Connector[Any]:
        return await world.open(encrypt=True)

    def _writing(self) -> dict[str, Any]:
        return {"writable": True, "encrypt": True}
