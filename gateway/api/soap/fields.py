"""Between elements and the members of REST: the same names, so that the same models check them.

A list is an element that is repeated; what is absent or nil is no member.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from lxml import etree
from pydantic import BaseModel, ValidationError

from gateway.api.operation import invalid
from gateway.api.soap.names import OURS
from gateway.domain.xml import Element, local

M = TypeVar("M", bound=BaseModel)

_LISTS = frozenset({"onderdelen", "akkoord_van", "personen"})
_NESTED = frozenset({"onderdelen", "akkoord_van"})
#: An xsd:date may have a zone; a day of ours has none.
_ZONED = re.compile(r"(\d{4}-\d\d-\d\d)(?:Z|[+-]\d\d:\d\d)")
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(element: Element, model: type[M], *, but: frozenset[str] = frozenset()) -> M:
    """What an element says, checked as REST checks it. but: children that are not of the model.
    Raises Problem 422."""
    try:
        return model.model_validate(_members(element, but))
    except ValidationError as e:
        raise invalid(e) from None


def _members(element: Element, but: frozenset[str] = frozenset()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in element:
        name = local(one.tag)
        if name in but:
            continue
        value: Any = _members(one) if name in _NESTED else one.text or ""
        if name == "deadline" and (day := _ZONED.fullmatch(value)):
            value = day[1]
        if name in _LISTS:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found


def write(parent: Element, members: Mapping[str, Any]) -> None:
    """Add members to an element, in their order."""
    for name, value in members.items():
        if name == "gegevens":
            _named(parent, value)
            continue
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            element = etree.SubElement(parent, f"{{{OURS}}}{name}")
            if isinstance(one, Mapping):
                write(element, one)
            else:
                element.text = _text(one)


def _named(parent: Element, values: Mapping[str, Any]) -> None:
    """Members that the schema does not know by name."""
    for name, value in values.items():
        if value is not None:
            element = etree.SubElement(parent, f"{{{OURS}}}gegevens")
            element.set("naam", clean(name))
            element.text = _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return clean(value)
    return json.dumps(value, ensure_ascii=False)


def clean(text: str) -> str:
    """A text as XML can hold it."""
    return _NOT_XML.sub("\ufffd", text)
