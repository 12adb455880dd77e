"""Our own checks: references that lead nowhere (XBRL 2.1, section 4), numbers that are none."""

from collections.abc import Iterator

from gateway.domain import xml
from gateway.domain.xbrl import numbers
from gateway.domain.xbrl.instance import LINK, XBRLI
from gateway.domain.xbrl.treerules import Report, place

_CONSULTANT = "TaxConsultantNumber"
#: What may stand in the root besides items and tuples (XBRL 2.1, 4; FR-NL tells of some of them).
_OF_XBRL = {
    *(XBRLI + name for name in ("context", "unit")),
    *(LINK + name for name in ("schemaRef", "linkbaseRef", "roleRef", "arcroleRef")),
    LINK + "footnoteLink",
}


def no_entry_point(report: Report) -> Iterator[str]:
    """An instance has a schemaRef (XBRL 2.1, 4.2)."""
    if not report.instance.entry_points:
        yield place(report.root)


def references(report: Report) -> Iterator[str]:
    """Facts of a context or unit that is not there (4.6.1, 4.6.2)."""
    instance = report.instance
    for fact in instance.facts:
        lost = fact.unit is not None and fact.unit not in instance.units
        if fact.context not in instance.contexts or lost:
            yield f"regel {fact.line}: {fact.name}"


def contents(report: Report) -> Iterator[str]:
    """Contents that are not shown to who approves, because they are no item.

    Elements of XBRL itself out of their place, what is no item and has none in it, elements in an
    item (it holds text alone, 4.6), text between items.
    """
    if _has_text(report.root):
        yield place(report.root)
    for top in report.root:
        if top.tag not in _OF_XBRL:
            yield from (place(e) for e in top.iter() if _hides(e))


def _hides(element: xml.Element) -> bool:
    if "contextRef" in element.attrib:
        return len(element) > 0
    own = str(element.tag).startswith((XBRLI, LINK))
    return own or len(element) == 0 or _has_text(element)


def _has_text(element: xml.Element) -> bool:
    """Whether there is text before, between or after the elements in it."""
    texts = (element.text, *(child.tail for child in element))
    return any(t and t.strip() for t in texts)


def ids(report: Report) -> Iterator[str]:
    """An id that is given twice (XML 1.0, validity constraint ID)."""
    seen: set[str] = set()
    for element in [*report.contexts, *report.units]:
        if (own := element.get("id", "")) in seen:
            yield place(element)
        seen.add(own)


def figures(report: Report) -> Iterator[str]:
    """Facts with a unit whose value is no decimal number."""
    for fact in report.instance.facts:
        if fact.unit is not None and fact.value.strip() and fact.number is None:
            yield f"regel {fact.line}: {fact.name}"


def identifiers(report: Report) -> Iterator[str]:
    """Numbers of whom the instance is about, each by the check of its scheme.

    The number itself is not told: it may be a BSN, and faults are kept and logged.
    """
    told: set[tuple[str, str]] = set()
    for c in report.instance.contexts.values():
        whose = (c.scheme, c.identifier)
        if whose not in told and not numbers.fits(*whose):
            yield f"context {c.id} ({c.scheme or 'geen scheme'})"
        told.add(whose)


def consultants(report: Report) -> Iterator[str]:
    """Beconnummers."""
    for fact in report.instance.values(_CONSULTANT):
        if fact.value.strip() and not numbers.becon(fact.value.strip()):
            yield f"regel {fact.line}: {fact.value.strip()[:20]}"
