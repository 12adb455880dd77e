"""Whether a reply is what the receiver signed, for the request that was sent.

A good signature says only that some elements were signed, wherever they stand. So the elements
that are read have to be the very ones, at their place in the envelope, that good references
point at; a reply whose signed Body was moved elsewhere is refused (XML signature wrapping).
Source: WSS 1.0 and its X.509 token profile; XML Signature 1.0, 3.2; koppelvlak WUS 2.0 for
companies 1.2, which says that Body, Timestamp and each WS-Addressing header are signed.
"""

import hashlib
import hmac
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from gateway.delivery.certificates import HASHES, Algorithm, Trust, strong
from gateway.delivery.names import (
    ANONYMOUS,
    BASE64,
    DS,
    EXC_C14N,
    KS,
    SOAP,
    WSA,
    WSSE,
    WSU,
    WSU_ID,
    X509V3,
    Operation,
)
from gateway.delivery.text import collapsed, moment
from gateway.delivery.wus import DIGESTS, LASTS, SIGNATURES
from gateway.domain import xml
from gateway.domain.xml import Element
from gateway.errors import PortalError, ProtocolError

_ALGORITHMS: dict[str, Algorithm] = {uri: name for name, uri in SIGNATURES.items()}
_DIGESTS: dict[str, Algorithm] = {uri: name for name, uri in DIGESTS.items()}
_READ = ("To", "Action", "MessageID", "RelatesTo")
_MOST_REFERENCES = 32
#: UTF-8, and nothing between the declaration and the root, so no document type.
_PLAIN = re.compile(
    rb"(\xef\xbb\xbf)?(<\?xml version=[\"']1\.0[\"']( encoding=[\"'](?i:utf-8)[\"'])?"
    rb"( standalone=[\"'](yes|no)[\"'])?\s*\?>)?\s*<[A-Za-z_]"
)


class Fault(PortalError):
    """The receiver answered with a fault."""

    def __init__(self, code: str, text: str, *, verified: bool) -> None:
        """`code`, `text`: foutcode and foutbeschrijving. Unsigned: anyone may have said it."""
        super().__init__(f"{code} {text}".strip())
        self.code, self.text, self.verified = code, text, verified


