"""SOAP for packages: what it takes, what it refuses and in which words."""

import base64
import hashlib
import io
import os
from pathlib import Path
from uuid import UUID

import pytest

from gateway.api import calling
from gateway.api.soap import reader
from gateway.api.soap.names import OURS, SOAP11, SOAP12, XSI
from gateway.connector.local.file import PARTIAL
from gateway.domain import package as rules
from gateway.domain import xml
from gateway.domain.package import Scope
from gateway.flows import packages
from tests.filing.conftest import INSTANCES, KLANT
from tests.packages.conftest import ob, ob_files
from tests.packages.soap import (
    ADDRESS,
    ask,
    elements,
    envelope,
    include,
    mtom,
    operation,
    related,
    send,
    stuk_xml,
    upload,
    username_token,
)

PDF = b"%PDF-1.7 een brief"


async def by_soap(proef, stuk, files, once=None, way="inline"):
    """UploadMessage, inline or as MTOM."""
    if way == "inline":
        return await send(proef, upload(proef, stuk, files, once))
    data, kind = mtom(proef, stuk, files, once)
    return await send(proef, data, **{"Content-Type": kind})


# --- stukken


@pytest.mark.parametrize("way", ["inline", "mtom"])
async def test_a_stuk_by_content_is_approved_and_followed(office, proef, person, way):
    sanne = await person()
    stuk = ob(deadline="2027-01-31", opmerking="Graag <snel> & goed.")
    told = await by_soap(proef, stuk, ob_files(), way=way)
    assert not told.failed, told.words
    id = told.text("id")
    assert told.text("staat") == "te_accorderen"
    sums = [hashlib.sha256(data).hexdigest() for _, data in ob_files().values()]
    assert told.texts("sha256") == sums
    await sanne.approves(UUID(id))
    await office.finish(UUID(id))
    followed = await ask(proef, "GetMessageStatus", elements({"id": id}))
    assert followed.texts("staat")[0] == "akkoord_digipoort"
    (booking,) = office.booked
    assert followed.text("kenmerk") == booking["kenmerk"]
    assert "500" in followed.texts("code")
    updated = await ask(proef, "GetUpdatedMessages", elements({"vanaf": 0, "aantal": 500}))
    assert updated.texts("stukken") == [id]
    names = updated.texts("gebeurtenis")
    assert names[0] == "stuk_put_up"
    assert {"stuk_confirmed", "delivery_final"} <= set(names)
    newest = updated.texts("vanaf")[-1]
    again = await ask(proef, "GetUpdatedMessages", elements({"vanaf": newest}))
    assert (again.texts("stukken"), again.text("vanaf")) == ([], newest)
    rest = (await proef.get(f"/stukken/{id}")).body
    assert followed.text("manifest") == rest["manifest"]


async def test_a_stuk_by_reference(office, proef):
    parts = [office.write("ob-1.pdf", "%PDF-1.4 1"), office.write("ob-1.xbrl", INSTANCES["ob"](1))]
    wish = ob(onderdelen=[{"rol": p.role, "bron": p.source, "id": p.id} for p in parts])
    told = await by_soap(proef, wish, {})
    assert not told.failed, told.words


async def test_withdrawing_and_reporting(office, proef):
    id = str(await office.put_up("vpb"))
    told = await ask(proef, "Report", elements({"id": id, "gelukt": "true"}))
    assert told.code == 422
    again = await ask(proef, "Withdraw", elements({"id": id, "reden": "kort"}))
    assert set(again.faults) == {"reden"}
    back = elements({"berichtId": "w", "id": id, "reden": "Verkeerde periode."})
    first = await ask(proef, "Withdraw", back)
    assert first.text("staat") == "ingetrokken"
    second = await ask(proef, "Withdraw", back)
    assert second.headers["Idempotency-Replayed"] == "true"
    assert second.text("staat") == "ingetrokken"
    assert (await ask(proef, "Withdraw", back.replace(">w<", ">x<"))).code == 422


@pytest.mark.parametrize("version", [SOAP11, SOAP12])
@pytest.mark.parametrize("id", ["geen-id", "00000000-0000-0000-0000-000000000000"])
async def test_what_is_not_there(proef, version, id):
    told = await ask(proef, "GetMessageStatus", elements({"id": id}), version)
    assert told.code == 404
    assert told.status == (500 if version is SOAP11 else 400)
    code = told.text("faultcode") or told.text("Value")
    assert code == ("s:Client" if version is SOAP11 else "s:Sender")


