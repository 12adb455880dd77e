"""Documents on an SFTP server, over one connection of the source's own.

A document's id is its path below the klant's place. The server's key must be one that the
configuration names. Links are not followed: every part of a path is looked at, before and after
what it leads to is opened; names that Windows could take for another path are no documents.

There is no version: this protocol tells the time of a change in whole seconds, so two documents
of one length that were written in one second would seem to be the same.
"""

import asyncio
from collections.abc import AsyncIterable, Sequence
from functools import partial
from typing import Self

from pydantic import Field, model_validator

from gateway.connector import walk
from gateway.connector.context import Context
from gateway.connector.contract import (
    Capability,
    Connector,
    ConnectorConfig,
    Entry,
    Page,
    Place,
)
from gateway.connector.secret import Secret
from gateway.connector.sftp import file as sftpfile
from gateway.connector.sftp import put as sftpput
from gateway.connector.sftp.calls import Calls
from gateway.connector.sftp.file import Path
from gateway.connector.sftp.line import Line, Login, Pins, Server, private_key
from gateway.connector.sftp.read import SftpReader
from gateway.connector.walk import Parts, Row
from gateway.errors import (
    ConditionFailed,
    ConfigInvalid,
    NotFound,
    RangeNotSatisfiable,
    Unsupported,
)


class SftpConfig(ConnectorConfig):
    """The options of a source of kind sftp."""

    host: str = Field(pattern=r"^[A-Za-z0-9._:-]+$", description="Name or address of the server")
    port: int = Field(22, ge=1, le=65535, description="TCP port")
    host_keys: list[str] = Field(
        min_length=1,
        description='Keys the server may have: public keys ("ssh-ed25519 AAAA…"), or their'
        ' fingerprints ("SHA256:…"); any other is refused',
    )
    path: str = Field(
        "",
        pattern=r"^[^\x00\\]*$",
        description="Folder the places are below; without a leading / below the account's own",
    )
    username: str = Field(min_length=1, description="Who signs in")
    password: Secret | None = Field(None, description="Password, as env:NAME or file:/path")
    private_key: Secret | None = Field(
        None, description="Private key to sign in with, as file:/path; before the password"
    )
    passphrase: Secret | None = Field(None, description="What opens the private key")
    writable: bool = Field(False, description="Documents may be written")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.password is None and self.private_key is None:
            raise ValueError("a password or a private key is needed")
        return self


