"""Namespaces, algorithms and operations of WUS 2.0 for companies 1.2.

Source: wsdl:documentation and bindings of the three services; OASIS WSS 1.0; WS-Addressing 1.0.
Actions are constants: a live WSDL is never asked for them.
"""

from dataclasses import dataclass

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://www.w3.org/2005/08/addressing"
DS = "http://www.w3.org/2000/09/xmldsig#"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
XOP = "http://www.w3.org/2004/08/xop/include"
KS = "http://logius.nl/digipoort/koppelvlakservices/1.2/"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
WSSE = f"{_WSS}-wssecurity-secext-1.0.xsd"
WSU = f"{_WSS}-wssecurity-utility-1.0.xsd"
BASE64 = f"{_WSS}-soap-message-security-1.0#Base64Binary"
X509V3 = f"{_WSS}-x509-token-profile-1.0#X509v3"
ANONYMOUS = f"{WSA}/anonymous"
WSU_ID = f"{{{WSU}}}Id"

_WUS = "http://logius.nl/digipoort/wus/2.0"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of a service. base: of its actions; fault: the element a fault holds."""

    name: str
    base: str
    fault: str

    @property
    def action(self) -> str:
        """wsa:Action of a request, and its SOAPAction."""
        return f"{self.base}/{self.name}Request"

    @property
    def response(self) -> str:
        """wsa:Action of the reply."""
        return f"{self.base}/{self.name}Response"

    @property
    def fault_action(self) -> str:
        """wsa:Action of a fault."""
        return f"{self.base}/{self.name}/Fault/"


_STATUS = f"{_WUS}/statusinformatieservice/1.2/StatusinformatieService"

AANLEVEREN = Operation(
    "aanleveren", f"{_WUS}/aanleverservice/1.2/AanleverService", "aanleverFault"
)
STATUSSEN = Operation("getStatussenProces", _STATUS, "statusinformatieFault")
PROCESSEN = Operation("getProcessen", _STATUS, "statusinformatieFault")
BERICHTSOORTEN = Operation("getBerichtsoorten", _STATUS, "statusinformatieFault")
BERICHT = Operation(
    "getBerichtenKenmerk", f"{_WUS}/ophaalservice/1.2/OphaalService", "ophaalFault"
)
