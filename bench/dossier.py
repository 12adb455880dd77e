"""The dossier page: asking many sources, some of them hung, and making the page. Rows 15 to 18
and 27."""

import asyncio
import contextlib
import gzip
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from bench.rows import Row, interleaved
from connectors.local import LocalConfig, LocalConnector
from gateway.app import TEMPLATES
from gateway.connector.context import Context
from gateway.connector.contract import (
    Capability,
    Connector,
    ConnectorConfig,
    Entry,
    Page,
    Place,
)
from gateway.connector.egress import EgressPolicy
from gateway.connector.guard import Guarded
from gateway.domain import dossier
from gateway.domain.dossier import Order
from gateway.domain.dossier import Row as Document
from gateway.domain.firm import Source
from gateway.flows.listings import Listings
from gateway.pages.render import environments

SOURCES = 16
BUDGET = 0.5
LATENCY = 0.02
PLACE = Place("300001", "300001", ("Map",))


@dataclass
class Slow(Connector[ConnectorConfig]):
    """A back office that answers after a while, or never."""

    count: int
    latency: float | None = LATENCY

    kind = "slow"
    title = {"nl": "", "en": ""}
    Config = ConnectorConfig

    @classmethod
    async def open(cls, config: ConnectorConfig, context: Context) -> Self:
        return cls(0)

    @property
    def capabilities(self) -> Capability:
        return Capability.SIZE_KNOWN

    def target(self) -> str:
        return "memory"

    async def reach(self) -> str:
        return "always"

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        await asyncio.sleep(3600 if self.latency is None else self.latency)
        first = int(page or 0)
        last = min(first + limit, self.count)
        now = datetime.now(UTC)
        entries = [Entry(f"Map/{i}", f"{i}.pdf", ("Map",), i, now) for i in range(first, last)]
        return Page(entries, str(last) if last < self.count else None)

    async def stat(self, place: Place, id: str) -> Entry:
        raise NotImplementedError

    async def read(self, place: Place, id: str, **_: Any) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        pass


def _source(i: int) -> Source:
    return Source.model_validate(
        {
            "id": f"bron-{i}",
            "title": f"Bron {i}",
            "kind": "slow",
            "categories": [{"name": "Map", "folder": "Map"}],
        }
    )


def _guarded(i: int, stub: Slow) -> Guarded:
    return Guarded(
        f"firm/bron-{i}", stub, Context(f"bench/{i}", egress=EgressPolicy(), base=Path())
    )


async def run(quick: bool) -> list[Row]:
    """All rows."""
    rounds = 5 if quick else 15
    return [
        *await _fan_out(rounds),
        await _growth(rounds),
        *await _hung(),
        *await _local(rounds),
        await _page(rounds),
    ]


async def _ask(sources: list[tuple[Source, Guarded]], wait: float = 10) -> list[Document]:
    listings = Listings()
    answers = await asyncio.gather(
        *(listings.get(g, s, PLACE, wait=wait, refresh=True) for s, g in sources)
    )
    rows = [r for a in answers if a.listing for r in a.listing.rows]
    dossier.page(rows, Order.NEWEST, 1)
    await listings.aclose()
    return rows


async def _fan_out(rounds: int) -> list[Row]:
    sources = [(_source(i), _guarded(i, Slow(100))) for i in range(SOURCES)]

    async def naive() -> None:
        rows = []
        for source, guarded in sources:
            entries = (await guarded.list(PLACE)).entries
            rows += [(source.id, e.name, e.modified) for e in entries]
        sorted(rows, key=lambda r: r[2], reverse=True)

    costs = await interleaved({"ours": lambda: _ask(sources), "peer": naive}, rounds)
    listings = Listings()
    for source, guarded in sources:
        await listings.get(guarded, source, PLACE, wait=10)

    async def kept() -> None:
        await asyncio.gather(*(listings.get(g, s, PLACE, wait=10) for s, g in sources))

    warm = (await interleaved({"ours": kept}, rounds * 3))["ours"]
    mine, other = costs["ours"].wall * 1e3, costs["peer"].wall * 1e3
    return [
        Row("15", f"{SOURCES} sources × 100, {LATENCY * 1e3:.0f} ms away", mine, "one by one",
            other, "ms", other / mine, "≥100x", "the latency of one source is the floor"),
        Row("15", "the same, remembered", warm.wall * 1e3, "one by one", other, "ms",
            other / (warm.wall * 1e3), "≥3000x"),
    ]  # fmt: skip


