"""Documents on an SFTP server, over one connection of the source's own.

A document's id is its path below the klant's place. The server's key must be one that the
configuration names. Links are not followed: every part of a path is looked at, before and after
what it leads to is opened; names that Windows could take for another path are no documents.

There is no version: this protocol tells the time of a change in whole seconds, so two documents
of one length that were written in one second would seem to be the same.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Self

from pydantic import Field, model_validator

from gateway.connector import walk
from gateway.connector.body import Announced
from gateway.connector.context import Context
from gateway.connector.contract import Capability, ConnectorConfig, length_of
from gateway.connector.secret import Secret
from gateway.connector.sftp import file as sftpfile
from gateway.connector.sftp import put as sftpput
from gateway.connector.sftp.calls import Calls
from gateway.connector.sftp.file import Path
from gateway.connector.sftp.line import Login, Pins, Server, private_key
from gateway.connector.sftp.read import SftpReader
from gateway.connector.tree import TreeConnector
from gateway.connector.walk import Parts, Row
from gateway.errors import ConditionFailed, RangeNotSatisfiable


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


class Sftp(TreeConnector[SftpConfig]):
    """One account of a server, or a folder of it."""

    kind = "sftp"
    title = {"nl": "SFTP-server", "en": "SFTP server"}
    Config = SftpConfig

    def __init__(self, config: SftpConfig, base: str, server: Server) -> None:
        self._config, self._base, self._calls = config, base, Calls(server)

    @classmethod
    async def open(cls, config: SftpConfig, context: Context) -> Self:
        """See Connector.open."""
        context.egress.check_host(config.host, config.port, option="host")
        base = cls.own_folder(config.path)
        threads = context.threads(1)
        login = await threads.run(_login, config, context)
        return cls(
            config,
            base,
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
        await self._enter()
        return "it answers with a key that is known, and takes our credentials"

    async def aclose(self) -> None:
        """See Connector.aclose."""
        await self._calls.aclose()

    # --- see TreeConnector

    async def _enter(self) -> None:
        await self._calls.run(lambda line: sftpfile.enter(line, self._base))

    async def _folder(self, at: Parts) -> Sequence[Row]:
        to, stop = Path(self._base, at), asyncio.Event()
        return await self._calls.run(lambda line: sftpfile.folder(line, to, stop), stop)

    async def _look(self, at: Parts) -> Row:
        to = Path(self._base, at)
        return await self._calls.run(lambda line: sftpfile.look(line, to))

    async def _read(
        self, at: Parts, folder: Parts, offset: int, length: int | None, version: str | None
    ) -> SftpReader:
        to, most = Path(self._base, at), sftpfile.BLOCK if length is None else length
        opened = await self._calls.run(lambda line: sftpfile.open_document(line, to, offset, most))
        try:
            length = length_of(opened.row.size or 0, offset, length)
        except RangeNotSatisfiable:
            self._calls.drop(opened)
            raise
        entry = walk.entry_of(folder, opened.row)
        return SftpReader(entry, opened, offset, length, self._calls.drop)

    async def _put(
        self, to: Parts, sent: Announced, media_type: str | None, *, replace: bool
    ) -> None:
        path = Path(self._base, to)
        draft = await self._calls.run(lambda line: sftpput.begin(line, path.folder))
        try:
            await draft.take(sent)
            await self._calls.run(lambda _: draft.finish(path, replace))
        except BaseException:
            self._calls.discard(draft)
            raise

    async def _move(self, old: Parts, to: Parts, version: str | None) -> None:
        """One rename, at the server."""
        if version is not None:
            raise ConditionFailed  # none was told here
        at, path = Path(self._base, old), Path(self._base, to)
        await self._calls.run(lambda line: sftpput.move(line, at, path))


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
