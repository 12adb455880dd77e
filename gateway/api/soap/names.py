"""Namespaces, and the two versions of SOAP."""

from dataclasses import dataclass

from gateway.domain import members

#: Of portaal.xsd and portaal.wsdl.
OURS = members.NAMESPACE
XOP = "http://www.w3.org/2004/08/xop/include"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
WSSE = f"{_WSS}-wssecurity-secext-1.0.xsd"
PASSWORD_TEXT = f"{_WSS}-username-token-profile-1.0#PasswordText"


@dataclass(frozen=True, slots=True)
class Version:
    """namespace: of the envelope. media_type: of a message. client, server: whose fault it is.
    roles: what a header block says that is meant for us."""

    namespace: str
    media_type: str
    client: str
    server: str
    roles: frozenset[str | None]


SOAP11 = Version(
    "http://schemas.xmlsoap.org/soap/envelope/",
    "text/xml",
    "Client",
    "Server",
    frozenset({None, "", "http://schemas.xmlsoap.org/soap/actor/next"}),
)
_ENVELOPE12 = "http://www.w3.org/2003/05/soap-envelope"
SOAP12 = Version(
    _ENVELOPE12,
    "application/soap+xml",
    "Sender",
    "Receiver",
    frozenset(
        {None, "", f"{_ENVELOPE12}/role/next", f"{_ENVELOPE12}/role/ultimateReceiver"},
    ),
)
VERSIONS = {v.namespace: v for v in (SOAP11, SOAP12)}
