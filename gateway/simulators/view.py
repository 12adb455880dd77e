"""A plain page to read messages on, for a person at the demonstration."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from aiohttp import web

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:46rem;padding:0 1rem;"
    "background:#f4f6f8;color:#1c2530}article{background:#fff;border-radius:10px;padding:1rem;"
    "margin:1rem 0;box-shadow:0 1px 3px #0002}dt{color:#5a6672;font-size:.8rem}"
    "dd{margin:0 0 .5rem;white-space:pre-wrap;overflow-wrap:anywhere}"
)


def page(title: str, messages: Iterable[Mapping[str, Any]], fields: Sequence[str]) -> web.Response:
    """The messages, newest first."""
    articles = "".join(
        "<article><dl>"
        + "".join(f"<dt>{f}</dt><dd>{escape(str(m.get(f, '')))}</dd>" for f in fields)
        + "</dl></article>"
        for m in reversed(list(messages))
    )
    text = (
        f"<!DOCTYPE html><html lang=nl><meta charset=utf-8><meta name=viewport"
        f" content='width=device-width'><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title} (simulator)</h1><p><a href=''>Vernieuwen</a></p>"
        f"{articles or '<p>Nog geen berichten.</p>'}</html>"
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return web.Response(
        text=text, content_type="text/html", headers={"Content-Security-Policy": policy}
    )
