"""`gateway kit`: calls the interface for packages as a package does, and says what passed.

For package makers, against a sandbox; and for us, against ourselves. It makes things there: a
klant `kit-...`, a stuk and a document.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import aiohttp
import typer

from gateway.cli.common import Json, tell
from gateway.demo import instances

PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
#: An omzetbelastingnummer that is right in form, of nobody.
OB = "100000010B01"


class Failed(Exception):
    """A step did not go as it should."""


@dataclass
class Kit:
    """One run. address: with /api/v1. tag: makes its klant and its keys its own."""

    session: aiohttp.ClientSession
    address: str
    key: str
    source: str
    folder: str
    number: str
    tag: str = field(default_factory=lambda: secrets.token_hex(4))
    start: int = 0
    stuk: str = ""

    @property
    def klant(self) -> str:
        """Its own klant."""
        return f"kit-{self.tag}"

    async def ask(
        self, method: str, path: str, *, once: str = "", key: str | None = None, **more: Any
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON and headers."""
        headers = {"Authorization": f"Bearer {self.key if key is None else key}"}
        if method == "POST":
            headers["Idempotency-Key"] = once or secrets.token_hex(12)
        headers |= more.pop("headers", {})
        async with self.session.request(
            method, self.address + path, headers=headers, **more
        ) as answer:
            text = await answer.text()
            body = json.loads(text) if "json" in answer.content_type else text
            return answer.status, body, answer.headers

    def form(self) -> aiohttp.FormData:
        """A stuk with its documents."""
        stuk = {
            "klant": self.klant, "soort": "ob", "jaar": 2026, "periode": "1e kwartaal",
            "onderdelen": [{"rol": "instance", "inhoud": "aangifte"},
                           {"rol": "akkoorddocument", "inhoud": "toelichting"}],
        }  # fmt: skip
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("stuk", json.dumps(stuk), content_type="application/json")
        amount = int(self.tag, 16) % 90_000 + 1000
        xbrl = instances.ob(self.number, ("2026-01-01", "2026-03-31"), 10 * amount, amount)
        for name, file, data in (("aangifte", "aangifte.xbrl", xbrl),
                                 ("toelichting", "toelichting.pdf", PDF)):  # fmt: skip
            form.add_field(name, data, filename=file, content_type="application/octet-stream")
        return form


def expect(found: object, wanted: object, what: str = "status") -> None:
    """Raises Failed when they are not the same."""
    if found != wanted:
        raise Failed(f"{what} is {found!r}, expected {wanted!r}")


async def described(kit: Kit) -> None:
    """the description is OpenAPI 3.1"""
    status, body, _ = await kit.ask("GET", "/openapi.json")
    expect(status, 200)
    expect(str(body["openapi"])[:3], "3.1", "openapi")


async def strangers(kit: Kit) -> None:
    """a wrong key is refused, as problem+json"""
    status, _, headers = await kit.ask("GET", "/gebeurtenissen", key="map_geen_" + "a" * 43)
    expect(status, 401)
    expect(headers["Content-Type"].split(";")[0], "application/problem+json", "type")


async def klanten(kit: Kit) -> None:
    """a klant is put, and again without harm"""
    rows = {"klanten": [
        {"nummer": kit.klant, "naam": "Klant van de kit", "nummers": {"BTW": kit.number}}
    ]}  # fmt: skip
    for _ in range(2):
        status, body, _ = await kit.ask("POST", "/klanten", json=rows)
        expect((status, body), (200, {"aantal": 1}), "answer")


async def faults(kit: Kit) -> None:
    """every fault of a batch is told, with its field"""
    rows = {"klanten": [{"nummer": "", "naam": ""}, {"nummer": kit.klant, "naam": ""}]}
    status, body, _ = await kit.ask("POST", "/klanten", json=rows)
    expect(status, 422)
    fields = {f["veld"] for f in body["fouten"]}
    expect(fields, {"klanten.0.nummer", "klanten.0.naam", "klanten.1.naam"}, "fields")


async def stuk(kit: Kit) -> None:
    """a stuk with its documents is put up"""
    _, body, _ = await kit.ask("GET", "/gebeurtenissen", params={"vanaf": "-1"})
    kit.start = body["vanaf"]
    status, body, headers = await kit.ask(
        "POST", "/stukken", data=kit.form(), once=f"kit-{kit.tag}"
    )
    expect(status, 201)
    kit.stuk = body["id"]
    expect(headers["Location"].endswith(f"/stukken/{kit.stuk}"), True, "Location")
    sums = {p["rol"]: p["sha256"] for p in body["onderdelen"]}
    expect(sums["akkoorddocument"], hashlib.sha256(PDF).hexdigest(), "sha256")


