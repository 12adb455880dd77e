"""The SOAP connector beside zeep: a document of 50 MB, and listings of a thousand.

Every measurement of the document is a process of its own, because memory is part of it; the
server is one too. zeep is used as well as it can be: one client, its calls in a thread.
"""

import asyncio
import base64
import hashlib
import ipaddress
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import requests
from aiohttp import web
from lxml import etree
from zeep import Client, Settings

from bench.rows import Cost, Row, interleaved
from connectors.soap import Soap, SoapConfig
from gateway.connector.context import Context
from gateway.connector.contract import Place
from gateway.connector.egress import EgressPolicy
from gateway.connector.soap import tree as soaptree
from gateway.domain import xml

Read = Callable[[Callable[[], None]], Awaitable[int]]

ROOT = Path(__file__).parents[1]
SIZE = 50 * 1024 * 1024
PLACE = Place("300001", "300001", ("Brief",))
TOKEN = "<token><version>1</version><data>A</data></token>"
_PEER = "zeep"
_ONE_STEP = {"file": "BestandId", "name": "Bestandsnaam", "size": "Grootte"}

_COLUMNS = {
    "item": "SbId",
    "folder": "SbTy",
    "title": "Ds",
    "modified": "DaSe",
    "klant": "BcCd",
    "file": "BestandId",
    "name": "Bestandsnaam",
    "size": "Grootte",
}

TYPED_WSDL = b"""<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:t" name="S"
 xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" targetNamespace="urn:t"
 xmlns:x="http://www.w3.org/2001/XMLSchema"><types><x:schema targetNamespace="urn:t"
 elementFormDefault="qualified"><x:element name="List"><x:complexType><x:sequence>
 <x:element name="klant" type="x:string"/><x:element name="skip" type="x:int"/>
 <x:element name="take" type="x:int"/></x:sequence></x:complexType></x:element>
 <x:complexType name="Document"><x:sequence><x:element name="SbId" type="x:string"/>
 <x:element name="SbTy" type="x:string"/><x:element name="Ds" type="x:string"/>
 <x:element name="DaSe" type="x:dateTime"/><x:element name="BcCd" type="x:string"/>
 <x:element name="BestandId" type="x:string"/><x:element name="Bestandsnaam" type="x:string"/>
 <x:element name="Grootte" type="x:int"/></x:sequence></x:complexType>
 <x:element name="ListResponse"><x:complexType><x:sequence><x:element name="Document"
 type="t:Document" minOccurs="0" maxOccurs="unbounded"/></x:sequence></x:complexType></x:element>
 </x:schema></types><message name="I"><part name="p" element="t:List"/></message>
 <message name="O"><part name="p" element="t:ListResponse"/></message><portType name="P">
 <operation name="List"><input message="t:I"/><output message="t:O"/></operation></portType>
 <binding name="B" type="t:P"><s:binding transport="http://schemas.xmlsoap.org/soap/http"
 style="document"/><operation name="List"><s:operation soapAction="urn:t#List"/>
 <input><s:body use="literal"/></input><output><s:body use="literal"/></output></operation>
 </binding><service name="S"><port name="P" binding="t:B"><s:address location="http://x.invalid"/>
 </port></service></definitions>"""

TYPED_PROFILE = """
title: Getypeerd
services: {{s: {{path: typed, wsdl: {{file: typed.wsdl, sha256: {sha256}}}}}}}
accept: {{klant.root: "[0-9]+", id.item: "[0-9]+", id.file: "[0-9A-F]+"}}
id: [item, file]
probe: "0"
timezone: Europe/Amsterdam
list:
  service: s
  operation: List
  args: {{klant: "{{klant.root}}", skip: "{{page.skip}}", take: "{{page.take}}"}}
  result: ListResponse
  rows: Document
  fields: {{item: SbId, folder: SbTy, title: Ds, modified: DaSe, klant: BcCd, file: BestandId,
    name: Bestandsnaam, size: Grootte}}
  where: {{klant: "{{klant.root}}"}}
  paging: {{page_size: 1000}}
find: {{}}
read: {{service: s, operation: List, args: {{klant: "1", skip: "0", take: "0"}}, content: x/y}}
"""


# --- the server, in a process of its own


def _soap(content: bytes) -> bytes:
    return (
        b'<?xml version="1.0" encoding="utf-8"?>'
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        + content
        + b"</s:Body></s:Envelope>"
    )


def _rows(count: int, tag: str) -> bytes:
    rows = (
        f"<{tag}><SbId>{7000 + n}</SbId><SbTy>Brief</SbTy><Ds>Onderwerp {n}</Ds>"
        f"<DaSe>2024-03-01T10:00:00</DaSe><BcCd>300001</BcCd><BestandId>{n:032X}</BestandId>"
        f"<Bestandsnaam>jaarrekening-{n:04}.pdf</Bestandsnaam><Grootte>{n or SIZE}</Grootte>"
        f"</{tag}>"
        for n in range(count)
    )
    return "".join(rows).encode()


