"""The application with back offices that misbehave on demand."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import web

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
from gateway.connector.guard import Guarded, Limits
from gateway.domain.firm import Source
from gateway.errors import AuthFailed, NotFound, ProtocolError, Unavailable
from gateway.flows.listings import Listings
from gateway.flows.portal import Portal
from gateway.flows.sources import Sources
from tests.pages.conftest import (  # noqa: F401  # fixtures of this folder too
    Browser,
    base_url,
    browser,
    client,
    firm,
    phone,
    portal_app,
    register,
    sign_in,
)
from tests.pages.conftest import portal as plain_portal  # noqa: F401

PIECE = b"0123456789abcdef" * 1024


@dataclass
class _Reader:
    entry: Entry
    stub: "Stub"
    offset: int = 0
    length: int | None = None
    closed: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = self.stub.documents[self.entry.id]
        for start in range(0, len(body), len(PIECE)):
            if self.stub.cut_after is not None and start >= self.stub.cut_after:
                raise Unavailable("cut")
            if self.stub.slow:
                await asyncio.sleep(self.stub.slow)
            yield body[start : start + len(PIECE)]

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            self.stub.open_readers -= 1


@dataclass
class Stub(Connector[ConnectorConfig]):
    """A back office in memory. mood: ok, hang, garbage, auth, surprise, away."""

    kind = "stub"
    title = {"nl": "Stub", "en": "Stub"}
    Config = ConnectorConfig

    documents: dict[str, bytes] = field(default_factory=dict)
    mood: str = "ok"
    cut_after: int | None = None
    slow: float = 0.0
    open_readers: int = 0
    calls: int = 0

    @classmethod
    async def open(cls, config: ConnectorConfig, context: Context) -> Self:
        return cls()

    @property
    def capabilities(self) -> Capability:
        return Capability.SIZE_KNOWN

    async def _mood(self) -> None:
        self.calls += 1
        match self.mood:
            case "hang":
                await asyncio.sleep(3600)
            case "garbage":
                raise ProtocolError("<html>")
            case "auth":
                raise AuthFailed("401")
            case "away":
                raise Unavailable("refused")
            case "surprise":
                raise ZeroDivisionError("a bug")

    def target(self) -> str:
        return "memory"

    async def reach(self) -> str:
        return "always"

    def _entry(self, id: str) -> Entry:
        folder, _, name = id.rpartition("/")
        at = datetime(2025, 3, 1, tzinfo=UTC)
        size = len(self.documents[id])
        return Entry(id, name, tuple(folder.split("/")), size, at)

    async def list(self, place: Place, *, page: str | None = None, limit: int = 1000) -> Page:
        await self._mood()
        return Page([self._entry(i) for i in self.documents])

    async def stat(self, place: Place, id: str) -> Entry:
        await self._mood()
        if id not in self.documents:
            raise NotFound
        return self._entry(id)

    async def read(self, place: Place, id: str, **options: Any) -> _Reader:
        entry = await self.stat(place, id)
        self.open_readers += 1
        return _Reader(entry, self, length=entry.size)

    async def aclose(self) -> None:
        pass


@dataclass
class Office:
    """The portal with stubs as the sources of both firms, by firm and source id."""

    portal: Portal
    stubs: dict[tuple[str, str], Stub]

    def stub(self, source: str, at: str = "eikenhof") -> Stub:
        return self.stubs[at, source]


@pytest.fixture
async def office(plain_portal: Portal, tmp_path: Path) -> AsyncIterator[Office]:  # noqa: F811
    """Three sources at each firm: `goed`, `ander` and `ziek`; the first two have documents."""
    stubs, guarded, firms = {}, {}, {}
    for id, found in plain_portal.firms.items():
        sources = []
        for name in ("goed", "ander", "ziek"):
            stub = Stub(documents={f"Map/{name} {id} {i}.pdf": PIECE * 4 for i in range(3)})
            stubs[id, name] = stub
            context = Context(f"{id}/{name}", egress=EgressPolicy(), base=tmp_path)
            limits = Limits(first_byte=0.5, idle=0.5, list=5, queue_wait=0.2)
            guarded[id, name] = Guarded(f"{id}/{name}", stub, context, limits)
            sources.append(
                Source.model_validate(
                    {
                        "id": name,
                        "title": f"Bron {name}",
                        "kind": "stub",
                        "categories": [{"name": "Map", "folder": "Map"}],
                    }
                )
            )
        firms[id] = found.model_copy(update={"sources": tuple(sources)})
    listings = Listings()
    opened = Sources(guarded, {})
    yield Office(
        dataclasses.replace(
            plain_portal, firms=firms, sources=opened, listings=listings, budget=0.3
        ),
        stubs,
    )
    await listings.aclose()
    await opened.aclose()


@pytest.fixture
def portal(office: Office) -> Portal:
    """The portal that the fixtures of tests/pages build the application from."""
    return office.portal


Built = Callable[[], web.Application]