# --- documenten


def document(naam="Brief é.pdf", content="", **change):
    """UploadDocument's elements."""
    asked = {"klant": KLANT, "bron": "map", "map": "Stukken/2026", "naam": naam} | change
    return elements(asked) + f"<inhoud>{content}</inhoud>"


@pytest.mark.parametrize("way", ["inline", "lines", "mtom", "base64"])
async def test_a_document_stands_in_the_firms_own_source(office, proef, way):
    text = base64.b64encode(PDF).decode()
    inline = {"inline": text, "lines": f"\r\n {text[:4]}\n<![CDATA[{text[4:]}]]>\r\n"}
    if way in inline:
        told = await ask(proef, "UploadDocument", document(content=inline[way]))
    else:
        inner = document(content=include("a%40b"))
        root = envelope(operation("UploadDocument", inner), username_token(proef.key))
        data = PDF if way == "mtom" else base64.encodebytes(PDF)
        body, kind = related(root, [("a@b", data)], "binary" if way == "mtom" else "base64")
        told = await send(proef, body, **{"Content-Type": kind})
    assert not told.failed, told.words
    assert told.text("sha256") == hashlib.sha256(PDF).hexdigest()
    assert (office.folder / "Stukken" / "2026" / "Brief é.pdf").read_bytes() == PDF


async def test_nothing_is_kept_when_the_message_goes_wrong_after_the_document(office, proef):
    text = base64.b64encode(PDF).decode()
    for inner in (
        document(content=text) + "<over>x</over>",
        document(content=text) + f"<inhoud>{text}</inhoud>",
        document(content=text + "!"),
        document(content=text + "<b/>"),
    ):
        told = await ask(proef, "UploadDocument", inner)
        assert told.code in (400, 422), told.words
    data = envelope(operation("UploadDocument", document(content=text)), username_token(proef.key))
    for cut in (data[:-40], data[: data.index(b"</inhoud>") - 3]):
        assert (await send(proef, cut)).code == 400
    left = [p.name for p in office.folder.parent.rglob("*") if p.is_file()]
    assert not [name for name in left if not name.startswith(PARTIAL)]


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"berichtId": "né"}, "berichtId", "Dit heeft niet de vorm die het schema vraagt."),
        ({"berichtId": "x" * 201}, "berichtId", "Dit is te lang."),
    ],
)
async def test_what_the_schema_says_is_told_in_dutch(proef, more, field, words):
    """And no value is repeated."""
    body = elements({"berichtId": "w", "id": str(UUID(int=1)), "reden": "Verkeerde."} | more)
    told = await ask(proef, "Withdraw", body)
    assert told.code == 422
    assert told.faults[field].startswith(words), told.faults
    assert "urn:" not in told.words
    assert "'" not in told.words


async def test_an_element_that_does_not_belong_there(proef):
    told = await ask(proef, "GetMessageStatus", elements({"id": str(UUID(int=1)), "extra": "x"}))
    assert (told.code, told.faults) == (422, {"extra": "Dit element hoort hier niet."})
    told = await ask(proef, "GetMessageStatus", elements({}))
    assert (told.code, told.faults) == (
        422, {"bericht": "Hier ontbreekt een element; verwacht: token, id."},
    )  # fmt: skip


# --- berichtId


@pytest.mark.parametrize("other", ["inline", "mtom"])
async def test_the_same_message_gives_the_same_answer(proef, other):
    first = await by_soap(proef, ob(), ob_files(), "een")
    second = await by_soap(proef, ob(), ob_files(), "een", other)
    assert second.text("id") == first.text("id") != ""
    assert second.headers["Idempotency-Replayed"] == "true"
    assert (await by_soap(proef, ob(), ob_files(5), "een", other)).code == 409
    assert (await by_soap(proef, ob(jaar=2025), ob_files(), "een", other)).code == 409


async def test_a_refused_message_frees_its_id(proef):
    assert (await by_soap(proef, ob(jaar=1900), ob_files(), "twee")).code == 422
    assert (await by_soap(proef, ob(), ob_files(), "twee")).code == 200


