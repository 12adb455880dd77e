"""An XBRL 2.1 instance as plain records: contexts, units, facts (XBRL 2.1, section 4).

Reading is forgiving: what is not as it should be is told by gateway.domain.xbrl.checks, all at
once. Only what is no XBRL at all is refused here.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from gateway.domain import xml
from gateway.domain.xbrl import kinds, source
from gateway.errors import Invalid

XBRLI = "{http://www.xbrl.org/2003/instance}"
LINK = "{http://www.xbrl.org/2003/linkbase}"
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_LONGEST_NUMBER = 60  # digits; a figure of a real report has at most some twenty


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Days, both included. An instant has no start; "forever" and a date that is none have
    neither."""

    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Member:
    """One dimension of a context: names without their prefixes, a typed member by its text."""

    dimension: str
    value: str
    typed: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """Of whom and of when a fact is."""

    id: str
    scheme: str
    identifier: str
    period: Period
    dimensions: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One occurrence of a tuple. number: from 1; within: number of the tuple around it, or 0."""

    number: int
    name: str
    within: int


@dataclass(frozen=True, slots=True)
class Fact:
    """One item. unit and decimals: None for what is no number. group: its tuple, or 0.
    line: in the file, for messages."""

    namespace: str
    name: str
    context: str
    value: str
    unit: str | None
    decimals: str | None
    group: int
    line: int

    @property
    def number(self) -> Decimal | None:
        """The value as a number; None when it has no unit or is none."""
        return number(self.value) if self.unit is not None else None


@dataclass(frozen=True, slots=True)
class Instance:
    """What an instance says. units: id -> measure ("EUR", "pure", "EUR/shares")."""

    entry_points: tuple[str, ...]
    language: str
    contexts: dict[str, Context] = field(repr=False)
    units: dict[str, str] = field(repr=False)
    facts: tuple[Fact, ...] = field(repr=False)
    groups: tuple[Group, ...] = field(repr=False)

    @property
    def kind(self) -> kinds.Kind:
        """What kind of report it is, by its first entry point."""
        return kinds.kind(self.entry_points[0] if self.entry_points else "")

    @property
    def identifiers(self) -> frozenset[tuple[str, str]]:
        """Of whom the instance is: scheme and number of every context."""
        return frozenset((c.scheme, c.identifier) for c in self.contexts.values())

    @property
    def period(self) -> Period:
        """The period it is about: the one it names itself (jenv-bw2-i), else that of most facts,
        of equals the latest."""
        named = [self._named(f"FinancialReportingPeriodCurrent{x}Date") for x in ("Start", "End")]
        if None not in named:
            return Period(*named)
        counted = Counter(
            c.period for f in self.facts if (c := self.contexts.get(f.context)) and c.period.start
        )
        best = max(counted.items(), key=lambda item: (item[1], item[0]), default=None)
        return best[0] if best else Period(None, self._latest())

    def values(self, name: str) -> list[Fact]:
        """The facts of a concept, by its name without prefix, in the order of the file."""
        return [f for f in self.facts if f.name == name]

    def _named(self, name: str) -> date | None:
        return next((day(f.value) for f in self.facts if f.name == name), None)

    def _latest(self) -> date | None:
        ends = [c.period.end for c in self.contexts.values() if c.period.end]
        return max(ends, default=None)


def read(data: bytes) -> Instance:
    """The instance in a file. Raises Invalid with the reason (Dutch) when it is no instance."""
    loaded = source.load(data)
    if loaded.doctype:
        raise Invalid({"instance": "Een DOCTYPE is niet toegestaan."})
    if loaded.root is None:
        raise Invalid({"instance": loaded.problem})
    if loaded.root.tag != f"{XBRLI}xbrl":
        raise Invalid({"instance": "Het bestand is geen XBRL-instance."})
    return of_tree(loaded.root)


def of_tree(root: xml.Element) -> Instance:
    """The instance in a tree whose root is xbrli:xbrl."""
    contexts = [_context(e) for e in root.iterchildren(f"{XBRLI}context")]
    units = {e.get("id", ""): _unit(e) for e in root.iterchildren(f"{XBRLI}unit")}
    groups: list[Group] = []
    return Instance(
        tuple(e.get(XLINK_HREF, "") for e in root.iterchildren(f"{LINK}schemaRef")),
        root.get(XML_LANG, ""),
        {c.id: c for c in contexts},
        units,
        tuple(_facts(root, groups)),
        tuple(groups),
    )


def day(value: str) -> date | None:
    """A date as XBRL writes it (yyyy-mm-dd), or None."""
    if not _DATE.fullmatch(value.strip()):
        return None
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        return None


def number(value: str) -> Decimal | None:
    """A decimal number (xs:decimal), or None."""
    value = value.strip()
    if len(value) > _LONGEST_NUMBER or not _NUMBER.fullmatch(value):
        return None
    return Decimal(value)


def text(element: xml.Element | None) -> str:
    """What stands in an element, without white space around it."""
    return (element.text or "").strip() if element is not None else ""


def _context(element: xml.Element) -> Context:
    identifier = element.find(f"{XBRLI}entity/{XBRLI}identifier")
    return Context(
        element.get("id", ""),
        identifier.get("scheme", "") if identifier is not None else "",
        text(identifier),
        _period(element.find(f"{XBRLI}period")),
        tuple(sorted(_members(element), key=lambda m: (m.dimension, m.value))),
    )


def _period(element: xml.Element | None) -> Period:
    if element is None:
        return Period(None, None)
    found = {xml.local(c.tag): day(text(c)[:10]) for c in element}
    return Period(found.get("startDate"), found.get("endDate") or found.get("instant"))


def _members(context: xml.Element) -> Iterator[Member]:
    for e in context.iter("{*}explicitMember", "{*}typedMember"):
        dimension = _bare(e.get("dimension", ""))
        if xml.local(e.tag) == "explicitMember":
            yield Member(dimension, _bare(text(e)))
        else:
            yield Member(dimension, " ".join("".join(map(str, e.itertext())).split()), typed=True)


def _bare(name: str) -> str:
    return name.strip().rpartition(":")[2]


def _unit(element: xml.Element) -> str:
    parts = [element.findall(f".//{XBRLI}{x}/{XBRLI}measure") for x in ("unitNumerator",
             "unitDenominator")]  # fmt: skip
    above = parts[0] or element.findall(f"{XBRLI}measure")
    names = ["*".join(_bare(text(m)) for m in side) for side in (above, parts[1])]
    return "/".join(name for name in names if name)


def _facts(root: xml.Element, groups: list[Group]) -> Iterator[Fact]:
    """Items in the order of the file; `groups` is filled with the tuples that are met."""
    waiting, words = [(iter(root), 0)], _Words()
    while waiting:
        element = next(waiting[-1][0], None)
        if element is None:
            waiting.pop()
            continue
        within = waiting[-1][1]
        if str(element.tag).startswith((XBRLI, LINK)):
            continue
        if "contextRef" in element.attrib:
            yield _fact(element, within, words)
        else:
            groups.append(Group(len(groups) + 1, words.same(xml.local(element.tag)), within))
            waiting.append((iter(element), len(groups)))


class _Words:
    """Strings that come again and again, each kept once: lxml makes new ones every time."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def same(self, word: str) -> str:
        """The kept one."""
        return self._kept.setdefault(word, word)

    def attribute(self, element: xml.Element, name: str) -> str | None:
        """The kept value of an attribute, or None."""
        value = element.get(name)
        return None if value is None else self.same(value)


def _fact(element: xml.Element, group: int, words: _Words) -> Fact:
    namespace, _, name = str(element.tag).lstrip("{").rpartition("}")
    return Fact(
        words.same(namespace),
        words.same(name),
        words.attribute(element, "contextRef") or "",
        element.text or "",
        words.attribute(element, "unitRef"),
        words.attribute(element, "decimals"),
        group,
        element.sourceline or 0,
    )
