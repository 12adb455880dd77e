"""Filing rules for annual accounts at the Kamer van Koophandel (KvK Filing Rules NT16 to NT20)."""

from collections.abc import Iterator

from gateway.domain.xbrl import kinds
from gateway.domain.xbrl.instance import LINK, XBRLI, XLINK_HREF, XML_LANG, Fact, text
from gateway.domain.xbrl.treerules import Report, place

LANGUAGES = {"nl", "en", "de", "fr"}
DECIMALS = {"INF", "-9", "-6", "-3", "0", "2"}
_ISO4217 = "http://www.xbrl.org/2003/iso4217"


def language(report: Report) -> Iterator[str]:
    """FR-KVK-2.01."""
    if report.instance.language not in LANGUAGES:
        yield place(report.root)


def languages(report: Report) -> Iterator[str]:
    """FR-KVK-2.02: another language below the root than at the root."""
    for element in report.root.iterdescendants():
        if element.get(XML_LANG, report.instance.language) != report.instance.language:
            yield place(element)


def entry_point(report: Report) -> Iterator[str]:
    """FR-KVK-2.03."""
    for element in report.root.iterchildren(f"{LINK}schemaRef"):
        if not kinds.is_kvk(element.get(XLINK_HREF, "")):
            yield f"{place(element)} {element.get(XLINK_HREF, '')[:200]}"


def decimals_of_money(report: Report) -> Iterator[str]:
    """FR-KVK-5.01."""
    for fact, money in _numbers(report):
        if money and fact.decimals not in DECIMALS:
            yield f"regel {fact.line}: {fact.name}"


def decimals_of_numbers(report: Report) -> Iterator[str]:
    """FR-KVK-5.02."""
    for fact, money in _numbers(report):
        if not money and fact.decimals != "INF":
            yield f"regel {fact.line}: {fact.name}"


def _numbers(report: Report) -> Iterator[tuple[Fact, bool]]:
    """Facts with a unit, and whether that unit is one currency (XBRL 2.1, 4.8.2)."""
    money = {
        unit.get("id")
        for unit in report.units
        if [report.names.name(m, text(m))[0] for m in unit.iterchildren(f"{XBRLI}measure")]
        == [_ISO4217]
    }
    for fact in report.instance.facts:
        if fact.unit is not None:
            yield fact, fact.unit in money
