"""`gateway wsdl pin`: a WSDL comes in once, and nothing that a hostile server would like."""

import asyncio
import contextlib
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from gateway.cli import cli
from gateway.connector.soap import pin as soappin
from gateway.errors import ConfigInvalid
from tests.conftest import ROOT
from tests.servers.app import serving
from tests.servers.soap_kit import opened

WSDL = """<?xml version="1.0"?><!-- a comment -->
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" targetNamespace="urn:t" xmlns:t="urn:t"
  xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:x="http://www.w3.org/2001/XMLSchema">
  {imports}
  <types><x:schema targetNamespace="urn:t">{schema}
    <x:element name="Vraag"><x:complexType><x:sequence>
      <x:element name="klant" type="x:string"/></x:sequence></x:complexType></x:element>
    <x:element name="Antwoord"><x:complexType><x:sequence>
      <x:element name="Result" type="x:string"/></x:sequence></x:complexType></x:element>
  </x:schema></types>
  <message name="in"><part name="p" element="t:Vraag"/></message>
  <message name="out"><part name="p" element="t:Antwoord"/></message>
  <portType name="P"><operation name="Vraag">
    <input message="t:in"/><output message="t:out"/></operation></portType>
  <binding name="B" type="t:P"><soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>
    <operation name="Vraag"><soap:operation soapAction="urn:t/Vraag"/>
      <input><soap:body use="literal"/></input><output><soap:body use="literal"/></output>
    </operation></binding>
  <service name="S"><port name="Port" binding="t:B">
    <soap:address location="http://elders.example/"/></port></service>
</definitions>"""
XSD = '<x:schema xmlns:x="http://www.w3.org/2001/XMLSchema" targetNamespace="{0}">{1}</x:schema>'


def wsdl(*schema: str, imports: str = "") -> str:
    return WSDL.format(schema="".join(schema), imports=imports)


def imported(place: str, namespace: str = "urn:u", kind: str = "import") -> str:
    told = f'namespace="{namespace}"' if kind == "import" else ""
    return f'<x:{kind} {told} schemaLocation="{place}"/>'


class Site:
    """A server of files; a file may be a function of the request."""

    def __init__(self) -> None:
        self.files: dict[str, Any] = {}
        self.asked: list[str] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        told = self.files.get(request.path_qs)
        if callable(told):
            answer = told(request)
            return await answer if asyncio.iscoroutine(answer) else answer
        if told is None:
            raise web.HTTPNotFound
        return web.Response(body=told.encode() if isinstance(told, str) else told)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    found = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.serve)
    async with serving(app) as found.url:
        yield found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    made = Path(shutil.copytree(ROOT / "config", tmp_path / "config"))
    shutil.rmtree(made / "wsdl")
    return made


Pin = Callable[..., Any]


@pytest.fixture
def pin(config: Path) -> Pin:
    async def call(url: str, *words: str) -> Result:
        told = ["wsdl", "pin", url, "--config", str(config), *words]
        return await asyncio.to_thread(CliRunner().invoke, cli, told)

    return call


def kept(config: Path) -> list[str]:
    return sorted(p.relative_to(config / "wsdl").as_posix() for p in (config / "wsdl").rglob("*"))


async def test_a_wsdl_and_all_it_imports(site: Site, config: Path, pin: Pin) -> None:
    site.files = {
        "/dms/Service.svc?wsdl": wsdl(
            imported("../types/a.xsd"),
            imported("?xsd=2", "urn:v"),
            imported("b.xsd", kind="include"),
        ),
        "/types/a.xsd": XSD.format("urn:u", imported("/dms/a.xsd", "urn:w")),
        "/dms/a.xsd": XSD.format("urn:w", imported("../types/a.xsd#deel", "urn:u")),  # a loop
        "/dms/b.xsd": XSD.format("urn:t", imported(f"{site.url}/dms/b.xsd", kind="include")),
        "/dms/Service.svc?xsd=2": XSD.format("urn:v", ""),
    }
    done = await pin(f"{site.url}/dms/Service.svc?wsdl", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["name"], told["new"], told["main"]) == ("service", True, "Service.svc.wsdl")
    assert told["operations"] == {"S.Port": ["Vraag"]}
    names = ["Service.svc.wsdl", "Service.svc.xsd", "a-2.xsd", "a.xsd", "b.xsd", "manifest.json"]
    assert kept(config) == ["service", *(f"service/{n}" for n in names)]
    assert len(site.asked) == len(set(site.asked)) == 5
    folder = config / "wsdl" / "service"
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, about in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == about["sha256"]
        came = site.files[about["url"].removeprefix(site.url)]
        assert hashlib.sha256(came.encode()).hexdigest() == about["came"]
        assert b"http://127" not in data
        assert b"../" not in data
    again = await pin(f"{site.url}/dms/Service.svc?wsdl")
    assert again.exit_code == 0
    assert "the same already" in again.stdout


