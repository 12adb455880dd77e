"""A message signed, and a reply verified: the gateway's way beside python-xmlsec and zeep. Row 22.

Everybody gets the same aanlevering and ends with the bytes that go out. What xmlsec signed is
shown to the simulator, which takes nothing less than Digipoort does.
"""

import tempfile
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from lxml.builder import ElementMaker

from bench.rows import Cost, Row, interleaved
from gateway.delivery import messages, names, verify, wus
from gateway.delivery.certificates import Credentials, Trust
from gateway.domain.sbr import Aanlevering, Bestand, Identiteit
from gateway.domain.xml import Element
from gateway.simulators.digipoort import reply, soap
from gateway.simulators.digipoort.names import AANLEVER, STATUS
from gateway.simulators.digipoort.pki import Pki, make

SIZES = (22, 50, 200)
_TO = "https://127.0.0.1:1/wus/2.0/aanleverservice/1.2"
_PEERS = "python-xmlsec and zeep"
_ZEEP_SIGNS = "zeep's signs Body and Timestamp, not the four headers"
_WSSE = ElementMaker(namespace=names.WSSE, nsmap={"o": names.WSSE})


@dataclass(frozen=True, slots=True)
class Message:
    """What is signed, and as whom. certificate, key: PEM."""

    aanlevering: Aanlevering
    addressing: wus.Addressing
    credentials: Credentials
    certificate: bytes
    key: bytes


async def run(quick: bool) -> list[Row]:
    """All rows; without xmlsec only those that need no peer."""
    rounds, each = (7, 20) if quick else (15, 60)
    with tempfile.TemporaryDirectory(prefix="map-bench-pki-") as folder:
        pki = make(Path(folder), {"kantoor": "12345678"})
        rows: list[Row] = []
        for size in SIZES:
            rows += await _sign(pki, _message(pki, size * 1000), size, rounds, each)
        return [*rows, *await _verify(pki, rounds, each)]


def _many(call: Callable[[], object], each: int) -> Callable[[], Awaitable[None]]:
    async def go() -> None:
        for _ in range(each):
            call()

    return go


# --- signing


def _message(pki: Pki, size: int) -> Message:
    """One of so many bytes on the wire."""
    pair = pki.clients["kantoor"]
    certificate, key = pair.certificate.read_bytes(), pair.key.read_bytes()
    addressing = wus.Addressing(_TO, names.AANLEVEREN.action, wus.new_message_id())
    credentials = Credentials(certificate.decode(), key.decode())
    empty = Message(_aanlevering(3), addressing, credentials, certificate, key)
    length = (size - len(_ours(empty))) // 4 * 3
    return Message(_aanlevering(length), addressing, credentials, certificate, key)


def _aanlevering(length: int) -> Aanlevering:
    inhoud = Bestand(
        "ob.xbrl", "application/xml", b"<xbrl/>\n" * (length // 8) + b" " * (length % 8)
    )
    return Aanlevering(
        "Omzetbelasting", "0" * 32, Identiteit("123456782B01", "BTW"), "Intermediair", inhoud
    )


def _ours(message: Message) -> bytes:
    content = messages.aanleveren(message.aanlevering)
    at = datetime.now(UTC)
    return b"".join(wus.sign(content, message.addressing, message.credentials, at).inline())


def _unsigned(message: Message) -> Element:
    """The same message for whoever signs a tree. Parsing a text makes one the fastest."""
    a, to, at = message.aanlevering, message.addressing, datetime.now(UTC)
    created, expires = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (at, at + wus.LASTS))
    return etree.fromstring(
        f'<s:Envelope xmlns:s="{names.SOAP}" xmlns:u="{names.WSU}"><s:Header>'
        f'<o:Security xmlns:o="{names.WSSE}" s:mustUnderstand="1"><u:Timestamp><u:Created>'
        f"{created}</u:Created><u:Expires>{expires}</u:Expires></u:Timestamp></o:Security>"
        f'<a:To xmlns:a="{names.WSA}">{to.to}</a:To>'
        f'<a:Action xmlns:a="{names.WSA}">{to.action}</a:Action>'
        f'<a:MessageID xmlns:a="{names.WSA}">{to.message_id}</a:MessageID>'
        f'<a:ReplyTo xmlns:a="{names.WSA}"><a:Address>{names.ANONYMOUS}</a:Address></a:ReplyTo>'
        f'</s:Header><s:Body><aanleverRequest xmlns="{names.KS}">'
        f"<berichtsoort>{a.berichtsoort}</berichtsoort>"
        f"<aanleverkenmerk>{a.aanleverkenmerk}</aanleverkenmerk><identiteitBelanghebbende>"
        f"<nummer>{a.belanghebbende.nummer}</nummer><type>{a.belanghebbende.type}</type>"
        f"</identiteitBelanghebbende><rolBelanghebbende>{a.rol}</rolBelanghebbende>"
        f"<berichtInhoud><mimeType>{a.inhoud.mime_type}</mimeType><bestandsnaam>"
        f"{a.inhoud.bestandsnaam}</bestandsnaam><inhoud>{b64encode(a.inhoud.inhoud).decode()}"
        f"</inhoud></berichtInhoud><autorisatieAdres>{a.autorisatie_adres}</autorisatieAdres>"
        "</aanleverRequest></s:Body></s:Envelope>"
    )


