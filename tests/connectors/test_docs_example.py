"""docs/connectors.md is true: its example passes the suite, its tables say what the code says."""

import asyncio
import atexit
import contextlib
import importlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import connectors
from gateway import errors
from gateway.connector import registry
from gateway.connector.conformance import (
    PERMANENT,
    Conformance,
    World,
    content,
    everything,
)
from gateway.connector.contract import Capability, Scope
from gateway.domain.firm import Source
from gateway.errors import IntegrityError, SourceError, Unavailable
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "connectors.md").read_text(encoding="utf-8")
CONNECTOR, TEST = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
KIND = "zipfiles"

# The two files, where a reader is told to save them. They go when this process ends.
MADE = Path(tempfile.mkdtemp(prefix="docs-example-"))
atexit.register(shutil.rmtree, MADE, ignore_errors=True)
(MADE / f"{KIND}.py").write_text(CONNECTOR, encoding="utf-8")
(MADE / f"test_{KIND}.py").write_text(TEST, encoding="utf-8")


def _ship(patch: pytest.MonkeyPatch) -> None:
    """As if the connector's file stood in `connectors/`."""
    patch.setattr(connectors, "__path__", [*connectors.__path__, str(MADE)])


with pytest.MonkeyPatch.context() as patched:
    _ship(patched)
    patched.syspath_prepend(MADE)
    example = importlib.import_module(f"connectors.{KIND}")
    example_test = importlib.import_module(f"test_{KIND}")

# What pytest collects: the fixture and the class of the page.
world = example_test.world


class TestExample(example_test.TestZipFiles):
    pass


def test_the_class_is_the_suite() -> None:
    assert issubclass(TestExample, Conformance)


# --- how it is found


@pytest.fixture
def found_anew() -> Iterator[None]:
    """The registry remembers nothing from before, and nothing of this."""
    registry.find.cache_clear()
    yield
    registry.find.cache_clear()


@pytest.mark.usefixtures("found_anew")
def test_a_file_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KIND not in registry.kinds()
    _ship(monkeypatch)
    assert KIND in registry.kinds()
    assert registry.find(KIND) is example.ZipFiles
    assert example.ZipFiles.kind == KIND


@pytest.mark.usefixtures("found_anew")
def test_an_entry_point_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    group, kind, value = re.findall(r"^(gateway\.\w+) =\n +(\w+) = (\S+)$", PAGE, re.MULTILINE)[0]
    assert (group, kind) == (registry.GROUP, KIND)
    entry = EntryPoint(kind, value.replace("your_package", "connectors"), group)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    assert registry.find(KIND) is example.ZipFiles
    assert registry.kinds()[-1] == KIND


# --- what the example says of itself


async def test_what_cannot_be_read_back_is_left_out(world: Any) -> None:
    with zipfile.ZipFile(world.path / "300001.zip", "w") as made:
        for name in ("a.txt", "l" * 1024, "../../b.txt"):
            made.writestr(f"{PERMANENT}/{name}", b"x")
        made.writestr(f"{PERMANENT}/c.txt", b"x", zipfile.ZIP_LZMA)
        made.writestr(f"../{PERMANENT}/d.txt", b"x")
        made.mkdir(f"{PERMANENT}/Leeg")
    connector = await world.open()
    found = await everything(connector, world.place)
    assert [e.id for e in found] == [f"{PERMANENT}/../../b.txt", f"{PERMANENT}/a.txt"]
    for entry in found:  # a member's name leads nowhere but into the archive
        assert await content(connector, world.place, entry.id) == b"x"
    assert {p.name for p in world.path.iterdir()} == {"300001.zip"}


async def test_a_damaged_dossier_is_one_klants(world: Any) -> None:
    await world.seed(world.place, PERMANENT, "a.txt", b"een")
    await world.seed(world.other, PERMANENT, "a.txt", b"twee")
    connector = await world.open()
    path = world.path / "300001.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(f"{PERMANENT}/a.txt", b"precies dit")
    path.write_bytes(path.read_bytes().replace(b"precies", b"precieS"))
    with pytest.raises(IntegrityError):
        await content(connector, world.place, f"{PERMANENT}/a.txt")
    path.write_bytes(b"no ZIP")
    with pytest.raises(IntegrityError):
        await connector.list(world.place)
    assert await content(connector, world.other, f"{PERMANENT}/a.txt") == b"twee"