def _afas(count: int) -> bytes:
    inner = b"<AfasGetConnector>" + _rows(count, "Bijlagen") + b"</AfasGetConnector>"
    text = inner.replace(b"<", b"&lt;").replace(b">", b"&gt;")
    name = b"GetDataWithOptions"
    return _soap(
        b'<%sResponse xmlns="urn:Afas.Profit.Services"><%sResult>' % (name, name)
        + text
        + b"</%sResult></%sResponse>" % (name, name)
    )


def _typed() -> bytes:
    return _soap(b'<ListResponse xmlns="urn:t">' + _rows(1000, "Document") + b"</ListResponse>")


def _document() -> bytes:
    name = b"GetAttachment"
    return _soap(
        b'<%sResponse xmlns="urn:Afas.Profit.Services"><%sResult>' % (name, name)
        + base64.b64encode(os.urandom(SIZE))
        + b"</%sResult></%sResponse>" % (name, name)
    )


async def _serve() -> None:
    many, one, document = _afas(1000), _afas(1), _document()
    typed = _typed()

    async def get(request: web.Request) -> web.Response:
        single = (await request.read()).count(b"FieldId") > 2  # the filter names an item too
        return web.Response(body=one if single else many, content_type="text/xml")

    async def subject(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        response.content_length = len(document)
        await response.prepare(request)
        for at in range(0, len(document), 256 * 1024):
            await response.write(document[at : at + 256 * 1024])
        return response

    async def listed(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=typed, content_type="text/xml")

    app = web.Application()
    app.router.add_post("/appconnectorget.asmx", get)
    app.router.add_post("/appconnectorsubject.asmx", subject)
    app.router.add_post("/typed", listed)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def _server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.soap", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


# --- both sides


@asynccontextmanager
async def _source(url: str, base: Path, **options: Any) -> AsyncIterator[Soap]:
    os.environ["BENCH_TOKEN"] = TOKEN
    egress = EgressPolicy(("127.0.0.1:*",), (ipaddress.ip_network("127.0.0.0/8"),))
    context = Context("bench/soap", egress=egress, base=base)
    try:
        yield await Soap.open(SoapConfig(url=url, token="env:BENCH_TOKEN", **options), context)
    finally:
        await context.aclose()


def _zeep(wsdl: Path, url: str) -> tuple[Client, Any]:
    make: Callable[..., Any] = Client
    client = make(str(wsdl), settings=Settings(xml_huge_tree=True))
    binding = next(iter(next(iter(client.wsdl.services.values())).ports.values())).binding.name
    return client, client.create_service(binding, url)


# --- the document: one process a measurement


async def _ours_reads(url: str) -> tuple[Read, Any]:
    stack = _source(url, ROOT / "config", fields=_ONE_STEP)
    source = await stack.__aenter__()

    async def read(started: Callable[[], None]) -> int:
        reader = await source.read(PLACE, f"7000/{0:032X}")
        total = 0
        async for piece in reader:
            if total == 0:
                started()
            total += len(piece)
        await reader.aclose()
        return total

    return read, stack


async def _zeep_reads(url: str) -> tuple[Read, Any]:
    _, service = _zeep(ROOT / "config/wsdl/afas-subject.wsdl", f"{url}/appconnectorsubject.asmx")

    def call() -> bytes:
        text = service.GetAttachment(token=TOKEN, subjectID=7000, fileId="0")
        return base64.b64decode(text)

    async def read(started: Callable[[], None]) -> int:
        document = await asyncio.to_thread(call)
        started()
        return len(document)

    return read, None


async def _heart(beats: list[float]) -> None:
    """Notes by how much it woke up too late; a beat of a millisecond costs next to nothing."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        beats.append(time.perf_counter() - before - 0.001)


def _peak() -> float:
    """The most memory so far, MB. Not ru_maxrss: a child starts with its parent's."""
    line = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line[1]) * 1.024 / 1e3 if line else 0.0


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


async def _measure(side: str, url: str) -> dict[str, float]:
    read, stack = await (_ours_reads if side == "ours" else _zeep_reads)(url)
    first: list[float] = []
    beats: list[float] = [0.0]
    heart = asyncio.create_task(_heart(beats))
    resident = _resident()
    cpu, wall = time.process_time(), time.perf_counter()
    size = await read(lambda: first.append(time.perf_counter() - wall))
    told = {
        "cpu": (time.process_time() - cpu) * 1e3,
        "wall": (time.perf_counter() - wall) * 1e3,
        "first": first[0] * 1e3,
        "stall": max(beats) * 1e3,
        "growth": _peak() - resident,
        "peak": _peak(),
    }
    heart.cancel()
    assert size == SIZE, size
    if stack is not None:
        await stack.__aexit__(None, None, None)
    return told


