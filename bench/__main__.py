"""``make bench``: every suite in turn, as a table and as JSON. Ratios count, not absolutes."""

import argparse
import asyncio
import contextlib
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.rows import Row
from gateway.demo import postgres, seaweed

RESULTS = Path(__file__).parent / "results"

#: Which rows of the goals each suite measures, in the order they are run.
SUITES = {
    "request": "1 2 3 4 5 6 7 8 9 10 11 28",
    "dossier": "15 16 17 18 27",
    "store": "19 20 26",
    "s3": "6 14",
    "soap": "12 13",
    "smb": "25",
    "delivery": "21 22 29 30",
    "intake": "31 32",
    "webhooks": "33 34",
}
#: Left out of the quick mode unless named: it starts a second server for one row.
SLOW = {"smb"}
LIBRARIES = (
    "aiohttp", "asyncpg", "aiobotocore", "zeep", "lxml", "xmlsec", "cryptography", "smbprotocol",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """What it was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "memory_mib": memory,
        "load": round(os.getloadavg()[0], 1),
        "versions": {name: version(name) for name in LIBRARIES} | _programs(),
    }


def _programs() -> dict[str, str]:
    """Servers that are measured, or measured with, in their own words."""
    asked = {
        "postgres": [str(postgres.find_binaries() / "postgres"), "--version"],
        "nginx": [shutil.which("nginx") or "/usr/sbin/nginx", "-v"],
        "weed": [seaweed.binary(), "version"],
    }
    found = {}
    for name, words in asked.items():
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            told = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
            match = re.search(r"[0-9]+\.[0-9.]+", told.stdout + told.stderr)
            found[name] = match[0] if match else "?"
    return found


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


def reached(row: Row) -> str:
    """How far a row is on its way to its goal, in hundredths; "" where the goal is in words."""
    match = re.match(r"([≥≤])([0-9.]+)\s*(x|ms|µs|KiB)?", row.goal)
    if match is None or not row.ratio:
        return ""
    sign, number, unit = match[1], float(match[2]), match[3]
    if sign == "≥":
        return f"{row.ratio / number:.0%}"
    return f"{number / row.ours:.0%}" if unit == row.unit and row.ours else ""


def table(rows: Sequence[Row]) -> str:
    """The rows for a person."""
    head = ("#", "measured", "ours", "peer", "peer's", "unit", "ratio", "goal", "reached", "note")
    lines = [head] + [
        (r.number, r.measured, f"{r.ours:.4g}", r.peer, f"{r.peer_value:.4g}", r.unit,
         f"{r.ratio:.2f}x" if r.ratio else "", r.goal, reached(r), r.note)
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
    parser.add_argument("--rows", default="", metavar="1,4,12", help="only these of the goals")
    parser.add_argument("--json", type=Path, default=RESULTS / "latest.json", metavar="FILE")
    given = parser.parse_args()
    if unknown := set(given.suites) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}")
    only = set(given.rows.split(",")) - {""}
    if unknown := only - set(" ".join(SUITES.values()).split()):
        parser.error(f"no row {', '.join(sorted(unknown))}")
    at = machine()
    rows = asyncio.run(measure(_chosen(given.suites, only, given.quick), given.quick))
    rows = [r for r in rows if not only or r.number in only | {"-"}]
    print(" ".join(f"{k}={v}" for k, v in at.items() if k != "versions"))
    print(" ".join(f"{k}={v}" for k, v in at["versions"].items()) + "\n")
    print(table(rows))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    told = {"machine": at, "quick": given.quick, "rows": [asdict(r) for r in rows]}
    given.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print("\nratio: how many times better than the peer. reached: of the goal; more is better.")
    print(f"Also in {given.json}")
    sys.exit(any(r.number == "-" for r in rows))


def _chosen(named: Sequence[str], only: set[str], quick: bool) -> list[str]:
    """The named suites, or all that measure a row that is asked for."""
    if named:
        return list(named)
    found = [s for s, rows in SUITES.items() if not only or only & set(rows.split())]
    return [s for s in found if only or not (quick and s in SLOW)]


if __name__ == "__main__":
    main()
