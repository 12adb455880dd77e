"""Profiles: what they may say, what is filled in, and that WSDLs come from nowhere else."""

import asyncio
import contextlib
import hashlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from ruamel.yaml import YAML

from gateway.connector.soap import profile as soapprofile
from gateway.connector.soap import tree as soaptree
from gateway.connector.soap import wsdl as soapwsdl
from gateway.connector.soap.profile import Template, Xml
from gateway.domain import xml
from gateway.errors import ConfigInvalid, NotFound, ProtocolError

ROOT = Path(__file__).parents[2]
WSDL = ROOT / "config" / "wsdl"
SHIPPED = ROOT / "connectors" / "soap_profiles"
URLS = {"get": "https://x.invalid/get", "subject": "https://x.invalid/subject"}
URLS["update"] = "https://x.invalid/update"


def afas() -> dict[str, Any]:
    yaml = YAML(typ="safe", pure=True)
    return dict(yaml.load((SHIPPED / "afas.yaml").read_text()))


def load(tree: dict[str, Any]) -> soapprofile.Profile:
    with contextlib.closing(_Text()) as text:
        YAML(typ="safe", pure=True).dump(tree, text)
        return soapprofile.load(text.whole, "test")


class _Text:
    """A file for ruamel to write to."""

    def __init__(self) -> None:
        self.whole = ""

    def write(self, text: str | bytes) -> None:
        self.whole += text if isinstance(text, str) else text.decode()

    def close(self) -> None:
        """Nothing to close."""


# --- templates


@given(st.text())
def test_a_value_in_a_filter_stays_one_text(value: str) -> None:
    template = Template('<F a="{word.name}"><V>{klant.root}</V></F>', xml=True)
    try:
        filled = template.fill({"klant.root": value, "word.name": value})
    except ValueError:
        assert soapprofile._NOT_XML.search(value)
        return
    root = xml.parse(filled.encode())
    assert [c.tag for c in root] == ["V"]
    assert len(root[0]) == 0
    # XML itself makes one line end of each kind, and blanks of them in attributes.
    assert _lines(root[0].text or "") == _lines(value)


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@given(st.text())
def test_an_argument_in_an_envelope_stays_one_text(value: str) -> None:
    profile = soapprofile.load((SHIPPED / "afas.yaml").read_text(), "afas")
    call = _operations(profile)["read"]
    values = {"auth.secret": "geheim", "id.item": "7", "id.file": value}
    try:
        body = call.body(values)
    except NotFound:
        return
    content = soaptree.body(xml.parse(body))[0]
    assert [xml.local(a.tag) for a in content] == ["token", "subjectID", "fileId"]
    assert _lines(content[2].text or "") == _lines(value)


_MADE: dict[int, dict[str, soapwsdl.Operation]] = {}


def _operations(profile: soapprofile.Profile) -> dict[str, soapwsdl.Operation]:
    if not _MADE:
        _MADE[0] = soapwsdl.operations(profile, URLS, [WSDL])
    return _MADE[0]


def test_the_filter_is_xml_in_a_string_and_the_token_is_text() -> None:
    profile = soapprofile.load((SHIPPED / "afas.yaml").read_text(), "afas")
    call = _operations(profile)["find"]
    values = {
        "auth.secret": profile.auth.wrapped("ABC"),
        "word.connector": "Eigen & co",
        "klant.root": "1</Field><Field>",
        "id.item": "2",
        "page.skip": "0",
        "page.take": "9",
        **{f"field.{k}": v for k, v in profile.list.fields.items()},
    }
    content = soaptree.body(xml.parse(call.body(values)))[0]
    told = {xml.local(a.tag): a.text or "" for a in content}
    assert told["token"] == "<token><version>1</version><data>ABC</data></token>"
    assert told["connectorId"] == "Eigen & co"
    fields = xml.parse(told["filtersXml"].encode()).findall("Filter/Field")
    assert [(f.get("FieldId"), f.text) for f in fields] == [
        ("BcCd", "1</Field><Field>"),
        ("SbId", "2"),
    ]
    assert call.headers["SOAPAction"] == '"urn:Afas.Profit.Services/GetDataWithOptions"'
    assert b"klant" not in call.body(values)


@pytest.mark.parametrize(
    "text", ["{klant.root", "{klant}", "a}", "{os.environ}", "{klant.root!r}"]
)
def test_nothing_but_placeholders_stands_in_braces(text: str) -> None:
    with pytest.raises(ValueError, match="placeholders"):
        Template(text)


