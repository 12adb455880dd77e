"""Configuration: every fault at once, each where it stands."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway import settings
from gateway.cli import cli
from gateway.connector import secret
from gateway.errors import ConfigInvalid
from tests.conftest import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the configuration that ships."""
    return Path(shutil.copytree(ROOT / "config", tmp_path / "config"))


def change(path: Path, old: str, new: str) -> int:
    """Replace a text in a file; the number of the line where it begins."""
    text = path.read_text()
    assert text.count(old) >= 1, old
    path.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def faults(folder: Path, env: dict[str, str] | None = None) -> list[settings.Fault]:
    with pytest.raises(settings.SettingsError) as told:
        settings.load(folder, env or {})
    return list(told.value.faults)


def test_what_ships_is_good():
    found = settings.load(ROOT / "config", {})
    assert set(found.firms) == {"lindehof", "zeewind"}
    assert {s.kind for s in found.firms["lindehof"].sources} == {"local", "s3", "soap"}


def test_every_fault_is_told_with_its_line_and_the_nearest_key(folder: Path):
    firm = folder / "firms" / "lindehof.yaml"
    lines = {
        "style.primary": change(firm, 'primary: "#1f5c4d"', 'primary: "#cccccc"'),
        "relatiebeheerdr": change(firm, "relatiebeheerder: eva", "relatiebeheerdr: eva"),
        "sources[1].options.buckett": change(firm, "bucket: lindehof", "buckett: lindehof"),
        "sources[0].kind": change(firm, "kind: local", "kind: locall"),
    }
    other = folder / "gateway.yaml"
    lines["budget"] = change(other, "budget: 1.5", "budget: veel")
    found = {f.path: f for f in faults(folder)}
    for path, line in lines.items():
        assert path in found, (path, list(found))
        assert found[path].line == line
        assert found[path].file.endswith((".yaml",))
    assert found["relatiebeheerdr"].nearest == "relatiebeheerder"
    assert found["sources[1].options.buckett"].nearest == "bucket"
    assert found["sources[0].kind"].nearest == "local"
    assert "contrast" in found["style.primary"].message
    assert "sources[1].options.bucket" in found  # and it is missing


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("short: Lindehof", "short: Lindehof\nshort: Weer", "duplicate"),
        ("short: Lindehof", "short: [", ""),
        ("short: Lindehof", "short: no", None),  # YAML 1.2: a word
        ("short: Lindehof", 'short: "0630"', None),
        ("id: lindehof", "id: anders", "expected 'lindehof'"),
        ("logo: lindehof/logo.svg", "logo: ../gateway.yaml", "no such file"),
        ("logo: lindehof/logo.svg", "logo: lindehof/weg.svg", "no such file"),
        ("host: lindehof.localhost", "host: zeewind.localhost", "is the host of"),
        ('place: "{number}"', 'place: "{naam}"', "can be filled in"),
        ("folder: Permanent", "folder: ../Permanent", "a folder is relative"),
        ("token: file:", "token: hunter2-", "a secret is a reference"),
    ],
)
def test_what_a_file_may_hold(folder: Path, old: str, new: str, message: str | None):
    change(folder / "firms" / "lindehof.yaml", old, new)
    if message is None:
        settings.load(folder, {})
        return
    told = faults(folder)
    assert any(message in f.message for f in told), told
    assert all("hunter2" not in str(f) for f in told)


def test_variables(folder: Path):
    change(folder / "gateway.yaml", "${PORT:-8080}", "${PORT}")
    (fault,) = [f for f in faults(folder) if "PORT" in f.message]
    assert (fault.path, fault.line > 0) == ("listen.port", True)
    assert settings.load(folder, {"PORT": "9999"}).gateway.listen.port == 9999


def test_secrets(tmp_path: Path):
    (tmp_path / "word").write_text("geheim\n")
    assert secret.resolve("file:word", base=tmp_path) == "geheim"
    assert secret.resolve("env:WORD", env={"WORD": "x"}) == "x"
    for bad in ("env:ER_IS_NIETS", "file:weg"):
        with pytest.raises(ConfigInvalid):
            secret.resolve(bad, base=tmp_path, env={})


