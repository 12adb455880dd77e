"""Which key a message carries: in a UsernameToken, in the element `token`, or over HTTP."""

import re

from aiohttp import web

from gateway.api import calling
from gateway.api.problem import Problem
from gateway.api.soap.faults import Refused
from gateway.api.soap.names import PASSWORD_TEXT, WSSE, Version
from gateway.domain.xml import Element, child, local

_SECURITY = f"{{{WSSE}}}Security"
#: AFAS's token is XML in a string.
_DATA = re.compile(r"<data>\s*([^<\s]*)\s*</data>")


def understood(version: Version, headers: list[Element]) -> list[Element]:
    """The header blocks for us that we know. Raises Refused for one that must be and is not."""
    space, found = f"{{{version.namespace}}}", []
    for block in headers:
        role = block.get(f"{space}actor", block.get(f"{space}role"))
        if role not in version.roles:
            continue
        if block.tag == _SECURITY:
            found.append(block)
        elif block.get(f"{space}mustUnderstand") in ("1", "true"):
            raise Refused("MustUnderstand", f"De header {local(block.tag)} kent het portaal niet.")
    return found


def key(request: web.Request, headers: list[Element], operation: Element) -> str:
    """The key, or "". Raises Problem."""
    if len(headers) > 1:
        raise Problem(400, "Er staat meer dan één wsse:Security in de Header.")
    for block in headers:
        if (token := child(block, "UsernameToken")) is not None:
            return _password(token)
    token = child(operation, "token")
    if token is None:
        return calling.bearer(request)
    text = (token.text or "").strip()
    data = _DATA.search(text)
    return data[1] if data else text


def _password(token: Element) -> str:
    password = child(token, "Password")
    if password is None:
        return ""
    if password.get("Type", PASSWORD_TEXT) != PASSWORD_TEXT:
        raise Problem(401, "Het wachtwoord van een UsernameToken kan alleen PasswordText zijn.")
    return (password.text or "").strip()