async def test_a_message_needs_an_id(proef):
    data = operation("UploadMessage", stuk_xml(ob()))
    told = await send(proef, envelope(data, username_token(proef.key)))
    assert (told.code, set(told.faults)) == (422, {"stuk"}) or "berichtId" in told.words
    assert "berichtId" in told.words


# --- who calls


@pytest.mark.parametrize("version", [SOAP11, SOAP12])
async def test_ways_to_bring_a_key(proef, version):
    plain = operation("GetUpdatedMessages", "")
    afas = "<![CDATA[<token><version>1</version><data>{}</data></token>]]>"
    for token in (proef.key, afas.format(proef.key)):
        inner = operation("GetUpdatedMessages", f"<token>{token}</token>")
        assert (await send(proef, envelope(inner, "", version), version)).code == 200
    bearer = {"Authorization": f"Bearer {proef.key}"}
    assert (await send(proef, envelope(plain, "", version), version, **bearer)).code == 200
    assert (await ask(proef, "GetUpdatedMessages", "", version)).code == 200


async def test_strangers_are_turned_away(proef):
    plain = operation("GetUpdatedMessages", "")
    digest = username_token(proef.key, type="urn:x#PasswordDigest")
    other = "map_wilgenhof_" + proef.key.split("_", 2)[2]
    wrong = [username_token(key) for key in ("", "x", proef.key[:-1], other)]
    for header in ("", *wrong, digest):
        told = await send(proef, envelope(plain, header))
        assert told.code == 401
        assert proef.key not in told.words
    twice = username_token(proef.key) * 2
    assert (await send(proef, envelope(plain, twice))).code == 400


async def test_a_key_does_what_it_was_made_for(proef, package):
    reader = await package(Scope.STATUS, name="Lezer")
    assert (await ask(reader, "GetUpdatedMessages")).code == 200
    told = await by_soap(reader, ob(), ob_files())
    assert (told.code, "stukken" in told.words) == (403, True)


async def test_a_key_opens_one_firm(office, proef):
    id = await office.put_up()
    key = await packages.make(office.portal, office.portal.firms["wilgenhof"], "A", tuple(Scope))
    stranger = type(proef)(proef.client, key)
    assert (await ask(stranger, "GetMessageStatus", elements({"id": id}))).code == 404
    assert (await ask(stranger, "GetUpdatedMessages")).texts("stukken") == []


async def test_the_rate_is_that_of_rest(proef, monkeypatch):
    monkeypatch.setattr(calling, "_LIMIT", rules.per_key(3))
    told = [await ask(proef, "GetUpdatedMessages") for _ in range(3)]
    assert [t.code for t in told] == [200] * 3
    refused = await ask(proef, "GetUpdatedMessages")
    assert refused.code == 429
    assert refused.text("faultcode") == "s:Server"
    assert int(refused.text("wacht")) >= 1
    assert (await proef.get("/gebeurtenissen")).status == 429


# --- what is no good at all

_DTD = (
    b'<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY x SYSTEM "file:///etc/passwd">]>'
)


