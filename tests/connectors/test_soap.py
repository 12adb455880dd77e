"""The `soap` kind, against node-soap, against our simulator, and against servers that lie."""

import asyncio
import base64
import gc
import hashlib
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.soap import Soap, SoapConfig
from gateway.connector.context import Context
from gateway.connector.contract import Capability, Place, Scope
from gateway.connector.guard import Guarded
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConditionFailed,
    ConfigInvalid,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from gateway.simulators import backoffice
from tests.servers import node_soap
from tests.servers.node_soap import TOKEN, NodeSoap
from tests.servers.soap_kit import (
    CONFIG,
    EGRESS,
    KLANT,
    OTHER,
    ROOT,
    ROWS,
    Liar,
    content,
    every,
    opened,
    profiled,
    serving,
    soap,
    whole,
    xml,
)

SHIPPED = ROOT / "connectors" / "soap_profiles" / "afas.yaml"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOAP_TEST_TOKEN", TOKEN)
    monkeypatch.setenv("SOAP_TEST_WRONG", "B" * 64)


@pytest.fixture(scope="module")
def node() -> Iterator[NodeSoap]:
    with node_soap.serve() as server:
        yield server


@pytest.fixture
def afas(node: NodeSoap) -> Iterator[NodeSoap]:
    node.clear()
    yield node
    node.clear()


async def test_items_attachments_and_content(afas: NodeSoap) -> None:
    first = afas.put("300001", "Brief", "a&<é>'\".pdf", b"een", title="Brief & bijlage", item=11)
    second = afas.put("300001", "Brief", "leeg.txt", b"", item=11)
    afas.put("300001", "Intern", "geheim.pdf", b"geheim")
    afas.put("300002", "Brief", "ander.pdf", b"ander")
    async with opened(afas.url) as source:
        assert source.capabilities == Capability.STREAMS | Capability.MODIFIED
        entries = await every(source, KLANT)
        assert [(e.id, e.name, e.folder) for e in entries] == [
            (first, "a&<é>'\".pdf", ("Brief",)),
            (second, "leeg.txt", ("Brief",)),
        ]
        assert entries[0].meta == {"subject": "Brief & bijlage"}
        assert entries[0].modified is not None
        assert entries[0].modified.isoformat() == "2024-03-01T10:00:00+01:00"
        assert [await whole(source, KLANT, e.id) for e in entries] == [b"een", b""]
        assert await source.stat(KLANT, first) == entries[0]


async def test_pages_join_up_whatever_their_size(afas: NodeSoap) -> None:
    for item in range(5):
        for file in range(item % 3):
            afas.put("300001", "Brief", f"{item}-{file}", item=100 + item)
        afas.put("300001", "Intern", "x", item=200 + item)
    async with opened(afas.url, page_size=2) as source:
        expected = await every(source, KLANT)
        assert len(expected) == 4
        for limit in (1, 2, 3, 4, 5):
            assert await every(source, KLANT, limit) == expected
        assert len((await source.list(KLANT, limit=3)).entries) == 3
        with pytest.raises(ConditionFailed):
            await source.list(KLANT, page="../1")


@pytest.mark.parametrize("wrap", [False, True])
async def test_large_documents_of_a_foreign_stack(afas: NodeSoap, wrap: bool) -> None:
    data = os.urandom(3_000_001)
    id = afas.put("300001", "Brief", "groot.pdf", data)
    afas.set(wrap=wrap)
    async with opened(afas.url) as source:
        assert await whole(source, KLANT, id) == data


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({"token": "B" * 64}, AuthFailed),
        ({"fault": "Token is verlopen"}, AuthFailed),
        ({"fault": "Geen autorisatie voor deze connector"}, PermissionDenied),
        ({"fault": "Too many requests"}, RateLimited),
        ({"fault": "General message: Unexpected backend error"}, Unavailable),
        ({"fault": "Iets anders"}, ProtocolError),
        ({"status": 401}, AuthFailed),
        ({"status": 403}, AuthFailed),
        ({"status": 429}, RateLimited),
        ({"status": 503}, Unavailable),
        ({"status": 500}, ProtocolError),
        ({"status": 404}, ProtocolError),
        ({"status": 200}, ProtocolError),
    ],
)
async def test_refusals_by_their_table(
    afas: NodeSoap, state: dict[str, Any], error: type[SourceError]
) -> None:
    id = afas.put("300001", "Brief", "a.pdf", b"a")
    async with opened(afas.url) as source:
        afas.set(**state)
        for call in (source.list(KLANT), source.stat(KLANT, id), source.read(KLANT, id)):
            with pytest.raises(SourceError) as caught:
                await call
            assert type(caught.value) is error
            assert TOKEN not in str(caught.value)
        report = await source.check(Scope.READ, KLANT)
        assert [(f.scope, f.code) for f in report.findings if not f.ok] == [
            (Scope.CONNECTIVITY, error.code)
        ]


