"""Reads small SOAP answers as a tree, by the local names of elements."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.domain.xml import Element, below, child, local, parse
from gateway.errors import ProtocolError

_SCHEMA = "{http://www.w3.org/2001/XMLSchema}"
_STEP = re.compile(r"([^\[\]]+)(?:\[@([^\[\]=]+)=([^\[\]]*)\])?")
_DECLARATION = re.compile(r"^<\?xml[^>]*\?>")


def body(root: Element) -> Element:
    """The soap:Body of an answer. Raises ProtocolError."""
    found = child(root, "Body") if local(root.tag) == "Envelope" else None
    if found is None:
        raise ProtocolError("not a SOAP answer")
    return found


def fault(root: Element) -> tuple[str, str] | None:
    """Code and text of the Fault in an answer, of SOAP 1.1 or 1.2; None when it holds none."""
    found = child(body(root), "Fault")
    if found is None:
        return None
    code = child(found, "faultcode")
    if code is None:
        code = below(found, ("Code", "Value"))
    text = " ".join(" ".join(str(t) for t in found.itertext()).split())
    return (code.text or "" if code is not None else ""), text


def inner(element: Element | None) -> Element | None:
    """The document that stands as text in an element; None when there is no text."""
    text = "" if element is None else (element.text or "").strip()
    # .NET writes encoding="utf-16" into strings, which was true for the string only.
    text = _DECLARATION.sub("", text, count=1)
    return parse(text.encode("utf-8", "surrogatepass")) if text else None


def rows(element: Element, path: Sequence[str]) -> Iterator[Element]:
    """The elements at a path below an element; a last part "*" is any but an XML Schema."""
    *way, last = path
    within = below(element, way)
    for found in within if within is not None else ():
        if local(found.tag) == last or (last == "*" and not str(found.tag).startswith(_SCHEMA)):
            yield found


class _Names(dict[str, str | None]):
    """Field by tag, worked out once a tag: a listing has thousands of cells and a dozen tags."""

    def __init__(self, near: Mapping[str, str]) -> None:
        super().__init__()
        self._near = near

    def __missing__(self, tag: str) -> str | None:
        self[tag] = found = self._near.get(local(tag))
        return found


class Fields:
    """Reads the fields of a row: `paths` maps a field's name to its place in the row."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        split = {name: path.split("/") for name, path in paths.items()}
        cells = {n: p[0] for n, p in split.items() if len(p) == 1 and p[0] != "."}
        near = {cell: n for n, cell in cells.items() if not cell.startswith("@")}
        # Two fields of one column, attributes, and deeper paths: one at a time.
        self._rest = [(n, p) for n, p in split.items() if near.get(p[0]) != n]
        self._names: Mapping[Any, str | None] = _Names(near)

    def read(self, row: Element) -> dict[str, str]:
        """The fields that the row has."""
        found: dict[str, str] = {}
        names = self._names
        for cell in row:
            name = names[cell.tag]
            if name is not None:
                found[name] = cell.text or ""
        for name, path in self._rest:
            value = self._one(row, path)
            if value is not None:
                found[name] = value
        return found

    def _one(self, row: Element, path: Sequence[str]) -> str | None:
        return value(row, path)


def value(element: Element, path: Sequence[str]) -> str | None:
    """The text, or the attribute, at a path; None when it is not there."""
    *way, last = path
    found: Element | None = element
    for step in way if last.startswith("@") else path:
        found = _child(found, step) if found is not None else None
    if found is None or not last.startswith("@"):
        return None if found is None else found.text or ""
    return attribute(found, last[1:])


def attribute(element: Element, name: str) -> str | None:
    """By its local name."""
    return next((str(v) for k, v in element.attrib.items() if local(k) == name), None)


def _child(element: Element, step: str) -> Element | None:
    """The first child that fits a step of a path; itself for "."."""
    if step == ".":
        return element
    match = _STEP.fullmatch(step)
    name, key, wanted = match.groups() if match else (step, None, None)
    return next(
        (
            c
            for c in element
            if name in ("*", local(c.tag)) and (key is None or attribute(c, key) == wanted)
        ),
        None,
    )


class RowReader:
    """Reads the rows out of an answer; see `soap.profile.Table` for the words."""

    def __init__(
        self, result: str, rows: str, fields: Mapping[str, str], inner_xml: bool, more: str = ""
    ) -> None:
        self._more = more.split("/") if more else []
        *self._wrapper, self._result = result.split("/")
        self._rows = rows.split("/")
        self._fields = Fields(fields)
        self._inner = inner_xml

    def read(self, root: Element) -> list[dict[str, str]]:
        """The rows of an answer. Raises ProtocolError when it is not the expected one."""
        within = below(body(root), self._wrapper)
        found = None if within is None else child(within, self._result)
        # A result that is absent is .NET's null; an answer without even its wrapper is another.
        if within is None or (found is None and not self._wrapper):
            raise ProtocolError(f"no {'/'.join((*self._wrapper, self._result))} in the answer")
        way = self._rows
        if self._inner:
            found, way = inner(found), way[1:]
            if found is not None and local(found.tag) != self._rows[0]:
                raise ProtocolError(f"{local(found.tag)} stands where {self._rows[0]} should")
        return [] if found is None else [self._fields.read(r) for r in rows(found, way)]

    def more(self, root: Element) -> str:
        """What an answer says of whether there are more rows; empty when it says nothing."""
        return (value(body(root), self._more) or "").strip() if self._more else ""
