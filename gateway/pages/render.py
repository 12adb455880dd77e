"""Templates to answers: Jinja2 with autoescape, the catalogue, formats, and what each page needs.

Dutch is the source language; the English texts stand in ``templates/locale/en.po``. A text of
Python (an error sentence) is looked up by a filter, ``{{ fault|said }}``: it stays escaped,
where ``_()`` gives markup and is for texts that stand in the template itself.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web
from babel.messages.pofile import read_po
from markupsafe import Markup

from gateway.domain import access, media, session
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.model import Text
from gateway.domain.xbrl.table import Shape, Value
from gateway.flows.visitor import AMSTERDAM, Visitor
from gateway.pages import assets
from gateway.pages.context import here, portal
from gateway.pages.cookies import form_token, set_cookie

ENVIRONMENT = web.AppKey("jinja", dict[str, jinja2.Environment])


class Catalogue:
    """Translations of one language; Dutch text itself when there is none."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    @classmethod
    def read(cls, path: Path) -> "Catalogue":
        """From a gettext file (.po)."""
        with path.open("rb") as file:
            found = read_po(file)
        return cls({str(m.id): str(m.string) for m in found if m.id and m.string})

    def gettext(self, text: str) -> str:
        """The text in this language."""
        return self._texts.get(text, text)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """The text for a number of things."""
        return self.gettext(one if count == 1 else many)


def environments(folder: Path) -> dict[str, jinja2.Environment]:
    """One environment a language, over the templates in `folder`."""
    catalogues = {"nl": Catalogue({}), "en": Catalogue.read(folder / "locale" / "en.po")}
    made = {language: _environment(folder, language, c) for language, c in catalogues.items()}
    for environment in made.values():  # read now: a page must not wait for a disk, or fail late
        for name in environment.list_templates(filter_func=lambda n: not n.startswith("mail/")):
            if name.endswith(".html"):
                environment.get_template(name)
    return made


def _environment(folder: Path, language: str, catalogue: Catalogue) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
        auto_reload=False,
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]
        catalogue.gettext, catalogue.ngettext, newstyle=True
    )
    made.filters.update(
        date=date,
        time=clock,
        size=lambda size: size_text(size, language),
        in_=lambda text: text.in_(language) if isinstance(text, Text) else text,
        said=catalogue.gettext,
        paragraphs=paragraphs,
        money=lambda amount: money(amount, language),
        shown=lambda value, kind, unit: shown(value, kind, unit, language),
        dial=lambda number: "".join(c for c in number if c in "+0123456789"),
        initials=initials,
        media=media.of,
    )
    made.globals.update(language=language, icon=icon, asset=assets.url)
    return made


def date(at: datetime | None) -> str:
    """dd-mm-jjjj in Amsterdam; "" when not known."""
    return at.astimezone(AMSTERDAM).strftime("%d-%m-%Y") if at else ""


def clock(at: datetime) -> str:
    """hh:mm in Amsterdam."""
    return at.astimezone(AMSTERDAM).strftime("%H:%M")


def size_text(size: int | None, language: str = "nl") -> str:
    """A file's size as people write it: "23,1 KB"; "" when not known. KB is 1,024 bytes."""
    if size is None:
        return ""
    if size < 1024:
        return f"{size} B"
    units = ["KB", "MB", "GB", "TB"]
    amount = size / 1024
    while amount >= 1023.95 and len(units) > 1:
        amount /= 1024
        del units[0]
    # Below 1,024, so there is nothing to group: Babel's formats cost twenty times as much.
    return f"{amount:.1f} {units[0]}".replace(".", "." if language == "en" else ",")


def money(amount: Decimal, language: str = "nl") -> str:
    """An amount with its thousands grouped: "3.240" or "3.240,50"; cents only where there are."""
    text = f"{amount:,.0f}" if amount == amount.to_integral_value() else f"{amount:,.2f}"
    return text if language == "en" else text.translate(str.maketrans(",.", ".,"))