async def once(kit: Kit) -> None:
    """the same Idempotency-Key gives the same answer, another request with it a conflict"""
    status, body, headers = await kit.ask(
        "POST", "/stukken", data=kit.form(), once=f"kit-{kit.tag}"
    )
    expect((status, body["id"]), (201, kit.stuk), "answer")
    expect(headers.get("Idempotency-Replayed"), "true", "Idempotency-Replayed")
    status, _, _ = await kit.ask(
        "POST", "/klanten", json={"klanten": [{"nummer": kit.klant, "naam": "K"}]},
        once=f"kit-{kit.tag}",
    )  # fmt: skip
    expect(status, 409)


async def twice(kit: Kit) -> None:
    """the same stuk with another key is a conflict that names the first"""
    status, body, _ = await kit.ask("POST", "/stukken", data=kit.form())
    expect((status, body.get("stuk")), (409, kit.stuk), "answer")


async def status(kit: Kit) -> None:
    """its status is told"""
    found, body, _ = await kit.ask("GET", f"/stukken/{kit.stuk}")
    expect((found, body["staat"], body["aan_zet"]), (200, "te_accorderen", "client"), "answer")


async def events(kit: Kit) -> None:
    """what happened to it is told, in order"""
    _, body, _ = await kit.ask("GET", "/gebeurtenissen", params={"vanaf": str(kit.start)})
    found = [e["gebeurtenis"] for e in body["gebeurtenissen"] if e["stuk"] == kit.stuk]
    expect(found[:1], ["stuk_put_up"], "events")
    numbers = [e["nummer"] for e in body["gebeurtenissen"]]
    expect(numbers, sorted(numbers), "order")


async def document(kit: Kit) -> None:
    """a document is put into a dossier, and one in disguise is refused"""
    where = {"bron": kit.source, "map": kit.folder, "naam": f"brief-{kit.tag}.pdf"}
    path = f"/klanten/{kit.klant}/documenten"
    kind = {"Content-Type": "application/octet-stream"}
    found, body, _ = await kit.ask("POST", path, params=where, data=PDF, headers=kind)
    expect((found, body.get("lengte")), (201, len(PDF)), "answer")
    where["naam"] = f"brief-{kit.tag}-2.pdf"
    found, _, _ = await kit.ask("POST", path, params=where, data=b"MZ no PDF", headers=kind)
    expect(found, 422)


async def withdrawal(kit: Kit) -> None:
    """the stuk is withdrawn, once"""
    body = {"reden": "Dit was een proef van de kit."}
    path = f"/stukken/{kit.stuk}/intrekken"
    found, told, _ = await kit.ask("POST", path, json=body)
    expect((found, told["staat"]), (200, "ingetrokken"), "answer")
    found, _, _ = await kit.ask("POST", path, json=body)
    expect(found, 422)


STEPS: tuple[Callable[[Kit], Awaitable[None]], ...] = (
    described, strangers, klanten, faults, stuk, once, twice, status, events, document,
    withdrawal,
)  # fmt: skip


async def run(kit: Kit) -> list[tuple[str, str]]:
    """Every step with its fault; "": it passed."""
    told = []
    for step in STEPS:
        fault = ""
        try:
            await step(kit)
        except (Failed, aiohttp.ClientError, KeyError, ValueError, TypeError) as e:
            fault = f"{type(e).__name__}: {e}" if not isinstance(e, Failed) else str(e)
        told.append(((step.__doc__ or "").strip(), fault))
    return told


def kit(
    address: Annotated[str, typer.Argument(help="Of the portal: http://127.0.0.1:8080.")],
    key: Annotated[str, typer.Option(envvar="MAP_KIT_KEY", help="A key with every scope.")],
    source: Annotated[str, typer.Option(help="A source that can be written.")] = "map",
    folder: Annotated[str, typer.Option(help="A published folder in it.")] = "Stukken",
    number: Annotated[str, typer.Option(help="An omzetbelastingnummer for its klant.")] = OB,
    as_json: Json = False,
) -> None:
    """Call the interface for packages as a package does. 0: all passed, 1: something did not."""

    async def go() -> list[tuple[str, str]]:
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            where = address.rstrip("/") + "/api/v1"
            return await run(Kit(session, where, key, source, folder, number))

    told = asyncio.run(go())
    good = not any(fault for _, fault in told)
    lines = [f"{'FAILED' if fault else 'passed'}  {what}" + (f": {fault}" if fault else "")
             for what, fault in told]  # fmt: skip
    steps = [{"step": what, "passed": not fault, "fault": fault} for what, fault in told]
    tell(as_json, {"ok": good, "steps": steps}, "\n".join(lines))
    raise typer.Exit(0 if good else 1)
