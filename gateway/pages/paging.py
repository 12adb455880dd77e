"""Lists on pages: the address says which page, and how the list is filtered."""

from collections.abc import Collection, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web

from gateway.domain import dossier

T = TypeVar("T")


def number(request: web.Request, pages: int) -> int:
    """The page that is asked for (``?pagina=2``), from 1; the last one when there are less."""
    word = request.query.get("pagina", "")
    asked = int(word) if word.isascii() and word.isdigit() and len(word) < 7 else 1
    return max(1, min(asked, pages))


def cut(rows: Sequence[T], number: int) -> Sequence[T]:
    """The rows of a page."""
    return rows[(number - 1) * dossier.PAGE : number * dossier.PAGE]


def address(request: web.Request, path: str, kept: Collection[str], **changes: Any) -> str:
    """This page with other words in its address, of those in `kept`; None takes one away."""
    words = {k: v for k, v in request.query.items() if k in kept} | changes
    found = {k: str(v) for k, v in words.items() if v is not None}
    return f"{path}?{urlencode(found)}" if found else path


def words(text: str) -> str:
    """What somebody searches for, with one blank between words and no sign that cannot be read."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:100]
