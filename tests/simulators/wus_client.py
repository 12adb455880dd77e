"""A client of WUS 2.0 that shares nothing with the simulator or the gateway: text and lxml.

Every part of a request can be changed before or after it is signed.
"""

import base64
import datetime as dt
import hashlib
import io
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from lxml import etree

KS = "http://logius.nl/digipoort/koppelvlakservices/1.2/"
WUS = "http://logius.nl/digipoort/wus/2.0"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
DS = "http://www.w3.org/2000/09/xmldsig#"
EXC = "http://www.w3.org/2001/10/xml-exc-c14n#"
OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
WSU = f"{OASIS}-wssecurity-utility-1.0.xsd"
WSSE = f"{OASIS}-wssecurity-secext-1.0.xsd"
ID = f"{{{WSU}}}Id"
NS = {"s": SOAP, "a": WSA, "d": DS, "u": WSU, "o": WSSE, "k": KS}

SERVICES = {
    "aanleveren": ("aanleverservice", "AanleverService"),
    "Status": ("statusinformatieservice", "StatusinformatieService"),
    "Ophaal": ("ophaalservice", "OphaalService"),
}
PARTS = ("Timestamp", "To", "Action", "MessageID", "ReplyTo", "Body")
METHODS = {
    "sha1": (f"{DS}rsa-sha1", f"{DS}sha1"),
    "sha256": (
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        "http://www.w3.org/2001/04/xmlenc#sha256",
    ),
}


def service_of(operation: str) -> tuple[str, str]:
    if operation == "aanleveren":
        return SERVICES["aanleveren"]
    return SERVICES["Ophaal" if "Bericht" in operation and "soort" not in operation else "Status"]


def action_of(operation: str, what: str = "Request") -> str:
    path, name = service_of(operation)
    return f"{WUS}/{path}/1.2/{name}/{operation}{what}"


def path_of(operation: str) -> str:
    return f"/wus/2.0/{service_of(operation)[0]}/1.2"


def stuk(data: bytes = b"<xbrl/>", name: str = "Omzetbelasting.xbrl", tag: str = "berichtInhoud"):
    return (
        f"<{tag}><mimeType>application/xml</mimeType><bestandsnaam>{name}</bestandsnaam>"
        f"<inhoud>{base64.b64encode(data).decode()}</inhoud></{tag}>"
    )


def aanlevering(
    aanleverkenmerk: str | None = "Happyflow",
    *,
    berichtsoort: str = "Omzetbelasting",
    nummer: str = "001000044B37",
    soort: str = "Fi",
    rol: str = "<rolBelanghebbende>Bedrijf</rolBelanghebbende>",
    ontvanger: str = "",
    inhoud: str | None = None,
    bijlagen: str = "",
) -> str:
    """The body of an aanleverRequest, as text."""
    kenmerk = f"<aanleverkenmerk>{aanleverkenmerk}</aanleverkenmerk>" if aanleverkenmerk else ""
    return (
        f'<aanleverRequest xmlns="{KS}"><berichtsoort>{berichtsoort}</berichtsoort>{kenmerk}'
        f"<identiteitBelanghebbende><nummer>{nummer}</nummer><type>{soort}</type>"
        f"</identiteitBelanghebbende>{rol}{ontvanger}{inhoud or stuk()}{bijlagen}"
        "<autorisatieAdres>http://geenausp.nl</autorisatieAdres></aanleverRequest>"
    )


def question(operation: str, content: str) -> str:
    return f'<{operation}Request xmlns="{KS}">{content}</{operation}Request>'


def of_kenmerk(operation: str, kenmerk: str, period: str = "") -> str:
    return question(operation, f"<kenmerk>{kenmerk}</kenmerk>{period}")


