"""Signed requests of WUS 2.0 for companies 1.2, written as bytes.

Every signed part is written in its exclusive canonical form, with the namespaces that this form
gives it, so that what is sent is what is digested. Thus neither the digest nor the sending of a
file of 20 MB needs it in another shape than the bytes it came in. Source: wsdl:documentation of
the services; Exclusive XML Canonicalization 1.0; XML Signature 1.0; WSS X.509 token profile 1.0.
"""

import hashlib
import uuid
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.delivery.certificates import Algorithm, Credentials
from gateway.delivery.names import ANONYMOUS, BASE64, DS, EXC_C14N, SOAP, WSA, WSSE, WSU, X509V3
from gateway.delivery.text import escape

#: Bytes of a file that are handled at a time; a multiple of three, for base64.
PIECE = 48 * 1024

SIGNATURES: dict[Algorithm, str] = {
    "sha1": f"{DS}rsa-sha1",
    "sha256": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
}
DIGESTS: dict[Algorithm, str] = {
    "sha1": f"{DS}sha1",
    "sha256": "http://www.w3.org/2001/04/xmlenc#sha256",
}

#: How long a request may be under way (wsu:Expires), as the replies of Digipoort.
LASTS = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Binary:
    """Bytes that stand in a message as base64."""

    data: bytes

    def base64(self) -> Iterator[bytes]:
        """In pieces, without line ends."""
        view = memoryview(self.data)
        for at in range(0, len(view), PIECE):
            yield b2a_base64(view[at : at + PIECE], newline=False)

    def __len__(self) -> int:
        return 4 * ((len(self.data) + 2) // 3)


#: A body as it is written: canonical XML and what stands in it as base64.
Content = tuple[bytes | Binary, ...]


@dataclass(frozen=True, slots=True)
class Addressing:
    """The WS-Addressing headers of a request. message_id: see new_message_id()."""

    to: str
    action: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed envelope: canonical XML and what stands in it as base64."""

    pieces: Content

    def inline(self) -> Iterator[bytes]:
        """The whole, in pieces of 64 KiB at most for what is base64."""
        for piece in self.pieces:
            if isinstance(piece, Binary):
                yield from piece.base64()
            else:
                yield piece

    def __len__(self) -> int:
        return sum(len(piece) for piece in self.pieces)


def new_message_id() -> str:
    """A wsa:MessageID; it is committed before the message is sent."""
    return f"urn:uuid:{uuid.uuid4()}"


def sign(
    content: Content,
    addressing: Addressing,
    credentials: Credentials,
    at: datetime,
    algorithm: Algorithm = "sha1",
) -> Envelope:
    """The signed envelope around a body; for a thread, as it digests every byte.

    at: now, as wsu:Created tells it.
    """
    open_body = (
        f'<soapenv:Body xmlns:soapenv="{SOAP}" xmlns:wsu="{WSU}" wsu:Id="Body">'
    ).encode()  # fmt: skip
    body = Envelope((open_body, *content, b"</soapenv:Body>"))
    timestamp, headers = _timestamp(at), _headers(addressing)
    digest = partial(_digest, algorithm)
    digests = {"Timestamp": digest(iter([timestamp]))}
    digests |= {name: digest(iter([header])) for name, header in headers.items()}
    digests["Body"] = digest(body.inline())
    info = _signed_info(digests, algorithm)
    value = b64encode(credentials.sign(info, algorithm))
    head = (
        f'<soapenv:Envelope xmlns:soapenv="{SOAP}"><soapenv:Header>'
        f'<wsse:Security xmlns:wsse="{WSSE}" soapenv:mustUnderstand="1">'
    ).encode()
    security = timestamp + _token(credentials) + _signature(info, value) + b"</wsse:Security>"
    before = head + security + b"".join(headers.values()) + b"</soapenv:Header>"
    return Envelope(
        (before + open_body, *body.pieces[1:-1], b"</soapenv:Body></soapenv:Envelope>")
    )


def _timestamp(at: datetime) -> bytes:
    created, expires = (
        f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for moment in (at, at + LASTS)
    )
    return (
        f'<wsu:Timestamp xmlns:wsu="{WSU}" wsu:Id="Timestamp"><wsu:Created>{created}'
        f"</wsu:Created><wsu:Expires>{expires}</wsu:Expires></wsu:Timestamp>"
    ).encode()


def _headers(addressing: Addressing) -> dict[str, bytes]:
    """By local name, which is also the wsu:Id."""
    contents = {
        "To": escape(addressing.to),
        "Action": escape(addressing.action),
        "MessageID": escape(addressing.message_id),
        "ReplyTo": f"<wsa:Address>{ANONYMOUS}</wsa:Address>",
    }
    return {
        name: (
            f'<wsa:{name} xmlns:wsa="{WSA}" xmlns:wsu="{WSU}" wsu:Id="{name}">{content}'
            f"</wsa:{name}>"
        ).encode()
        for name, content in contents.items()
    }


def _digest(algorithm: Algorithm, pieces: Iterator[bytes]) -> str:
    made = hashlib.new(algorithm, usedforsecurity=False)
    for piece in pieces:
        made.update(piece)
    return b64encode(made.digest()).decode()


def _signed_info(digests: dict[str, str], algorithm: Algorithm) -> bytes:
    references = "".join(
        f'<ds:Reference URI="#{name}"><ds:Transforms><ds:Transform Algorithm="{EXC_C14N}">'
        f"</ds:Transform></ds:Transforms>"
        f'<ds:DigestMethod Algorithm="{DIGESTS[algorithm]}"></ds:DigestMethod>'
        f"<ds:DigestValue>{value}</ds:DigestValue></ds:Reference>"
        for name, value in digests.items()
    )
    return (
        f'<ds:SignedInfo xmlns:ds="{DS}"><ds:CanonicalizationMethod Algorithm="{EXC_C14N}">'
        f"</ds:CanonicalizationMethod>"
        f'<ds:SignatureMethod Algorithm="{SIGNATURES[algorithm]}"></ds:SignatureMethod>'
        f"{references}</ds:SignedInfo>"
    ).encode()


def _token(credentials: Credentials) -> bytes:
    der = b64encode(credentials.certificate.public_bytes(Encoding.DER)).decode()
    return (
        f'<wsse:BinarySecurityToken xmlns:wsu="{WSU}" EncodingType="{BASE64}"'
        f' ValueType="{X509V3}" wsu:Id="Token">{der}</wsse:BinarySecurityToken>'
    ).encode()


def _signature(info: bytes, value: bytes) -> bytes:
    return (
        f'<ds:Signature xmlns:ds="{DS}">'.encode() + info
        + b"<ds:SignatureValue>" + value + b"</ds:SignatureValue><ds:KeyInfo>"
        + f'<wsse:SecurityTokenReference><wsse:Reference URI="#Token" ValueType="{X509V3}">'
        "</wsse:Reference></wsse:SecurityTokenReference></ds:KeyInfo></ds:Signature>".encode()
    )  # fmt: skip
