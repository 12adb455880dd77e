"""Our own checks: references that lead nowhere (XBRL 2.1, section 4), numbers that are none."""

from collections.abc import Iterator

from gateway.domain.xbrl import numbers
from gateway.domain.xbrl.treerules import Report, place

_CONSULTANT = "TaxConsultantNumber"


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