async def test_a_document_that_went_away(afas: NodeSoap) -> None:
    id = afas.put("300001", "Brief", "a.pdf", b"a")
    async with opened(afas.url) as source:
        assert (await source.check(Scope.READ, KLANT)).ok
        afas.remove(id)
        for call in (source.stat(KLANT, id), source.read(KLANT, id)):
            with pytest.raises(NotFound):
                await call
        assert (await source.check(Scope.READ, KLANT)).ok
        assert not (await source.check(Scope.LIST)).ok


async def test_the_border_of_a_dossier(afas: NodeSoap) -> None:
    own = afas.put("300001", "Brief", "eigen.pdf", b"eigen")
    intern = afas.put("300001", "Intern", "intern.pdf", b"intern")
    other = afas.put("300002", "Brief", "ander.pdf", b"ander")
    mixed = [
        f"{own.split('/')[0]}/{other.split('/')[1]}",
        f"{other.split('/')[0]}/{own.split('/')[1]}",
    ]
    async with opened(afas.url) as source:
        for id in (intern, other, *mixed, f"{own}/", f"/{own}", own.lower(), "", "/", "x"):
            with pytest.raises(NotFound):
                await source.stat(KLANT, id)
            with pytest.raises(NotFound):
                await source.read(KLANT, id)
        assert [e.id for e in await every(source, OTHER)] == [other]
        assert await every(source, Place("300001", "300001", ())) == []


@pytest.mark.parametrize(
    "root",
    ["", "300001;300002", "300001%", "%", "3000%", "300001</Field><Field>", "300001\n", "é", "*",
     "300001' or '1'='1", "{klant.root}", "a" * 41],
)  # fmt: skip
async def test_a_place_that_would_widen_the_filter_is_an_empty_dossier(
    afas: NodeSoap, root: str
) -> None:
    id = afas.put("300001", "Brief", "a.pdf", b"a")
    afas.put("300002", "Brief", "b.pdf", b"b")
    async with opened(afas.url) as source:
        place = Place("300001", root, ("",))
        assert await every(source, place) == []
        with pytest.raises(NotFound):
            await source.read(place, id)


@given(st.text(max_size=80), st.text(max_size=80))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_place_and_no_id_opens_another_dossier(node: NodeSoap, root: str, id: str) -> None:
    """Whatever stands in them, nothing but the klant's own documents comes out."""
    node.clear()
    own = node.put("300001", "Brief", "a.pdf", b"a")
    item, file = own.split("/")

    async def attempt() -> None:
        async with opened(node.url) as source:
            if root.strip() != "300001":
                assert await every(source, Place("300001", root, ("",))) == []
            for asked in (id, f"{id}/{file}", f"{item}/{id}", f"{item};{id}/{file}"):
                if asked != own:
                    with pytest.raises(NotFound):
                        await source.stat(OTHER, asked)

    asyncio.run(attempt())


# --- answers of AFAS itself


@pytest.fixture
def samples(shared: Path) -> Callable[[str], bytes]:
    folder = shared / "backoffice" / "afas" / "afasprofit"

    def sample(name: str) -> bytes:
        return (folder / f"tests_resources_{name}.xml").read_bytes()

    return sample


