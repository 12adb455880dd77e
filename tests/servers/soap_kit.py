"""SOAP sources to test, and a server whose answers a test chooses."""

import hashlib
import ipaddress
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from connectors.soap import Soap, SoapConfig
from gateway.connector.context import Context
from gateway.connector.contract import Entry, Place
from gateway.connector.egress import EgressPolicy
from gateway.connector.soap import pin as soappin
from gateway.connector.soap import tree as soaptree
from gateway.domain.xml import local, parse
from tests.servers.app import serving as in_process
from tests.servers.node_soap import TOKEN

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
EGRESS = EgressPolicy(("127.0.0.1:*",), (ipaddress.ip_network("127.0.0.0/8"),))
KLANT = Place("300001", "300001", ("Aangifte", "Brief"))
OTHER = Place("300002", "300002", ("",))

#: Columns of the simulator's GetConnector that gives a row per attachment.
ROWS: dict[str, Any] = {
    "words": {"connector": "Portaal_Bijlagen"},
    "fields": {"file": "BestandId", "name": "Bestandsnaam", "size": "Grootte"},
}


# --- node-soap: a stack that shares nothing with ours


@asynccontextmanager
async def opened(url: str, *, base: Path = CONFIG, **options: Any) -> AsyncIterator[Soap]:
    """A source, with the token of the servers here unless another is said."""
    os.environ.setdefault("SOAP_TEST_TOKEN", TOKEN)
    context = Context("firma/soap", egress=EGRESS, base=base)
    options = {"token": "env:SOAP_TEST_TOKEN", **options}
    try:
        yield await Soap.open(SoapConfig(url=url, **options), context)
    finally:
        await context.aclose()


def pinned(folder: Path, name: str, main: str, files: Mapping[str, bytes]) -> None:
    """WSDLs in a configuration, as if they had been fetched."""
    sums = {n: hashlib.sha256(data).hexdigest() for n, data in files.items()}
    about = {n: soappin.File(sha256=s, url="x", came=s) for n, s in sums.items()}
    fetched = soappin.Fetched(soappin.Manifest(main=main, files=about), files)
    soappin.write(folder / "wsdl" / name, fetched, replace=False)


async def whole(source: Soap, place: Place, id: str) -> bytes:
    reader = await source.read(place, id)
    try:
        return b"".join([piece async for piece in reader])
    finally:
        await reader.aclose()


async def every(source: Soap, place: Place, limit: int = 1000) -> list[Entry]:
    found: list[Entry] = []
    page = await source.list(place, limit=limit)
    found += page.entries
    while page.next is not None:
        page = await source.list(place, page=page.next, limit=limit)
        assert len(page.entries) <= limit
        found += page.entries
    return found


def serving(app: web.Application) -> AbstractAsyncContextManager[str]:
    """Below the path of AFAS Profit's own."""
    return in_process(app, "/profitservices")


@asynccontextmanager
async def profiled(
    folder: Path, url: str, text: str, wsdl: bytes = b"", **options: Any
) -> AsyncIterator[Soap]:
    """A source with a profile, and perhaps a WSDL, of one's own."""
    (folder / "wsdl").mkdir(exist_ok=True)
    (folder / "wsdl" / "eigen.wsdl").write_bytes(wsdl)
    (folder / "eigen.yaml").write_text(text)
    async with opened(url, base=folder, profile="eigen.yaml", **options) as source:
        yield source


def xml(data: bytes, status: int = 200, **headers: str) -> web.Response:
    headers = {"Content-Type": "text/xml; charset=utf-8", **headers}
    return web.Response(body=data, status=status, headers=headers)


def soap(content: str) -> bytes:
    return (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<s:Body>{content}</s:Body></s:Envelope>"
    ).encode()


def table(*rows: dict[str, str]) -> web.Response:
    """GetDataWithOptions' answer; for a row that says nothing else: a letter of 300001."""
    usual = {
        "SbId": "7",
        "SbTy": "Brief",
        "Ds": "Onderwerp",
        "DaSe": "2024-01-31",
        "BcCd": "300001",
    }
    cells = [
        "".join(f"&lt;{k}&gt;{v}&lt;/{k}&gt;" for k, v in (usual | row).items()) for row in rows
    ]
    inner = "".join(f"&lt;R&gt;{c}&lt;/R&gt;" for c in cells)
    return xml(
        soap(
            '<GetDataWithOptionsResponse xmlns="urn:Afas.Profit.Services">'
            "<GetDataWithOptionsResult>"
            f"&lt;AfasGetConnector&gt;{inner}&lt;/AfasGetConnector&gt;"
            "</GetDataWithOptionsResult></GetDataWithOptionsResponse>"
        )
    )


def info(*files: str) -> web.Response:
    inner = "".join(f'&lt;Attachment fileId="{f}" filename="{f}.pdf"/&gt;' for f in files)
    return xml(
        soap(
            '<GetSubjectAttachmentInfoResponse xmlns="urn:Afas.Profit.Services">'
            f"<GetSubjectAttachmentInfoResult>&lt;SubjectAttachmentInfo&gt;{inner}"
            "&lt;/SubjectAttachmentInfo&gt;</GetSubjectAttachmentInfoResult>"
            "</GetSubjectAttachmentInfoResponse>"
        )
    )


def content(text: str) -> bytes:
    return soap(
        '<GetAttachmentResponse xmlns="urn:Afas.Profit.Services"><GetAttachmentResult>'
        f"{text}</GetAttachmentResult></GetAttachmentResponse>"
    )


def fault(text: str) -> bytes:
    return soap(
        f"<s:Fault><faultcode>s:Server</faultcode><faultstring>{text}</faultstring></s:Fault>"
    )


class Liar:
    """A server whose answers are set by operation. `calls` holds what was asked, as it came."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bytes]] = []
        self.headers: list[Mapping[str, str]] = []
        self.answers: dict[str, Any] = {
            "GetDataWithOptions": self.one_page,
            "GetSubjectAttachmentInfo": lambda _: info("F1"),
            "GetAttachment": lambda _: xml(content("QUJD")),
        }

    def one_page(self, request: dict[str, str]) -> web.Response:
        return table({}) if request["skip"] == "0" else table()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        data = await request.read()
        asked = soaptree.body(parse(data))[0]
        name = local(asked.tag)
        self.calls.append((name, data))
        self.headers.append(request.headers)
        answer = self.answers[name]({local(a.tag): a.text or "" for a in asked})
        return await answer(request) if callable(answer) else answer

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/profitservices/{service}", self.serve)
        return app