async def _growth(rounds: int) -> Row:
    few = [(_source(0), _guarded(0, Slow(1_000, 0)))]
    many = [(_source(1), _guarded(1, Slow(16_000, 0)))]
    costs = await interleaved({"few": lambda: _ask(few), "many": lambda: _ask(many)}, rounds)
    slope = (costs["many"].cpu - costs["few"].cpu) / 15_000 * 1e6
    listing = costs["few"].cpu / 1_000 * 1e6
    return Row("16", "processor time a document more (1,000 to 16,000)", slope,
               "a document of the first 1,000", listing, "µs", listing / slope, "≤1 µs",
               "with the stub's own Entry objects")  # fmt: skip


async def _hung() -> list[Row]:
    rows = []
    for hung in (1, 8):
        sources = [
            (_source(i), _guarded(i, Slow(100, None if i < hung else LATENCY)))
            for i in range(SOURCES)
        ]
        start = time.perf_counter()
        shown = await _ask(sources, BUDGET)
        took = (time.perf_counter() - start) * 1e3
        assert len(shown) == (SOURCES - hung) * 100
        rows.append(
            Row("17", f"{hung} of {SOURCES} sources hung: page complete after", took,
                "the budget", BUDGET * 1e3, "ms", BUDGET * 1e3 / took, "≤budget+10 ms"),
        )  # fmt: skip
    return rows


@contextlib.contextmanager
def _folder(count: int) -> Any:
    with tempfile.TemporaryDirectory(prefix="map-bench-local-") as name:
        folder = Path(name) / PLACE.root / "Map"
        folder.mkdir(parents=True)
        for i in range(count):
            (folder / f"stuk {i:05}.pdf").write_bytes(b"x" * 100)
        yield Path(name)


async def _local(rounds: int) -> list[Row]:
    with _folder(1_000) as folder:
        context = Context("bench/local", egress=EgressPolicy(), base=folder)
        connector = await LocalConnector.open(LocalConfig(path=str(folder)), context)
        inner = folder / PLACE.root / "Map"

        async def ours() -> None:
            assert len((await connector.list(PLACE)).entries) == 1_000

        async def peer() -> None:
            with os.scandir(inner) as found:
                sorted((e.name, e.stat().st_size, e.stat().st_mtime) for e in found)

        costs = await interleaved({"ours": ours, "peer": peer}, rounds)
        await context.aclose()
    mine, other = costs["ours"].cpu * 1e3, costs["peer"].cpu * 1e3
    return [
        Row("18", "local listing of 1,000, CPU", mine, "scandir and stat alone", other, "ms",
            other / mine, "≥0.5x (nginx)"),
    ]  # fmt: skip


async def _page(rounds: int) -> Row:
    """A page of rows as it is shown, beside all rows in one page, compressed as is usual."""
    now = datetime.now(UTC)
    documents = [
        Document("bron", dossier.handle(f"Map/{i}"), f"Stuk nummer {i}.pdf", "map", now, i * 999)
        for i in range(200)
    ]
    ours_environment = environments(TEMPLATES)["nl"]
    template = ours_environment.from_string(
        "{% for r in rows %}<tr><td>{{ r.modified|date }}</td><td>{{ icon((r.name|media).icon) }}"
        "{{ r.name }}</td><td>{{ r.size|size }}</td></tr>{% endfor %}"
    )

    async def ours() -> None:
        gzip.compress(template.render(rows=documents[:50]).encode(), 1)

    async def peer() -> None:
        gzip.compress(template.render(rows=documents).encode(), 6)

    costs = await interleaved({"ours": ours, "peer": peer}, rounds)
    mine, other = costs["ours"].cpu * 1e3, costs["peer"].cpu * 1e3
    return Row("27", "the list of a dossier of 200, as shown (50 a page)", mine,
               "all 200 in one page, zlib 6", other, "ms", other / mine, "≥3x")  # fmt: skip
