"""What is sent: official schema, canonical bytes, other people's verifiers, memory."""

import base64
import hashlib
import shutil
import subprocess
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.delivery import messages, names, wus
from gateway.delivery.certificates import Credentials
from gateway.delivery.xop import Package, inline, split
from gateway.domain.sbr import MOST, Aanlevering, Bestand, Identiteit
from gateway.errors import Invalid
from tests.delivery.pki import NOW, Pki
from tests.delivery.replies import ID, METHODS, NS, SOAP, WSA, c14n

TO = "https://wus.example/wus/2.0/aanleverservice/1.2"
EVERY_PART = {"Timestamp", "To", "Action", "MessageID", "ReplyTo", "Body"}


@pytest.fixture(scope="session")
def credentials(pki: Pki) -> Credentials:
    return pki.client.credentials()


def envelope(content: wus.Content, credentials: Credentials, algorithm="sha1", at=NOW):
    addressing = wus.Addressing(TO, names.AANLEVEREN.action, wus.new_message_id())
    return wus.sign(content, addressing, credentials, at, algorithm)


def signed(aanlevering: Aanlevering, credentials: Credentials, algorithm="sha1", at=NOW) -> bytes:
    return b"".join(
        envelope(messages.aanleveren(aanlevering), credentials, algorithm, at).inline()
    )


def check(data: bytes, pki: Pki, method: str) -> set[str]:
    """Local names of what our certificate signed; an own, other way of verifying."""
    root = etree.fromstring(data)
    info = root.find(".//d:SignedInfo", NS)
    assert info.find("d:SignatureMethod", NS).get("Algorithm") == METHODS[method][0]
    algorithm = hashes.SHA1() if method == "sha1" else hashes.SHA256()
    value = base64.b64decode(root.findtext(".//d:SignatureValue", None, NS))
    pki.client.certificate.public_key().verify(value, c14n(info), padding.PKCS1v15(), algorithm)
    found = set()
    for reference in info.iterfind("d:Reference", NS):
        (part,) = root.xpath("//*[@u:Id=$i]", namespaces=NS, i=reference.get("URI")[1:])
        assert reference.find("d:DigestMethod", NS).get("Algorithm") == METHODS[method][1]
        digest = hashlib.new(method, c14n(part)).digest()
        assert base64.b64encode(digest).decode() == reference.findtext("d:DigestValue", None, NS)
        found.add(etree.QName(part).localname)
    return found


@pytest.mark.parametrize("method", ["sha1", "sha256"])
def test_every_part_is_signed(aanlevering, credentials, pki, method):
    assert check(signed(aanlevering(), credentials, method), pki, method) == EVERY_PART


def test_headers_and_their_order(aanlevering, credentials):
    root = etree.fromstring(signed(aanlevering(), credentials))
    header = root.find("s:Header", NS)
    assert [etree.QName(e).localname for e in header] == [
        "Security", "To", "Action", "MessageID", "ReplyTo",
    ]  # fmt: skip
    assert [etree.QName(e).localname for e in header[0]] == [
        "Timestamp", "BinarySecurityToken", "Signature",
    ]  # fmt: skip
    assert header[0].get(f"{{{SOAP}}}mustUnderstand") == "1"
    assert header.findtext("a:To", None, NS) == TO
    assert header.findtext("a:MessageID", None, NS).startswith("urn:uuid:")
    assert header.findtext("a:ReplyTo/a:Address", None, NS) == f"{WSA}/anonymous"
    assert b"InclusiveNamespaces" not in etree.tostring(root)


def test_signed_parts_are_written_canonically(aanlevering, credentials):
    """What is digested as a stream is what a receiver makes of what was sent."""
    data = signed(aanlevering(rol="A & B <c>"), credentials)
    root = etree.fromstring(data)
    for part in root.xpath("//*[@u:Id]", namespaces=NS):
        if part.get(ID) != "Token":
            assert c14n(part) in data
    assert c14n(root.find(".//d:SignedInfo", NS)) in data


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80).map(
    lambda text: " ".join(text.split(" "))
)