def shown(value: Value, kind: Shape, unit: str, language: str = "nl") -> str:
    """A value of gateway.domain.xbrl.view as a person reads it; "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return (("ja", "nee") if language == "nl" else ("yes", "no"))[not value]
    if isinstance(value, Decimal):
        sign = {"EUR": "€ "}.get(unit, f"{unit} ")
        return (sign if kind in (Shape.AMOUNT, Shape.TOTAL) else "") + money(value, language)
    return value if isinstance(value, str) else value.strftime("%d-%m-%Y")


def paragraphs(text: str) -> Markup:
    """Text with blank lines in it as paragraphs of HTML."""
    parts = (part.strip() for part in text.split("\n\n"))
    return Markup("\n").join(Markup("<p>{}</p>").format(part) for part in parts if part)


def initials(name: str) -> str:
    """First letters of the first and the last word of a name."""
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


def icon(name: str, label: str = "") -> Markup:
    """An icon of the sprite. Without a label it is decoration, hidden from screen readers."""
    told = (
        Markup(' role="img" aria-label="{}"').format(label)
        if label
        else Markup(' aria-hidden="true"')
    )
    return Markup('<svg class="icon" focusable="false"{}><use href="{}#{}"></use></svg>').format(
        told, assets.url("vendor/icons.svg"), name
    )


def firm_of(request: web.Request) -> Firm | None:
    """Whose look the page has: the visitor's firm, that of the path, or that of the host."""
    known = here(request)
    if known.visitor:
        return known.visitor.firm
    named = request.match_info.get("firm")
    return (portal(request).firms.get(named) if named else None) or known.host_firm


def _organisation(visitor: Visitor | None) -> Klant | None:
    return access.may_see(visitor.klanten, visitor.klant) if visitor else None


def _seconds_left(visitor: Visitor | None) -> int:
    """Until the session ends when it is not used; the last use may not be written down yet."""
    if visitor is None:
        return 0
    now = datetime.now(UTC)
    idle, _ = session.ends(visitor.stage, visitor.firm.sessions, now - session.TOUCH)
    return max(0, int((min(idle, visitor.ends_at) - now).total_seconds()))


def page(request: web.Request, template: str, *, status: int = 200, **values: Any) -> web.Response:
    """An HTML answer. `template` is below templates/; `values` go to it."""
    known = here(request)
    environment = request.config_dict[ENVIRONMENT][known.language]
    told = {
        "request_id": known.id,
        "nonce": known.nonce,
        "visitor": known.visitor,
        "organisation": _organisation(known.visitor),
        "session_seconds": _seconds_left(known.visitor),
        "firm": firm_of(request),
        "product": portal(request).product,
        "form_token": form_token(request) if known.form_key else "",
        "path": request.rel_url.path,
        "here": str(request.rel_url) if request.method in ("GET", "HEAD") else "",
        "picture": request.config_dict[assets.PICTURES].url,
    }
    html = environment.get_template(template).render(told | values)
    response = web.Response(text=html, content_type="text/html", status=status)
    keep_cookies(request, response)
    return response


def text(request: web.Request, words: str) -> str:
    """A text of Python in the language of this request."""
    said: str = request.config_dict[ENVIRONMENT][here(request).language].filters["said"](words)
    return said


def redirect(request: web.Request, to: str) -> web.Response:
    """Go on to a path of ours, with GET."""
    response = web.Response(status=303, headers={"Location": to})
    keep_cookies(request, response)
    return response


def keep_cookies(request: web.Request, response: web.StreamResponse) -> None:
    """Give the form cookie where it is new, and take away a session cookie that opens nothing."""
    known = here(request)
    if known.form_key_is_new and known.visitor is None:
        set_cookie(request, response, "formulier", known.form_key)
    if known.cookie_is_stale:
        set_cookie(request, response, "sessie", "")
