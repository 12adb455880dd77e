"""Replies that are taken, and every way of forging one that is not."""

import base64
import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.delivery import names, verify
from gateway.delivery.certificates import Trust
from gateway.delivery.verify import Expected, Fault, Forged
from gateway.errors import ProtocolError
from tests.delivery.pki import NOW
from tests.delivery.replies import ACTION, DS, EXC, ID, KS, NS, PARTS, Reply, Root, by_id, c14n
from tests.delivery.replies import fault as fault_text

OURS = "urn:uuid:5f0cf0a2-3ac1-4f0f-9b8c-4a6f3ac1e8b0"
EXPECTED = Expected(names.AANLEVEREN, OURS, NOW)
FORGED = "00000000-forged"


def judged(data: bytes, trust: Trust, expected: Expected = EXPECTED) -> Root:
    return verify.verify(verify.parse(data), trust, expected)


@pytest.mark.parametrize("method", ["sha1", "sha256"])
def test_a_good_reply_is_taken(pki, trust, method):
    content = judged(Reply(OURS, method=method).made(pki.service), trust)
    assert content.tag == f"{{{KS}}}aanleverResponse"


def test_a_pinned_certificate_needs_no_authority(pki):
    judged(
        Reply(OURS).made(pki.stranger), Trust(pinned=(pki.stranger.certificate,))
    )  # fmt: skip


def test_a_timestamp_may_do_without_expires(pki, trust):
    judged(Reply(OURS, lasts=None).made(pki.service), trust)


# --- forgeries


def _body(root: Root) -> Root:
    return root.find("s:Body", NS)


def _header(root: Root) -> Root:
    return root.find("s:Header", NS)


def _forge(body: Root) -> Root:
    body.find(".//k:kenmerk", NS).text = FORGED
    return body


def _moved(holder: Callable[[Root], Root], keep_id: bool) -> Callable[[Root], None]:
    """The signed Body goes elsewhere, and a forged one comes in its place."""

    def change(root: Root) -> None:
        body = _body(root)
        forged = _forge(copy.deepcopy(body))
        if not keep_id:
            del forged.attrib[ID]
        etree.SubElement(holder(root), "Wrapper").append(body)
        root.append(forged)

    return change


def _inside_forged(root: Root) -> None:
    """The signed Body within the forged one."""
    body = _body(root)
    forged = _forge(copy.deepcopy(body))
    forged.set(ID, "Forged")
    forged[0].append(body)
    root.append(forged)


def _second_body(root: Root) -> None:
    forged = _forge(copy.deepcopy(_body(root)))
    forged.set(ID, "Forged")
    root.append(forged)


def _first_body(root: Root) -> None:
    forged = _forge(copy.deepcopy(_body(root)))
    forged.set(ID, "Forged")
    root.insert(1, forged)


def _second_content(root: Root) -> None:
    _body(root).append(_forge(copy.deepcopy(_body(root)))[0])


def _moved_header(name: str, keep_id: bool = False) -> Callable[[Root], None]:
    """The signed header goes into a wrapper, and another comes in its place."""

    def change(root: Root) -> None:
        signed = by_id(root, name)
        fake = copy.deepcopy(signed)
        if not keep_id:
            fake.set(ID, "Forged")
        signed.addprevious(fake)
        etree.SubElement(_header(root), "Wrapper").append(signed)

    return change


def _double_header(name: str) -> Callable[[Root], None]:
    def change(root: Root) -> None:
        fake = copy.deepcopy(by_id(root, name))
        del fake.attrib[ID]
        _header(root).append(fake)

    return change


def _text(path: str, value: str) -> Callable[[Root], None]:
    def change(root: Root) -> None:
        root.find(path, NS).text = value

    return change


def _attribute(path: str, name: str, value: str) -> Callable[[Root], None]:
    def change(root: Root) -> None:
        root.find(path, NS).set(name, value)

    return change


