"""Instances made for tests: small, of nobody, right in every rule until a part is changed."""

NUMBER = "123456782B01"
OB = "www.belastingdienst.nl/omzetbelastingnummer"
ENTRY = "http://www.nltaxonomie.nl/nt20/bd/20251210/entrypoints/bd-rpt-{report}.xsd"
PERIOD = "<xbrli:startDate>2026-01-01</xbrli:startDate><xbrli:endDate>2026-03-31</xbrli:endDate>"
EUR = "<xbrli:measure>iso4217:EUR</xbrli:measure>"


def context(
    id: str = "c",
    *,
    scheme: str = OB,
    number: str = NUMBER,
    period: str = PERIOD,
    scenario: str = "",
) -> str:
    """One context. scenario: its members."""
    held = f"<xbrli:scenario>{scenario}</xbrli:scenario>" if scenario else ""
    return (
        f'<xbrli:context id="{id}"><xbrli:entity><xbrli:identifier scheme="{scheme}">{number}'
        f"</xbrli:identifier></xbrli:entity><xbrli:period>{period}</xbrli:period>{held}"
        "</xbrli:context>\n"
    )


def unit(id: str = "EUR", measure: str = EUR) -> str:
    """One unit."""
    return f'<xbrli:unit id="{id}">{measure}</xbrli:unit>\n'


def amount(
    name: str,
    value: object,
    *,
    context: str = "c",
    unit: str = "EUR",
    more: str = 'decimals="INF"',
) -> str:
    """One fact with a unit."""
    return f'<bd-i:{name} contextRef="{context}" unitRef="{unit}" {more}>{value}</bd-i:{name}>\n'


def word(name: str, value: str, *, context: str = "c", more: str = "") -> str:
    """One fact without a unit."""
    return f'<bd-i:{name} contextRef="{context}" {more}>{value}</bd-i:{name}>\n'


def member(dimension: str, value: str) -> str:
    """One explicit member of a dimension."""
    return f'<xbrldi:explicitMember dimension="{dimension}">{value}</xbrldi:explicitMember>'


def typed(dimension: str, value: str) -> str:
    """One typed member of a dimension."""
    inner = f"<bd-d:Domain>{value}</bd-d:Domain>"
    return f'<xbrldi:typedMember dimension="{dimension}">{inner}</xbrldi:typedMember>'


def ref(address: str) -> str:
    """One schemaRef."""
    return f'<link:schemaRef xlink:type="simple" xlink:href="{address}"/>\n'


DEFAULT_FACTS = amount("ValueAddedTaxOwedToBePaidBack", 3240)


def xbrl(
    facts: str = DEFAULT_FACTS,
    *,
    report: str = "ob-aangifte-2026",
    entry: str | None = None,
    contexts: str | None = None,
    units: str | None = None,
    attributes: str = 'xml:lang="nl"',
    head: str = '<?xml version="1.0" encoding="UTF-8"?>\n',
) -> bytes:
    """An instance in UTF-8. report: of the Belastingdienst; entry: the whole of the schemaRefs."""
    refs = ref(ENTRY.format(report=report)) if entry is None else entry
    return (
        f"{head}<xbrli:xbrl {attributes}"
        ' xmlns:xbrli="http://www.xbrl.org/2003/instance"'
        ' xmlns:link="http://www.xbrl.org/2003/linkbase"'
        ' xmlns:xlink="http://www.w3.org/1999/xlink"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xmlns:iso4217="http://www.xbrl.org/2003/iso4217"'
        ' xmlns:xbrldi="http://xbrl.org/2006/xbrldi"'
        ' xmlns:bd-i="http://www.nltaxonomie.nl/nt20/bd/20251210/dictionary/bd-data"'
        ' xmlns:bd-t="http://www.nltaxonomie.nl/nt20/bd/20251210/dictionary/bd-tuples"'
        ' xmlns:bd-d="http://www.nltaxonomie.nl/nt20/bd/20251210/validation/bd-domains">\n'
        f"{refs}{context() if contexts is None else contexts}"
        f"{unit() if units is None else units}{facts}</xbrli:xbrl>\n"
    ).encode()