def _xxe(data):
    return data.replace(b"?>", b"?>" + _DTD, 1).replace(b"<vanaf>0", b"<vanaf>&x;&b;")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_xxe, 400),
        (lambda d: d.replace(b"?>", b'?><!DOCTYPE s SYSTEM "http://127.0.0.1:1/x.dtd">', 1), 400),
        (lambda d: d.replace(b"<vanaf>0", b"<vanaf>&x;"), 400),
        (lambda d: d[:-5], 400),
        (lambda d: b"", 400),
        (lambda d: b"geen xml", 400),
        (lambda d: d + b"<nog/>", 400),
        (lambda d: d.replace(b"<vanaf>0", b"<vanaf>\xff"), 400),
        (lambda d: d.replace(b"<vanaf>0</vanaf>", b"<x>" * 30 + b"</x>" * 30), 413),
        (lambda d: d.replace(b"<vanaf>0</vanaf>", b"<x/>" * 6000), 413),
        (lambda d: d.replace(b"<vanaf>0", b"<vanaf>" + b"0" * (5 * 2**20)), 413),
        (lambda d: d.replace(b"<vanaf>", b'<vanaf x="' + b"0" * 200_000 + b'">'), 413),
        (lambda d: d.replace(b"<vanaf>0", b"<!--" + b"0" * 200_000 + b"--><vanaf>0"), 413),
        (lambda d: d.replace(b"GetUpdatedMessages", b"Bestaat"), 400),
        (lambda d: d.replace(OURS.encode(), b"urn:x"), 400),
        (lambda d: d.replace(OURS.encode(), b"}{ %"), 400),
        (lambda d: d.replace(b"vanaf", b"onbekend"), 422),
        (lambda d: d.replace(b"<vanaf>0", b"<vanaf>x"), 422),
        (lambda d: d.replace(b"<vanaf>0", b"<vanaf>-2"), 422),
        (lambda d: d.replace(b"<vanaf>0</vanaf>", b"<vanaf>0</vanaf>" * 2), 422),
        (lambda d: d.replace(b"<vanaf>0</vanaf>", b"los<vanaf>0</vanaf>"), 422),
        (lambda d: d.replace(b"<vanaf>", b'<vanaf a="1">'), 422),
        (lambda d: d.replace(b"<s:Body>", b"<s:Body><x/>"), 400),
        (lambda d: d.replace(b"s:Body", b"s:Lijf"), 400),
        (lambda d: d.replace(b"s:Envelope", b"s:Kaft"), 400),
        (lambda d: d.replace(SOAP11.namespace.encode(), b"urn:x"), 400),
        (lambda d: d.replace(SOAP11.namespace.encode(), SOAP12.namespace.encode()), 415),
        (lambda d: d.replace(b"</s:Header>", b'<x s:mustUnderstand="1"/></s:Header>'), 400),
    ],
)  # fmt: skip
async def test_envelopes_that_are_no_good(proef, change, code):
    good = envelope(operation("GetUpdatedMessages", "<vanaf>0</vanaf>"), username_token(proef.key))
    assert (await send(proef, io.BytesIO(good))).code == 200
    told = await send(proef, io.BytesIO(change(good)))
    assert told.code == code, told.words
    assert told.words
    assert "daemon:" not in told.words


async def test_what_is_good_all_the_same(proef):
    good = envelope(
        operation("GetUpdatedMessages", "<vanaf>0</vanaf>"),
        username_token(proef.key, more="<x/>") + '<y s:mustUnderstand="0"/>'
        '<z s:mustUnderstand="1" s:actor="urn:another"/>',
    )
    nil = f'<vanaf i:nil="true" xmlns:i="{XSI}"/>'.encode()
    place = f'<vanaf i:schemaLocation="urn:x http://127.0.0.1:1/x.xsd" xmlns:i="{XSI}">'.encode()
    for data in (
        good,
        b"\xef\xbb\xbf" + good,
        good.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
        good.replace(b"<vanaf>0</vanaf>", nil),
        good.replace(b"<vanaf>", place),
        good.replace(b"<vanaf>0", b"<!-- x --><vanaf><![CDATA[0]]>"),
    ):
        told = await send(proef, data)
        assert told.code == 200, told.words


@pytest.mark.parametrize(
    ("action", "code"),
    [('""', 200), (f'"{OURS}/GetUpdatedMessages"', 200), (f"{OURS}/GetUpdatedMessages", 200),
     (f'"{OURS}/Withdraw"', 400), ("urn:x", 400)],
)  # fmt: skip
async def test_the_action_is_the_operations(proef, action, code):
    assert (await ask(proef, "GetUpdatedMessages", SOAPAction=action)).code == code
    kind = f"{SOAP12.media_type}; charset=utf-8; action={action}"
    if action.startswith('"'):
        told = await ask(proef, "GetUpdatedMessages", "", SOAP12, **{"Content-Type": kind})
        assert told.code == code


@pytest.mark.parametrize(
    "kind",
    ["application/json", "text/xml; charset=utf-16", "multipart/form-data; boundary=x", "x", "",
     'multipart/related; type="text/plain"; boundary=x'],
)  # fmt: skip
async def test_other_kinds_of_content(proef, kind):
    assert (await send(proef, b"<a/>", **{"Content-Type": kind})).code == 415