def test_a_token_that_is_wrapped_already_is_left_so() -> None:
    auth = soapprofile.Auth(kind="body", wrap="<t>{secret}</t>")
    assert auth.wrapped("x") == auth.wrapped("<t>x</t>\n") == "<t>x</t>"


# --- profiles


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p.update(extra=1), "extra"),
        (lambda p: p["accept"].pop("id.file"), r"id\.file"),
        (lambda p: p["accept"].pop("klant.root"), r"klant\.root"),
        (lambda p: p["list"]["args"].update(token="{word.nope}"), r"word\.nope"),
        (lambda p: p["list"]["args"].update(token="{nope.x}"), "placeholders"),
        (lambda p: p["list"].update(service="nope"), "no service 'nope'"),
        (lambda p: p["list"].update(where={}), "only border"),
        (lambda p: p["find"].update(filtersXml={"xml": "<a>{klant.root}</b>"}), "not XML"),
        (lambda p: p["find"].update(filtersXml={"xml": "<!DOCTYPE a><a/>"}), "document type"),
        (lambda p: p["read"].update(encoding="uuencode"), "encoding"),
        (lambda p: p["errors"].append({"match": "(", "to": "not_found"}), "match"),
        (lambda p: p["errors"].append({"match": "x", "to": "nope"}), "to"),
        (lambda p: p.update(timezone="Mars/Base"), "timezone"),
        (lambda p: p["services"]["get"]["wsdl"].update(file="../x.wsdl"), "file"),
        (lambda p: p["services"]["get"]["wsdl"].update(sha256="0"), "sha256"),
        (lambda p: p["services"]["get"].update(path="//evil.nl/x?y"), "path"),
    ],
)
def test_a_wrong_profile_is_told(change: Any, said: str) -> None:
    tree = afas()
    change(tree)
    with pytest.raises(ConfigInvalid, match=said):
        load(tree)


def test_yaml_that_is_none_is_told() -> None:
    with pytest.raises(ConfigInvalid, match="profile"):
        soapprofile.load("a: [", "test")
    with pytest.raises(ConfigInvalid, match="profile"):
        soapprofile.load("a: 1\na: 2", "test")


def test_a_firms_words_and_columns() -> None:
    profile = load(afas())
    own = profile.adapted({"connector": "Eigen"}, {"klant": "Org", "size": "Grootte"})
    assert own.words == {"connector": "Eigen"}
    assert own.list.fields["klant"] == "Org"
    assert own.list.fields["item"] == "SbId"
    for words, fields in [({"conector": "x"}, {}), ({}, {"klnt": "x"}), ({}, {"klant": "\0"})]:
        with pytest.raises(ConfigInvalid):
            profile.adapted(words, fields)


# --- trees


def test_paths_in_rows() -> None:
    root = xml.parse(b"<r xmlns='u'><row a='1'><b c='2'>3</b><d/><e><f>4</f></e></row></r>")
    fields = soaptree.Fields({"a": "@a", "c": "b/@c", "b": "b", "b2": "b", "d": "d", "f": "e/f",
                              "no": "x/y", "none": "@x"})  # fmt: skip
    assert fields.read(root[0]) == {"a": "1", "c": "2", "b": "3", "b2": "3", "d": "", "f": "4"}


def test_an_inner_document_may_claim_utf_16_as_dotnet_writes_it() -> None:
    element = etree.Element("r")
    element.text = '<?xml version="1.0" encoding="utf-16"?>\n<a>é</a>'
    found = soaptree.inner(element)
    assert found is not None
    assert found.text == "é"
    element.text = "  \n"
    assert soaptree.inner(element) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        b"<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1:9/'> %x;]><a/>",
        b"<!DOCTYPE a [<!ENTITY a '" + b"x" * 100 + b"'>"
        + b"".join(b"<!ENTITY a%d '%s'>" % (i, (b"&a;" if i == 0 else b"&a%d;" % (i - 1)) * 50)
                   for i in range(9)) + b"]><a>&a8;</a>",
        b"<a>" * 5000 + b"</a>" * 5000,
        b"<a>\xff</a>",
    ],
)  # fmt: skip
def test_hostile_xml_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        xml.parse(data)


# --- pinned WSDLs


