"""Replies as Digipoort gives them: an answer signed, a fault not.

Shape after replies of the Aansluit Suite: Security with a Timestamp in milliseconds that lasts
ten minutes, the token and the signature (rsa-sha1, sha1, exclusive c14n without
InclusiveNamespaces) over Timestamp, To, MessageID, Action, RelatesTo and Body. Nothing is
indented: that would break it.
"""

import base64
import copy
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree
from lxml.builder import ElementMaker

from gateway.simulators.digipoort.names import (
    ANONYMOUS,
    BASE64,
    DS,
    EXC_C14N,
    KS,
    SOAP,
    UNSPECIFIED,
    WSA,
    WSSE,
    WSU,
    WSU_ID,
    X509V3,
    Element,
    Service,
)

_LASTS = timedelta(minutes=10)
_ALS100 = (
    "Het verzoek voldoet niet aan de koppelvlakspecificaties en kan hierdoor niet door Digipoort"
    " worden verwerkt.\n\nDe volgende fout is opgetreden: \n\n"
)
_S = ElementMaker(namespace=SOAP, nsmap={"soapenv": SOAP, "wsa": WSA, "wsu": WSU})
_A = ElementMaker(namespace=WSA, nsmap={"wsa": WSA, "wsu": WSU})
_D = ElementMaker(namespace=DS, nsmap={None: DS})
_W = ElementMaker(namespace=WSSE, nsmap={"wsse": WSSE, "wsu": WSU})
_U = ElementMaker(namespace=WSU, nsmap={"wsu": WSU})
_F = ElementMaker(namespace=KS, nsmap={"fault": KS})
_PLAIN = ElementMaker()

#: The order of the references, which is that of the real replies.
_PARTS = {"Timestamp": "w_25", "To": "w_21", "MessageID": "w_22", "Action": "w_23",
          "RelatesTo": "w_24", "Body": "w_20"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature a reply gets."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Headers:
    """Of a reply."""

    message_id: str
    action: str
    relates_to: str


def stamp(at: datetime) -> str:
    """An xsd:dateTime in milliseconds, as all of Digipoort's."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fresh(service: Service, operation: str, relates_to: str) -> Headers:
    """The headers of an answer.

    As the real ones: aanleveren gives the request's MessageID back as its own, and the other
    operations leave out "urn:".
    """
    own = relates_to if operation == "aanleveren" else f"uuid:{uuid.uuid4()}"
    return Headers(own, service.action(operation, "Response"), relates_to)


def signed(headers: Headers, content: Element, signer: Signer) -> Element:
    """An answer with its signature."""
    security, signature = _security(signer)
    items = _addressing(headers)
    body = _S.Body(content)
    envelope = _S.Envelope(_S.Header(security, *items), body)
    named = [security[0], *items, body]
    for part, id in zip(named, _PARTS.values(), strict=True):
        part.set(WSU_ID, id)
    info = _D.SignedInfo(
        _D.CanonicalizationMethod(Algorithm=EXC_C14N),
        _D.SignatureMethod(Algorithm=f"{DS}rsa-sha1"),
        *(_reference(p) for p in named),
    )
    signature.insert(0, info)
    value = signer.key.sign(_canonical(info), padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    signature[1].text = base64.b64encode(value).decode()
    return envelope


def unsigned(headers: Headers, content: Element) -> Element:
    """An answer without Security, which no client may take."""
    return _S.Envelope(_S.Header(*_addressing(headers)), _S.Body(content))


def fault(service: Service, operation: str, relates_to: str, why: str) -> Element:
    """A fault: the code of the service's prefix and 100, with the reason after the fixed text."""
    headers = Headers(
        relates_to or f"urn:uuid:{uuid.uuid4()}",
        service.action(operation, "/Fault/"),
        relates_to or UNSPECIFIED,
    )
    detail = _F(
        service.fault,
        _F.foutcode(f"{service.prefix}100"),
        _F.foutbeschrijving(_ALS100 + "".join(c if c.isprintable() else " " for c in why)),
    )
    content = _S.Fault(
        _PLAIN.faultcode("soapenv:Client"),
        _PLAIN.faultstring("Algemene fout"),
        _PLAIN.faultactor("Verantwoordingsplichtige"),
        _PLAIN.detail(detail),
    )
    return unsigned(headers, content)


def serialized(envelope: Element) -> bytes:
    """The bytes of a reply; no declaration, as Digipoort."""
    return etree.tostring(envelope)


def _addressing(headers: Headers) -> Sequence[Element]:
    return (
        _A.To(ANONYMOUS),
        _A.MessageID(headers.message_id),
        _A.Action(headers.action),
        _A.RelatesTo(headers.relates_to),
    )


def _security(signer: Signer) -> tuple[Element, Element]:
    """wsse:Security, and in it the signature that still lacks its SignedInfo and value."""
    now = datetime.now(UTC)
    token_id = f"SecurityToken-{uuid.uuid4()}"
    der = signer.certificate.public_bytes(serialization.Encoding.DER)
    token = _W.BinarySecurityToken(
        base64.b64encode(der).decode(), EncodingType=BASE64, ValueType=X509V3
    )
    token.set(WSU_ID, token_id)
    reference = _W.Reference(URI=f"#{token_id}", ValueType=X509V3)
    signature = _D.Signature(_D.SignatureValue(), _D.KeyInfo(_W.SecurityTokenReference(reference)))
    timestamp = _U.Timestamp(_U.Created(stamp(now)), _U.Expires(stamp(now + _LASTS)))
    security = _W.Security(timestamp, token, signature)
    security.set(f"{{{SOAP}}}mustUnderstand", "1")
    return security, signature


def _reference(part: Element) -> Element:
    digest = hashlib.sha1(_canonical(part)).digest()  # noqa: S324  # what the WSDL prescribes
    return _D.Reference(
        _D.Transforms(_D.Transform(Algorithm=EXC_C14N)),
        _D.DigestMethod(Algorithm=f"{DS}sha1"),
        _D.DigestValue(base64.b64encode(digest).decode()),
        URI=f"#{part.get(WSU_ID)}",
    )


def _canonical(element: Element) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


# --- replies that a client must see through


def tampered(envelope: Element) -> Element:
    """The answer with another kenmerk, its first value, than was signed."""
    kenmerk = next(envelope.iterfind(f"{{{SOAP}}}Body/*/*"))
    kenmerk.text = str(uuid.uuid4())
    return envelope


def wrapped(envelope: Element) -> Element:
    """The signed Body moved into a header, and one with another kenmerk in its place (XSW)."""
    header, body = envelope
    forged = copy.deepcopy(body)
    del forged.attrib[WSU_ID]
    wrapper = etree.SubElement(header, "Wrapper")
    wrapper.append(body)
    envelope.append(forged)
    return tampered(envelope)
