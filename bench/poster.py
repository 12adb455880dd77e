"""The obvious loop, as a peer: signed bodies from a file to every address with aiohttp, and
nothing is written down.

``python -m bench.poster FILE AT_ONCE URL ...``: a body a line, so many at once to each address. It
prints the seconds of processor that it used.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from gateway.domain import webhook


async def main(bodies: list[bytes], at_once: int, urls: list[str]) -> None:
    """Post all of them. Raises RuntimeError."""
    secret = webhook.new_secret()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        for url in urls:
            left = iter(enumerate(bodies))
            for _ in range(at_once):
                tasks.create_task(_lane(session, url, secret, left))


async def _lane(
    session: aiohttp.ClientSession, url: str, secret: str, left: Iterator[tuple[int, bytes]]
) -> None:
    for number, body in left:
        headers = webhook.headers(secret, f"x_{number}", int(time.time()), body)
        async with session.post(url, data=body, headers=headers) as answer:
            if answer.status != 204:
                raise RuntimeError(f"{url} answered {answer.status}")


if __name__ == "__main__":
    _, _file, _at_once, *_urls = sys.argv
    _start = time.process_time()
    asyncio.run(main(Path(_file).read_bytes().splitlines(), int(_at_once), _urls))
    print(time.process_time() - _start)