def _by_xmlsec(message: Message) -> Callable[[], bytes]:
    """The same parts signed by libxmlsec1. Its key and the token are made once, as ours."""
    import xmlsec

    key = xmlsec.Key.from_memory(message.key, xmlsec.constants.KeyDataFormatPem, None)
    der = b64encode(message.credentials.certificate.public_bytes(Encoding.DER)).decode()
    constants = xmlsec.constants

    def sign() -> bytes:
        root = _unsigned(message)
        (security, *headers), body = root
        context = xmlsec.SignatureContext()
        context.key = key
        signature = xmlsec.template.create(
            root, constants.TransformExclC14N, constants.TransformRsaSha1, ns="ds"
        )
        for number, part in enumerate((security[0], *headers, body)):
            part.set(names.WSU_ID, f"p{number}")
            context.register_id(part, "Id", names.WSU)
            reference = xmlsec.template.add_reference(
                signature, constants.TransformSha1, uri=f"#p{number}"
            )
            xmlsec.template.add_transform(reference, constants.TransformExclC14N)
        told = _WSSE.Reference(URI="#Token", ValueType=names.X509V3)
        info = xmlsec.template.ensure_key_info(signature)
        info.append(_WSSE.SecurityTokenReference(told))
        token = _WSSE.BinarySecurityToken(der, EncodingType=names.BASE64, ValueType=names.X509V3)
        token.set(names.WSU_ID, "Token")
        security.extend((token, signature))
        context.sign(signature)
        return etree.tostring(root)

    return sign


def _by_zeep(message: Message) -> Callable[[], bytes]:
    """What `Client(wsse=MemorySignature(...))` does to the tree that it has made."""
    from zeep.wsse.signature import MemorySignature

    make: Callable[..., Any] = MemorySignature
    signer = make(message.key, message.certificate)

    def sign() -> bytes:
        envelope, _ = signer.apply(_unsigned(message), {})
        return etree.tostring(envelope)

    made = etree.fromstring(sign())
    signer.verify(made)
    assert len(list(made.iter(f"{{{names.DS}}}Reference"))) == 2  # what _ZEEP_SIGNS tells
    return sign


def _taken(pki: Pki, message: Message, data: bytes) -> None:
    """Raises unless Digipoort's simulator finds every part signed by our certificate."""
    expected = soap.Expected(
        message.addressing.to,
        AANLEVER,
        message.addressing.action,
        message.credentials.certificate,
        pki.ca.load()[0],
    )
    soap.check(etree.fromstring(data), expected)


