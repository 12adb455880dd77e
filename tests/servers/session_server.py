"""A back office with the manners of a Dutch one that wants a login: a session in each call, that
dies, and a boolean Result with a Foutmelding in the place of a Fault. In memory."""

import base64
import secrets
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

NS = "urn:kantoor"
USER, PASSWORD = "portaal", "wachtwoord & meer"
OPERATIONS = {
    "Login": (["Gebruiker", "Wachtwoord"], ["LoginResult", "SessionId", "Foutmelding"]),
    "KeepSession": (["SessionId"], ["KeepSessionResult", "Foutmelding"]),
    "Logout": (["SessionId"], ["LogoutResult", "Foutmelding"]),
    "Stukken": (
        ["SessionId", "Klant", "Nummer", "Vanaf", "Aantal"],
        ["StukkenResult", "Rijen", "Foutmelding"],
    ),
    "Inhoud": (["SessionId", "Nummer"], ["InhoudResult", "Foutmelding", "Stuk"]),
}

PROFILE = """
title: Kantoor
services: {kantoor: {path: dienst, wsdl: {name: kantoor}}}
auth: {kind: body}
accept: {klant.root: "[0-9]+", id.file: "[0-9]+"}
id: [file]
probe: "0"
session:
  login:
    service: kantoor
    operation: Login
    args: {Gebruiker: "{auth.username}", Wachtwoord: "{auth.secret}"}
    session: LoginResponse/SessionId
  keep: {service: kantoor, operation: KeepSession, args: {SessionId: "{session.id}"}}
  logout: {service: kantoor, operation: Logout, args: {SessionId: "{session.id}"}}
  every: EVERY
  idle: IDLE
ok: {element: "{operation}Result", equals: "true", message: Foutmelding}
list:
  service: kantoor
  operation: Stukken
  args:
    SessionId: "{session.id}"
    Klant: "{klant.root}"
    Vanaf: "{page.skip}"
    Aantal: "{page.take}"
  result: StukkenResponse/Rijen
  inner_xml: true
  rows: NewDataSet/Stuk
  fields: {file: "@Nummer", klant: "@Klant", folder: "@Map", name: "@Naam", size: "@Grootte"}
  where: {klant: "{klant.root}"}
  paging: {page_size: 100, stop: short}
find: {Nummer: "{id.file}"}
read:
  service: kantoor
  operation: Inhoud
  args: {SessionId: "{session.id}", Nummer: "{id.file}"}
  content: InhoudResponse/Stuk
errors:
  - {match: "(?i)sessie", to: session_ended}
  - {match: "(?i)wachtwoord", to: auth_failed}
  - {match: "(?i)niet gevonden", to: not_found}
"""


def wsdl() -> str:
    def element(name: str, cells: list[str]) -> str:
        rows = "".join(f'<x:element name="{c}" type="x:string" minOccurs="0"/>' for c in cells)
        sequence = f"<x:complexType><x:sequence>{rows}</x:sequence></x:complexType>"
        return f'<x:element name="{name}">{sequence}</x:element>'

    types, messages, ports, bound = "", "", "", ""
    for name, (asked, told) in OPERATIONS.items():
        types += element(name, asked) + element(f"{name}Response", told)
        for kind in ("", "Response"):
            messages += (
                f'<message name="{name}{kind}"><part name="p" element="t:{name}{kind}"/></message>'
            )
        ports += (
            f'<operation name="{name}"><input message="t:{name}"/>'
            f'<output message="t:{name}Response"/></operation>'
        )
        bound += (
            f'<operation name="{name}"><soap:operation soapAction="{NS}/{name}"/><input>'
            '<soap:body use="literal"/></input><output><soap:body use="literal"/></output>'
            "</operation>"
        )
    return (
        f'<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" targetNamespace="{NS}"'
        f' xmlns:t="{NS}" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"'
        ' xmlns:x="http://www.w3.org/2001/XMLSchema"><types><x:schema'
        f' elementFormDefault="qualified" targetNamespace="{NS}">{types}</x:schema></types>'
        f'{messages}<portType name="P">{ports}</portType><binding name="B" type="t:P">'
        '<soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>'
        f'{bound}</binding><service name="S"><port name="Q" binding="t:B">'
        '<soap:address location="http://elders.example/"/></port></service></definitions>'
    )


class Kantoor:
    """calls: the names of what was asked. sessions: those that live. stukken: by number, klant,
    folder, name and bytes."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.sessions: set[str] = set()
        self.stukken: dict[str, tuple[str, str, str, bytes]] = {}

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/services11/dienst", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.Response:
        body = ET.fromstring(await request.text())[0][0]
        name = body.tag.removeprefix(f"{{{NS}}}")
        asked = {c.tag.removeprefix(f"{{{NS}}}"): c.text or "" for c in body}
        self.calls.append(name)
        result, told = "true", {"Foutmelding": ""}
        try:
            told |= getattr(self, f"_{name.lower()}")(asked)
        except LookupError as e:
            result, told = "false", {"Foutmelding": str(e.args[0])}
        told = {f"{name}Result": result, **told}
        cells = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in told.items())
        text = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            f'<{name}Response xmlns="{NS}">{cells}</{name}Response></s:Body></s:Envelope>'
        )
        return web.Response(text=text, content_type="text/xml")

    def _login(self, asked: dict[str, Any]) -> dict[str, str]:
        if (asked["Gebruiker"], asked["Wachtwoord"]) != (USER, PASSWORD):
            raise LookupError("Gebruiker of wachtwoord is onjuist")
        self.sessions.add(id := secrets.token_hex(8))
        return {"SessionId": id}

    def _known(self, asked: dict[str, str]) -> None:
        if asked["SessionId"] not in self.sessions:
            raise LookupError("De sessie is verlopen")

    def _keepsession(self, asked: dict[str, str]) -> dict[str, str]:
        self._known(asked)
        return {}

    def _logout(self, asked: dict[str, str]) -> dict[str, str]:
        self._known(asked)
        self.sessions.remove(asked["SessionId"])
        return {}

    def _stukken(self, asked: dict[str, str]) -> dict[str, str]:
        self._known(asked)
        rows = [
            f"<Stuk Nummer={quoteattr(n)} Klant={quoteattr(k)} Map={quoteattr(m)}"
            f' Naam={quoteattr(t)} Grootte="{len(d)}"/>'
            for n, (k, m, t, d) in self.stukken.items()
            if k == asked["Klant"] and asked.get("Nummer", n) == n
        ]
        start = int(asked["Vanaf"])
        some = rows[start : start + int(asked["Aantal"])]
        return {"Rijen": f"<NewDataSet>{''.join(some)}</NewDataSet>"}

    def _inhoud(self, asked: dict[str, str]) -> dict[str, str]:
        self._known(asked)
        if asked["Nummer"] not in self.stukken:
            raise LookupError("Stuk niet gevonden")
        return {"Stuk": base64.b64encode(self.stukken[asked["Nummer"]][3]).decode()}
