"""One POST of a signed message: it goes once, and whether a byte of it left is known.

aiohttp never repeats a POST by itself, and the client's sessions give each a new connection
(force_close), so none goes into one that the server has just closed. The body refuses to be
written twice, and to be written at all once somebody gave up.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from gateway.delivery.outcomes import NotSent, Unclear
from gateway.delivery.wus import Addressing


@dataclass(frozen=True, slots=True)
class Answer:
    """What came over HTTP."""

    status: int
    content_type: str
    data: bytes


class Body(aiohttp.Payload):
    """The body of a request, written once. begun: a byte of it may have left."""

    def __init__(self, content_type: str, size: int, pieces: Iterator[bytes]) -> None:
        super().__init__(None, content_type=content_type)
        self._size, self._pieces = size, pieces
        self.begun = self._stopped = False

    def stop(self) -> bool:
        """From now on no byte leaves. Whether one may have."""
        self._stopped = True
        return self.begun

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Piece by piece, each when the connection takes it."""
        if self.begun or self._stopped:
            raise aiohttp.ClientConnectionError("a body is sent once")
        self.begun = True
        for piece in self._pieces:
            if self._stopped:
                raise aiohttp.ClientConnectionError("given up")
            await writer.write(piece)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """For a payload that is text; this one is not."""
        raise TypeError("a body is not decoded")


async def post(
    session: aiohttp.ClientSession, addressing: Addressing, body: Body, most: int
) -> Answer:
    """The answer, whatever it says, of `most` bytes at most. Raises NotSent, Unclear."""
    headers = {"SOAPAction": f'"{addressing.action}"', "Accept-Encoding": "identity"}
    url = URL(addressing.to, encoded=True)
    try:
        async with session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as response:
            return await _answer(response, most)
    except Unclear:
        raise
    except Exception as e:  # whatever aiohttp raises, the question is the same
        if body.stop():
            raise Unclear(_after(e), str(e)) from e
        raise NotSent(_before(e), str(e)) from e
    finally:
        body.stop()


async def _answer(response: aiohttp.ClientResponse, most: int) -> Answer:
    """The whole answer, when it may hold an envelope (SOAP 1.1, 6.2). Raises Unclear."""
    if response.status not in (200, 500):
        raise Unclear(f"http_{response.status}")
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > most:
            raise Unclear("too_large", f"a reply of more than {most} bytes")
    return Answer(response.status, response.headers.get("Content-Type", ""), bytes(data))


def _before(error: Exception) -> str:
    """Why no byte of the body left, in the words of NotSent."""
    match error:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorDNSError():
            return "dns"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "tls"
        case aiohttp.ClientConnectorError():
            return "connect"
        case _:
            return "cut"


def _after(error: Exception) -> str:
    """What happened once a byte may have left, in the words of Unclear."""
    match error:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            return "cut"
        case _:
            return "garbage"
