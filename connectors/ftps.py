"""Documents on an FTP server, over TLS; never without it.

A document's id is its path below the klant's place. Connections are made by this side only, and
to the address of the control connection. Names that a server could take for another path, or for
the end of a command, are no documents.

There is no version: this protocol tells the time of a change in whole seconds, so two documents
of one length that were written in one second would seem to be the same.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Self
from weakref import WeakValueDictionary

from pydantic import Field, StringConstraints

from gateway.connector import walk
from gateway.connector.body import Announced, blocks
from gateway.connector.context import Context
from gateway.connector.contract import Capability, ConnectorConfig, Entry, Page, Place, length_of
from gateway.connector.ftps import file as ftpsfile
from gateway.connector.ftps import put as ftpsput
from gateway.connector.ftps.line import BLOCK, Line, Server
from gateway.connector.ftps.lines import Lines
from gateway.connector.ftps.read import FtpsReader
from gateway.connector.ftps.tls import Trust
from gateway.connector.ftps.words import has_control
from gateway.connector.secret import Secret
from gateway.connector.tree import TreeConnector
from gateway.connector.walk import Parts, Row
from gateway.errors import ConfigInvalid

_PIN = r"^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$"

_AGAIN = (0.0, 1.0, 5.0)  # seconds before each try to take away what was not finished
_DATED = 250  # documents that one connection asks for the times of


class FtpsConfig(ConnectorConfig):
    """The options of a source of kind ftps."""

    host: str = Field(pattern=r"^[A-Za-z0-9._:-]+$", description="Name or address of the server")
    port: int = Field(21, ge=1, le=65535, description="TCP port; 990 is usual with implicit TLS")
    tls: Literal["explicit", "implicit"] = Field(
        "explicit", description="TLS after AUTH TLS (explicit), or from the first byte (implicit)"
    )
    ca: str = Field(
        "", description="File of the authorities (PEM) for a server with a certificate of its own"
    )
    fingerprints: list[Annotated[str, StringConstraints(pattern=_PIN)]] = Field(
        default=[],
        description="SHA-256 of the certificates the server may have, in hexadecimals; any other"
        " is refused, and who signed them does not matter",
    )
    path: str = Field(
        "",
        pattern=r"^[^\x00-\x1f\x7f\\]*$",
        description="Folder the places are below; without a leading / below the account's own",
    )
    username: str = Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$", description="Who signs in")
    password: Secret = Field(description="Password, as env:NAME or file:/path")
    connections: int = Field(
        6, ge=3, le=64, description="Connections at once, of each of the portal's processes"
    )
    writable: bool = Field(False, description="Documents may be written")


class Ftps(TreeConnector[FtpsConfig]):
    """One account of a server, or a folder of it."""

    kind = "ftps"
    title = {"nl": "FTP-server (FTPS)", "en": "FTP server (FTPS)"}
    Config = FtpsConfig

    def __init__(self, config: FtpsConfig, lines: Lines) -> None:
        self._config, self._lines = config, lines
        self._turns: WeakValueDictionary[Parts, asyncio.Lock] = WeakValueDictionary()

    @classmethod
    async def open(cls, config: FtpsConfig, context: Context) -> Self:
        """See Connector.open."""
        context.egress.check_host(config.host, config.port, option="host")
        path = cls.own_folder(config.path)
        password = context.secret(config.password)
        if has_control(password):
            raise ConfigInvalid("no password has such a character", field="password")
        threads = context.threads(config.connections + 2)
        ca = str(context.base / config.ca) if config.ca else ""
        pins = frozenset(bytes.fromhex(p.replace(":", "")) for p in config.fingerprints)
        server = Server(
            config.host,
            config.port,
            config.tls == "implicit",
            config.username,
            path,
            await threads.run(Trust, ca, pins),
            context.egress,
            context.connect_timeout,
            password,
        )
        return cls(config, Lines(threads, server.sign_in, config.connections))

    @property
    def capabilities(self) -> Capability:
        """See Connector.capabilities. Nothing is overwritten in a race of this process's own."""
        can = Capability.RANGE | Capability.SIZE_KNOWN | Capability.MODIFIED | Capability.STREAMS
        if self._config.writable:
            can |= Capability.WRITE | Capability.IF_ABSENT | Capability.ATOMIC_WRITE
            can |= Capability.MOVE
        return can

    def target(self) -> str:
        """See Connector.target."""
        to = self._config
        return f"{to.tls} TLS, {to.username}@{to.host}:{to.port}/{to.path}"

    async def reach(self) -> str:
        """See Connector.reach."""
        await self._enter()
        return "it answers with a certificate that is trusted, and takes our credentials"

    @staticmethod
    def is_plain(name: str) -> bool:
        """See TreeConnector.is_plain; some servers cut blanks off a command."""
        return walk.is_plain(name) and name == name.strip() and not has_control(name)

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        """See Connector.list."""
        found = await super().list(place, page=page, limit=limit)
        if any(entry.modified is None for entry in found.entries):
            return Page(await self._dated(place, found.entries), found.next, found.left_out)
        return found

    async def aclose(self) -> None:
        """See Connector.aclose."""
        await self._lines.aclose()

    # --- see TreeConnector

    async def _enter(self) -> None:
        await self._lines.run(Line.enter)

    async def _folder(self, at: Parts) -> Sequence[Row]:
        return await self._lines.run(ftpsfile.folder, at)

    async def _look(self, at: Parts) -> Row:
        return await self._lines.run(ftpsfile.look, at)

    async def _read(
        self, at: Parts, folder: Parts, offset: int, length: int | None, version: str | None
    ) -> FtpsReader:
        line = await self._lines.take()
        try:
            coming = await self._lines.call(line, _opened, at, offset, length)
        except BaseException:
            self._lines.give(line)
            raise
        entry = walk.entry_of(folder, coming.row)
        return FtpsReader(self._lines, line, entry, coming, offset)

    async def _put(
        self, to: Parts, sent: Announced, media_type: str | None, *, replace: bool
    ) -> None:
        draft = (*to[:-1], f"{walk.PARTIAL}{secrets.token_hex(16)}")
        line = await self._lines.take()
        try:
            try:
                await self._lines.call(line, ftpsput.begin, draft, to, replace)
                async for block in blocks(sent, BLOCK):
                    await self._lines.call(line, Line.send, block)
                await self._lines.call(line, ftpsput.end, draft, sent.count)
            finally:
                self._lines.give(line)
            await self._in_turn(to, ftpsput.name, draft, to, replace)
        except BaseException:
            self._lines.later(self._discarded(line, draft))
            raise

    async def _move(self, old: Parts, to: Parts, version: str | None) -> None:
        """One rename, at the server."""
        await self._in_turn(to, ftpsput.move, old, to, version is not None)

    # --- how

    async def _in_turn(self, to: Parts, work: Callable[..., None], *args: object) -> None:
        """One of those who give a name at a time: the server looks and renames in two steps. To
        its end, also when nobody waits: until then nobody else may look."""

        async def named() -> None:
            async with self._turns.setdefault(to, asyncio.Lock()):
                await self._lines.run(work, *args)

        await self._lines.surely(named())

    async def _dated(self, place: Place, entries: Sequence[Entry]) -> Sequence[Entry]:
        """With their times, over some connections at the same time: each is a question."""
        root = self._at(place, ())
        some = [entries[n : n + _DATED] for n in range(0, len(entries), _DATED)]
        found = await asyncio.gather(
            *(self._lines.run(ftpsfile.dated, root, part) for part in some)
        )
        return [entry for part in found for entry in part]

    async def _discarded(self, line: Line, draft: Parts) -> None:
        """Where the connection broke, the server may begin to write only after we looked."""
        for wait in _AGAIN:
            await asyncio.sleep(wait)
            await self._lines.settled()
            if await self._lines.run(ftpsput.remove, draft) or line.alive:
                return


def _opened(line: Line, at: Parts, offset: int, length: int | None) -> ftpsfile.Download:
    """Raises NotFound, RangeNotSatisfiable."""
    row = ftpsfile.look(line, at)
    return ftpsfile.Download(line, at, row, offset, length_of(row.size or 0, offset, length))
