"""What a request must be before its content is looked at: headers and signature.

The wsdl:documentation of WUS 2.0 for companies 1.2 says which: wsa:To, Action and MessageID, no
headers of one's own, a Timestamp that is not over, and Body, Timestamp and every WS-Addressing
header signed by the certificate of the TLS connection (OASIS X.509 token profile 1.0, exclusive
c14n). RSA with SHA-1, as the WSDL says, and with SHA-256.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from gateway.simulators.digipoort.names import (
    ANONYMOUS,
    BASE64,
    DS,
    EXC_C14N,
    KS,
    NONE,
    SOAP,
    WSA,
    WSSE,
    WSU,
    WSU_ID,
    X509V3,
    Element,
    Refused,
    Service,
    collapsed,
    request_name,
)

#: How far a client's clock may be ahead, and how long a Timestamp without Expires lasts.
SKEW = timedelta(minutes=5)
LIFETIME = timedelta(minutes=10)

_ONCE = ("To", "Action", "MessageID")
_MAY = ("ReplyTo", "From", "FaultTo", "RelatesTo")
_SIGNATURES: dict[str, hashes.HashAlgorithm] = {
    f"{DS}rsa-sha1": hashes.SHA1(),  # noqa: S303  # what the WSDL prescribes
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": hashes.SHA256(),
}
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    f"{DS}sha1": hashes.SHA1(),  # noqa: S303
    "http://www.w3.org/2001/04/xmlenc#sha256": hashes.SHA256(),
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """The parts of a request. wsa: the WS-Addressing headers by local name."""

    root: Element
    security: Element
    wsa: dict[str, Element]
    body: Element

    @property
    def message_id(self) -> str:
        """wsa:MessageID."""
        return collapsed(self.wsa["MessageID"].text)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the connection says: where it went, SOAPAction, the TLS client, who may sign."""

    to: str
    service: Service
    soap_action: str
    client: x509.Certificate
    ca: x509.Certificate


def check(root: Element, expected: Expected) -> tuple[Envelope, str]:
    """The envelope and its operation, when all is as it must be. Raises Refused."""
    envelope = _split(root)
    operation = _addressed(envelope, expected)
    _in_time(_one(envelope.security, WSU, "Timestamp"))
    _signed(envelope, expected)
    return envelope, operation


def glance(root: Element) -> tuple[str, str]:
    """MessageID and operation of whatever came, for a fault; empty when they are not there."""
    message_id = root.findtext(f"{{{SOAP}}}Header/{{{WSA}}}MessageID")
    action = root.findtext(f"{{{SOAP}}}Header/{{{WSA}}}Action")
    return collapsed(message_id), collapsed(action).rpartition("/")[2].removesuffix("Request")


def _split(root: Element) -> Envelope:
    if root.tag != f"{{{SOAP}}}Envelope":
        raise Refused("geen SOAP 1.1-envelop")
    parts = _elements(root)
    if [p.tag for p in parts] != [f"{{{SOAP}}}Header", f"{{{SOAP}}}Body"]:
        raise Refused("een envelop bestaat uit een Header en een Body")
    header, body = parts
    wsa: dict[str, Element] = {}
    for item in _elements(header):
        name = etree.QName(item)
        if name.namespace == WSA and name.localname in (*_ONCE, *_MAY):
            if name.localname in wsa:
                raise Refused(f"wsa:{name.localname} komt twee keer voor")
            wsa[name.localname] = item
        elif item.tag != f"{{{WSSE}}}Security":
            raise Refused(f"header {name.localname} is niet toegestaan")
    for needed in _ONCE:
        if not collapsed(wsa[needed].text if needed in wsa else None):
            raise Refused(f"wsa:{needed} ontbreekt")
    return Envelope(root, _one(header, WSSE, "Security"), wsa, body)


def _addressed(envelope: Envelope, expected: Expected) -> str:
    """The operation that To, Action, SOAPAction and Body agree on."""
    to, action = (collapsed(envelope.wsa[n].text) for n in ("To", "Action"))
    if to != expected.to:
        raise Refused(f"wsa:To is niet {expected.to}")
    service = expected.service
    operation = next((o for o in service.operations if service.action(o) == action), None)
    if operation is None:
        raise Refused("wsa:Action is geen operatie van deze service")
    if expected.soap_action.strip('"') != action:
        raise Refused("SOAPAction verschilt van wsa:Action")
    for name in ("ReplyTo", "From", "FaultTo"):
        if name in envelope.wsa:
            address = envelope.wsa[name].findtext(f"{{{WSA}}}Address")
            if collapsed(address) not in (ANONYMOUS, NONE):
                raise Refused(f"wsa:{name} is niet anonymous")
    content = [e.tag for e in _elements(envelope.body)]
    if content != [f"{{{KS}}}{request_name(operation)}"]:
        raise Refused(f"de Body bevat niet alleen {request_name(operation)}")
    if len(envelope.message_id) > 256:
        raise Refused("wsa:MessageID is langer dan 256")
    return operation


def _in_time(timestamp: Element) -> None:
    now = datetime.now(UTC)
    created = moment(_one(timestamp, WSU, "Created").text)
    expires = timestamp.findtext(f"{{{WSU}}}Expires")
    if created > now + SKEW:
        raise Refused("wsu:Created ligt in de toekomst")
    if now >= (moment(expires) if expires is not None else created + LIFETIME):
        raise Refused("wsu:Timestamp is verlopen")


