"""Between XML and the members of a package's message: the same names, so that the same models
check them.

A list is an element that is repeated; what is absent or nil is no member.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from lxml import etree

from gateway.domain.xml import Element, local

#: Of portaal.xsd, portaal.wsdl and the return messages of a mailbox.
NAMESPACE = "urn:mijnaccountantsportal:pakketten:v1"

_LISTS = frozenset({"onderdelen", "akkoord_van", "personen"})
_NESTED = frozenset({"onderdelen", "akkoord_van"})
#: An xsd:date may have a zone; a day of ours has none.
_ZONED = re.compile(r"(\d{4}-\d\d-\d\d)(?:Z|[+-]\d\d:\d\d)")
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def of(element: Element, *, but: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What an element says. but: children that are left out."""
    found: dict[str, Any] = {}
    for one in element:
        name = local(one.tag)
        if name in but:
            continue
        value: Any = of(one) if name in _NESTED else one.text or ""
        if name == "deadline" and (day := _ZONED.fullmatch(value)):
            value = day[1]
        if name in _LISTS:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


def document(name: str, members: Mapping[str, Any]) -> bytes:
    """Members as a document of their own."""
    root = etree.Element(f"{{{NAMESPACE}}}{name}", nsmap={None: NAMESPACE})
    write(root, members)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)


def write(parent: Element, members: Mapping[str, Any]) -> None:
    """Add members to an element, in their order."""
    for name, value in members.items():
        if name == "gegevens":
            _named(parent, value)
            continue
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            element = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
            if isinstance(one, Mapping):
                write(element, one)
            else:
                element.text = _text(one)


def _named(parent: Element, values: Mapping[str, Any]) -> None:
    """Members that the schema does not know by name."""
    for name, value in values.items():
        if value is not None:
            element = etree.SubElement(parent, f"{{{NAMESPACE}}}gegevens")
            element.set("naam", clean(name))
            element.text = _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return clean(value)
    return json.dumps(value, ensure_ascii=False)


def clean(text: str) -> str:
    """A text as XML can hold it."""
    return _NOT_XML.sub("\ufffd", text)
