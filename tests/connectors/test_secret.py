"""Secrets are references; their values are told to nobody."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.connector.contract import ConnectorConfig
from gateway.connector.secret import Secret, resolve
from gateway.errors import ConfigInvalid


class Config(ConnectorConfig):
    password: Secret


def test_from_the_environment():
    assert resolve("env:GEHEIM", env={"GEHEIM": " met blanks "}) == " met blanks "


@pytest.mark.parametrize("env", [{}, {"GEHEIM": ""}])
def test_a_variable_that_is_not_set(env: dict[str, str]):
    with pytest.raises(ConfigInvalid, match="GEHEIM is not set"):
        resolve("env:GEHEIM", env=env)


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"geheim", "geheim"), (b"geheim\n", "geheim"), (b"geheim\r\n", "geheim"),
     (b"geheim\n\n", "geheim\n"), (b" g h \n", " g h "),
     ("wachtwóórd €".encode(), "wachtwóórd €")],
)  # fmt: skip
def test_from_a_file(tmp_path: Path, content: bytes, value: str):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "smb").write_bytes(content)
    assert resolve("file:secrets/smb", base=tmp_path) == value
    assert resolve(f"file:{tmp_path}/secrets/smb") == value


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"gehe\xffim"])
def test_a_file_that_holds_none(tmp_path: Path, content: bytes):
    (tmp_path / "smb").write_bytes(content)
    with pytest.raises(ConfigInvalid, match="smb") as told:
        resolve("file:smb", base=tmp_path)
    assert "gehe" not in str(told.value)


def test_what_is_no_file(tmp_path: Path):
    os.mkfifo(tmp_path / "pijp")  # opening it would wait for ever
    (tmp_path / "map").mkdir()
    for name in ("pijp", "map", "weg"):
        with pytest.raises(ConfigInvalid):
            resolve(f"file:{name}", base=tmp_path)


@pytest.mark.parametrize("good", ["env:SMB", "env:_a1", "file:/run/secrets/smb", "file:a b"])
def test_references(good: str):
    assert Config(password=good).password == good


@pytest.mark.parametrize(
    "wrong",
    ["hunter2", "", "env:", "env:1A", "env:A-B", "env:SMB\n", "env:SMB\nX", "file:", "file:a\0b",
     "file:a\n", "ENV:SMB", " env:SMB", "http://hunter2", "env:hunter2 "],
)  # fmt: skip
def test_what_is_no_reference_is_not_repeated(wrong: str):
    with pytest.raises(ValidationError) as told:
        Config(password=wrong)
    assert "hunter2" not in str(told.value)
    assert "env:NAME or file:/path" in str(told.value)


def test_a_secret_in_the_wrong_place_is_not_repeated():
    with pytest.raises(ValidationError) as told:
        Config.model_validate({"password": "env:A", "pasword": "hunter2"})
    assert "pasword" in str(told.value)
    assert "hunter2" not in str(told.value)


def test_the_schema_marks_it():
    found = Config.model_json_schema()["properties"]["password"]
    assert found["secret"] is True
    assert "env:" in found["pattern"]