async def test_another_one_takes_its_place_only_when_asked(
    site: Site, config: Path, pin: Pin
) -> None:
    site.files["/a.wsdl"] = wsdl()
    assert (await pin(f"{site.url}/a.wsdl")).exit_code == 0
    before = (config / "wsdl" / "a" / "a.wsdl").read_bytes()
    site.files["/a.wsdl"] = wsdl(imported("u.xsd"))
    site.files["/u.xsd"] = XSD.format("urn:u", "")
    done = await pin(f"{site.url}/a.wsdl")
    assert (done.exit_code, "--replace" in done.output) == (1, True)
    assert (config / "wsdl" / "a" / "a.wsdl").read_bytes() == before
    assert (await pin(f"{site.url}/a.wsdl", "--replace")).exit_code == 0
    assert kept(config) == ["a", "a/a.wsdl", "a/manifest.json", "a/u.xsd"]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'

OUTSIDE = '<!DOCTYPE d SYSTEM "file:///etc/passwd">'


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for _ in range(64):
            await response.write(b" " * (1 << 20))
    return response


def redirect(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "/goed.xsd"})


def compressed(_: web.Request) -> web.Response:
    return web.Response(body=b"x", headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"/x.wsdl": redirect}, "redirect"),
        ({"/x.wsdl": wsdl(imported("r.xsd")), "/r.xsd": redirect}, "redirect"),
        ({"/x.wsdl": wsdl(imported("file:///etc/passwd"))}, "http or https"),
        ({"/x.wsdl": wsdl(imported("http://169.254.169.254/latest"))}, "egress"),
        ({"/x.wsdl": wsdl(imported("http://www.w3.org/2005/05/xmlmime"))}, "egress"),
        ({"/x.wsdl": wsdl(imported("http://a:b@127.0.0.1/"))}, "user information"),
        ({"/x.wsdl": wsdl(imported("http://[::"))}, "no address"),
        ({"/x.wsdl": wsdl(imports='<import namespace="u" location="ftp://x/y"/>')}, "https"),
        ({"/x.wsdl": BOMB + "<x>&b;</x>"}, "document type"),
        ({"/x.wsdl": wsdl().replace("<def", f"{OUTSIDE}<def")}, "document type"),
        ({"/x.wsdl": wsdl(imported("d.xsd")), "/d.xsd": BOMB + "<x/>"}, "document type"),
        ({"/x.wsdl": wsdl(imported("weg.xsd"))}, "404"),
        ({"/x.wsdl": "<html/>"}, "no WSDL"),
        ({"/x.wsdl": "no XML"}, "not XML"),
        ({"/x.wsdl": compressed}, "compressed"),
        ({"/x.wsdl": endless}, "more than"),
        ({"/x.wsdl": wsdl(*(imported(f"{n}.xsd") for n in range(10_000)))}, "64 files"),
        ({"/x.wsdl": wsdl().replace("t:P", "t:Weg")}, "Weg"),
    ],
)  # fmt: skip
async def test_what_is_not_taken(
    site: Site, config: Path, pin: Pin, files: dict[str, Any], said: str
) -> None:
    site.files = {"/goed.xsd": XSD.format("urn:u", ""), **files}
    for words in ((), ("--json",)):
        done = await pin(f"{site.url}/x.wsdl", *words)
        assert done.exit_code == 1, done.output
        assert said in done.stderr
        assert len(done.stderr) < 1000
        if words:
            assert said in json.loads(done.stdout)["fault"]
    assert "/goed.xsd" not in site.asked
    assert len(site.asked) <= 2 * soappin.MOST
    assert not (config / "wsdl").exists()


async def test_a_chain_without_end(site: Site, config: Path, pin: Pin) -> None:
    def one(request: web.Request) -> web.Response:
        number = int(request.query["n"])
        return web.Response(text=XSD.format("urn:t", imported(f"?n={number + 1}", kind="include")))

    site.files = {"/x.wsdl": wsdl(imported("/c?n=0", kind="include"))}
    site.files |= {f"/c?n={n}": one for n in range(200)}
    done = await pin(f"{site.url}/x.wsdl")
    assert (done.exit_code, "64 files" in done.stderr) == (1, True)
    assert len(site.asked) == soappin.MOST


async def test_all_of_it_has_a_bound(site: Site, pin: Pin, monkeypatch: Any) -> None:
    monkeypatch.setattr(soappin, "LARGEST_ALL", 3_000)
    site.files = {"/x.wsdl": wsdl(*(imported(f"{n}.xsd", f"urn:{n}") for n in range(9)))}
    site.files |= {f"/{n}.xsd": XSD.format(f"urn:{n}", f"<!--{'x' * 500}-->") for n in range(9)}
    done = await pin(f"{site.url}/x.wsdl")
    assert (done.exit_code, "more than" in done.stderr) == (1, True)