@pytest.fixture
async def trap() -> AsyncIterator[tuple[int, list[str]]]:
    """A port where nobody should ever call, and who did."""
    hits: list[str] = []

    async def caught(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hits.append((await reader.readline()).decode())
        writer.close()

    server = await asyncio.start_server(caught, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], hits
    server.close()
    await server.wait_closed()


def pinned(folder: Path, content: bytes, **imports: bytes) -> soapprofile.Profile:
    """AFAS' profile with another WSDL for `get`, pinned as it stands in the folder."""
    tree = afas()
    (folder / "own.wsdl").write_bytes(content)
    wsdl = {"file": "own.wsdl", "sha256": hashlib.sha256(content).hexdigest(), "imports": {}}
    for name, data in imports.items():
        (folder / f"{name}.xsd").write_bytes(data)
        pin = {"file": f"{name}.xsd", "sha256": hashlib.sha256(data).hexdigest()}
        wsdl["imports"] = {f"http://elders.invalid/{name}.xsd": pin}
    tree["services"]["get"]["wsdl"] = wsdl
    return load(tree)


def importing(what: str) -> bytes:
    original = (WSDL / "afas-get.wsdl").read_bytes()
    at = b'<xs:element name="GetDataWithOptions">'
    assert at in original
    return original.replace(at, f"<xs:{what}/>\n".encode() + at)


async def open_(profile: soapprofile.Profile, folder: Path) -> Any:
    return await asyncio.to_thread(soapwsdl.operations, profile, URLS, [folder, WSDL])


@pytest.mark.parametrize(
    "what",
    [
        'import namespace="urn:x" schemaLocation="http://127.0.0.1:{port}/x.xsd"',
        'include schemaLocation="http://127.0.0.1:{port}/x.xsd"',
        'import namespace="urn:x" schemaLocation="file:///etc/hostname"',
        'import namespace="urn:x" schemaLocation="/etc/hostname"',
        'import namespace="urn:x" schemaLocation="../wsdl/afas-subject.wsdl"',
    ],
)
async def test_a_wsdl_that_imports_is_refused_and_nobody_is_called(
    what: str, tmp_path: Path, trap: tuple[int, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, hits = trap
    connects: list[Any] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, a: connects.append(a))
    profile = pinned(tmp_path, importing(what.format(port=port)))
    with pytest.raises(ConfigInvalid, match="not pinned"):
        await open_(profile, tmp_path)
    await asyncio.sleep(0.05)
    assert (hits, connects) == ([], [])


async def test_an_import_that_is_pinned_comes_from_its_file(tmp_path: Path) -> None:
    schema = b"<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema' targetNamespace='urn:x'/>"
    what = 'import namespace="urn:x" schemaLocation="http://elders.invalid/x.xsd"'
    profile = pinned(tmp_path, importing(what), x=schema)
    assert set(await open_(profile, tmp_path)) == {"list", "find", "read", "attachments", "put"}
    (tmp_path / "x.xsd").write_bytes(schema + b" ")
    with pytest.raises(ConfigInvalid, match="not the file that the profile pins"):
        await open_(profile, tmp_path)


async def test_a_changed_wsdl_is_refused(tmp_path: Path) -> None:
    original = (WSDL / "afas-get.wsdl").read_bytes()
    (tmp_path / "afas-get.wsdl").write_bytes(original.replace(b"xs:int", b"xs:long"))
    with pytest.raises(ConfigInvalid, match="not the file that the profile pins") as caught:
        await open_(load(afas()), tmp_path)
    assert caught.value.field == "profile"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE a><definitions xmlns='http://schemas.xmlsoap.org/wsdl/'/>", "own.wsdl"),
        (b"junk", "own.wsdl"),
        (b"<definitions xmlns='http://schemas.xmlsoap.org/wsdl/'/>", "."),
    ],
)
async def test_a_wsdl_that_is_none_is_told(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        await open_(pinned(tmp_path, content), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p["list"].update(operation="GetNothing"),
        lambda p: p["list"]["args"].update(nope="x"),
        lambda p: p["services"]["get"]["wsdl"].update(file="absent.wsdl"),
    ],
)
async def test_a_profile_that_does_not_fit_its_wsdl_is_told(change: Any, tmp_path: Path) -> None:
    tree = afas()
    change(tree)
    with pytest.raises(ConfigInvalid):
        await open_(load(tree), tmp_path)


async def test_soap_1_2(tmp_path: Path) -> None:
    content = (WSDL / "afas-get.wsdl").read_bytes()
    content = content.replace(b"wsdl/soap/", b"wsdl/soap12/")
    call = (await open_(pinned(tmp_path, content), tmp_path))["list"]
    assert call.headers["Content-Type"].startswith("application/soap+xml")
    assert 'action="urn:Afas.Profit.Services/GetDataWithOptions"' in call.headers["Content-Type"]
    assert b"http://www.w3.org/2003/05/soap-envelope" in call.envelope[0]


def test_an_argument_of_xml_must_be_well_formed() -> None:
    assert Xml(xml="<a b='{klant.root}'/>")
    with pytest.raises(ValueError):
        Xml(xml="<a>")