def _once(side: str, url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.soap", side, url]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return {k: float(v) for k, v in json.loads(told).items()}


def _document_rows(url: str, rounds: int) -> list[Row]:
    found: dict[str, list[dict[str, float]]] = {"ours": [], "zeep": []}
    for _ in range(rounds):
        for side, some in found.items():
            some.append(_once(side, url))
    ours, peer = (
        {k: statistics.median(s[k] for s in some) for k in some[0]} for some in found.values()
    )
    base = "GetDocument 50 MB"
    return [
        _row("12", f"{base}, CPU", ours["cpu"], peer["cpu"], "ms", "≥15x", "with the look-up"),
        _row("12", f"{base}, growth of memory", ours["growth"], peer["growth"], "MB", "≤10 MB"),
        _row("12", f"{base}, peak RSS", ours["peak"], peer["peak"], "MB", "≤45 MB",
             "of it the imports, zeep's too, which we use for WSDLs"),
        _row("12", f"{base}, first byte", ours["first"], peer["first"], "ms", "≤2 ms",
             "after the look-up, two calls in all"),
        _row("12", f"{base}, loop stall", ours["stall"], peer["stall"], "ms", "≤5 ms"),
    ]  # fmt: skip


def _row(
    number: str, measured: str, ours: float, peer: float, unit: str, goal: str, note: str = ""
) -> Row:
    ratio = peer / ours if ours > 0 else float("inf")
    return Row(number, f"SOAP: {measured}", ours, _PEER, peer, unit, ratio, goal, note)


# --- listings


async def _listings(url: str, base: Path, rounds: int) -> list[Row]:
    (base / "wsdl").mkdir()
    (base / "wsdl" / "typed.wsdl").write_bytes(TYPED_WSDL)
    digest = hashlib.sha256(TYPED_WSDL).hexdigest()
    (base / "typed.yaml").write_text(TYPED_PROFILE.format(sha256=digest), encoding="utf-8")
    async with (
        _source(url, base, profile="typed.yaml") as typed,
        _source(url, base, fields=_ONE_STEP, page_size=1000) as afas,
    ):
        _, theirs = _zeep(base / "wsdl" / "typed.wsdl", f"{url}/typed")
        _, strings = _zeep(ROOT / "config/wsdl/afas-get.wsdl", f"{url}/appconnectorget.asmx")
        costs = await interleaved(
            {
                "typed": lambda: _full(typed),
                "typed zeep": lambda: asyncio.to_thread(_zeep_typed, theirs),
                "afas": lambda: _full(afas),
                "afas zeep": lambda: asyncio.to_thread(_zeep_string, strings),
            },
            rounds,
        )
    return [
        _reading(base, rounds),
        *_told("list 1,000 typed rows", costs, "typed", "≥30x", "over HTTP, checked, as entries"),
        _row("13", "list 1,000 in a string, CPU", costs["afas"].cpu * 1e3,
             costs["afas zeep"].cpu * 1e3, "ms", "",
             "the peer is zeep and lxml to plain text: it checks and converts nothing"),
    ]  # fmt: skip


def _reading(base: Path, rounds: int) -> Row:
    """The answer alone, in memory: bytes to rows."""
    data = _typed()
    reader = soaptree.RowReader("ListResponse", "Document", {**_COLUMNS}, inner_xml=False)
    client, service = _zeep(base / "wsdl" / "typed.wsdl", "http://x.invalid")
    answer = requests.Response()
    answer.status_code, answer._content = 200, data
    operation = service._binding.get("List")
    ours = _seconds(lambda: reader.read(xml.parse(data)), rounds)
    peer = _seconds(lambda: service._binding.process_reply(client, operation, answer), rounds)
    return _row("13", "read 1,000 typed rows, CPU", ours * 1e3, peer * 1e3, "ms", "≥30x")


def _seconds(call: Callable[[], object], rounds: int) -> float:
    found = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return statistics.median(found)


async def _full(source: Soap) -> None:
    page = await source.list(PLACE, limit=1000)
    assert len(page.entries) == 1000


def _zeep_typed(service: Any) -> None:
    assert len(service.List(klant="300001", skip=0, take=1000)) == 1000


def _zeep_string(service: Any) -> None:
    text = service.GetDataWithOptions(TOKEN, "Bijlagen", "", 0, 1000, "")
    rows = [{c.tag: c.text for c in row} for row in etree.fromstring(text)]
    assert len(rows) == 1000


def _told(what: str, costs: Mapping[str, Cost], name: str, goal: str, note: str = "") -> list[Row]:
    ours, peer = costs[name], costs[f"{name} zeep"]
    return [
        _row("13", f"{what}, CPU", ours.cpu * 1e3, peer.cpu * 1e3, "ms", goal, note),
        _row("13", f"{what}, wall", ours.wall * 1e3, peer.wall * 1e3, "ms", "", note),
    ]


async def run(quick: bool) -> list[Row]:
    """All rows. quick: fewer rounds, the same rows."""
    with _server() as url, tempfile.TemporaryDirectory(prefix="map-bench-soap-") as folder:
        rows = await asyncio.to_thread(_document_rows, url, 3 if quick else 9)
        return rows + await _listings(url, Path(folder), 5 if quick else 21)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(_serve())
    elif sys.argv[1] == "run":
        for row in asyncio.run(run("--quick" in sys.argv)):
            print(row)
    else:
        print(json.dumps(asyncio.run(_measure(*sys.argv[1:3]))))