class Forged(PortalError):
    """A reply that cannot be trusted."""

    def __init__(self, reason: str, message: str = "") -> None:
        """`reason`: a stable word for what is wrong."""
        super().__init__(f"{reason}: {message}" if message else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reply has to fit. at: now; skew: how far the receiver's clock may be off."""

    operation: Operation
    message_id: str
    at: datetime
    skew: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Reply:
    """The parts of an envelope. wsa: the headers of _READ that are there, by local name."""

    root: Element
    security: Element | None
    wsa: dict[str, Element]
    body: Element
    fault: Element | None


def parse(data: bytes) -> Element:
    """The root of a reply, which may hold a file of 20 MB as one text. Raises ProtocolError.

    libxml2 does not bound entities when texts may be that long, hence the look before.
    """
    if not _PLAIN.match(data):
        raise ProtocolError("not an XML document in UTF-8 that begins with its root")
    return xml.parse(data, huge=True)


def verify(root: Element, trust: Trust, expected: Expected) -> Element:
    """The content of the one Body, of which every byte was signed; only that may be read.

    Raises Fault, Forged, or ProtocolError for what is no envelope. For a thread.
    """
    reply = _split(root)
    if reply.security is None:
        if reply.fault is not None:
            raise _fault(reply.fault, expected.operation, verified=False)
        raise Forged("unsigned")
    timestamp = _one(reply.security, WSU, "Timestamp")
    signed = _signed(reply, trust, expected.at)
    wanted = {"Timestamp": timestamp, "Body": reply.body} | reply.wsa
    for name, part in wanted.items():
        if not any(part is element for element in signed):
            raise Forged("part_unsigned", name)
    _fresh(timestamp, expected)
    _addressed(reply, expected)
    if reply.fault is not None:
        raise _fault(reply.fault, expected.operation, verified=True)
    (content,) = reply.body
    return content


def _split(root: Element) -> _Reply:
    """By position: an envelope of one Header and one Body, whose content is one element."""
    if root.tag != f"{{{SOAP}}}Envelope":
        raise ProtocolError("not a SOAP 1.1 envelope")
    if [e.tag for e in root] != [f"{{{SOAP}}}Header", f"{{{SOAP}}}Body"] or len(root[1]) != 1:
        raise Forged("envelope")
    header, body = root
    wsa: dict[str, Element] = {}
    for name in _READ:
        found = header.findall(f"{{{WSA}}}{name}")
        if len(found) > 1:
            raise Forged("header_twice", name)
        if found:
            wsa[name] = found[0]
    security = header.findall(f"{{{WSSE}}}Security")
    if len(security) > 1:
        raise Forged("security_twice")
    fault = body[0] if body[0].tag == f"{{{SOAP}}}Fault" else None
    return _Reply(root, security[0] if security else None, wsa, body, fault)


def _signed(reply: _Reply, trust: Trust, at: datetime) -> list[Element]:
    """The elements that a trusted certificate signed, each with a good digest."""
    security = _present(reply.security)
    if len(list(reply.root[0].iter(f"{{{DS}}}Signature"))) > 1:
        raise Forged("signature_twice")
    signature = _one(security, DS, "Signature")
    key = _key(_token(security, signature), trust, at)
    info = _one(signature, DS, "SignedInfo")
    _check_value(info, _bytes(_one(signature, DS, "SignatureValue")), key, trust)
    return list(_referenced(reply.root, info, trust))


def _token(security: Element, signature: Element) -> bytes:
    """DER of the certificate in the one BinarySecurityToken, which KeyInfo has to name."""
    token = _one(security, WSSE, "BinarySecurityToken")
    reference = _one(_one(_one(signature, DS, "KeyInfo"), WSSE, "SecurityTokenReference"),
                     WSSE, "Reference")  # fmt: skip
    if not token.get(WSU_ID) or reference.get("URI") != f"#{token.get(WSU_ID)}":
        raise Forged("key_info")
    if (token.get("EncodingType", BASE64), token.get("ValueType")) != (BASE64, X509V3):
        raise Forged("token")
    return _bytes(token)


def _key(der: bytes, trust: Trust, at: datetime) -> rsa.RSAPublicKey:
    """That of a certificate which is trusted."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        why, key = trust.refusal(certificate, at), strong(certificate)
    except Exception:  # cryptography has a dozen errors for a certificate that is broken
        raise Forged("token") from None
    if why or key is None:
        raise Forged(why or "certificate_key")
    return key


def _check_value(info: Element, value: bytes, key: rsa.RSAPublicKey, trust: Trust) -> None:
    """The signature over SignedInfo."""
    method = _one(info, DS, "CanonicalizationMethod")
    algorithm = _ALGORITHMS.get(_one(info, DS, "SignatureMethod").get("Algorithm", ""))
    if algorithm is None or algorithm not in trust.algorithms:
        raise Forged("algorithm")
    try:
        key.verify(value, _canonical(info, method), padding.PKCS1v15(), HASHES[algorithm])
    except InvalidSignature:
        raise Forged("signature") from None


def _referenced(root: Element, info: Element, trust: Trust) -> Iterator[Element]:
    """What the references point at, by wsu:Id. Raises Forged when a digest differs."""
    by_id: dict[str, Element] = {}
    for element in root.iter(etree.Element):
        if (name := element.get(WSU_ID)) is not None and by_id.setdefault(name, element) is not (
            element
        ):
            raise Forged("id_twice", name[:40])
    references = info.findall(f"{{{DS}}}Reference")
    if len(references) > _MOST_REFERENCES:
        raise Forged("references")
    for reference in references:
        uri = reference.get("URI", "")
        if not uri.startswith("#") or uri[1:] not in by_id:
            raise Forged("reference", uri[:40])
        yield _unchanged(reference, by_id[uri[1:]], trust)


def _unchanged(reference: Element, element: Element, trust: Trust) -> Element:
    """The element, when its one transform and its digest are right."""
    transform = _one(_one(reference, DS, "Transforms"), DS, "Transform")
    algorithm = _DIGESTS.get(_one(reference, DS, "DigestMethod").get("Algorithm", ""))
    if algorithm is None or algorithm not in trust.algorithms:
        raise Forged("algorithm")
    data = _canonical(element, transform)
    digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
    if not hmac.compare_digest(digest, _bytes(_one(reference, DS, "DigestValue"))):
        raise Forged("digest", etree.QName(element).localname)
    return element


def _canonical(element: Element, method: Element) -> bytes:
    """Exclusive c14n, the one method that is taken, with the prefixes it keeps."""
    if method.get("Algorithm") != EXC_C14N:
        raise Forged("transform")
    keep: list[str] | None = None
    for inclusive in method:
        if inclusive.tag != f"{{{EXC_C14N}}}InclusiveNamespaces":
            raise Forged("transform")
        keep = inclusive.get("PrefixList", "").split()
    try:
        return etree.tostring(
            element, method="c14n", exclusive=True, inclusive_ns_prefixes=keep, with_comments=False
        )
    except etree.C14NError:  # a relative namespace, for one
        raise Forged("transform") from None


def _fresh(timestamp: Element, expected: Expected) -> None:
    """wsu:Created is needed, wsu:Expires is not (WSS 1.0, section 10)."""
    expires = timestamp.findtext(f"{{{WSU}}}Expires")
    try:
        created = moment(_one(timestamp, WSU, "Created").text)
        until = created + LASTS if expires is None else moment(expires)
        if not created - expected.skew <= expected.at < until + expected.skew:
            raise Forged("timestamp")
    except (ValueError, OverflowError):
        raise Forged("timestamp") from None


def _addressed(reply: _Reply, expected: Expected) -> None:
    """The headers say that it is the reply to our message."""
    found = {name: collapsed(e.text) for name, e in reply.wsa.items() if not len(e)}
    if missing := [name for name in _READ if not found.get(name)]:
        raise Forged("header_missing", missing[0])
    operation = expected.operation
    action = operation.response if reply.fault is None else operation.fault_action
    if found["Action"] != action:
        raise Forged("action")
    if found["RelatesTo"] != expected.message_id:
        raise Forged("relates_to")
    if found["To"] != ANONYMOUS:
        raise Forged("to")


def _fault(element: Element, operation: Operation, *, verified: bool) -> Fault:
    """Of the koppelvlak, or else any SOAP 1.1 fault (section 4.4)."""
    detail = element.find(f"detail/{{{KS}}}{operation.fault}")
    if detail is None:
        code, text = element.findtext("faultcode"), element.findtext("faultstring")
        code = (code or "").rpartition(":")[2]
    else:
        code, text = (detail.findtext(f"{{{KS}}}{n}") for n in ("foutcode", "foutbeschrijving"))
    return Fault(collapsed(code)[:20], collapsed(text)[:2000], verified=verified)


def _one(parent: Element, namespace: str, name: str) -> Element:
    found = parent.findall(f"{{{namespace}}}{name}")
    if len(found) != 1:
        raise Forged("missing" if not found else "twice", name)
    return found[0]


def _present(security: Element | None) -> Element:
    if security is None:
        raise Forged("unsigned")
    return security


def _bytes(element: Element) -> bytes:
    try:
        return b64decode("".join((element.text or "").split()), validate=True)
    except ValueError:
        raise Forged("base64") from None
