"""Where the time of one document goes: ``python -m bench.hot [10k.pdf|100k.pdf|10m.pdf] [COUNT]``.

The portal runs under cProfile, so the shares count and the sums do not.
"""

import asyncio
import contextlib
import pstats
import sys
import tempfile
from pathlib import Path

from bench import load, world
from gateway.domain.dossier import handle


async def main(name: str, count: int, at_once: int, source: str) -> None:
    """Load it, end it, print the most expensive functions."""
    with tempfile.TemporaryDirectory(prefix="map-bench-hot-") as folder:
        out = str(Path(folder) / "profile")
        async with contextlib.AsyncExitStack() as stack:
            ours = (await world.opened(stack, ("-m", "bench.profiled", out, "serve"))).ours
            path = f"{source}/{handle(f'Map/{name}')}"
            await load.main(f"{ours.address}/{path}", ours.cookie, at_once, count)
        stats = pstats.Stats(out)
    for order in ("tottime", "cumulative"):
        stats.sort_stats(order).print_stats(r"^(?!.*(jinja2|pydantic|builtins.compile))", 45)


if __name__ == "__main__":
    given = dict(enumerate(sys.argv))
    asyncio.run(
        main(given.get(1, "10k.pdf"), int(given.get(2, 3000)), 64, given.get(3, "s3")),
    )
