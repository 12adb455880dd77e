"""A bounded load on one address of this machine, from a process of its own.

``python -m bench.load URL COOKIE AT_ONCE COUNT`` prints seconds, bytes and percentiles as JSON.
"""

import asyncio
import json
import sys
import time

import aiohttp


async def main(url: str, cookie: str, at_once: int, count: int) -> None:
    """`at_once` clients share `count` requests; any answer but 200 ends it with an error."""
    left = count
    times: list[float] = []
    got = 0
    headers = {"Cookie": cookie} if cookie else {}

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal left, got
        while left > 0:
            left -= 1
            start = time.perf_counter()
            async with session.get(url, headers=headers) as answer:
                if answer.status != 200:
                    raise RuntimeError(f"status {answer.status}")
                async for piece in answer.content.iter_any():
                    got += len(piece)
            times.append(time.perf_counter() - start)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar()
    ) as s:
        start = time.perf_counter()
        await asyncio.gather(*(client(s) for _ in range(at_once)))
        seconds = time.perf_counter() - start
    times.sort()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "count": len(times),
                "bytes": got,
                "p50": times[len(times) // 2],
                "p99": times[int(len(times) * 0.99)],
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