@given(words, words, st.binary(min_size=1, max_size=4000))
def test_any_text_is_signed_as_it_is_read(pki, credentials, soort, name, data):
    try:
        content = messages.aanleveren(
            Aanlevering(soort, "MAP-1", Identiteit("1", "Fi"), "", Bestand(name, "a/b", data))
        )
    except Invalid:
        return
    sent = b"".join(envelope(content, credentials).inline())
    assert check(sent, pki, "sha1") == EVERY_PART
    body = etree.fromstring(sent).find("s:Body", NS)[0]
    assert body.findtext("k:berichtsoort", None, NS) == soort
    assert body.findtext(".//k:bestandsnaam", None, NS) == name
    assert base64.b64decode(body.findtext(".//k:inhoud", None, NS)) == data


def xmlsec1() -> str:
    found = shutil.which("xmlsec1")
    if not found:
        pytest.skip("not here: xmlsec1")
    return found


@pytest.mark.parametrize("method", ["sha1", "sha256"])
def test_xmlsec1_accepts_it(aanlevering, credentials, pki, tmp_path, method):
    pki.client.write(tmp_path, "client")
    data = signed(aanlevering(), credentials, method)
    for name, sent in {"good": data, "bad": data.replace(b"MAP-0001", b"MAP-0002")}.items():
        told = _xmlsec1(tmp_path / f"{name}.xml", sent)
        assert (told.returncode == 0) == (name == "good"), told.stderr


def _xmlsec1(file: Path, data: bytes) -> subprocess.CompletedProcess[str]:
    """KeyInfo names a WSS token, which xmlsec1 does not know: it gets the certificate's key."""
    file.write_bytes(data)
    spaces = {"Body": SOAP, "Timestamp": NS["u"]}
    spaces |= dict.fromkeys(EVERY_PART - set(spaces), WSA)
    ids = [word for n, space in spaces.items() for word in ("--id-attr:Id", f"{space}:{n}")]
    return subprocess.run(
        [xmlsec1(), "--verify", "--pubkey-cert-pem", str(file.with_name("client.pem")), *ids,
         str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_length_is_known_before(aanlevering, credentials):
    for size in (1, 2, 3, wus.PIECE - 1, wus.PIECE, wus.PIECE + 1, 3 * wus.PIECE + 2):
        made = envelope(
            messages.aanleveren(aanlevering(inhoud=Bestand("a", "b", b"x" * size))), credentials
        )
        assert sum(map(len, made.inline())) == len(made)
        package = Package(made)
        assert sum(map(len, package.pieces())) == len(package)


def test_the_largest_file_costs_little_memory(aanlevering, credentials):
    """The file is in memory once, as the bytes that were given; writing it costs pieces."""
    largest = aanlevering(inhoud=Bestand("a.xbrl", "application/xml", bytes(MOST)))
    tracemalloc.start()
    made = envelope(messages.aanleveren(largest), credentials)
    written = sum(map(len, made.inline())) + sum(map(len, Package(made).pieces()))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written > 2 * MOST
    assert peak < 1024 * 1024


def test_mtom_means_the_same(aanlevering, credentials, pki):
    """Bytes beside the envelope, put back where they belong, are what was signed."""
    bijlagen = (Bestand("b.pdf", "application/pdf", b"%PDF\r\n--x\r\n\x00"),)
    made = envelope(messages.aanleveren(aanlevering(bijlagen=bijlagen)), credentials)
    package = Package(made)
    data = b"".join(package.pieces())
    assert bijlagen[0].inhoud in data
    xml, parts = split(package.content_type, data)
    root = etree.fromstring(xml)
    inline(root, parts)
    assert check(etree.tostring(root), pki, "sha1") == EVERY_PART
    assert c14n(root) == c14n(etree.fromstring(b"".join(made.inline())))


def test_a_timestamp_lasts_ten_minutes(aanlevering, credentials):
    root = etree.fromstring(signed(aanlevering(), credentials))
    times = [root.findtext(f".//u:{n}", None, NS) for n in ("Created", "Expires")]
    assert times == [f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in (NOW, NOW + timedelta(minutes=10))]


def test_message_ids_differ():
    made = {wus.new_message_id() for _ in range(100)}
    assert len(made) == 100
