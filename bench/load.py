"""A bounded load on one address of this machine, from a process of its own.

``python -m bench.load URL COOKIE AT_ONCE COUNT`` prints seconds, bytes and percentiles as JSON.
It speaks as little HTTP as will do and throws the bytes away in one buffer: a client that costs
more than the server it measures measures itself.
"""

import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

#: Seconds after which a load is given up.
MOST = 90.0
_BUFFER = 512 * 1024


class Client(asyncio.BufferedProtocol):
    """One kept connection that asks, reads to the end, and asks again while `load` says so."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._buffer = memoryview(bytearray(_BUFFER))
        self._head = b""
        self._left = 0

    def connection_made(self, transport: Any) -> None:
        """Ask at once."""
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        if not self._load.take():
            self._transport.close()
            return
        self._start = time.perf_counter()
        self._transport.write(self._load.request)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The one buffer; what is in it is never looked at again."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Count; the last byte of an answer is the first of the next question."""
        if not self._left:
            self._head += bytes(self._buffer[:nbytes])
            head, end, body = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head, nbytes = b"", len(body)
            try:
                self._left = _length(head)
            except RuntimeError as e:
                self._load.fail(e)
                return
        self._left -= nbytes
        self._load.bytes += nbytes
        if not self._left:
            self._load.times.append(time.perf_counter() - self._start)
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fine once nothing is left to do."""
        if self._left or self._load.left > 0:
            self._load.fail(RuntimeError(f"the connection was lost: {exc}"))
        self._load.gone()


def _length(head: bytes) -> int:
    status, _, rest = head.partition(b"\r\n")
    if b" 200" not in status:
        raise RuntimeError(f"answered {status.decode()}")
    for line in rest.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise RuntimeError("an answer without Content-Length")


class Load:
    """`count` requests, shared by all clients."""

    def __init__(self, request: bytes, at_once: int, count: int) -> None:
        self.request, self.left, self._here = request, count, at_once
        self.times: list[float] = []
        self.bytes = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self) -> bool:
        """Whether there is one more to ask."""
        self.left -= 1
        return self.left >= 0

    def gone(self) -> None:
        """A client has ended."""
        self._here -= 1
        if not self._here and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """Any answer but a whole 200 ends it."""
        if not self.done.done():
            self.done.set_exception(error)


async def main(url: str, cookie: str, at_once: int, count: int) -> dict[str, float]:
    """Run it. Raises RuntimeError, TimeoutError."""
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    words = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    words += f"Cookie: {cookie}\r\n\r\n" if cookie else "\r\n"
    load = Load(words.encode(), at_once, count)
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    async with asyncio.timeout(MOST):
        for _ in range(at_once):
            await loop.create_connection(lambda: Client(load), parts.hostname, parts.port)
        await load.done
    seconds = time.perf_counter() - start
    times = sorted(load.times)
    return {
        "seconds": seconds,
        "count": len(times),
        "bytes": load.bytes,
        "p50": times[len(times) // 2],
        "p99": times[int(len(times) * 0.99)],
    }


if __name__ == "__main__":
    _, _url, _cookie, _at_once, _count = sys.argv
    print(json.dumps(asyncio.run(main(_url, _cookie, int(_at_once), int(_count)))))
