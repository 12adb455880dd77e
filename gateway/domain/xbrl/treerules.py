"""Filing rules about the tree and the facts of an instance (SBR Filing Rules, chapters 2 to 6).

Only what needs no taxonomy: no types of concepts, so "empty" is any item without a value. Each
rule gives the places where it is broken.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from gateway.domain import xml
from gateway.domain.xbrl import source
from gateway.domain.xbrl.instance import (
    LINK,
    XBRLI,
    XML_LANG,
    XSI_NIL,
    Instance,
    of_tree,
    text,
)
from gateway.errors import ProtocolError


@dataclass(frozen=True)
class Report:
    """A tree whose root is xbrli:xbrl, read once for all rules."""

    root: xml.Element = field(repr=False)

    @cached_property
    def instance(self) -> Instance:
        """The same as records."""
        return of_tree(self.root)

    @cached_property
    def names(self) -> "Names":
        """What the prefixes in values stand for."""
        return Names(self.root)

    @cached_property
    def contexts(self) -> list[xml.Element]:
        """The context elements."""
        return list(self.root.iterchildren(f"{XBRLI}context"))

    @cached_property
    def units(self) -> list[xml.Element]:
        """The unit elements."""
        return list(self.root.iterchildren(f"{XBRLI}unit"))


def place(element: xml.Element) -> str:
    """Where an element stands, as it is told."""
    name = element.get("id") or xml.local(element.tag)
    return f"regel {element.sourceline}: {name}"


def language(report: Report) -> Iterator[str]:
    """FR-NL-2.03."""
    if not report.root.get(XML_LANG):
        yield place(report.root)


def schema_refs(report: Report) -> Iterator[str]:
    """FR-NL-2.04: the second and further ones."""
    yield from map(place, list(report.root.iter(f"{LINK}schemaRef"))[1:])


def linkbase_refs(report: Report) -> Iterator[str]:
    """FR-NL-2.05."""
    yield from map(place, report.root.iter(f"{LINK}linkbaseRef"))


def nil(report: Report) -> Iterator[str]:
    """FR-NL-2.07: the attribute, whatever its value."""
    yield from (place(e) for e in report.root.iter() if XSI_NIL in e.attrib)


def times(report: Report) -> Iterator[str]:
    """FR-NL-3.01."""
    names = [f"{XBRLI}{name}" for name in ("startDate", "endDate", "instant")]
    for context in report.contexts:
        if any("T" in text(e) for e in context.iter(*names)):
            yield place(context)


def forever(report: Report) -> Iterator[str]:
    """FR-NL-3.02."""
    for context in report.contexts:
        if next(context.iter(f"{XBRLI}forever"), None) is not None:
            yield place(context)


def unused_contexts(report: Report) -> Iterator[str]:
    """FR-NL-3.03."""
    used = {f.context for f in report.instance.facts}
    yield from (place(e) for e in report.contexts if e.get("id") not in used)


def same_contexts(report: Report) -> Iterator[str]:
    """FR-NL-3.04: of one entity and period, with the same dimensions in any order."""
    yield from _again(report.contexts, map(report.names.context, report.contexts))


def same_units(report: Report) -> Iterator[str]:
    """FR-NL-4.01."""
    yield from _again(report.units, map(report.names.unit, report.units))


def unused_units(report: Report) -> Iterator[str]:
    """FR-NL-4.02."""
    used = {f.unit for f in report.instance.facts}
    yield from (place(e) for e in report.units if e.get("id") not in used)


def same_facts(report: Report) -> Iterator[str]:
    """FR-NL-5.01: one concept, context and unit within one tuple, whatever the values."""
    seen: set[Hashable] = set()
    for fact in report.instance.facts:
        key = (fact.namespace, fact.name, fact.context, fact.unit, fact.group)
        if key in seen:
            yield f"regel {fact.line}: {fact.name}"
        seen.add(key)


def empty_facts(report: Report) -> Iterator[str]:
    """FR-NL-5.03."""
    for fact in report.instance.facts:
        if not fact.value.strip():
            yield f"regel {fact.line}: {fact.name}"


def precision(report: Report) -> Iterator[str]:
    """FR-NL-5.06."""
    yield from (place(e) for e in report.root.iter() if "precision" in e.attrib)


def formatting(report: Report) -> Iterator[str]:
    """FR-NL-5.11: elements and styles that formatted text may not have.

    Which concepts may have formatted text at all, the taxonomy tells; that is not looked at.
    """
    if report.instance.kind.key == "taxatie":  # the VT taxonomy of the banks has images
        return
    for fact in report.instance.facts:
        if "<" in fact.value and _misformatted(fact.value):
            yield f"regel {fact.line}: {fact.name}"


def footnotes(report: Report) -> Iterator[str]:
    """FR-NL-6.01."""
    yield from map(place, report.root.iter(f"{LINK}footnoteLink", f"{LINK}footnote"))


#: sbr-text-formatting.xsd: the elements of escaped XHTML, the styles, the marks of lists.
_ELEMENTS = {
    *("b", "br", "div", "em", "i", "li", "ol", "p", "pre", "s", "small", "strong", "sub", "sup"),
    *("table", "td", "th", "tr", "u", "ul"),
}
_STYLES = frozenset({"font-family", "font-size", "color"})
_MARKS: dict[str, set[str | None]] = {
    "ol": {"1", "a", "A", "i", "I"},
    "ul": {None, "", "circle", "square"},
}
_MOST_ELEMENTS = 50_000  # escaped ones are not among source.MARKS
_TAG = re.compile(r"<[A-Za-z/!?]")


def _misformatted(value: str) -> bool:
    """Whether a value is XHTML, and other than is allowed. What is not XML is plain text."""
    if not _TAG.search(value):
        return False
    if value.count("<") > _MOST_ELEMENTS:
        return True
    try:
        tree = xml.parse(f"<t>{value}</t>".encode())
    except ProtocolError:
        return False
    return any(not _well_formatted(e) for e in tree.iterdescendants())


def _well_formatted(element: xml.Element) -> bool:
    parent = element.getparent()
    marks = _MARKS.get(xml.local(parent.tag)) if parent is not None else None
    name = xml.local(element.tag)
    if name not in _ELEMENTS:
        return False
    if name == "li" and marks is not None and element.get("type") not in marks:
        return False
    styles = (s.split(":")[0].strip() for s in element.get("style", "").split(";") if ":" in s)
    return all(s in _STYLES for s in styles)


class Names:
    """Prefixed names as (namespace, name), so that two spellings of one name are one.

    A prefix that is not declared stands for itself.
    """

    def __init__(self, root: xml.Element) -> None:
        self._declared = source.namespaces(root)

    def name(self, element: xml.Element, value: str) -> tuple[str, str]:
        """The namespace (or the prefix that stands for none) and the name, of a value there."""
        prefix, _, name = value.strip().rpartition(":")
        around: xml.Element | None = element
        while around is not None:
            if prefix in (declared := self._declared.get(around, {})):
                return declared[prefix], name
            around = around.getparent()
        return prefix, name

    def context(self, element: xml.Element) -> Hashable:
        """What makes a context the same as another."""
        identifier = element.find(f"{XBRLI}entity/{XBRLI}identifier")
        period = element.find(f"{XBRLI}period")
        return (
            identifier.get("scheme") if identifier is not None else None,
            text(identifier),
            tuple((str(c.tag), text(c)) for c in period) if period is not None else (),
            frozenset(map(self._container, element.findall(f".//{XBRLI}segment"))),
            frozenset(map(self._container, element.findall(f".//{XBRLI}scenario"))),
        )

    def unit(self, element: xml.Element) -> Hashable:
        """What makes a unit the same as another: its measures, above and below the line."""
        below = sorted(self.name(e, text(e)) for e in element.findall(
            f".//{XBRLI}unitDenominator/{XBRLI}measure"))  # fmt: skip
        measures = sorted(self.name(e, text(e)) for e in element.iter(f"{XBRLI}measure"))
        return tuple(measures), tuple(below)

    def _container(self, element: xml.Element) -> Hashable:
        return frozenset(map(self._member, element))

    def _member(self, element: xml.Element) -> Hashable:
        dimension = self.name(element, element.get("dimension", ""))
        if xml.local(element.tag) == "explicitMember":
            return dimension, self.name(element, text(element))
        return dimension, tuple(map(_shape, element))


def _shape(element: xml.Element) -> Hashable:
    """All that stands in an element. Deeper than 256 the parser does not go."""
    attributes = tuple(sorted(element.attrib.items()))
    return element.tag, attributes, text(element), tuple(map(_shape, element))


def _again(elements: Iterable[xml.Element], keys: Iterable[Hashable]) -> Iterator[str]:
    """The elements whose key was there before."""
    seen: Counter[Hashable] = Counter()
    for element, key in zip(elements, keys, strict=True):
        if seen[key]:
            yield place(element)
        seen[key] += 1