def moment(text: str | None) -> datetime:
    """An xsd:dateTime; UTC when it has no zone. Raises Refused."""
    try:
        found = datetime.fromisoformat(collapsed(text))
    except ValueError:
        raise Refused(f"geen tijdstip: {collapsed(text)}") from None
    if "T" not in (text or ""):
        raise Refused(f"geen tijdstip: {collapsed(text)}")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _signed(envelope: Envelope, expected: Expected) -> None:
    """Each required part is itself what a reference with the right digest points at."""
    signature = _one(envelope.security, DS, "Signature")
    certificate = _certificate(envelope.security, signature)
    if certificate != expected.client:
        raise Refused("het certificaat is niet dat van de TLS-verbinding")
    _chains(certificate, expected.ca)
    info = _one(signature, DS, "SignedInfo")
    _verified(info, _bytes(_one(signature, DS, "SignatureValue").text), certificate)
    signed = list(_referenced(envelope.root, info))
    timestamp = _one(envelope.security, WSU, "Timestamp")
    for part in (envelope.body, timestamp, *envelope.wsa.values()):
        if not any(part is s for s in signed):
            raise Refused(f"{etree.QName(part).localname} is niet ondertekend")


def _certificate(security: Element, signature: Element) -> x509.Certificate:
    """That of the BinarySecurityToken which the signature's KeyInfo names."""
    token = _one(security, WSSE, "BinarySecurityToken")
    if (token.get("EncodingType"), token.get("ValueType")) != (BASE64, X509V3):
        raise Refused("wsse:BinarySecurityToken is geen X509v3 in Base64Binary")
    reference = signature.find(
        f"{{{DS}}}KeyInfo/{{{WSSE}}}SecurityTokenReference/{{{WSSE}}}Reference"
    )
    if reference is None or reference.get("URI") != f"#{token.get(WSU_ID)}":
        raise Refused("ds:KeyInfo verwijst niet naar wsse:BinarySecurityToken")
    try:
        return x509.load_der_x509_certificate(_bytes(token.text))
    except ValueError:
        raise Refused("wsse:BinarySecurityToken is geen certificaat") from None


def _chains(certificate: x509.Certificate, ca: x509.Certificate) -> None:
    now = datetime.now(UTC)
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        raise Refused("het certificaat is niet van een vertrouwde uitgever") from None
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise Refused("het certificaat is niet geldig")


def _verified(info: Element, value: bytes, certificate: x509.Certificate) -> None:
    """The signature over ds:SignedInfo."""
    method = _one(info, DS, "CanonicalizationMethod")
    if method.get("Algorithm") != EXC_C14N:
        raise Refused("ds:CanonicalizationMethod is niet exc-c14n")
    algorithm = _SIGNATURES.get(_one(info, DS, "SignatureMethod").get("Algorithm", ""))
    if algorithm is None:
        raise Refused("ds:SignatureMethod is niet rsa-sha1 of rsa-sha256")
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise Refused("de sleutel is geen RSA")
    try:
        key.verify(value, _canonical(info, method), padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        raise Refused("de handtekening klopt niet") from None


def _referenced(root: Element, info: Element) -> Iterator[Element]:
    """The elements that the references name, each with the digest it was signed with."""
    ids = Counter(e.get(WSU_ID) for e in root.iter(etree.Element) if WSU_ID in e.attrib)
    if any(n > 1 for n in ids.values()):
        raise Refused("wsu:Id is niet uniek")
    by_id = {e.get(WSU_ID): e for e in root.iter(etree.Element) if WSU_ID in e.attrib}
    for reference in info.iterfind(f"{{{DS}}}Reference"):
        uri = reference.get("URI", "")
        element = by_id.get(uri[1:]) if uri.startswith("#") else None
        if element is None:
            raise Refused(f"ds:Reference {uri} verwijst naar niets")
        if _digest(reference, element) != _bytes(_one(reference, DS, "DigestValue").text):
            raise Refused(f"{etree.QName(element).localname} is gewijzigd na ondertekening")
        yield element


def _digest(reference: Element, element: Element) -> bytes:
    transform = _one(_one(reference, DS, "Transforms"), DS, "Transform")
    if transform.get("Algorithm") != EXC_C14N:
        raise Refused("ds:Transform is niet exc-c14n")
    algorithm = _DIGESTS.get(_one(reference, DS, "DigestMethod").get("Algorithm", ""))
    if algorithm is None:
        raise Refused("ds:DigestMethod is niet sha1 of sha256")
    digest = hashes.Hash(algorithm)
    digest.update(_canonical(element, transform))
    return digest.finalize()


def _canonical(element: Element, method: Element) -> bytes:
    """Exclusive c14n, with the prefixes that the method keeps (InclusiveNamespaces)."""
    inclusive = method.find(f"{{{EXC_C14N}}}InclusiveNamespaces")
    prefixes = inclusive.get("PrefixList", "").split() if inclusive is not None else None
    return etree.tostring(
        element,
        method="c14n",
        exclusive=True,
        inclusive_ns_prefixes=prefixes,
        with_comments=False,
    )


def _elements(parent: Element) -> list[Element]:
    """The child elements; comments and processing instructions left out."""
    return [c for c in parent if isinstance(c.tag, str)]


def _one(parent: Element, namespace: str, name: str) -> Element:
    found = [c for c in parent if c.tag == f"{{{namespace}}}{name}"]
    if len(found) != 1:
        raise Refused(f"{name} ontbreekt" if not found else f"{name} komt twee keer voor")
    return found[0]


def _bytes(text: str | None) -> bytes:
    try:
        return base64.b64decode("".join((text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("geen base64") from None
