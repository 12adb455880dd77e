"""Our WSDL and XSD: files beside this one, served with the address of the configuration."""

import re
from functools import cache
from pathlib import Path

from lxml import etree

from gateway.domain import xml
from gateway.domain.members import clean
from gateway.domain.xml import Element, local

_HERE = Path(__file__).parent
_WSDL = "http://schemas.xmlsoap.org/wsdl/"
#: Elements that are counted: these repeat, so a fault says which one.
_COUNTED = frozenset({"onderdelen", "akkoord_van", "personen", "document"})
#: What a fault's field leaves out, as REST has no such level.
_LEVEL = "stuk"


def xsd() -> bytes:
    """portaal.xsd."""
    return (_HERE / "portaal.xsd").read_bytes()


def wsdl(address: str) -> bytes:
    """portaal.wsdl with the schema inside, so that the one file is all that a package needs."""
    root = xml.parse((_HERE / "portaal.wsdl").read_bytes())
    types = root.find(f"{{{_WSDL}}}types")
    if types is None:
        raise RuntimeError("portaal.wsdl has no types")
    types.append(xml.parse(xsd()))
    for one in root.iter():
        if local(one.tag) == "address":
            one.set("location", address)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


@cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(xml.parse(xsd()))


def faults(operation: Element) -> dict[str, str]:
    """What is wrong with an operation's element, by field. Documents that are streamed are not in
    it any more: their elements are empty."""
    schema = _schema()
    # A tree of its own: what stands around it is not ours to judge.
    tree = etree.ElementTree(xml.parse(etree.tostring(operation)))
    if schema.validate(tree):
        return {}
    return {
        _field(tree, one.path or ""): _said(one.type_name, one.message) for one in schema.error_log
    } or {"": _OTHER}


_OTHER = "De XML past hier niet op het schema."
#: By libxml2's type of error, as wire.faults says the same; values are not repeated.
_SAID = {
    "SCHEMAV_CVC_PATTERN_VALID": "Dit heeft niet de vorm die het schema vraagt.",
    "SCHEMAV_CVC_MAXLENGTH_VALID": "Dit is te lang.",
    "SCHEMAV_CVC_MINLENGTH_VALID": "Dit is te kort.",
    "SCHEMAV_CVC_ENUMERATION_VALID": "Dit kan hier niet.",
    "SCHEMAV_CVC_MININCLUSIVE_VALID": "Dit getal is te klein.",
    "SCHEMAV_CVC_MAXINCLUSIVE_VALID": "Dit getal is te groot.",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "Deze waarde kan hier niet.",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": "Dit attribuut bestaat niet.",
}
_EXPECTED = re.compile(r"Expected is (?:one of )?\( (.*) \)")


def _said(type: str, message: str) -> str:
    if type != "SCHEMAV_ELEMENT_CONTENT":
        return _SAID.get(type, _OTHER)
    missing = "Missing child" in message
    names = _EXPECTED.search(clean(message))
    told = "Hier ontbreekt een element" if missing else "Dit element hoort hier niet"
    if names is None:
        return f"{told}."
    expected = ", ".join(name.strip().rpartition("}")[2] for name in names[1].split(","))
    return f"{told}; verwacht: {expected}."[:300]


def _field(tree: "etree._ElementTree[Element]", path: str) -> str:
    found = tree.xpath(path, namespaces=_prefixes(tree.getroot())) if path else []
    element = found[0] if isinstance(found, list) and found else None
    names: list[str] = []
    while isinstance(element, etree._Element) and (parent := element.getparent()) is not None:
        name = local(element.tag)
        if name in _COUNTED:
            same = [one for one in parent if one.tag == element.tag]
            name = f"{name}.{same.index(element)}"
        if name != _LEVEL:
            names.insert(0, name)
        element = parent
    return ".".join(names) or "bericht"


def _prefixes(root: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in root.iter():
        found |= {k: v for k, v in one.nsmap.items() if k}
    return found
