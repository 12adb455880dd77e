"""All that is wrong with an instance before it is sent, at once (README of Digipoort, section 3).

The codes FR-NL and FR-KVK are those of the SBR Filing Rules and the KvK Filing Rules (NT16 to
NT20); MAP are our own. What a taxonomy is needed for, the receiver checks.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from gateway.domain.xbrl import byterules, kinds, kvkrules, ownrules, source, treerules
from gateway.domain.xbrl.instance import XBRLI
from gateway.domain.xbrl.source import Source
from gateway.domain.xbrl.treerules import Report

T = TypeVar("T")

#: Reports that are of more than one person or firm.
_OF_MORE = {"ihz", "via"}

#: So many places of one fault are told.
PLACES = 5


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule that is broken. message: Dutch, for the firm. where: the first places, or ""."""

    code: str
    message: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """A row of a table: `places` gives where the rule is broken."""

    code: str
    message: str
    places: Callable[[T], Iterable[str]]


BYTES: tuple[Rule[Source], ...] = (
    Rule("FR-NL-1.01", "Het bestand begint met een BOM (byte order mark). Sla het op zonder BOM.",
         byterules.byte_order_mark),
    Rule("FR-NL-1.02", "Het bestand bevat tekens die niet zijn toegestaan.",
         byterules.foreign_characters),
    Rule("FR-NL-1.03", "Een DOCTYPE is niet toegestaan.", byterules.doctype),
    Rule("FR-NL-1.04", "Het bestand bevat een verwijzing naar een teken dat niet is toegestaan.",
         byterules.references),
    Rule("FR-NL-1.05", "Het bestand moet in UTF-8 zijn.", byterules.encoding),
    Rule("FR-NL-2.06", "De tekens ]]> zijn niet toegestaan.", byterules.cdata_end),
)  # fmt: skip

TREE: tuple[Rule[Report], ...] = (
    Rule("FR-NL-2.03", "De taal van het rapport ontbreekt (xml:lang).", treerules.language),
    Rule("FR-NL-2.04", "Er is meer dan een schemaRef.", treerules.schema_refs),
    Rule("FR-NL-2.05", "Een linkbaseRef is niet toegestaan.", treerules.linkbase_refs),
    Rule("FR-NL-2.07", "Het attribuut xsi:nil is niet toegestaan.", treerules.nil),
    Rule("FR-NL-3.01", "Een periode heeft een tijd; alleen een datum is toegestaan.",
         treerules.times),
    Rule("FR-NL-3.02", "De periode 'forever' is niet toegestaan.", treerules.forever),
    Rule("FR-NL-3.03", "Er is een context die niet wordt gebruikt.", treerules.unused_contexts),
    Rule("FR-NL-3.04", "Dezelfde context komt meer dan eens voor.", treerules.same_contexts),
    Rule("FR-NL-4.01", "Dezelfde eenheid komt meer dan eens voor.", treerules.same_units),
    Rule("FR-NL-4.02", "Er is een eenheid die niet wordt gebruikt.", treerules.unused_units),
    Rule("FR-NL-5.01", "Hetzelfde gegeven komt meer dan eens voor.", treerules.same_facts),
    Rule("FR-NL-5.03", "Er is een gegeven zonder waarde.", treerules.empty_facts),
    Rule("FR-NL-5.06", "Het attribuut precision is niet toegestaan.", treerules.precision),
    Rule("FR-NL-5.11", "Een tekst heeft opmaak die niet is toegestaan.", treerules.formatting),
    Rule("FR-NL-6.01", "Voetnoten zijn niet toegestaan.", treerules.footnotes),
    Rule("MAP-ENTRYPOINT", "Het entry point (schemaRef) ontbreekt.", ownrules.no_entry_point),
    Rule("MAP-VERWIJZING", "Een gegeven verwijst naar een context of eenheid die ontbreekt.",
         ownrules.references),
    Rule("MAP-INHOUD", "Het bestand heeft inhoud die geen gegeven is.", ownrules.contents),
    Rule("MAP-ID", "Een id is twee keer gegeven.", ownrules.ids),
    Rule("MAP-GETAL", "Een bedrag of aantal is geen getal.", ownrules.figures),
    Rule("MAP-NUMMER", "Het nummer van de belanghebbende is niet juist.", ownrules.identifiers),
    Rule("MAP-BECON", "Het beconnummer is niet juist.", ownrules.consultants),
)  # fmt: skip

