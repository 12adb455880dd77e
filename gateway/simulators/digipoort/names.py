"""The names of WUS 2.0 for companies 1.2 (Logius), and what SOAP and WS-Security add to them."""

import re
from dataclasses import dataclass

from lxml import etree

Element = etree._Element

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
ANONYMOUS = f"{WSA}/anonymous"
NONE = f"{WSA}/none"
UNSPECIFIED = f"{WSA}/unspecified"
DS = "http://www.w3.org/2000/09/xmldsig#"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
_OASIS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
WSSE = f"{_OASIS}-wssecurity-secext-1.0.xsd"
WSU = f"{_OASIS}-wssecurity-utility-1.0.xsd"
BASE64 = f"{_OASIS}-soap-message-security-1.0#Base64Binary"
X509V3 = f"{_OASIS}-x509-token-profile-1.0#X509v3"
WSU_ID = f"{{{WSU}}}Id"

#: Payload of all three services; elementFormDefault is qualified.
KS = "http://logius.nl/digipoort/koppelvlakservices/1.2/"

_WHITE = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class Service:
    """One of the services. prefix: of its fault codes."""

    actions: str
    fault: str
    prefix: str
    operations: tuple[str, ...]

    def action(self, operation: str, what: str = "Request") -> str:
        """wsa:Action, which is the SOAPAction too; of a fault what is "/Fault/"."""
        return f"{self.actions}{operation}{what}"


_WUS = "http://logius.nl/digipoort/wus/2.0"
AANLEVER = Service(
    f"{_WUS}/aanleverservice/1.2/AanleverService/", "aanleverFault", "ALS", ("aanleveren",)
)
STATUS = Service(
    f"{_WUS}/statusinformatieservice/1.2/StatusinformatieService/",
    "statusinformatieFault",
    "STS",
    (
        "getBerichtsoorten",
        "getProcessen",
        "getStatussenProces",
        "getNieuweStatussenProces",
        "getNieuweStatussen",
    ),
)
OPHAAL = Service(
    f"{_WUS}/ophaalservice/1.2/OphaalService/",
    "ophaalFault",
    "OPS",
    (
        "getBerichten",
        "getNieuweBerichten",
        "getBerichtenLijst",
        "getNieuweBerichtenLijst",
        "getBerichtenKenmerk",
        "getNieuweBerichtenKenmerk",
    ),
)


def request_name(operation: str) -> str:
    """The element in the body of a request."""
    return "aanleverRequest" if operation == "aanleveren" else f"{operation}Request"


def collapsed(text: str | None) -> str:
    """As XSD's whiteSpace="collapse" leaves it."""
    return _WHITE.sub(" ", text or "").strip(" ")


class Refused(Exception):
    """The request breaks the koppelvlakspecificatie; the message says how."""
