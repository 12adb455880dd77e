"""Every text that a person reads is Dutch, with English beside it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from gateway.app import TEMPLATES

ROOT = Path(__file__).parents[2]
#: What is made with sentences for people.
_SAYS = {"Failure", "Message", "Invalid", "text"}
_SENTENCE = re.compile(r"^[A-Z].* .*[.?!]$", re.DOTALL)
_PLACES = re.compile(r"%\(\w+\)s|\{\w+\}|<[^>]+>")


def _catalogue() -> dict[str, str]:
    with (TEMPLATES / "locale" / "en.po").open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file) if m.id}


def _of_templates() -> Iterator[str]:
    found = extract_from_dir(
        str(TEMPLATES),
        method_map=[("mail/**", "ignore"), ("sms/**", "ignore"), ("**.html", "jinja2")],
        options_map={"**.html": {"newstyle_gettext": "true", "silent": "false"}},
        keywords={"_": None, "gettext": None, "ngettext": (1, 2)},
    )
    for _, _, message, _, _ in found:
        yield from (t for t in (message if isinstance(message, tuple) else (message,)) if t)


def _strings(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def _of_module(path: Path) -> Iterator[str]:
    """Sentences of a module: what is said to people, and every constant that reads like it."""
    tree = ast.parse(path.read_text())
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    told = {ast.get_docstring(n, clean=False) for n in ast.walk(tree) if isinstance(n, kinds)}
    in_formats = {s for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for s in _strings(n)}
    yield from (s for s in _strings(tree) if _SENTENCE.match(s) and s not in told | in_formats)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in _SAYS:
            for value in (*node.args, *(k.value for k in node.keywords)):
                parts = value.values if isinstance(value, ast.Dict) else [value]
                texts = (s for p in parts if not isinstance(p, ast.JoinedStr) for s in _strings(p))
                yield from (s for s in texts if " " in s)


def _of_python() -> Iterator[str]:
    for folder in ("pages", "flows", "domain"):
        for path in sorted((ROOT / "gateway" / folder).rglob("*.py")):
            yield from (t for t in _of_module(path) if t != "Portal Login")


@pytest.mark.parametrize("source", [_of_templates, _of_python], ids=["templates", "python"])
def test_every_text_has_an_english_one(source: object) -> None:
    assert callable(source)
    known = _catalogue()
    wanted = set(source())
    assert len(wanted) > 50
    assert sorted(t for t in wanted if not known.get(t)) == []


def test_no_text_is_left_over() -> None:
    everything = set(_of_templates())
    for path in (ROOT / "gateway").rglob("*.py"):
        everything |= set(_strings(ast.parse(path.read_text())))
    assert sorted(t for t in _catalogue() if t not in everything) == []


@pytest.mark.parametrize("text", sorted(_catalogue()))
def test_both_languages_have_the_same_places_to_fill_in(text: str) -> None:
    assert sorted(_PLACES.findall(text)) == sorted(_PLACES.findall(_catalogue()[text]))


def test_nobody_gives_markup_of_a_variable() -> None:
    """``_(x)`` makes markup of x, so it is for texts that stand in the template; ``x|said``
    stays escaped."""
    for path in TEMPLATES.rglob("*.html"):
        source = path.read_text()
        assert not re.search(r"\b_\(\s*[^\"'\s]", source), path
        assert "|safe" not in source, path
