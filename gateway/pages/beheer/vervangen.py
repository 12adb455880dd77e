"""A new version of a stuk, from what stands in its source now."""

from collections.abc import Mapping
from datetime import date

from aiohttp import web

from gateway.errors import Invalid
from gateway.flows import replacing
from gateway.flows import stukbeheer as flow
from gateway.flows.intake import MOST_PARTS
from gateway.pages import render
from gateway.pages.beheer import acties
from gateway.pages.beheer.stuk import id_of, inside
from gateway.pages.context import portal, signed_in
from gateway.pages.routing import Access, Routes
from gateway.pages.security import FORM

ROUTES = Routes()


@ROUTES.get("/beheer/stukken/{stuk}/vervangen", Access.SESSION)
async def ask_replace(request: web.Request) -> web.StreamResponse:
    """Which documents take the place of its parts."""
    return await _replacing(request)


@ROUTES.post("/beheer/stukken/{stuk}/vervangen", Access.SESSION)
async def replace_it(request: web.Request) -> web.StreamResponse:
    """Put up the new version; the page of that one follows."""
    visitor, id, form = signed_in(request), id_of(request), request[FORM]
    parts = (f"deel-{number}" for number in range(1, MOST_PARTS + 1))
    chosen = {n: str(form.get(part, "")) for n, part in enumerate(parts, 1)}
    try:
        deadline = _day(str(form.get("deadline", "")))
        remark = str(form.get("opmerking", "")).strip()
        new = await replacing.replace(portal(request), visitor, id, chosen, deadline, remark)
    except Invalid as e:
        return await _replacing(request, _by_field(e.faults))
    return render.redirect(request, f"/beheer/stukken/{new}?bericht=vervangen")


async def _replacing(
    request: web.Request, faults: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """The form, as it was filled in; at first as the stuk is."""
    visitor = signed_in(request)
    found = await flow.at_desk(portal(request), visitor, id_of(request))
    stuk, form = found.row.stuk, request[FORM] if request.method == "POST" else None
    if form is None:
        known = await inside(portal(request), visitor, stuk)
        deadline = stuk.deadline.isoformat() if stuk.deadline else ""
        given = {"opmerking": known["opmerking"], "deadline": deadline}
    else:
        given = {"opmerking": "", "deadline": "", **{k: str(v) for k, v in form.items()}}
    return await acties.form(
        request,
        "vervangen",
        faults=faults or {},
        given=given,
        choices=await replacing.choices(portal(request), visitor, stuk.id),
    )


def _day(text: str) -> date | None:
    """Raises Invalid."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid({"deadline": "Dit is geen datum (jjjj-mm-dd)."}) from None


def _by_field(faults: Mapping[str, str]) -> dict[str, str]:
    """Faults of intake by the fields of the form; what belongs to none stands above it."""
    found: dict[str, list[str]] = {}
    for key, words in faults.items():
        kind, _, rest = key.partition(".")
        number = rest.partition(".")[0]
        if kind == "parts" and number:
            field = f"deel-{int(number) + 1}"
        else:
            field = key if key in ("deadline", "opmerking") else ""
        found.setdefault(field, []).append(words)
    return {field: " ".join(words) for field, words in found.items()}
