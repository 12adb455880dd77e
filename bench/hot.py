"""Where the time of one document goes: ``python -m bench.hot [10k.pdf|100k.pdf|10m.pdf] [COUNT]``.

The portal runs under cProfile, so the shares count and the sums do not.
"""

import asyncio
import collections
import contextlib
import pstats
import sys
import tempfile
from pathlib import Path

from bench import load, world
from gateway.domain.dossier import handle

#: Whatever is in none of these is told as "other".
_PARTS = ("aiohttp/web", "aiohttp/client", "aiohttp", "asyncpg", "structlog", "prometheus_client",
          "yarl", "multidict", "asyncio", "gateway/pages", "gateway/flows", "gateway/connector",
          "gateway/store", "connectors/", "jinja2", "contextlib", "json", "email")  # fmt: skip


def _parts(stats: pstats.Stats, count: int) -> None:
    """Microseconds a request of each part; what is written in C counts for who called it."""
    spent: collections.Counter[str] = collections.Counter()
    for (file, _, _), (_, _, own, _, callers) in stats.stats.items():  # type: ignore[attr-defined]
        if file != "~":
            spent[_part(file)] += own
        else:
            for (caller, _, _), told in callers.items():
                spent[_part(caller)] += told[2]
    for part, seconds in spent.most_common():
        print(f"{seconds / count * 1e6:9.1f} µs a request  {part}")


def _part(file: str) -> str:
    return next((p for p in _PARTS if p in file), "other")


async def main(name: str, count: int, at_once: int, source: str) -> None:
    """Load it, end it, print the most expensive functions."""
    with tempfile.TemporaryDirectory(prefix="map-bench-hot-") as folder:
        out = str(Path(folder) / "profile")
        async with contextlib.AsyncExitStack() as stack:
            ours = (await world.opened(stack, ("-m", "bench.profiled", out, "serve"))).ours
            path = f"{source}/{handle(f'Map/{name}')}"
            await load.main(f"{ours.address}/{path}", ours.cookie, at_once, count)
        stats = pstats.Stats(out)
    _parts(stats, count)
    for order in ("tottime", "cumulative"):
        stats.sort_stats(order).print_stats(r"^(?!.*(jinja2|pydantic|builtins.compile))", 45)


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    asyncio.run(
        main(given.get(1, "10k.pdf"), int(given.get(2, 3000)), 64, given.get(3, "s3")),
    )
