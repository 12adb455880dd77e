"""Kinds are found by name; a broken plug-in is told, and stops nobody."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.local import LocalConnector
from gateway.connector import registry
from gateway.connector.registry import NotLoaded, find, kinds, overview
from gateway.errors import ConfigInvalid

#: A plug-in that does nothing; what it says of itself is filled in.
PLUGIN = '''
from gateway.connector.contract import Capability, Connector, ConnectorConfig, Page

class Config(ConnectorConfig):
    """None."""

class Plugin(Connector[Config]):
    kind = "{kind}"
    title = {{"nl": "Proef", "en": "Trial"}}
    Config = {config}
    {more}

    @classmethod
    async def open(cls, config, context): return cls()
    @property
    def capabilities(self): return Capability(0)
    def target(self): return "proef"
    async def reach(self): return "ja"
    async def list(self, place, *, page=None, limit=1000): return Page([])
    async def stat(self, place, id): raise NotImplementedError
    async def {read}(self, place, id, **_): raise NotImplementedError
    async def aclose(self): pass
'''

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a distribution with one entry point where Python finds it."""
    before = set(sys.modules)

    def put(
        name: str, source: str, *, entry: str = "", attribute: str = "Plugin", dist: str = ""
    ) -> None:
        module = f"proef_{dist or name}"
        folder = tmp_path / module
        info = folder / f"{module}-1.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
        target = entry or f"{module}:{attribute}"
        (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = {target}\n")
        monkeypatch.syspath_prepend(str(folder))
        find.cache_clear()

    yield put
    find.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("proef_"):
            del sys.modules[name]


def plugin(kind: str, *, config: str = "Config", more: str = "", read: str = "read") -> str:
    return PLUGIN.format(kind=kind, config=config, more=more, read=read)


def reason(kind: str) -> str:
    """Why a kind is not loaded; `find` and `overview` agree."""
    with pytest.raises(ConfigInvalid) as told:
        find(kind)
    assert told.value.field == "kind"
    listed = overview()[kind]
    assert isinstance(listed, NotLoaded)
    assert listed.reason == str(told.value)
    return listed.reason


def test_what_ships():
    assert kinds()[:8] == ["cmis", "ftps", "local", "s3", "sftp", "smb", "soap", "webdav"]
    assert find("local") is LocalConnector
    for kind in ("cmis", "ftps", "local", "s3", "sftp", "smb", "soap", "webdav"):
        assert overview()[kind] is find(kind)


@pytest.mark.parametrize(
    "kind", ["locl", "", "../local", "local.evil", "os", "soap_profiles", "__init__"]
)
def test_an_unknown_kind_names_the_known_ones(kind: str):
    with pytest.raises(ConfigInvalid, match="local, s3, sftp, smb, soap, webdav"):
        find(kind)


def test_a_plug_in(install: Install):
    install("proef", plugin("proef"))
    assert find("proef").title["nl"] == "Proef"
    assert kinds()[-1] == "proef"


def test_a_plug_in_that_cannot_be_imported_stops_nobody(install: Install):
    install("kapot", "raise SystemError('a library is missing')")
    install("goed", plugin("goed"))
    assert "a library is missing" in reason("kapot")
    assert overview()["goed"] is find("goed")
    assert overview()["local"] is find("local")


def test_a_plug_in_does_not_take_the_place_of_what_ships(install: Install):
    install("local", plugin("local"))
    assert find("local") is LocalConnector
    assert kinds().count("local") == 1


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (plugin("proef", more="api_version = 1"), "version 1 of the contract, not 2"),
        (plugin("proef", read="lees"), "does not implement read"),
        (plugin("proef", config="dict"), "has no Config"),
        (plugin("anders"), "holds another kind"),
        ("class Plugin: kind = 'proef'", "is not a Connector"),
        ("Plugin = 'proef'", "is not a Connector"),
        ("x = 1", "is not loaded"),
    ],
)
def test_a_plug_in_that_is_none(install: Install, source: str, told: str):
    install("proef", source)
    assert told in reason("proef")


def test_two_plug_ins_of_one_name(install: Install):
    install("proef", plugin("proef"), dist="een")
    install("proef", plugin("proef"), dist="twee")
    assert "proef_een" in reason("proef")
    assert "proef_twee" in reason("proef")


def test_one_that_is_installed_twice_is_one(install: Install):
    install("proef", plugin("proef"), dist="een")
    install("proef", "", entry="proef_een:Plugin", dist="kopie")
    assert find("proef").kind == "proef"


@pytest.mark.parametrize("name", ["Proef", "proef-een", "1proef", "proef.een"])
def test_names_that_no_kind_has(install: Install, name: str):
    install(name, plugin(name), dist="raar")
    assert name not in kinds()


def test_what_ships_and_misses_a_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "connectors.smb", None)
    find.cache_clear()
    try:
        assert "smb" in reason("smb")
        assert overview()["local"] is LocalConnector
    finally:
        find.cache_clear()
