"""Our WSDL and XSD: files beside this one, served with the address of the configuration."""

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
        _field(tree, one.path or ""): clean(one.message)[:300] for one in schema.error_log
    } or {"": "De XML past niet op het schema."}


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