async def test_real_answers_of_afas(samples: Callable[[str], bytes], tmp_path: Path) -> None:
    get, subject = "GetConnector_GetDataWithOptionsResponse", "SubjectConnector_Get"
    liar = Liar()
    liar.answers["GetDataWithOptions"] = lambda q: xml(
        samples(f"{get}_multiple" if q["skip"] == "0" else f"{get}_empty2")
    )
    info = "SubjectAttachmentInfoResponse"
    liar.answers["GetSubjectAttachmentInfo"] = lambda _: xml(samples(subject + info))
    liar.answers["GetAttachment"] = lambda _: xml(samples(f"{subject}AttachmentResponse"))
    # The samples are of a GetConnector of products: its columns stand for ours here.
    columns = {"item": "price", "klant": "sku", "folder": "title"}
    place = Place("product1", "product1", ("Product 1",))
    text = SHIPPED.read_text().replace("[0-9]{1,10}", "[0-9.]{1,10}")
    async with (
        serving(liar.app()) as url,
        profiled(tmp_path, url, text, fields=columns) as source,
    ):
        (entry,) = await every(source, place)
        assert (entry.id, entry.name) == ("16.00/38D436288D83AFE2A62B407A84E76D98", "example.pdf")
        picture = await whole(source, place, entry.id)
        assert picture.startswith(b"\xff\xd8\xff\xe1")
        assert picture.endswith(b"\xff\xd9")
        liar.answers["GetSubjectAttachmentInfo"] = lambda _: xml(samples(f"{subject}{info}_empty"))
        assert await every(source, place) == []
        liar.answers["GetDataWithOptions"] = lambda _: xml(samples(f"{get}_empty"))
        assert await every(source, place) == []


# --- our simulator, a program of its own


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[tuple[Path, str]]:
    """The folder of the back office, and its address."""
    folder = tmp_path / "kantoor"
    for place in ("300001/Brief", "300001/Aangifte", "300001/Intern", "300002/Brief"):
        (folder / place).mkdir(parents=True)
    async with serving(backoffice.build(folder, TOKEN)) as url:
        yield folder, url


def _fill(folder: Path) -> dict[str, bytes]:
    """Some documents of 300001; gives the published ones by name."""
    brief, told = folder / "300001" / "Brief", {}
    for name, data in {"a.pdf": b"a", "leeg.txt": b"", "groot.bin": os.urandom(200_000)}.items():
        (brief / name).write_bytes(data)
        told[name] = data
    (brief / "Map & meer").mkdir()
    (brief / "Map & meer" / "é<b>.pdf").write_bytes(b"in map")
    (folder / "300001" / "Intern" / "geheim.pdf").write_bytes(b"geheim")
    (folder / "300002" / "Brief" / "ander.pdf").write_bytes(b"ander")
    return told | {"é<b>.pdf": b"in map"}


@pytest.mark.parametrize("options", [{}, ROWS], ids=["two steps", "one step"])
async def test_the_simulator(office: tuple[Path, str], options: dict[str, Any]) -> None:
    folder, url = office
    told = _fill(folder)
    async with opened(url, page_size=2, **options) as source:
        entries = await every(source, KLANT)
        assert {e.name: await whole(source, KLANT, e.id) for e in entries} == told
        assert [e.id for e in await every(source, KLANT, limit=1)] == [e.id for e in entries]
        for entry in entries:
            assert await source.stat(KLANT, entry.id) == entry
            with pytest.raises(NotFound):
                await source.stat(OTHER, entry.id)
        known = Capability.SIZE_KNOWN in source.capabilities
        assert known is bool(options)
        assert [e.size for e in entries] == [len(told[e.name]) if known else None for e in entries]
        assert (await source.check(Scope.READ, KLANT)).ok


async def test_the_simulators_faults(office: tuple[Path, str]) -> None:
    folder, url = office
    brief = folder / "300001" / "Brief"
    for name in ("storing-a.pdf", "weg-a.pdf", "afgebroken-a.pdf", "traag-a.pdf"):
        (brief / name).write_bytes(os.urandom(150_000))
    async with opened(url) as source:
        ids = {e.name: e.id for e in await every(source, KLANT)}
        for name, error in {
            "storing-a.pdf": ProtocolError,
            "weg-a.pdf": NotFound,
            "afgebroken-a.pdf": IntegrityError,
        }.items():
            with pytest.raises(error):
                await whole(source, KLANT, ids[name])
        start = time.monotonic()
        assert len(await whole(source, KLANT, ids["traag-a.pdf"])) == 150_000
        assert time.monotonic() - start > 1
    async with opened(url, token="env:SOAP_TEST_WRONG") as source:
        with pytest.raises(AuthFailed):
            await source.list(KLANT)


