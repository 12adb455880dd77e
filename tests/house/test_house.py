"""Rules about the code itself, that no linter knows."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from gateway.pages import vendor
from tests.house import lock

ROOT = Path(__file__).parents[2]

#: Where packages come from is a matter of the machine, and no page loads anything from a stranger.
_REGISTRY = re.compile(
    "|".join(
        (r"pypi\.(?:org|python)", r"pythonhosted\.org", r"npmjs\.(?:org|com)",
         r"deb\.debian\.org", r"unpkg\.com", r"jsdelivr\.net", r"cdnjs\.",
         r"fonts\.g(?:oogleapis|static)\.com")
    )
)  # fmt: skip


def _files(*patterns: str) -> list[Path]:
    """What git has or would take: tracked and untracked, not what it ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if told.returncode != 0:
        pytest.skip(f"not here: a git work tree ({told.stderr.decode().strip()})")
    return [
        path
        for name in told.stdout.decode().split("\0")
        if name and (path := ROOT / name).is_file()
    ]


def _modules() -> list[Path]:
    return [path for path in _files("gateway/**.py", "connectors/**.py") if path.suffix == ".py"]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_no_file_names_a_package_registry() -> None:
    here = Path(__file__)
    guilty = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in _files()
        if path != here and (match := _REGISTRY.search(path.read_text("utf-8", "ignore")))
    ]
    assert guilty == []


def test_the_npm_lock_names_no_host_for_a_package() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
    assert [name for name, entry in packages.items() if name and "integrity" not in entry] == []


def test_logging_is_spoken_in_gateway_log_alone() -> None:
    allowed = ROOT / "gateway" / "log.py"
    assert [
        str(path.relative_to(ROOT))
        for path in _modules()
        if path != allowed and any(name.split(".")[0] == "logging" for name in _imports(path))
    ] == []


def _contracts() -> ConfigParser:
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    return setup


def _parts() -> set[str]:
    """The packages and modules right below gateway."""
    core = ROOT / "gateway"
    found = {p.relative_to(core).parts[0] for p in _modules() if p.is_relative_to(core)}
    return {part.removesuffix(".py") for part in found} - {"__init__"}


def test_every_part_of_the_gateway_has_a_layer() -> None:
    """import-linter's `exhaustive` sees packages; this also sees a forgotten __init__.py."""
    layers = _contracts()["importlinter:contract:layers"]["layers"]
    assert _parts() - set(re.findall(r"\w+", layers)) == set()


def test_a_connector_is_kept_from_every_layer_above_its_contract() -> None:
    """The list names modules that exist, so it must grow with the gateway."""
    contract = _contracts()["importlinter:contract:connectors"]["forbidden_modules"]
    seen = {"__main__", "connector", "domain", "errors", "log"}
    assert _parts() - seen == {name.removeprefix("gateway.") for name in contract.split()}


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in _modules()}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_lock_is_in_step_with_setup_cfg() -> None:
    assert lock.main() == 0


@pytest.mark.parametrize(
    ("pins", "fault"),
    [
        ("", "attrs is not in the lock"),
        ("attrs==24.1 \\\n  --hash=sha256:00", "attrs>=25 is asked for, the lock has 24.1"),
        ("attrs==25.1\n", "the lock has packages without a hash"),
        ("--index-url https://x\nattrs==25.1 \\\n  --hash=sha256:00", "the lock names a host"),
    ],
)
def test_a_lock_out_of_step_is_told(pins: str, fault: str) -> None:
    setup = "[options]\ninstall_requires =\n  attrs>=25\n[options.extras_require]\n"
    assert lock.faults(setup, pins) == [fault]


def test_every_icon_that_is_named_is_in_the_sprite() -> None:
    text = "\n".join(
        path.read_text("utf-8") for path in _files("templates/**.html", "gateway/**.py")
    )
    named = set(re.findall(r"""\bicon\(\s*["']([a-z0-9-]+)["']""", text))
    assert named - set(vendor.ICONS) == set()
