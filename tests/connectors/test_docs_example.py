"""docs/connectors.md is true: its example passes the suite, its tables name every option."""

import re
import sys
import types
from importlib.metadata import EntryPoint

import pytest

from gateway import errors
from gateway.connector import registry
from gateway.connector.conformance import Conformance
from gateway.errors import SourceError
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "connectors.md").read_text(encoding="utf-8")
CONNECTOR, TEST = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def _module(name: str, source: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__file__ = f"/docs/{name.rpartition('.')[2]}.py"
    sys.modules[name] = module
    exec(compile(source, f"docs/connectors.md ({name})", "exec"), module.__dict__)
    return module


EXAMPLE = _module("connectors.zipfiles", CONNECTOR)
_TESTS = _module("docs_example_test", TEST)

# What pytest collects: the fixture and the class of the page.
world = _TESTS.world


class TestExample(_TESTS.TestZipFiles, Conformance):
    pass


def test_an_entry_point_is_found(monkeypatch):
    entry = EntryPoint("zipfiles", "connectors.zipfiles:ZipFiles", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry])
    registry.find.cache_clear()
    try:
        assert registry.find("zipfiles") is EXAMPLE.ZipFiles
        assert "zipfiles" in registry.kinds()
    finally:
        registry.find.cache_clear()


@pytest.mark.parametrize("kind", registry.kinds())
def test_every_option_is_described(kind):
    part = PAGE.partition(f"### `{kind}`")[2].partition("\n### ")[0].partition("\n## ")[0]
    for name, field in registry.find(kind).Config.model_fields.items():
        assert f"| `{name}` |" in part, f"{kind}: {name}"
        assert field.description.replace("|", "/") in part, f"{kind}: {name}"


def test_every_error_is_in_the_table():
    def below(found: type[SourceError]) -> set[str]:
        return {found.__name__} | {n for s in found.__subclasses__() for n in below(s)}

    for name in below(SourceError) - {"SourceError"}:
        row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")), "")
        assert str(getattr(errors, name).status) in row, name