def _drop(path: str) -> Callable[[Root], None]:
    def change(root: Root) -> None:
        found = root.find(path, NS)
        found.getparent().remove(found)

    return change


def _again(path: str) -> Callable[[Root], None]:
    def change(root: Root) -> None:
        found = root.find(path, NS)
        found.addnext(copy.deepcopy(found))

    return change


def _signature_elsewhere(root: Root) -> None:
    _header(root).append(copy.deepcopy(root.find(".//d:Signature", NS)))


def _key_value(root: Root) -> None:
    info = root.find(".//d:KeyInfo", NS)
    info.remove(info[0])
    etree.SubElement(info, f"{{{DS}}}KeyName").text = "Ontvanger"


def _second_transform(root: Root) -> None:
    transforms = root.find(".//d:Transforms", NS)
    etree.SubElement(transforms, f"{{{DS}}}Transform", Algorithm=EXC)


def _xml_id(root: Root) -> None:
    """Another kind of id on the forged Body, as readers of ids differ."""
    _moved(_header, keep_id=False)(root)
    _body(root).set("Id", "Body")
    _body(root).set("{http://www.w3.org/XML/1998/namespace}id", "Body")


_XPATH = (
    '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><XPath>self::text()'
    "</XPath></Transform>"
)
_COMMENTS = f'<Transform Algorithm="{EXC}WithComments"/>'


@dataclass
class Case:
    """A reply that is wrong, and why it must be refused."""

    reason: str
    reply: dict = field(default_factory=dict)
    signer: str = "service"
    expected: dict = field(default_factory=dict)
    trust: dict = field(default_factory=dict)


def after(change: Callable[[Root], object], reason: str) -> Case:
    return Case(reason, {"after": change})


