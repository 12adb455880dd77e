"""What kind of report an instance is, by the address of its entry point.

An entry point ends in `<domain>-rpt-<report>.xsd`; the parts before it tell the taxonomy
(`nt20/bd/20251210`, `ft16/frc/20211208`). Keys are those of gateway.domain.soort where there is a
soort of that name.
"""

import re
from dataclasses import dataclass

#: Beginning of the report's name -> key. NT13 to NT20, FT, VT and NBA entry points.
REPORTS = {
    "bd-rpt-ob-aangifte": "ob",
    "bd-rpt-ob-suppletie": "obsup",
    "bd-rpt-icp-opgaaf": "icp",
    "bd-rpt-vpb-aangifte": "vpb",
    "bd-rpt-vpb-sba": "sba",
    "bd-rpt-vpb-verzoekwijzigingva": "vpb-va",
    "bd-rpt-ihz-aangifte": "ihz",
    "bd-rpt-ihz-via": "via",
    "kvk-rpt-jaarverantwoording": "publicatiestukken",
    "frc-rpt-vt-": "taxatie",
    "frc-rpt-": "kredietrapportage",
    "nba-rpt-": "verklaring",
}

_ADDRESS = re.compile(
    r"https?://(?:www\.)?[a-z]+\.nl/(?:(?P<taxonomy>[a-z]+\d+)/)?(?:.*/)?(?P<report>[^/]+)\.xsd"
)
#: The classic KvK entry points of NT16 and later (FR-KVK-2.03).
_KVK = re.compile(
    r"http://www\.nltaxonomie\.nl/nt\d\d/kvk/\d{8}/entrypoints/"
    r"kvk-rpt-jaarverantwoording-\d{4}-(?:nlgaap|ifrs)(?:-[a-z]+)+\.xsd"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """key: "" for a report that is not known. taxonomy: nt20, ft16, vt15, ...; "" if not told."""

    key: str
    taxonomy: str


def kind(entry_point: str) -> Kind:
    """The kind by the address of the entry point."""
    address = _ADDRESS.fullmatch(entry_point.strip())
    if address is None:
        return Kind("", "")
    report = address["report"]
    key = next((key for start, key in REPORTS.items() if report.startswith(start)), "")
    return Kind(key, address["taxonomy"] or "")


def is_kvk(entry_point: str) -> bool:
    """Whether it is the full address of an entry point for annual accounts at the KvK."""
    return _KVK.fullmatch(entry_point) is not None
