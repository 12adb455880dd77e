"""Programs of package makers that hear of events: they count, and answer 204 at once.

``python -m bench.receivers good silent ...`` prints their ports as JSON: a good one, or one that
accepts and never answers. Each line on standard input gives a line with how many requests each
got, and when the first and the last came.
"""

import asyncio
import json
import sys
import time
from typing import Any

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


class Receiver:
    """One of them."""

    def __init__(self, answers: bool) -> None:
        self.answers, self.count, self.first, self.last = answers, 0, 0.0, 0.0

    def came(self) -> None:
        """One request, whole."""
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.count += 1


class _Line(asyncio.Protocol):
    """One kept connection; who sends waits for the answer."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver, self._data = receiver, bytearray()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        self._data.clear()
        self._receiver.came()
        if self._receiver.answers:
            self._transport.write(_ANSWER)


async def main(kinds: list[str]) -> None:
    """Serve until standard input ends."""
    loop, all, ports = asyncio.get_running_loop(), [Receiver(k == "good") for k in kinds], []
    for one in all:
        server = await loop.create_server(lambda one=one: _Line(one), "127.0.0.1", 0)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps([[r.count, r.first, r.last] for r in all]), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