class Sftp(Connector[SftpConfig]):
    """One account of a server, or a folder of it."""

    kind = "sftp"
    title = {"nl": "SFTP-server", "en": "SFTP server"}
    Config = SftpConfig

    def __init__(self, config: SftpConfig, server: Server) -> None:
        self._config, self._calls = config, Calls(server)
        self._base = "/" * config.path.startswith("/") + "/".join(_parts(config.path))

    @classmethod
    async def open(cls, config: SftpConfig, context: Context) -> Self:
        """See Connector.open."""
        context.egress.check_host(config.host, config.port, option="host")
        if not all(map(walk.is_plain, _parts(config.path))):
            raise ConfigInvalid("a path without .. is expected", field="path")
        threads = context.threads(1)
        login = await threads.run(_login, config, context)
        return cls(
            config,
            Server(
                login,
                await threads.run(login.options),
                context.egress,
                partial(threads.run, context.egress.resolve, config.host, config.port),
                context.connect_timeout,
            ),
        )

    @property
    def capabilities(self) -> Capability:
        """See Connector.capabilities. Nothing is overwritten in a race: put.py tells how."""
        can = Capability.RANGE | Capability.SIZE_KNOWN | Capability.MODIFIED | Capability.STREAMS
        if self._config.writable:
            can |= Capability.WRITE | Capability.IF_ABSENT | Capability.ATOMIC_WRITE
            can |= Capability.MOVE
        return can

    def target(self) -> str:
        """See Connector.target."""
        to = self._config
        return f"sftp://{to.username}@{to.host}:{to.port}/{to.path}"

    async def reach(self) -> str:
        """See Connector.reach."""
        await self._calls.run(self._enter)
        return "it answers with a key that is known, and takes our credentials"

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list. Page.next is the id of the last document given."""

        async def look(parts: Parts) -> Sequence[Row]:
            to, stop = self._to(place, parts), asyncio.Event()
            return await self._calls.run(lambda line: sftpfile.folder(line, to, stop), stop)

        found = await walk.page(look, walk.is_plain, place.folders, page, limit)
        if not found.entries:
            await self._calls.run(self._enter)
        return found

    async def stat(self, place: Place, id: str) -> Entry:
        """See Connector.stat."""
        to, folder = self._document(place, id)
        return walk.entry_of(folder, await self._calls.run(lambda line: sftpfile.look(line, to)))

    async def read(
        self,
        place: Place,
        id: str,
        *,
        offset: int = 0,
        length: int | None = None,
        version: str | None = None,
    ) -> SftpReader:
        """See Connector.read."""
        to, folder = self._document(place, id)
        if version is not None:
            raise Unsupported("this source tells no versions")
        if offset < 0:
            raise RangeNotSatisfiable
        most = sftpfile.BLOCK if length is None else length
        opened = await self._calls.run(lambda line: sftpfile.open_document(line, to, offset, most))
        size = opened.row.size or 0
        if offset >= size and offset > 0:
            self._calls.drop(opened)
            raise RangeNotSatisfiable
        length = size - offset if length is None else min(length, size - offset)
        entry = walk.entry_of(folder, opened.row)
        return SftpReader(entry, opened, offset, length, self._calls.drop)

    async def put(
        self,
        place: Place,
        folder: str,
        name: str,
        body: AsyncIterable[bytes],
        *,
        size: int | None = None,
        media_type: str | None = None,
        sha256: bytes | None = None,
        if_absent: bool = True,
    ) -> Entry:
        """See Connector.put."""
        id = self.new_id(folder, name)
        to, _ = self._document(place, id)
        draft = await self._calls.run(lambda line: sftpput.begin(line, to.folder))
        try:
            await draft.take(body, size, sha256)
            await self._calls.run(lambda _: draft.finish(to, not if_absent))
        except BaseException:
            self._calls.discard(draft)
            raise
        return await self.stat(place, id)

    async def move(
        self, place: Place, id: str, folder: str, name: str, *, version: str | None = None
    ) -> Entry:
        """See Connector.move: one rename, at the server."""
        new = self.new_id(folder, name)
        (old, _), (to, _) = self._document(place, id), self._document(place, new)
        if version is not None:
            raise ConditionFailed  # none was told here
        await self._calls.run(lambda line: sftpput.move(line, old, to))
        return await self.stat(place, new)

    async def aclose(self) -> None:
        """See Connector.aclose."""
        await self._calls.aclose()

    # --- how

    def _to(self, place: Place, parts: Parts) -> Path:
        """A path below the klant's place."""
        whole = (*_parts(place.root), *parts)
        if not all(map(walk.is_plain, whole)):
            raise NotFound
        return Path(self._base, whole)

    def _document(self, place: Place, id: str) -> tuple[Path, Parts]:
        """The path of a document, and its folder. NotFound outside the published part."""
        parts = tuple(id.split("/"))
        if not walk.fits(parts) or not place.holds(parts[:-1]):
            raise NotFound
        return self._to(place, parts), parts[:-1]

    async def _enter(self, line: Line) -> None:
        await sftpfile.enter(line, self._base)


def _parts(path: str) -> Parts:
    return tuple(part for part in path.split("/") if part)


def _login(config: SftpConfig, context: Context) -> Login:
    """Who we are, with the secrets. Blocking. Raises ConfigInvalid."""
    secrets = (config.password, config.private_key, config.passphrase)
    password, key, passphrase = (context.secret(s) if s else None for s in secrets)
    return Login(
        config.host,
        config.port,
        config.username,
        Pins(config.host_keys),
        password,
        private_key(key, passphrase) if key else None,
    )