def run(*words: str):
    return CliRunner().invoke(cli, list(words), env={"MAP_HOME": None})


def test_check_tells_by_its_exit_code(folder: Path, tmp_path: Path, monkeypatch):
    home = tmp_path / "home"
    (home / "secrets").mkdir(parents=True)
    for name in ("key", "s3_access_key", "s3_secret_key", "soap_token"):
        (home / "secrets" / name).write_text("x" * 40)
    monkeypatch.setenv("MAP_HOME", str(home))
    runner = CliRunner()
    good = runner.invoke(cli, ["config", "check", "--config", str(folder), "--json"])
    assert (good.exit_code, json.loads(good.stdout)) == (0, {"ok": True, "faults": []})
    (home / "secrets" / "soap_token").unlink()
    absent = runner.invoke(cli, ["config", "check", "--config", str(folder), "--json"])
    assert absent.exit_code == 1
    assert "soap_token" in json.loads(absent.stdout)["faults"][0]["message"]
    change(folder / "gateway.yaml", "budget:", "buget:")
    bad = runner.invoke(cli, ["config", "check", "--config", str(folder), "--json"])
    assert bad.exit_code == 1
    fault = json.loads(bad.stdout)["faults"][0]
    assert (fault["path"], fault["nearest"]) == ("buget", "budget")
    assert runner.invoke(cli, ["config", "check", "--config", str(tmp_path)]).exit_code == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    dossier: false  ", "    dossier: true  "),
        (
            "folder: Correspondentie}\n",
            "folder: Correspondentie}\n      - {name: K, folder: Klaargezet}\n",
        ),
    ],
)
def test_what_packages_send_is_not_shown_in_the_dossier(folder: Path, old: str, new: str):
    """A client would see what was refused, another klant's return among it."""
    change(folder / "firms" / "lindehof.yaml", old, new)
    with pytest.raises(settings.SettingsError, match="shown in the dossier"):
        settings.load(folder, {"MAP_HOME": "/home"})


def test_what_is_written_needs_a_source_that_can_be(folder: Path):
    """Told before anything is dropped, where it stands."""
    firm = folder / "firms" / "lindehof.yaml"
    change(firm, "      writable: true\nintake", "intake")
    text = firm.read_text()
    lines = {
        "intake.source": text[: text.index("intake: {source")].count("\n") + 1,
        "mailboxes[0].source": text[: text.index("    source: klaargezet\n")].count("\n") + 1,
    }
    found = {f.path: f for f in faults(folder, {"MAP_HOME": "/home"})}
    assert {path: f.line for path, f in found.items()} == lines
    assert all("writable: true" in f.message for f in found.values())


def test_a_mailbox_needs_a_kind_that_moves_files(folder: Path):
    firm = folder / "firms" / "lindehof.yaml"
    change(firm, "    source: klaargezet\n", "    source: pakket\n")
    (found,) = faults(folder, {"MAP_HOME": "/home"})
    assert (found.path, "which cannot move files" in found.message) == (
        "mailboxes[0].source",
        True,
    )


def test_where_a_mailbox_puts_documents_is_written(folder: Path):
    firm = folder / "firms" / "lindehof.yaml"
    rule = "      - {match: 'b*', klant: {from: sidecar}, into: {source: %s, folder: %s}}\n"
    first = '      - {match: "*.x*", klant: {from: xbrl}}\n'
    line = change(firm, first, first + rule % ("jaarstukken", "Jaarrekening"))
    (found,) = faults(folder, {"MAP_HOME": "/home"})
    assert (found.path, found.line) == ("mailboxes[0].rules[1].into.source", line + 1)


def test_the_schema_knows_every_kind():
    told = json.loads(run("config", "schema").stdout)
    assert set(told) == {"gateway", "firm"}
    assert {"local", "smb", "s3", "soap"} <= set(told["firm"]["$defs"])
    token = told["firm"]["$defs"]["s3"]["properties"]["secret_key"]
    assert token["secret"] is True
    assert token["description"]