@dataclass
class Request:
    """What is sent; a test changes what it wants wrong."""

    operation: str
    payload: str
    to: str = ""
    action: str = ""
    soap_action: str | None = None
    message_id: str = field(default_factory=lambda: f"urn:uuid:{uuid.uuid4()}")
    created: dt.timedelta = dt.timedelta()
    lasts: dt.timedelta | None = dt.timedelta(minutes=5)
    method: str = "sha1"
    skip: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()
    extra: str = ""
    inclusive: str = ""
    token: "Identity | None" = None
    key: "Identity | None" = None
    before: Callable[[etree._Element], object] | None = None
    after: Callable[[etree._Element], object] | None = None


class Identity:
    """A certificate with its key."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.paths = certificate, key
        self.certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
        self.key = serialization.load_pem_private_key(key.read_bytes(), None)


def c14n(element: etree._Element, prefixes: str = "") -> bytes:
    return etree.tostring(
        element,
        method="c14n",
        exclusive=True,
        inclusive_ns_prefixes=prefixes.split() or None,
        with_comments=False,
    )


def unsigned_envelope(request: Request, token: Identity) -> etree._Element:
    now = dt.datetime.now(dt.UTC) + request.created
    expires = (
        f"<u:Expires>{now + request.lasts:%Y-%m-%dT%H:%M:%SZ}</u:Expires>" if request.lasts else ""
    )
    der = base64.b64encode(token.certificate.public_bytes(serialization.Encoding.DER)).decode()
    parts = {
        "To": escape(request.to),
        "Action": request.action,
        "MessageID": request.message_id,
        "ReplyTo": f"<a:Address>{WSA}/anonymous</a:Address>",
    }
    wsa = "".join(
        f'<a:{n} u:Id="{n}">{v}</a:{n}>' for n, v in parts.items() if n not in request.skip
    )
    timestamp = (
        f'<u:Timestamp u:Id="Timestamp"><u:Created>{now:%Y-%m-%dT%H:%M:%SZ}</u:Created>'
        f"{expires}</u:Timestamp>"
    )
    bst = (
        f'<o:BinarySecurityToken u:Id="bst" EncodingType="{OASIS}-soap-message-security-1.0'
        f'#Base64Binary" ValueType="{OASIS}-x509-token-profile-1.0#X509v3">{der}'
        "</o:BinarySecurityToken>"
    )
    return etree.fromstring(
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:a="{WSA}" xmlns:u="{WSU}"><s:Header>'
        f'<o:Security xmlns:o="{WSSE}" s:mustUnderstand="1">'
        f"{'' if 'Timestamp' in request.skip else timestamp}"
        f"{'' if 'bst' in request.skip else bst}</o:Security>{wsa}{request.extra}</s:Header>"
        f'<s:Body u:Id="Body">{request.payload}</s:Body></s:Envelope>',
        etree.XMLParser(huge_tree=True),
    )


def signature_text(root: etree._Element, request: Request, digests: bool = True) -> str:
    """ds:Signature without its value; digests: filled in, or left for another tool."""
    signing, digesting = METHODS[request.method]
    keep = (
        f'<i:InclusiveNamespaces xmlns:i="{EXC}" PrefixList="{request.inclusive}"/>'
        if request.inclusive
        else ""
    )
    references = ""
    for name in PARTS:
        found = root.xpath(f"//*[@u:Id='{name}']", namespaces=NS)
        if name in request.unsigned or not found:
            continue
        digest = hashlib.new(request.method, c14n(found[0], request.inclusive)).digest()
        references += (
            f'<Reference URI="#{name}"><Transforms><Transform Algorithm="{EXC}">{keep}</Transform>'
            f'</Transforms><DigestMethod Algorithm="{digesting}"/><DigestValue>'
            f"{base64.b64encode(digest).decode() if digests else ''}</DigestValue></Reference>"
        )
    return (
        f'<Signature xmlns="{DS}"><SignedInfo><CanonicalizationMethod Algorithm="{EXC}">{keep}'
        f'</CanonicalizationMethod><SignatureMethod Algorithm="{signing}"/>{references}'
        "</SignedInfo><SignatureValue/><KeyInfo>"
        f'<o:SecurityTokenReference xmlns:o="{WSSE}"><o:Reference URI="#bst" '
        f'ValueType="{OASIS}-x509-token-profile-1.0#X509v3"/></o:SecurityTokenReference>'
        "</KeyInfo></Signature>"
    )


def signed_envelope(request: Request, me: Identity) -> etree._Element:
    root = unsigned_envelope(request, request.token or me)
    if request.before:
        request.before(root)
    security = root.find(".//o:Security", NS)
    if security is not None and "Signature" not in request.skip:
        signature = etree.fromstring(signature_text(root, request))
        security.append(signature)
        algorithm = hashes.SHA1() if request.method == "sha1" else hashes.SHA256()
        key = (request.key or me).key
        value = key.sign(c14n(signature[0], request.inclusive), padding.PKCS1v15(), algorithm)
        signature[1].text = base64.b64encode(value).decode()
    if request.after:
        request.after(root)
    return root


@dataclass
class Reply:
    """What came back."""

    status: int
    data: bytes
    root: etree._Element | None
    request: Request | None = None

    @property
    def content(self) -> etree._Element:
        return self.root.find("s:Body", NS)[0]

    def text(self, name: str) -> str | None:
        return self.content.findtext(f".//k:{name}", None, NS)

    def texts(self, name: str) -> list[str]:
        return [e.text for e in self.content.iterfind(f".//k:{name}", NS)]

    @property
    def fault(self) -> tuple[str | None, str]:
        """Fault code, and what it says after the fixed text."""
        text = self.text("foutbeschrijving") or ""
        return self.text("foutcode"), text.rpartition("opgetreden:")[2].strip()


class Client:
    """Sends to one simulator, with one certificate."""

    def __init__(self, url: str, me: Identity, ca: Path) -> None:
        self.url, self.me = url, me
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(*me.paths)
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))

    def make(self, operation: str, payload: str, **changes: object) -> Request:
        request = Request(operation, payload, **changes)
        request.to = request.to or self.url + path_of(operation)
        request.action = request.action or action_of(operation)
        return request

    async def send(self, operation: str, payload: str, **changes: object) -> Reply:
        return await self.post(self.make(operation, payload, **changes))

    async def post(self, request: Request, path: str | None = None) -> Reply:
        data = etree.tostring(signed_envelope(request, self.me))
        action = request.action if request.soap_action is None else request.soap_action
        reply = await self.raw(path or path_of(request.operation), data, f'"{action}"')
        reply.request = request
        return reply

    async def raw(
        self, path: str, data: bytes, action: str, kind: str = "text/xml; charset=utf-8"
    ) -> Reply:
        headers = {"Content-Type": kind, "SOAPAction": action}
        async with self.session.post(
            self.url + path, data=io.BytesIO(data), headers=headers
        ) as answer:
            body = await answer.read()
            root = etree.fromstring(body) if "xml" in answer.content_type else None
            return Reply(answer.status, body, root)


def verified(root: etree._Element, certificate: x509.Certificate) -> set[str]:
    """Local names of the parts that this certificate signed. Raises when anything differs."""
    info = root.find(".//d:SignedInfo", NS)
    value = base64.b64decode(root.findtext(".//d:SignatureValue", None, NS))
    certificate.public_key().verify(value, c14n(info), padding.PKCS1v15(), hashes.SHA1())
    signed = set()
    for reference in info.iterfind("d:Reference", NS):
        (part,) = root.xpath(f"//*[@u:Id='{reference.get('URI')[1:]}']", namespaces=NS)
        digest = base64.b64encode(hashlib.sha1(c14n(part)).digest()).decode()
        assert digest == reference.findtext("d:DigestValue", None, NS)
        signed.add(etree.QName(part).localname)
    return signed
