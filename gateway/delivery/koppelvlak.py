"""The messages of the koppelvlak as a table: what stands in what, and how long it may be.

Source: digipoort-koppelvlak-1.2.xsd, the same at Digipoort and at the banks' BIV. All texts are
collapsed normalizedStrings; lengths are in signs, of `inhoud` in bytes.
"""

import re
from collections.abc import Mapping

from lxml import etree

from gateway.delivery.names import KS
from gateway.delivery.text import collapsed, moment
from gateway.domain.xml import Element
from gateway.errors import ProtocolError

_MIB = 1_048_576

#: Signs that a text may have; a name means the same wherever it stands.
MOST_SIGNS: Mapping[str, int] = {
    "kenmerk": 40, "berichtsoort": 80, "aanleverkenmerk": 40, "eerderAanleverkenmerk": 40,
    "berichtkenmerk": 256, "nummer": 35, "type": 20, "rolBelanghebbende": 40,
    "rolOntvanger": 40, "identiteitAanleveraar": 35, "autorisatieAdres": 255, "mimeType": 255,
    "bestandsnaam": 80, "statuscode": 20, "statusomschrijving": 80, "foutcode": 20,
    "foutbeschrijving": _MIB, "statusdetails": _MIB, "code": 20, "beschrijving": _MIB,
    "naam": 40, "waarde": 255,
}  # fmt: skip

_INHOUD = "mimeType bestandsnaam inhoud"
_IDENTITEIT = "nummer type"
_FOUT = "foutcode foutbeschrijving"

#: Children in their order; "?" may be left out, "*" may be repeated or left out, "+" repeated.
#: rolBelanghebbende is needed by the schema, and yet left out by clients of BIV (README 2).
CONTENT: Mapping[str, str] = {
    "aanleverResponse": (
        "kenmerk berichtsoort aanleverkenmerk? eerderAanleverkenmerk? tijdstempelAangeleverd"
        " identiteitBelanghebbende rolBelanghebbende? identiteitOntvanger? rolOntvanger?"
        " autorisatieAdres? statuscode? tijdstempelStatus? statusomschrijving? statusFoutcode?"
        " statusdetails?"
    ),
    "getStatussenProcesResponse": "getStatussenProcesReturn",
    "getStatussenProcesReturn": "StatusResultaat*",
    "getProcessenResponse": "getProcessenReturn",
    "getProcessenReturn": "ProcesResultaat*",
    "getBerichtsoortenResponse": "getBerichtsoortenReturn",
    "getBerichtsoortenReturn": "berichtsoort*",
    "getBerichtenKenmerkResponse": "getBerichtenKenmerkReturn",
    "getBerichtenKenmerkReturn": "BerichtResultaat*",
    "StatusResultaat": (
        "kenmerk identiteitBelanghebbende statuscode tijdstempelStatus statusomschrijving"
        " statusFoutcode? statusdetails?"
    ),
    "ProcesResultaat": "kenmerk berichtsoort identiteitBelanghebbende identiteitOntvanger?",
    "BerichtResultaat": (
        "kenmerk berichtsoort berichtkenmerk aanleverkenmerk? eerderAanleverkenmerk?"
        " tijdstempelAangeleverd identiteitBelanghebbende rolBelanghebbende?"
        " identiteitAanleveraar? identiteitOntvanger? rolOntvanger? berichtInhoud"
        " berichtBijlagen? constateringenLijst? additioneleElementenLijst?"
    ),
    "identiteitBelanghebbende": _IDENTITEIT,
    "identiteitOntvanger": _IDENTITEIT,
    "statusFoutcode": _FOUT,
    "berichtInhoud": _INHOUD,
    "berichtBijlagen": "bijlage+",
    "bijlage": _INHOUD,
    "constateringenLijst": "constatering+",
    "constatering": "code beschrijving",
    "additioneleElementenLijst": "element+",
    "element": "naam waarde",
}

_NAME = re.compile(r"(\w+)([?*+]?)")
_ORDER = {
    name: re.compile("".join(f"({child} ){often}" for child, often in _NAME.findall(content)))
    for name, content in CONTENT.items()
}


def check(element: Element) -> None:
    """Raises ProtocolError when an element, with all in it, is not as the schema says."""
    name = etree.QName(element).localname
    if element.tag != f"{{{KS}}}{name}" or (name not in CONTENT and len(element)):
        raise ProtocolError(f"{name[:40]} does not belong to the koppelvlak")
    if name not in CONTENT:
        return _check_text(name, element)
    children = "".join(f"{etree.QName(c).localname} " for c in element)
    if not _ORDER[name].fullmatch(children):
        raise ProtocolError(f"{name} holds {children[:200]}")
    for child in element:
        check(child)
    return None


def _check_text(name: str, element: Element) -> None:
    if name == "inhoud":  # not read, and a signature covers it
        return
    if name.startswith("tijdstempel"):
        try:
            moment(element.text)
        except (ValueError, OverflowError):
            raise ProtocolError(f"{name} is no xsd:dateTime") from None
    elif len(collapsed(element.text)) > MOST_SIGNS.get(name, 0):
        raise ProtocolError(f"{name} is too long")
