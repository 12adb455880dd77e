"""Invented XBRL instances, right in every rule that the gateway checks."""

from collections.abc import Sequence

_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<xbrli:xbrl xml:lang="nl" xmlns:xbrli="http://www.xbrl.org/2003/instance" \
xmlns:link="http://www.xbrl.org/2003/linkbase" xmlns:xlink="http://www.w3.org/1999/xlink" \
xmlns:iso4217="http://www.xbrl.org/2003/iso4217" xmlns:i="{concepts}">
  <link:schemaRef xlink:type="simple" xlink:href="{entry}"/>
  <xbrli:context id="c"><xbrli:entity><xbrli:identifier scheme="{scheme}">{number}\
</xbrli:identifier></xbrli:entity><xbrli:period><xbrli:startDate>{start}</xbrli:startDate>\
<xbrli:endDate>{end}</xbrli:endDate></xbrli:period></xbrli:context>
  <xbrli:unit id="EUR"><xbrli:measure>iso4217:EUR</xbrli:measure></xbrli:unit>
"""
_OB = "www.belastingdienst.nl/omzetbelastingnummer"
_KVK = "http://www.kvk.nl/kvk-id"
_NT = "http://www.nltaxonomie.nl/nt20"


def _made(
    entry: str,
    concepts: str,
    scheme: str,
    number: str,
    period: tuple[str, str],
    amounts: Sequence[tuple[str, int]],
) -> bytes:
    head = _HEAD.format(
        entry=entry, concepts=concepts, scheme=scheme, number=number, start=period[0],
        end=period[1],
    )  # fmt: skip
    facts = "".join(
        f'  <i:{name} contextRef="c" unitRef="EUR" decimals="INF">{value}</i:{name}>\n'
        for name, value in amounts
    )
    return f"{head}{facts}</xbrli:xbrl>\n".encode()


def ob(number: str, period: tuple[str, str], turnover: int, paid: int) -> bytes:
    """An aangifte omzetbelasting: turnover at the standard rate, and the input tax."""
    owed = turnover * 21 // 100
    return _made(
        f"{_NT}/bd/20251210/entrypoints/bd-rpt-ob-aangifte-2026.xsd",
        f"{_NT}/bd/20251210/dictionary/bd-data",
        _OB,
        number,
        period,
        (
            ("TaxedTurnoverSuppliesServicesGeneralTariff", turnover),
            ("ValueAddedTaxSuppliesServicesGeneralTariff", owed),
            ("ValueAddedTaxOwed", owed),
            ("ValueAddedTaxOnInput", paid),
            ("ValueAddedTaxOwedToBePaidBack", owed - paid),
        ),
    )


def publication(number: str, year: int, equity: int) -> bytes:
    """Annual accounts for publication, of a micro company."""
    return _made(
        f"{_NT}/kvk/20251210/entrypoints/"
        f"kvk-rpt-jaarverantwoording-{year}-nlgaap-micro-publicatiestukken.xsd",
        f"{_NT}/jenv/20251210/dictionary/jenv-bw2-data",
        _KVK,
        number,
        (f"{year}-01-01", f"{year}-12-31"),
        (("Equity", equity), ("Assets", equity * 2)),
    )


def credit_report(number: str, year: int, equity: int) -> bytes:
    """Annual accounts for a bank."""
    return _made(
        "https://www.sbrnexus.nl/ft16/frc/20211208/entrypoints/"
        "frc-rpt-nt-inrichtingsjaarrekening-2021.xsd",
        f"{_NT}/jenv/20251210/dictionary/jenv-bw2-data",
        _KVK,
        number,
        (f"{year}-01-01", f"{year}-12-31"),
        (("Equity", equity), ("Assets", equity * 2)),
    )
