"""Replies as a receiver signs them, made without the project's signer, every part changeable."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from lxml import etree

from tests.delivery.pki import NOW, Pair

KS = "http://logius.nl/digipoort/koppelvlakservices/1.2/"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
DS = "http://www.w3.org/2000/09/xmldsig#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
WSU = f"{OASIS}-wssecurity-utility-1.0.xsd"
WSSE = f"{OASIS}-wssecurity-secext-1.0.xsd"
ID = f"{{{WSU}}}Id"
NS = {"s": SOAP, "a": WSA, "d": DS, "u": WSU, "o": WSSE, "k": KS}
ACTION = "http://logius.nl/digipoort/wus/2.0/aanleverservice/1.2/AanleverService/aanleveren"
STATUS = "http://logius.nl/digipoort/wus/2.0/statusinformatieservice/1.2/StatusinformatieService/"
PARTS = ("Timestamp", "To", "MessageID", "Action", "RelatesTo", "Body")
METHODS = {
    "sha1": (f"{DS}rsa-sha1", f"{DS}sha1"),
    "sha256": (
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "http://www.w3.org/2001/04/xmlenc#sha256",
    ),
    "sha512": (
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
        "http://www.w3.org/2001/04/xmlenc#sha512",
    ),
}

Root = etree._Element
Change = Callable[[Root], object]


def ontvangst(
    kenmerk: str = "700627b6-383e-4d8d-809f-b066845b36e0",
    soort: str = "Omzetbelasting",
    aanleverkenmerk: str = "MAP-0001",
    nummer: str = "001000044B37",
    more: str = "",
) -> str:
    """An aanleverResponse."""
    return (
        f'<aanleverResponse xmlns="{KS}"><kenmerk>{kenmerk}</kenmerk>'
        f"<berichtsoort>{soort}</berichtsoort><aanleverkenmerk>{aanleverkenmerk}"
        "</aanleverkenmerk><tijdstempelAangeleverd>2026-03-07T11:37:39.702Z"
        f"</tijdstempelAangeleverd><identiteitBelanghebbende><nummer>{nummer}</nummer>"
        "<type>Fi</type></identiteitBelanghebbende><rolBelanghebbende>Bedrijf"
        f"</rolBelanghebbende>{more}</aanleverResponse>"
    )


def fault(code: str = "ALS100", text: str = "Het verzoek voldoet niet.") -> str:
    """A SOAP fault of the koppelvlak."""
    return (
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>Algemene fout</faultstring>"
        "<faultactor>Verantwoordingsplichtige</faultactor><detail>"
        f'<f:aanleverFault xmlns:f="{KS}"><f:foutcode>{code}</f:foutcode>'
        f"<f:foutbeschrijving>{text}</f:foutbeschrijving></f:aanleverFault></detail></s:Fault>"
    )


@dataclass
class Reply:
    """What a receiver answers; a test changes what it wants wrong."""

    relates_to: str
    content: str = field(default_factory=ontvangst)
    action: str = f"{ACTION}Response"
    to: str = f"{WSA}/anonymous"
    created: datetime = NOW
    lasts: timedelta | None = timedelta(minutes=10)
    method: str = "sha1"
    digest: str = ""
    transform: str = f'<Transform Algorithm="{EXC}"/>'
    canonical: str = EXC
    unsigned: tuple[str, ...] = ()
    extra: str = ""
    reference: str | None = None
    key: Pair | None = None
    before: Change | None = None
    after: Change | None = None

    def made(self, pair: Pair) -> bytes:
        """Signed by the key of `key`, or else of the pair whose certificate is in it."""
        root = self._unsigned(pair)
        if self.before:
            self.before(root)
        signature = etree.fromstring(self._signature(root))
        root.find(".//o:Security", NS).append(signature)
        algorithm = {"sha1": hashes.SHA1(), "sha256": hashes.SHA256()}.get(
            self.method, hashes.SHA512()
        )
        value = (self.key or pair).key.sign(
            c14n(signature[0], comments=self.canonical != EXC), padding.PKCS1v15(), algorithm
        )
        signature[1].text = base64.b64encode(value).decode()
        if self.after:
            self.after(root)
        return etree.tostring(root)

    def plain(self) -> bytes:
        """Without any Security, as faults come."""
        return (
            f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{WSA}"><s:Header><a:To>{self.to}</a:To>'
            f"<a:MessageID>urn:uuid:0</a:MessageID><a:Action>{self.action}</a:Action>"
            f"<a:RelatesTo>{self.relates_to}</a:RelatesTo></s:Header>"
            f"<s:Body>{self.content}</s:Body></s:Envelope>"
        ).encode()

    def _unsigned(self, pair: Pair) -> Root:
        der = base64.b64encode(pair.certificate.public_bytes(serialization.Encoding.DER)).decode()
        wsa = {
            "To": self.to,
            "MessageID": "urn:uuid:0b1f6c3e-5d0c-4a55-9a4d-0d3e5d7a4c11",
            "Action": self.action,
            "RelatesTo": self.relates_to,
        }
        headers = "".join(f'<a:{n} u:Id="{n}">{v}</a:{n}>' for n, v in wsa.items())
        expires = (
            f"<u:Expires>{stamp(self.created + self.lasts)}</u:Expires>" if self.lasts else ""
        )
        return etree.fromstring(
            f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{WSA}" xmlns:u="{WSU}" xmlns:o="{WSSE}">'
            f'<s:Header><o:Security s:mustUnderstand="1"><u:Timestamp u:Id="Timestamp">'
            f"<u:Created>{stamp(self.created)}</u:Created>{expires}</u:Timestamp>"
            f'<o:BinarySecurityToken u:Id="bst" EncodingType="{OASIS}-soap-message-security-1.0'
            f'#Base64Binary" ValueType="{OASIS}-x509-token-profile-1.0#X509v3">{der}'
            f"</o:BinarySecurityToken></o:Security>{headers}{self.extra}</s:Header>"
            f'<s:Body u:Id="Body">{self.content}</s:Body></s:Envelope>'
        )

    def _signature(self, root: Root) -> str:
        signing, digesting = METHODS[self.method]
        digesting = METHODS[self.digest][1] if self.digest else digesting
        references = "".join(
            f'<Reference URI="#{name}"><Transforms>{self.transform}</Transforms>'
            f'<DigestMethod Algorithm="{digesting}"/><DigestValue>{self._digest(root, name)}'
            "</DigestValue></Reference>"
            for name in PARTS
            if name not in self.unsigned
        )
        if self.reference is not None:
            references = references.replace('URI="#To"', f'URI="{self.reference}"')
        return (
            f'<Signature xmlns="{DS}"><SignedInfo><CanonicalizationMethod Algorithm='
            f'"{self.canonical}"/><SignatureMethod Algorithm="{signing}"/>{references}'
            "</SignedInfo><SignatureValue/><KeyInfo>"
            f'<o:SecurityTokenReference xmlns:o="{WSSE}"><o:Reference URI="#bst" '
            f'ValueType="{OASIS}-x509-token-profile-1.0#X509v3"/></o:SecurityTokenReference>'
            "</KeyInfo></Signature>"
        )

    def _digest(self, root: Root, name: str) -> str:
        part = by_id(root, name)
        made = hashlib.new(self.digest or self.method, c14n(part, "#With" in self.transform))
        return base64.b64encode(made.digest()).decode()


def c14n(element: Root, comments: bool = False) -> bytes:
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=comments)


def by_id(root: Root, name: str) -> Root:
    return root.xpath("//*[@u:Id=$name]", namespaces=NS, name=name)[0]


def stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def statussen(*rows: tuple[str, str, str], more: str = "") -> str:
    """A getStatussenProcesResponse of kenmerk, code and moment."""
    found = "".join(
        f"<StatusResultaat><kenmerk>{kenmerk}</kenmerk><identiteitBelanghebbende><nummer>1"
        f"</nummer><type>Fi</type></identiteitBelanghebbende><statuscode>{code}</statuscode>"
        f"<tijdstempelStatus>{at}</tijdstempelStatus><statusomschrijving>Tekst"
        f"</statusomschrijving>{more}</StatusResultaat>"
        for kenmerk, code, at in rows
    )
    return (
        f'<getStatussenProcesResponse xmlns="{KS}"><getStatussenProcesReturn>{found}'
        "</getStatussenProcesReturn></getStatussenProcesResponse>"
    )