async def test_a_folder_that_is_away_is_no_empty_dossier(world: Any) -> None:
    connector = await world.open(path="weg")
    for call in (connector.list(world.place), connector.read(world.place, "x")):
        with pytest.raises(Unavailable):
            await call
    for scope in list(Scope)[1:]:
        report = await connector.check(scope, world.place)
        assert [f.scope for f in report.findings if not f.ok] == [Scope.CONNECTIVITY]


async def test_a_check_without_a_place_says_so(world: Any) -> None:
    report = await (await world.open()).check(Scope.LIST)
    assert [f.code for f in report.findings] == ["", "", "config_invalid"]


async def test_who_leaves_while_it_is_opened_leaves_nothing_open(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class Reader(example.ZipReader):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)  # and so it is not the collector that closes it

    monkeypatch.setattr(example, "ZipReader", Reader)
    await world.seed(world.place, PERMANENT, "a.txt", b"een")
    connector = await world.open()
    for pause in (0, 0.0005, 0.001, 0.002) * 10:
        task = asyncio.create_task(connector.read(world.place, f"{PERMANENT}/a.txt"))
        await asyncio.sleep(pause)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await (await task).aclose()
    for _ in range(400):
        if made and all(reader._archive.fp is None for reader in made):
            break
        await asyncio.sleep(0.005)
    assert made
    assert [reader for reader in made if reader._archive.fp is not None] == []


# --- the tables


def rows(after: str) -> list[str]:
    """The rows of the first table below a heading, or below a table's own head."""
    below = PAGE.partition(after)[2]
    assert below, after
    lines = below[below.index("|---") :].splitlines()[1:]
    return lines[: next(i for i, line in enumerate(lines) if not line.startswith("|"))]


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize("kind", [k for k in registry.kinds() if k != KIND])
def test_every_option_with_its_default(kind: str) -> None:
    found = registry.find(kind)
    wanted = [
        f"| `{name}` | {'needed' if o.is_required() else f'`{o.get_default()!r}`'} |"
        f" {o.description} |"
        for name, o in found.Config.model_fields.items()
    ]
    assert rows(f"\n### `{kind}`: {found.title['en']}\n") == wanted


def test_every_kind_that_ships_has_a_table() -> None:
    assert re.findall(r"^### `(\w+)`:", PAGE, re.MULTILINE) == registry._shipped()


def test_every_error_as_it_is() -> None:
    def below(found: type[SourceError]) -> list[type[SourceError]]:
        return [e for s in found.__subclasses__() for e in (s, *below(s))]

    told = {cells(r)[0].strip("`"): cells(r)[2:] for r in rows("\n## Errors\n")}
    ours = [e for e in below(SourceError) if e.__module__ == errors.__name__]
    assert set(told) == {e.__name__ for e in ours}
    owners = {"ops": "operations"}
    for error in ours:
        status, again, counts, who = told[error.__name__]
        # The guard tries neither of these again; refused credentials open the breaker at once.
        retried = error.retryable and error is not errors.DeadlineExceeded
        counted = error.counts or error is errors.AuthFailed
        assert status == str(error.status), error
        assert again.startswith("yes" if retried else "no"), error
        assert counts.startswith("yes" if counted else "no"), error
        assert who == owners.get(error.owner, error.owner), error


def test_every_capability() -> None:
    assert [cells(r)[0].strip("`") for r in rows("\n## Capabilities\n")] == [
        c.name for c in Capability
    ]


def test_every_hook_of_a_world() -> None:
    told = {n for r in rows("Set these of a `World`") for n in re.findall(r"`(\w+)`", cells(r)[0])}
    public = {n for n in (*vars(World), *World.__annotations__) if not n.startswith("_")}
    assert told == public


def test_the_configurations_are_valid() -> None:
    whole, *several = (
        YAML(typ="safe").load(text)
        for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    )
    for source in whole["sources"]:
        told = Source.model_validate(source)
        registry.find(told.kind).Config.model_validate(told.options)
    assert several
    for source in several:
        registry.find(source.get("kind", "soap")).Config.model_validate(source["options"])


def test_links_lead_somewhere() -> None:
    heads = {
        re.sub(r"[^\w -]", "", h).replace(" ", "-").lower()
        for h in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }
    for path, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", PAGE):
        assert (ROOT / "docs" / path).exists(), path
        assert not anchor or anchor in heads, anchor