async def test_through_the_guard(office: tuple[Path, str]) -> None:
    """The guard finds in it what it expects of any source."""
    folder, url = office
    told = _fill(folder)
    (folder / "300001" / "Brief" / "afgebroken-a.pdf").write_bytes(os.urandom(900_000))
    context = Context("firma/soap", egress=EGRESS, base=CONFIG)
    config = SoapConfig(url=url, token="env:SOAP_TEST_TOKEN")
    guarded = Guarded("firma/soap", await Soap.open(config, context), context)
    try:
        ids = {e.name: e.id for e in (await guarded.list(KLANT)).entries}
        reader = await guarded.read(KLANT, ids["groot.bin"])
        assert b"".join([p async for p in reader]) == told["groot.bin"]
        reader = await guarded.read(KLANT, ids["leeg.txt"])
        assert [p async for p in reader] == []
        reader = await guarded.read(KLANT, ids["afgebroken-a.pdf"])
        with pytest.raises((IntegrityError, Unavailable)):
            assert [p async for p in reader]
        with pytest.raises(NotFound):
            await guarded.read(OTHER, ids["groot.bin"])
    finally:
        await guarded.aclose()


async def test_the_loop_is_never_blocked(office: tuple[Path, str]) -> None:
    """Also when it opens: WSDLs, secret and profile are read in a thread."""
    folder, url = office
    told = _fill(folder)
    secret = folder.parent / "token"
    secret.write_text(TOKEN + "\n")
    with blockbuster_ctx(["connectors", "gateway.connector"]):
        async with opened(url, token=f"file:{secret}") as source:
            for entry in await every(source, KLANT):
                assert await whole(source, KLANT, entry.id) == told[entry.name]


# --- memory