#: For annual accounts at the KvK alone.
KVK: tuple[Rule[Report], ...] = (
    Rule("FR-KVK-2.01", "De taal van het rapport moet nl, en, de of fr zijn.", kvkrules.language),
    Rule("FR-KVK-2.02", "Het rapport heeft meer dan een taal.", kvkrules.languages),
    Rule("FR-KVK-2.03", "Het entry point is geen entry point van de KvK.", kvkrules.entry_point),
    Rule("FR-KVK-5.01", "Het aantal decimalen van een bedrag is niet toegestaan.",
         kvkrules.decimals_of_money),
    Rule("FR-KVK-5.02", "Een getal dat geen bedrag is, moet decimals INF hebben.",
         kvkrules.decimals_of_numbers),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expected:
    """What the instance should be, of the soort and the klant; "" is not compared."""

    family: str = ""
    scheme: str = ""
    number: str = ""


def faults(data: bytes, file_name: str = "", expected: Expected | None = None) -> list[Fault]:
    """Every fault of an instance, in the order of the rules; none is [].

    file_name: as it will be filed; "" when it is not known. A file with a document type or that
    is no XML has faults of its bytes alone.
    """
    expected = expected or Expected()
    file = source.load(data)
    found = [*_broken(BYTES, file), *_unreadable(file)]
    kvk = expected.family == "publicatiestukken"
    if file.root is not None and file.root.tag == f"{XBRLI}xbrl":
        report = Report(file.root)
        kvk = kvk or report.instance.kind.key == "publicatiestukken"
        found += [*_broken(TREE, report), *_unexpected(report, expected)]
        found += _broken(KVK, report) if kvk else []
    return [*_named(file_name, kvk), *found]


def _broken(rules: Iterable[Rule[T]], subject: T) -> Iterator[Fault]:
    for rule in rules:
        places = [place[:200] for place in islice(rule.places(subject), PLACES + 1)]
        if places:
            more = ["..."] if len(places) > PLACES else []
            yield Fault(rule.code, rule.message, "; ".join([*places[:PLACES], *more]))


def _unreadable(file: Source) -> Iterator[Fault]:
    if file.problem:
        yield Fault("MAP-XML", file.problem[:300])
    elif file.root is not None and file.root.tag != f"{XBRLI}xbrl":
        yield Fault("MAP-XBRL", "Het bestand is geen XBRL-instance.")


def _named(file_name: str, kvk: bool) -> Iterator[Fault]:
    if file_name and not byterules.stem(file_name):
        message = "De bestandsnaam mag alleen letters, cijfers, - en _ hebben."
        yield Fault("FR-NL-1.06", message, file_name)
    if file_name and kvk and not file_name.endswith(".xbrl"):
        yield Fault("FR-KVK-1.01", "De bestandsnaam moet eindigen op .xbrl.", file_name)


def _unexpected(report: Report, expected: Expected) -> Iterator[Fault]:
    instance = report.instance
    others = [e for e in instance.entry_points if kinds.kind(e).key != expected.family]
    if expected.family and others:
        yield Fault("MAP-SOORT", "Het bestand is een ander soort rapport.", others[0][:200])
    if not _is_of(report, expected):
        message = "Het bestand is van een andere belanghebbende."
        yield Fault("MAP-BELANGHEBBENDE", message, expected.scheme)


def _is_of(report: Report, expected: Expected) -> bool:
    """Whether the instance is of whom it should be. A person's return also names the partner."""
    if not (expected.number or expected.scheme):
        return True
    same = [
        number == (expected.number or number) and scheme == (expected.scheme or scheme)
        for scheme, number in report.instance.identifiers
    ]
    return any(same) if report.instance.kind.key in _OF_MORE else bool(same) and all(same)
