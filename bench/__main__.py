"""``make bench``: every suite in turn, as a table and as JSON. Ratios count, not absolutes."""

import argparse
import asyncio
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.rows import Row

RESULTS = Path(__file__).parent / "results"

#: In the order of the goals; those marked are processor time only, for a noisy machine.
SUITES = ("request", "dossier", "store", "s3", "soap", "smb")
LIBRARIES = ("aiohttp", "asyncpg", "aiobotocore", "zeep", "lxml", "smbprotocol")


def machine() -> dict[str, Any]:
    """What it was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "memory_mib": memory,
        "versions": {name: version(name) for name in LIBRARIES},
    }


async def measure(suites: Sequence[str], quick: bool) -> list[Row]:
    """The rows of the suites; one that fails is a row that says so."""
    rows: list[Row] = []
    for name in suites:
        start = time.monotonic()
        print(f"  {name} ...", file=sys.stderr, flush=True)
        try:
            found = await importlib.import_module(f"bench.{name}").run(quick)
        except Exception as e:
            found = [Row("-", name, 0, "-", 0, "", 0, "", f"did not run: {e!r}"[:200])]
        rows += found
        print(f"  {name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return sorted(rows, key=lambda r: int(r.number) if r.number.isdigit() else 99)


def table(rows: Sequence[Row]) -> str:
    """The rows for a person."""
    head = ("#", "measured", "ours", "peer", "peer's", "unit", "ratio", "goal", "note")
    lines = [head] + [
        (r.number, r.measured, f"{r.ours:.4g}", r.peer, f"{r.peer_value:.4g}", r.unit,
         f"{r.ratio:.2f}x" if r.ratio else "", r.goal, r.note)
        for r in rows
    ]  # fmt: skip
    widths = [max(len(line[i]) for line in lines) for i in range(len(head) - 1)]
    return "\n".join(
        "  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[-1]]).rstrip()
        for line in lines
    )


def main() -> None:
    """Parse, measure, print, keep. Exit code 1 when a suite did not run."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("suites", nargs="*", help=f"of {', '.join(SUITES)}; all unless said")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under two minutes")
    parser.add_argument("--json", type=Path, default=RESULTS / "latest.json", metavar="FILE")
    given = parser.parse_args()
    if unknown := set(given.suites) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}")
    at = machine()
    rows = asyncio.run(measure(given.suites or SUITES, given.quick))
    print(" ".join(f"{k}={v}" for k, v in at.items() if k != "versions"))
    print(" ".join(f"{k}={v}" for k, v in at["versions"].items()) + "\n")
    print(table(rows))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    told = {"machine": at, "quick": given.quick, "rows": [asdict(r) for r in rows]}
    given.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(f"\nratio: how many times better than the peer. Also in {given.json}")
    sys.exit(any(r.number == "-" for r in rows))


if __name__ == "__main__":
    main()