async def test_fifty_megabytes_pass_in_the_memory_of_a_few_packets() -> None:
    """And the first piece is there long before the last has left the server."""
    size, block = 50 * 1024 * 1024, b"QUJD" * 16 * 1024
    sent = 0

    async def large(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        await response.prepare(request)
        before, after = content("|").split(b"|")
        await response.write(before)
        while sent < size // 3 * 4:
            await response.write(block)
            sent += len(block)
        await response.write(after)
        return response

    liar = Liar()
    liar.answers["GetAttachment"] = lambda _: large
    async with serving(liar.app()) as url, opened(url) as source:
        reader = await source.read(KLANT, "7/F1")
        gc.collect()
        tracemalloc.start()
        got, first = 0, 0
        async for piece in reader:
            first = first or sent
            got += len(piece)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await reader.aclose()
    assert got >= size
    assert first < size // 10
    assert peak < 10_000_000


# --- options


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "http://evil.example/x"}, "url"),
        ({"url": "http://127.0.0.1:1@evil.example/"}, "url"),
        ({"url": "file:///etc/passwd"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"endpoints": {"get": "http://evil.example/x"}}, "url"),
        ({"endpoints": {"nope": "http://127.0.0.1/x"}}, "endpoints"),
        ({"profile": "nope"}, "profile"),
        ({"profile": "../connectors/soap_profiles/afas.yaml"}, "profile"),
        ({"profile": "/etc/passwd"}, "profile"),
        ({"words": {"nope": "x"}}, "words"),
        ({"fields": {"nope": "x"}}, "fields"),
        ({"token": None}, "token"),
    ],
)
async def test_wrong_options_are_told_when_opening(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        async with opened(**{"url": "http://127.0.0.1:1/x", **options}):
            pass
    assert caught.value.field == field


async def test_a_secret_that_is_absent_is_told() -> None:
    with pytest.raises(ConfigInvalid):
        async with opened("http://127.0.0.1:1/x", token="env:SOAP_TEST_ABSENT"):
            pass


def test_every_option_is_described() -> None:
    assert all(f.description for f in SoapConfig.model_fields.values())
    with pytest.raises(ValueError, match="reference"):
        SoapConfig(url="http://x", token=TOKEN)


# --- a back office of another shape: SOAP 1.2, typed rows, a flag for success, HTTP auth

TYPED = """
title: Getypeerd
services:
  store: {path: store, wsdl: {file: eigen.wsdl, sha256: %s}}
auth: {kind: %s}
accept: {klant.root: "[0-9]+", id.doc: "[0-9]+"}
id: [doc]
probe: "0"
list:
  service: store
  operation: ListDocuments
  args: {client: "{klant.root}", skip: "{page.skip}", take: "{page.take}"}
  result: ListDocumentsResponse/List
  rows: Document
  fields: {doc: "@id", name: Name, klant: Client, folder: Type, version: Hash, size: Size}
  where: {klant: "{klant.root}"}
  paging: {page_size: 2, stop: short}
find: {}
read:
  service: store
  operation: GetDocument
  args: {id: "{id.doc}"}
  content: GetDocumentResponse/Content
ok: {element: Result, equals: "true", message: Message}
errors: [{match: "(?i)verlopen", to: auth_failed}]
"""

TYPED_WSDL = b"""<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:t" name="S"
 xmlns:s="http://schemas.xmlsoap.org/wsdl/soap12/" targetNamespace="urn:t"
 xmlns:x="http://www.w3.org/2001/XMLSchema"><types><x:schema targetNamespace="urn:t"
 elementFormDefault="qualified"><x:element name="ListDocuments"><x:complexType><x:sequence>
 <x:element name="client" type="x:string"/><x:element name="skip" type="x:int"/>
 <x:element name="take" type="x:int"/></x:sequence></x:complexType></x:element>
 <x:element name="GetDocument"><x:complexType><x:sequence><x:element name="id" type="x:string"/>
 </x:sequence></x:complexType></x:element><x:element name="Any"><x:complexType/></x:element>
 </x:schema></types>
 <message name="L"><part name="p" element="t:ListDocuments"/></message>
 <message name="G"><part name="p" element="t:GetDocument"/></message>
 <message name="A"><part name="p" element="t:Any"/></message>
 <portType name="P"><operation name="ListDocuments"><input message="t:L"/><output message="t:A"/>
 </operation><operation name="GetDocument"><input message="t:G"/><output message="t:A"/>
 </operation></portType><binding name="B" type="t:P">
 <s:binding transport="http://schemas.xmlsoap.org/soap/http" style="document"/>
 <operation name="ListDocuments"><s:operation soapAction="urn:t#L"/><input><s:body use="literal"/>
 </input><output><s:body use="literal"/></output></operation>
 <operation name="GetDocument"><s:operation soapAction="urn:t#G"/><input><s:body use="literal"/>
 </input><output><s:body use="literal"/></output></operation></binding>
 <service name="S"><port name="P" binding="t:B"><s:address location="http://x.invalid"/></port>
 </service></definitions>"""


def _typed(request: dict[str, str]) -> web.Response:
    if request["client"] == "9":
        return _answered("false", "Sessie verlopen")
    rows = "".join(
        f'<Document id="{n}"><Name>{n}.pdf</Name><Client>1</Client><Type>A/B</Type>'
        f"<Hash>h{n}</Hash><Size>3</Size></Document>"
        for n in range(1, 6)
    )
    first = int(request["skip"])
    kept = rows.split("</Document>")[first : first + int(request["take"])]
    return _answered("true", "", "".join(f"{r}</Document>" for r in kept if r))


def _answered(result: str, message: str, rows: str = "") -> web.Response:
    return xml(
        soap(
            f'<ListDocumentsResponse xmlns="urn:t"><Result>{result}</Result>'
            f"<Message>{message}</Message><List>{rows}</List></ListDocumentsResponse>"
        )
    )


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ("bearer", f"Bearer {TOKEN}"),
        ("basic", "Basic " + base64.b64encode(f"jan:{TOKEN}".encode()).decode()),
        ("none", None),
    ],
)
async def test_a_back_office_of_another_shape(
    auth: str, header: str | None, tmp_path: Path
) -> None:
    liar = Liar()
    liar.answers = {
        "ListDocuments": _typed,
        "GetDocument": lambda q: xml(
            soap(
                f'<GetDocumentResponse xmlns="urn:t"><Result>{"true" if q["id"] < "5" else "x"}'
                "</Result><Content>QUJD</Content></GetDocumentResponse>"
            )
        ),
    }
    text = TYPED % (hashlib.sha256(TYPED_WSDL).hexdigest(), auth)
    place = Place("1", "1", ("A",))
    async with (
        serving(liar.app()) as url,
        profiled(tmp_path, url, text, TYPED_WSDL, username="jan") as source,
    ):
        entries = await every(source, place)
        assert [e.id for e in entries] == ["1", "2", "3", "4", "5"]
        assert entries[0].folder == ("A", "B")
        assert entries[0].version == "h1"
        assert Capability.VERSION | Capability.SIZE_KNOWN in source.capabilities
        reader = await source.read(place, "1", version="h1")
        assert reader.length == 3
        assert b"".join([p async for p in reader]) == b"ABC"
        with pytest.raises(ConditionFailed):
            await source.read(place, "1", version="h2")
        with pytest.raises(AuthFailed):
            await source.list(Place("9", "9", ("",)))
    assert {h.get("Authorization") for h in liar.headers} == {header}
    assert all(h["Content-Type"].startswith("application/soap+xml") for h in liar.headers)