async def _sign(pki: Pki, message: Message, size: int, rounds: int, each: int) -> list[Row]:
    info = b"x" * 2_000  # about what a SignedInfo of six references is
    calls: dict[str, Callable[[], object]] = {
        "ours": lambda: _ours(message),
        "RSA": lambda: message.credentials.sign(info, "sha1"),
    }
    _taken(pki, message, _ours(message))
    missing = ""
    try:
        calls |= {"xmlsec": (sign := _by_xmlsec(message)), "zeep": _by_zeep(message)}
        _taken(pki, message, sign())
    except Exception as e:  # not there, or made for another libxml2 than lxml's
        missing = f"peer not here: {e!r}"[:120]
    costs = await interleaved({name: _many(call, each) for name, call in calls.items()}, rounds)
    what = f"sign {size} KB, a second and core"
    rows = [_row(what, costs, "RSA", each, "≥0.7x" if size == SIZES[0] else "", "RSA-2048 alone")]
    if missing:
        return [Row("22", what, 0, _PEERS, 0, "", 0, "≥2.5x", missing), *rows]
    return [
        _row(what, costs, "zeep", each, "≥2.5x", "zeep MemorySignature", _ZEEP_SIGNS),
        _row(what, costs, "xmlsec", each, "≥1x", "python-xmlsec"),
        *rows,
    ]


def _row(
    what: str, costs: dict[str, Cost], name: str, each: int, goal: str, peer: str, note: str = ""
) -> Row:
    ours, other = (each / costs[k].cpu for k in ("ours", name))
    return Row("22", what, ours, peer, other, "1/s", ours / other, goal, note)


# --- verifying


async def _verify(pki: Pki, rounds: int, each: int) -> list[Row]:
    """A reply of 50 KB: statuses whose details are long, as those of a refused instance are."""
    message_id = wus.new_message_id()
    data = _reply(pki, message_id, 50_000)
    certificate, _ = pki.signing.load()
    trust = Trust(pinned=(certificate,))
    what = "verify a reply of 50 KB, a second and core"

    def ours() -> None:
        expected = verify.Expected(names.STATUSSEN, message_id, datetime.now(UTC))
        verify.verify(verify.parse(data), trust, expected)

    try:
        peer = _xmlsec_verifies(pki, data)
        peer()
    except Exception as e:
        return [
            Row("22", what, 0, "python-xmlsec", 0, "", 0, "≥1x", f"peer not here: {e!r}"[:120])
        ]
    costs = await interleaved({"ours": _many(ours, each), "xmlsec": _many(peer, each)}, rounds)
    note = "xmlsec is told the key, and looks at neither certificate, time nor headers"
    return [_row(what, costs, "xmlsec", each, "≥1x", "python-xmlsec", note)]


def _reply(pki: Pki, message_id: str, size: int) -> bytes:
    line = "Het bedrag van rubriek 5a is niet de som van de rubrieken 1a tot en met 4b. &lt;\n"
    content = etree.fromstring(
        f'<getStatussenProcesResponse xmlns="{names.KS}"><getStatussenProcesReturn>'
        "<StatusResultaat><kenmerk>K</kenmerk><identiteitBelanghebbende><nummer>123456782B01"
        "</nummer><type>BTW</type></identiteitBelanghebbende><statuscode>311</statuscode>"
        f"<tijdstempelStatus>{reply.stamp(datetime.now(UTC))}</tijdstempelStatus>"
        "<statusomschrijving>Validatie niet gelukt.</statusomschrijving><statusdetails>"
        f"{line * (size // len(line))}</statusdetails></StatusResultaat>"
        "</getStatussenProcesReturn></getStatussenProcesResponse>"
    )
    headers = reply.fresh(STATUS, "getStatussenProces", message_id)
    return reply.serialized(reply.signed(headers, content, reply.Signer(*pki.signing.load())))


def _xmlsec_verifies(pki: Pki, data: bytes) -> Callable[[], None]:
    import xmlsec

    certificate = pki.signing.certificate.read_bytes()
    key = xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem, None)

    def check() -> None:
        root = etree.fromstring(data)
        context = xmlsec.SignatureContext()
        context.key = key
        for part in root.iter(etree.Element):
            if names.WSU_ID in part.attrib:
                context.register_id(part, "Id", names.WSU)
        signature = xmlsec.tree.find_node(root, xmlsec.constants.NodeSignature)
        assert signature is not None
        context.verify(signature)

    return check