async def test_it_takes_no_longer_than_it_may(site: Site, pin: Pin, monkeypatch: Any) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response(text=wsdl())

    monkeypatch.setattr(soappin, "SECONDS", 0.2)
    site.files = {"/x.wsdl": slow}
    done = await pin(f"{site.url}/x.wsdl")
    assert (done.exit_code, "seconds" in done.stderr) == (2, True)


async def test_what_cannot_be_done(site: Site, config: Path, pin: Pin) -> None:
    site.files = {"/x.wsdl": wsdl()}
    assert (await pin("http://127.0.0.1:1/x.wsdl")).exit_code == 2
    assert (await pin("http://elders.example/x.wsdl")).exit_code == 1
    for name in ("../x", "X", "a/b", "-a", "."):
        assert (await pin(f"{site.url}/x.wsdl", "--name", name)).exit_code == 1
    assert (await pin("http://127.0.0.1:1/")).exit_code == 1  # no name could be made of it
    (config / "wsdl").write_text("a file")
    assert (await pin(f"{site.url}/x.wsdl")).exit_code == 2
    (config / "gateway.yaml").unlink()
    assert (await pin(f"{site.url}/x.wsdl")).exit_code == 2


# --- what a source makes of it

PROFILE = """
title: Proef
services: {dms: {wsdl: {name: proef}, path: dms}}
accept: {klant.root: "[0-9]+", id.file: "[0-9]+"}
id: [file]
probe: "0"
list:
  service: dms
  operation: Vraag
  args: {klant: "{klant.root}"}
  result: Antwoord/Result
  rows: Rij
  fields: {file: Id, klant: Klant, folder: Map}
  where: {klant: "{klant.root}"}
find: {}
read: {service: dms, operation: Vraag, args: {klant: "{id.file}"}, content: Antwoord/Result}
"""


async def test_a_source_opens_with_it_and_asks_nobody(site: Site, config: Path, pin: Pin) -> None:
    (config / "proef.yaml").write_text(PROFILE)
    with pytest.raises(ConfigInvalid, match="gateway wsdl pin"):
        async with opened(site.url, base=config, profile="proef.yaml"):
            pass
    site.files = {"/x.wsdl": wsdl(imported("u.xsd")), "/u.xsd": XSD.format("urn:u", "")}
    assert (await pin(f"{site.url}/x.wsdl", "--name", "proef")).exit_code == 0
    site.asked.clear()
    async with opened(site.url, base=config, profile="proef.yaml"):
        pass
    assert site.asked == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("x.wsdl", lambda b: b + b" "),
        ("u.xsd", lambda b: b.replace(b"urn:u", b"urn:v")),
        ("u.xsd", None),
        ("manifest.json", None),
        ("manifest.json", lambda b: b"{}"),
        ("manifest.json", lambda b: b.replace(b'"main": "x.wsdl"', b'"main": "y.wsdl"')),
        ("manifest.json", lambda b: b.replace(b'"u.xsd"', b'"../u.xsd"')),
    ],
)
async def test_a_file_that_was_changed(
    site: Site, config: Path, pin: Pin, name: str, change: Any
) -> None:
    (config / "proef.yaml").write_text(PROFILE)
    site.files = {"/x.wsdl": wsdl(imported("u.xsd")), "/u.xsd": XSD.format("urn:u", "")}
    assert (await pin(f"{site.url}/x.wsdl", "--name", "proef")).exit_code == 0
    path = config / "wsdl" / "proef" / name
    path.unlink() if change is None else path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ConfigInvalid) as told:
        async with opened(site.url, base=config, profile="proef.yaml"):
            pass
    assert told.value.field == "profile"
    # Pinning again mends it, without a question when nothing of it could be read.
    again = await pin(f"{site.url}/x.wsdl", "--name", "proef", "--replace")
    assert again.exit_code == 0, again.output
    async with opened(site.url, base=config, profile="proef.yaml"):
        pass


@pytest.mark.parametrize(
    ("path", "operations"),
    [
        ("cmis11/CMISWS-Service.wsdl", 50),
        ("sharepoint/Lists.wsdl", 64),
        ("sharepoint/webs.wsdl", 0),
    ],
)
async def test_wsdls_of_the_world(
    site: Site, shared: Path, pin: Pin, path: str, operations: int
) -> None:
    folder = (shared / "backoffice" / path).parent
    site.files = {f"/{p.name}": p.read_bytes() for p in folder.iterdir()}
    done = await pin(f"{site.url}/{Path(path).name}", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["operations"]
    assert operations in (0, sum(map(len, told.values())))