# --- writing


async def pieces(*found: bytes, fail: Exception | None = None) -> AsyncIterator[bytes]:
    for piece in found:
        yield piece
    if fail is not None:
        raise fail


@pytest.mark.parametrize("size", [None, 3_000_001])
async def test_a_document_is_written_to_a_foreign_stack(afas: NodeSoap, size: int | None) -> None:
    data = os.urandom(3_000_001)
    cut = [data[i : i + 65_537] for i in range(0, len(data), 65_537)]
    async with opened(afas.url, writable=True, types={"Brief": "15"}) as source:
        assert Capability.WRITE in source.capabilities
        # Type 15 is not published under that name, so what was written cannot be seen here.
        with pytest.raises(ProtocolError, match="not there"):
            await source.put(KLANT, "Brief", "x", pieces(b"x"))
    async with opened(afas.url, writable=True) as source:
        entry = await source.put(KLANT, "Brief", "a&<é>'\".pdf", pieces(*cut), size=size)
        assert (entry.name, entry.folder) == ("a&<é>'\".pdf", ("Brief",))
        assert entry.meta == {"subject": "a&<é>'\".pdf"}
        assert await whole(source, KLANT, entry.id) == data
        with pytest.raises(AlreadyExists):
            await source.put(KLANT, "Brief", entry.name, pieces(fail=AssertionError("asked")))
        with pytest.raises(Unsupported):
            await source.put(KLANT, "Brief", entry.name, pieces(b"x"), if_absent=False)
        assert await every(source, OTHER) == []


async def test_a_document_that_is_not_the_promised_one_is_not_written(afas: NodeSoap) -> None:
    async with opened(afas.url, writable=True) as source:
        with pytest.raises(ConnectionResetError):
            await source.put(KLANT, "Brief", "a", pieces(b"ab", fail=ConnectionResetError()))
        for body in (pieces(b"ab"), pieces(b"abcdef")):
            with pytest.raises(IntegrityError):
                await source.put(KLANT, "Brief", "a", body, size=4)
        with pytest.raises(IntegrityError):
            await source.put(KLANT, "Brief", "a", pieces(b"abcd"), sha256=bytes(32))
        with pytest.raises(TooLarge):
            await source.put(KLANT, "Brief", "a", pieces(b"a"), size=56_000_001)
        with pytest.raises(NotFound):
            await source.put(Place("1;2", "1;2", ("Brief",)), "Brief", "a", pieces(b"a"))
        afas.set(fault="Geen autorisatie voor deze connector")
        with pytest.raises(PermissionDenied):
            await source.put(KLANT, "Brief", "a", pieces(b"a"))
        afas.set(fault=None)
        await asyncio.sleep(0.05)
        assert await every(source, KLANT) == []