async def test_multiparts_that_are_no_good(office, proef):
    stuk = ob(onderdelen=[{"rol": "akkoorddocument", "inhoud": "pdf"}], soort="vpb")
    files = {"pdf": ("a.pdf", PDF)}
    good, kind = mtom(proef, stuk, files)
    root = good.split(b"\r\n\r\n", 1)[1].split(b"\r\n--uuid")[0]
    for parts, field in (
        ([], "bijlagen.pdf@map"),
        ([("ander@map", PDF)], "bijlagen.pdf@map"),
        ([("pdf@map", PDF), ("pdf@map", PDF)], "bijlagen.pdf@map"),
        ([("pdf@map", PDF), ("over@map", PDF)], "bijlagen.over@map"),
    ):
        data, type = related(root, parts)
        told = await send(proef, data, **{"Content-Type": type})
        assert told.code == 422, told.words
        assert field in told.faults
    for data, type in (
        (good[:-200], kind),
        (good, kind.replace("root@map", "pdf@map")),
        (good, kind.replace("boundary=", "border=")),
        (b"--x--\r\n", 'multipart/related; type="application/xop+xml"; boundary=x'),
        related(b"<" * (5 * 2**20), []),
        related(root.replace(b"cid:", b"http://127.0.0.1/"), [("pdf@map", PDF)]),
        related(b" " * (5 * 2**20), []),
    ):
        told = await send(proef, io.BytesIO(data), **{"Content-Type": type})
        assert told.code in (400, 413), told.words
    assert (await send(proef, good, **{"Content-Type": kind})).code == 200
    bare = envelope(operation("UploadDocument", document(content=include("x"))),
                    username_token(proef.key))  # fmt: skip
    assert (await send(proef, bare)).code == 400


# --- the description


async def test_the_description_is_served_with_the_configured_address(proef):
    for query in ("wsdl", "WSDL", "wsdl="):
        async with proef.client.get(f"{ADDRESS}?{query}") as r:
            assert r.status == 200
            root = xml.parse(await r.read())
    places = [e.get("location") for e in root.iter() if xml.local(e.tag) == "address"]
    assert places == ["http://127.0.0.1" + ADDRESS] * 2
    async with proef.client.get(f"{ADDRESS}?xsd") as r:
        assert OURS in await r.text()
    async with proef.client.get(ADDRESS) as r:
        assert r.status == 404
    async with proef.client.put(ADDRESS) as r:
        assert (r.status, r.headers["Allow"]) == (405, "GET, POST")


# --- reading in pieces


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pieces_cut_anywhere(size):
    content = base64.b64encode(bytes(range(256)) * 3).decode()
    data = envelope(
        operation("UploadDocument", document(content=content[:60] + "\n" + content[60:]))
    )
    one = reader.Reader()
    events = [e for at in range(0, len(data), size) for e in one.feed(data[at : at + size])]
    events += one.close()
    assert isinstance(events[0], reader.Begin)
    assert isinstance(events[-1], reader.End)
    assert b"".join(e for e in events if isinstance(e, bytes)) == bytes(range(256)) * 3
    assert [xml.local(e.tag) for e in one.operation] == ["klant", "bron", "map", "naam", "inhoud"]


# --- large


def _memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@pytest.mark.slow
@pytest.mark.parametrize("way", ["inline", "lines", "mtom"])
async def test_a_large_document_is_never_held(office, proef, way):
    """As many MiB as MAP_LARGE_MIB says."""
    count = int(os.environ.get("MAP_LARGE_MIB", "256"))
    piece = b"%PDF-1.7 " + bytes(1024 * 1024 - 9)  # of 1 MiB: base64 of its own needs no padding
    piece = piece + bytes(-len(piece) % 3)
    content = {"inline": base64.b64encode, "lines": base64.encodebytes}.get(way, bytes)(piece)
    inner = document("groot.pdf", "@" if way != "mtom" else include("a"))
    root = envelope(operation("UploadDocument", inner), username_token(proef.key))
    whole, kind = (root, "text/xml") if way != "mtom" else related(root, [("a", b"@")])
    before, _, after = whole.rpartition(b"@")
    most, start = 0, _memory()

    async def data():
        nonlocal most
        yield before
        for _ in range(count):
            yield content
            most = max(most, _memory() - start)
        yield after

    told = await send(proef, data(), **{"Content-Type": kind})
    assert not told.failed, told.words
    assert told.text("lengte") == str(len(piece) * count)
    assert most < 64 * 2**20, most