CASES = {
    # wrapping: a good signature over something that is not what is read
    "Body moved into a header": after(_moved(_header, False), "part_unsigned"),
    "Body moved, both with its Id": after(_moved(_header, True), "id_twice"),
    "Body moved into Security": after(
        _moved(lambda r: _header(r)[0], False), "part_unsigned"
    ),
    "Body moved into the Signature": after(
        _moved(lambda r: r.find(".//d:Signature", NS), False), "part_unsigned"
    ),
    "Body moved behind the Body": after(_moved(lambda r: r, False), "envelope"),
    "Body within a forged Body": after(_inside_forged, "part_unsigned"),
    "Body moved, the forged one with other ids": after(_xml_id, "part_unsigned"),
    "second Body": after(_second_body, "envelope"),
    "second Body before": after(_first_body, "envelope"),
    "second content": after(_second_content, "envelope"),
    "signed RelatesTo wrapped": after(_moved_header("RelatesTo"), "part_unsigned"),
    "signed Action wrapped, same Id": after(_moved_header("Action", True), "id_twice"),
    "signed Timestamp wrapped": after(_moved_header("Timestamp"), "part_unsigned"),
    "RelatesTo twice": after(_double_header("RelatesTo"), "header_twice"),
    "Action twice": after(_double_header("Action"), "header_twice"),
    # not signed
    **{
        f"unsigned {name}": Case("part_unsigned", {"unsigned": (name,)})
        for name in PARTS
    },
    "no reference at all": Case("part_unsigned", {"unsigned": PARTS}),
    "reference to nothing": after(_attribute(".//d:Reference", "URI", "#nothing"), "signature"),
    "signed reference to nothing": Case("reference", {"reference": "#nothing"}),
    "signed reference to a file": Case("reference", {"reference": "file:///etc/hostname"}),
    "signed reference to the document": Case("reference", {"reference": ""}),
    "no RelatesTo": Case(
        "header_missing", {"before": _drop(".//a:RelatesTo"), "unsigned": ("RelatesTo",)}
    ),
    "no Signature": after(_drop(".//d:Signature"), "missing"),
    "no Security": after(_drop(".//o:Security"), "unsigned"),
    # structure
    "two Securities": after(_again(".//o:Security"), "security_twice"),
    "two Signatures": after(_again(".//d:Signature"), "signature_twice"),
    "Signature elsewhere too": after(_signature_elsewhere, "signature_twice"),
    "two Timestamps": after(_again(".//u:Timestamp"), "twice"),
    "two tokens": after(_again(".//o:BinarySecurityToken"), "twice"),
    "two SignedInfos": after(_again(".//d:SignedInfo"), "twice"),
    "two SignatureValues": after(_again(".//d:SignatureValue"), "twice"),
    "KeyInfo names no token": after(_key_value, "missing"),
    "KeyInfo names another token": after(_attribute(".//o:Reference", "URI", "#Body"), "key_info"),
    "token is no certificate": after(_text(".//o:BinarySecurityToken", "AAAA"), "token"),
    "token of a short key": Case("certificate_key", signer="short"),
    "token is no base64": after(_text(".//o:BinarySecurityToken", "%%%"), "base64"),
    "token of another type": after(
        _attribute(".//o:BinarySecurityToken", "ValueType", "X509PKIPathv1"), "token"
    ),
    # changed
    "kenmerk changed": after(_text(".//k:kenmerk", FORGED), "digest"),
    "RelatesTo changed": after(_text(".//a:RelatesTo", "urn:uuid:1"), "digest"),
    "Expires changed": after(_text(".//u:Expires", "2099-01-01T00:00:00Z"), "digest"),
    "digest changed": after(_text(".//d:DigestValue", "AAAA"), "signature"),
    "white space added": after(_text(".//k:aanleverResponse", " "), "digest"),
    "transform added": after(_second_transform, "signature"),
    # algorithms
    "weak digest not allowed": Case("algorithm", trust={"algorithms": frozenset({"sha256"})}),
    "weak digest below a strong signature": Case(
        "algorithm",
        {"method": "sha256", "digest": "sha1"},
        trust={"algorithms": frozenset({"sha256"})},
    ),
    "unknown algorithm": Case("algorithm", {"method": "sha512"}),
    "c14n with comments": Case("transform", {"transform": _COMMENTS}),
    "SignedInfo c14n with comments": Case("transform", {"canonical": f"{EXC}WithComments"}),
    "transform XPath": Case("transform", {"transform": _XPATH}),
    "no transform": Case("missing", {"transform": ""}),
    "two transforms": Case("twice", {"transform": f'<Transform Algorithm="{EXC}"/>' * 2}),
    # whose signature
    "self-signed certificate": Case("certificate", signer="stranger"),
    "other key with a trusted certificate": Case("signature", {"key": "client"}),
    "certificate of an untrusted CA": Case("certificate", trust={"authorities": ()}),
    "another organisation's certificate": Case("certificate_oin", trust={"oin": "1" * 20}),
    "expired certificate": Case(
        "certificate_expired",
        {"created": NOW + timedelta(days=500)},
        expected={"at": NOW + timedelta(days=500)},
    ),
    # whose reply, and when
    "expired Timestamp": Case("timestamp", {"created": NOW - timedelta(minutes=16)}),
    "Timestamp of the future": Case("timestamp", {"created": NOW + timedelta(minutes=6)}),
    "Timestamp of no moment": Case("timestamp", {"before": _text(".//u:Created", "nu")}),
    "RelatesTo of another message": Case("relates_to", expected={"message_id": "urn:uuid:2"}),
    "wrong Action": Case("action", {"action": f"{ACTION}Request"}),
    "Action of another service": Case("action", expected={"operation": names.STATUSSEN}),
    "fault Action with an answer": Case("action", {"action": f"{ACTION}/Fault/"}),
    "To of somebody else": Case("to", {"to": "https://other.example/"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_forgery_is_refused(pki, trust, case):
    changes = dict(case.reply)
    if "key" in changes:
        changes["key"] = getattr(pki, changes["key"])
    data = Reply(OURS, **changes).made(getattr(pki, case.signer))
    with pytest.raises(Forged) as caught:
        judged(data, replace(trust, **case.trust), replace(EXPECTED, **case.expected))
    assert caught.value.reason == case.reason


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b'<!DOCTYPE s [<!ENTITY a "b">]>' + data,
        lambda data: b'<?xml version="1.0"?><!DOCTYPE s>' + data,
        lambda data: b"<!-- -->" + data,
        lambda data: data.decode().encode("utf-16"),
        lambda data: b'<?xml version="1.0" encoding="utf-7"?>' + data,
        lambda data: data[:-9],
        lambda data: b"<html>" + data + b"</html>",
        lambda data: b"",
        lambda data: b"<x/>",
        lambda data: data.replace(b"schemas.xmlsoap.org/soap", b"www.w3.org/2003/05/soap"),
    ],
)
def test_what_is_no_envelope_is_refused(pki, trust, spoil):
    with pytest.raises(ProtocolError):
        judged(spoil(Reply(OURS).made(pki.service)), trust)


def test_comments_and_instructions_change_nothing_that_is_read(pki, trust):
    """An attacker may put them anywhere; c14n leaves comments out, and so does who reads."""
    data = Reply(OURS).made(pki.service)
    split = data.replace(b"<berichtsoort>Omzet", b"<berichtsoort>Omzet<!-- x -->")
    assert split != data
    assert judged(split, trust).findtext("k:berichtsoort", None, NS) == "Omzetbelasting"


# --- faults


def test_an_unsigned_fault_is_read_as_one(trust):
    reply = Reply(OURS, content=fault_text(), action=f"{ACTION}/Fault/")
    with pytest.raises(Fault) as caught:
        judged(reply.plain(), trust)
    found = caught.value
    assert (found.code, found.verified) == ("ALS100", False)
    assert found.text == "Het verzoek voldoet niet."


def test_a_signed_fault_is_verified(pki, trust):
    reply = Reply(OURS, content=fault_text(), action=f"{ACTION}/Fault/")
    with pytest.raises(Fault) as caught:
        judged(reply.made(pki.service), trust)
    assert (caught.value.code, caught.value.verified) == ("ALS100", True)


@pytest.mark.parametrize(
    ("reply", "signer", "reason"),
    [
        ({}, "stranger", "certificate"),
        ({"after": _text(".//{*}foutcode", "ALS999")}, "service", "digest"),
        ({"action": f"{ACTION}Response"}, "service", "action"),
    ],
)
def test_a_forged_fault_is_no_verified_one(pki, trust, reply, signer, reason):
    made = Reply(OURS, **{"content": fault_text(), "action": f"{ACTION}/Fault/", **reply})
    with pytest.raises(Forged) as caught:
        judged(made.made(getattr(pki, signer)), trust)
    assert caught.value.reason == reason


def test_a_fault_of_soap_itself_is_read(trust):
    content = "<s:Fault><faultcode>s:Server</faultcode><faultstring>Druk</faultstring></s:Fault>"
    with pytest.raises(Fault) as caught:
        judged(Reply(OURS, content=content).plain(), trust)
    assert (caught.value.code, caught.value.text) == ("Server", "Druk")


# --- every bit


@settings(max_examples=600)
@given(data=st.data())
def test_a_flipped_bit_in_a_signed_part_is_refused(pki, trust, data):
    """In Body, Timestamp, each header and SignedInfo: one bit is enough."""
    good = Reply(OURS).made(pki.service)
    root = etree.fromstring(good)
    parts = [root.find(".//d:SignedInfo", NS), *(by_id(root, name) for name in PARTS)]
    part = data.draw(st.sampled_from([etree.QName(p).localname for p in parts]))
    begin, end = _span(good, part)
    place = data.draw(st.integers(begin, end - 1))
    bad = bytearray(good)
    bad[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((Forged, ProtocolError)):
        judged(bytes(bad), trust)


@settings(max_examples=600)
@given(st.data())
def test_a_changed_byte_anywhere_changes_nothing_that_is_read(pki, trust, data):
    """Refused, or what is read is what was signed; and no other error than ours."""
    good = Reply(OURS).made(pki.service)
    bad = bytearray(good)
    bad[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        content = judged(bytes(bad), trust)
    except (Forged, ProtocolError):
        return
    assert c14n(content) == c14n(judged(good, trust))


def _span(data: bytes, name: str) -> tuple[int, int]:
    """Where an element with that name, which occurs once, begins and ends."""
    at = next(
        i for i in range(len(data)) if data[i : i + 1] == b"<"
        and data[i + 1 : i + 40].split(b">")[0].split(b" ")[0].split(b":")[-1] == name.encode()
    )  # fmt: skip
    close = data.index(name.encode() + b">", at + len(name) + 4)
    return at, close + len(name) + 1


# --- the real replies


@pytest.fixture(scope="session")
def samples(shared: Path) -> Path:
    folder = shared / "digipoort" / "sample-responses"
    if not folder.is_dir():
        pytest.skip("not here: real replies")
    return folder


def _signer(data: bytes) -> x509.Certificate:
    token = etree.fromstring(data).findtext(".//o:BinarySecurityToken", None, NS)
    return x509.load_der_x509_certificate(base64.b64decode(token))


DELIVERED = Expected(
    names.AANLEVEREN,
    "urn:uuid:de1dc4f7-98ab-4a03-90a5-e9efd20b1003",
    datetime(2021, 3, 7, 11, 38, tzinfo=UTC),
)


def test_a_real_reply_is_taken(samples):
    data = (samples / "valid-deliver-response.xml").read_bytes()
    content = judged(data, Trust(pinned=(_signer(data),)), DELIVERED)
    assert content.findtext("k:aanleverkenmerk", None, NS) == "Happyflow"


def test_a_real_reply_is_taken_by_its_authority(samples, shared):
    data = (samples / "valid-deliver-response.xml").read_bytes()
    pem = (shared / "digipoort" / "certs" / "kpn-private-services-g1.pem").read_bytes()
    authority = x509.load_pem_x509_certificate(pem)
    judged(data, Trust(authorities=(authority,), oin="00000004003214345001"), DELIVERED)
    with pytest.raises(Forged):
        judged(data, Trust(authorities=(authority,), oin="00000004003214345002"), DELIVERED)


def test_a_real_list_of_statuses_is_taken(samples):
    data = (samples / "valid-newstatus-response.xml").read_bytes()
    root = etree.fromstring(data)
    created = datetime.fromisoformat(root.findtext(".//u:Created", None, NS))
    operation = names.Operation(
        "getNieuweStatussenProces", names.STATUSSEN.base, "statusinformatieFault"
    )
    expected = Expected(operation, root.findtext(".//a:RelatesTo", None, NS), created)
    content = judged(data, Trust(pinned=(_signer(data),)), expected)
    codes = [e.text for e in content.iterfind(".//k:statuscode", NS)]
    assert codes[0] == "105"
    assert "500" in codes


def test_a_real_reply_that_was_tampered_with_is_refused(samples):
    data = (samples / "tampered-deliver-response.xml").read_bytes()
    with pytest.raises(Forged) as caught:
        judged(data, Trust(pinned=(_signer(data),)), DELIVERED)
    assert caught.value.reason == "digest"


@pytest.mark.parametrize(
    ("file", "operation", "code"),
    [("fault-deliver-response.xml", names.AANLEVEREN, "ALS100"),
     ("fault-newstatus-response.xml", names.STATUSSEN, "STS100")],
)  # fmt: skip
def test_a_real_fault_is_read(samples, file, operation, code):
    with pytest.raises(Fault) as caught:
        judged((samples / file).read_bytes(), Trust(), replace(EXPECTED, operation=operation))
    assert (caught.value.code, caught.value.verified) == (code, False)
    assert caught.value.text.startswith("Het verzoek voldoet niet aan de koppelvlak")
