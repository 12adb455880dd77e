"""Kind `local` on real folders."""

import hashlib
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from connectors.local import LocalConfig, LocalConnector
from gateway.connector.conformance import MIB, PERMANENT, Conformance, World, everything
from gateway.connector.context import Context
from gateway.connector.contract import Connector, Place
from gateway.connector.egress import EgressPolicy
from gateway.errors import NotFound, Unavailable

FOLDERS = (PERMANENT, "Aangiften/2025")


class Folder(World):
    """A folder with two klanten in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = Place("300001", "klanten/300001", FOLDERS)
        self.other = Place("300002", "klanten/300002", FOLDERS)
        self._contexts: list[Context] = []

    async def open(self, **options: Any) -> Connector[Any]:
        context = Context("firm/local", egress=EgressPolicy(), base=self.path.parent)
        self._contexts.append(context)
        config = LocalConfig.model_validate({"path": str(self.path), **options})
        return await LocalConnector.open(config, context)

    def at(self, place: Place, folder: str, name: str) -> Path:
        path = self.path / place.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        self.at(place, folder, name).write_bytes(body)

    async def seed_large(self, place: Place, folder: str, name: str, size: int) -> bytes:
        digest, block = hashlib.sha256(), os.urandom(MIB)
        with self.at(place, folder, name).open("wb") as out:
            for _ in range(size // MIB):
                out.write(block)
                digest.update(block)
        return digest.digest()

    async def remove(self, place: Place, folder: str, name: str) -> None:
        self.at(place, folder, name).unlink()

    async def aclose(self) -> None:
        for context in self._contexts:
            await context.aclose()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Folder]:
    (tmp_path / "share").mkdir()
    made = Folder(tmp_path / "share")
    yield made
    await made.aclose()


class TestLocal(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}


class TestLocalReadOnly(Conformance):
    """The same folder, not to be written to."""


async def test_a_folder_that_is_away(tmp_path: Path):
    connector = await Folder(tmp_path / "weg").open()
    with pytest.raises(Unavailable):
        await connector.list(Place("300001", "300001", FOLDERS))


async def test_links_and_devices_are_no_documents(world: Folder, tmp_path: Path):
    trap = tmp_path / "geheim.txt"
    trap.write_text("GEHEIM")
    (tmp_path / "buiten").mkdir()
    (tmp_path / "buiten" / "geheim.txt").write_text("GEHEIM")
    await world.seed(world.place, PERMANENT, "echt.txt", b"echt")
    folder = world.path / world.place.root / PERMANENT
    (folder / "link.txt").symlink_to(trap)
    (folder / "map").symlink_to(tmp_path / "buiten")
    (folder / "rel.txt").symlink_to("../../../../geheim.txt")
    os.mkfifo(folder / "pijp")
    connector = await world.open()
    assert [e.name for e in await everything(connector, world.place)] == ["echt.txt"]
    for id in ("link.txt", "map/geheim.txt", "rel.txt", "pijp", "map"):
        for ask in (connector.stat, connector.read):
            with pytest.raises(NotFound):
                await ask(world.place, f"{PERMANENT}/{id}")


async def test_a_klant_whose_folder_is_a_link(world: Folder, tmp_path: Path):
    (tmp_path / "buiten" / PERMANENT).mkdir(parents=True)
    (tmp_path / "buiten" / PERMANENT / "geheim.txt").write_text("GEHEIM")
    (world.path / "klanten").mkdir()
    (world.path / world.place.root).symlink_to(tmp_path / "buiten")
    connector = await world.open()
    assert await everything(connector, world.place) == []
    with pytest.raises(NotFound):
        await connector.read(world.place, f"{PERMANENT}/geheim.txt")


def hostile_names(seed: int, count: int) -> list[str]:
    """Ids of every sort that might lead outside, made from pieces."""
    chance = random.Random(seed)
    pieces = [
        "..", ".", "/", "\\", "//", "\0", "%2e", "%2f", "\u2215", "\u29f8", "\u202e", "\uff0e",
        "\ufe52", "~", "$HOME", ":", "::$DATA", "*", "?", "|", "con", "nul", " ", "\n", "\r",
        "\x7f", "a", PERMANENT, "geheim.txt", "klanten", "300002", "300001", "etc", "passwd",
        "\udcff",
    ]  # fmt: skip
    return ["".join(chance.choices(pieces, k=chance.randint(1, 9))) for _ in range(count)]


async def test_five_thousand_hostile_names_lead_nowhere(world: Folder, tmp_path: Path):
    (tmp_path / "geheim.txt").write_text("GEHEIM")
    await world.seed(world.other, PERMANENT, "geheim.txt", b"GEHEIM")
    await world.seed(world.place, "Intern", "geheim.txt", b"GEHEIM")
    connector = await world.open()
    refused = 0
    for id in hostile_names(7, 5_000):
        with pytest.raises(NotFound):
            await connector.read(world.place, id)
        refused += 1
    assert refused == 5_000


async def test_names_that_cannot_be_shown_are_left_out(world: Folder):
    await world.seed(world.place, PERMANENT, "goed.txt", b"x")
    folder = os.fsencode(world.path / world.place.root / PERMANENT)
    with open(folder + b"/\xff\xfe.txt", "wb") as out:
        out.write(b"x")
    connector = await world.open()
    assert [e.name for e in await everything(connector, world.place)] == ["goed.txt"]
