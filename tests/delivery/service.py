"""A TLS server that does with each request what a test says, and counts what it got."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from tests.delivery.pki import Pki
from tests.delivery.replies import NS


@dataclass
class Request:
    """What came, as far as it was read."""

    headers: dict[str, str]
    path: str
    client: bytes | None
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    body: bytes = b""

    async def read(self) -> None:
        """The whole body."""
        self.body = await self.reader.readexactly(int(self.headers["content-length"]))

    @property
    def message_id(self) -> str:
        return etree.fromstring(self.body).findtext(".//a:MessageID", "", NS)

    def answer(
        self, body: bytes, status: str = "200 OK", kind: str = "text/xml", length: int = 0,
        more: str = "",
    ) -> None:  # fmt: skip
        """length: what is told, when it is not that of the body."""
        self.writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length or len(body)}"
            f"\r\n{more}\r\n".encode()
            + body
        )

    def reset(self) -> None:
        self.writer.transport.abort()


Behaviour = Callable[[Request], Awaitable[None]]


@dataclass
class Service:
    """url: of the server. behave: what it does with a request."""

    url: str = ""
    behave: Behaviour | None = None
    connections: int = 0
    requests: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    request = await self._head(reader, writer)
                    self.requests.append(request)
                    await self.behave(request)
                    await writer.drain()
        finally:
            writer.close()

    async def _head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        headers["soapaction"] = next(
            (line.split(": ", 1)[1] for line in lines if line.lower().startswith("soapaction")), ""
        )
        content_type = next(
            (line.split(": ", 1)[1] for line in lines if line.lower().startswith("content-type")),
            "",
        )
        headers["content-type"] = content_type
        client = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return Request(headers, first.split(" ")[1], client, reader, writer)


def context(pki: Pki, folder: Path) -> ssl.SSLContext:
    """Asks for a certificate of the test authority."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=pki.ca.pem)
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(*pki.server.write(folder, "server"))
    return made


@contextlib.asynccontextmanager
async def running(tls: ssl.SSLContext) -> AsyncIterator[Service]:
    service = Service()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0, ssl=tls)
    service.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.close()
