"""An instance as tables that a person reads, without a taxonomy.

Every fact is shown exactly once: what no form has a line for comes under its own name. So
nothing is filed that was not shown.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace

from gateway.domain.xbrl import forms, labels
from gateway.domain.xbrl.instance import Context, Fact, Group, Instance, Member, Period
from gateway.domain.xbrl.table import Label, Row, Section, Value, shape

#: Of a table with more periods, each is a table of its own.
_MOST_COLUMNS = 4
#: Of a title: names, and signs of each. A tuple or context may be that of a hundred thousand
#: tables, so a title without bounds would cost the square of the file.
_MOST_NAMES = 20
_LONGEST = 200
_GENERAL: Label = ("Gegevens", "Details")
_SENDER: Label = ("Gegevens van de inzender", "Details of the sender")


def view(instance: Instance) -> list[Section]:
    """The sections of an instance: the form of its kind, all other facts, then the sender's."""
    of_sender = [f for f in instance.facts if labels.SENDER.fullmatch(f.name)]
    facts = [f for f in instance.facts if not labels.SENDER.fullmatch(f.name)]
    sections, rest = forms.fill(instance, facts)
    return [*sections, *_tables(instance, rest, _GENERAL), *_tables(instance, of_sender, _SENDER)]


def _tables(instance: Instance, facts: Iterable[Fact], title: Label) -> Iterator[Section]:
    """Tables of any facts: one for each tuple and each set of dimensions, as they come."""
    parts: defaultdict[Hashable, list[Fact]] = defaultdict(list)
    alike = _alike(instance)
    for fact in facts:
        parts[fact.group, alike.get(fact.context)].append(fact)
    for part in parts.values():
        context = instance.contexts.get(part[0].context)
        for columns, rows in _periods(instance, part):
            yield _table(instance, _title(instance, part[0], context, title), columns, rows)


def _alike(instance: Instance) -> dict[str, int]:
    """A number for each context; the same for those that differ by their days alone.

    Each context is looked at once, because one may have as many dimensions as the file has room.
    """
    seen: dict[Hashable, int] = {}
    return {
        c.id: seen.setdefault((c.dimensions, c.period.start is None), len(seen))
        for c in instance.contexts.values()
    }


def _periods(
    instance: Instance, facts: Sequence[Fact]
) -> Iterator[tuple[list[Period], Sequence[Fact]]]:
    """The periods of a table, the latest first, and its facts."""
    by: defaultdict[Period, list[Fact]] = defaultdict(list)
    for fact in facts:
        by[_period(instance, fact)].append(fact)
    order = sorted(by, key=_latest, reverse=True)
    if len(order) <= _MOST_COLUMNS:
        yield order, facts
    else:
        yield from (([period], by[period]) for period in order)


def _table(
    instance: Instance, title: Label, columns: list[Period], facts: Iterable[Fact]
) -> Section:
    """A row for each concept; one more where a cell would have two values."""
    rows: dict[Hashable, list[tuple[Row, list[Value]]]] = defaultdict(list)
    made: list[tuple[Row, list[Value]]] = []
    for fact in facts:
        unit = instance.units.get(fact.unit or "", fact.unit or "")
        kind, value = shape(fact, unit)
        column = columns.index(_period(instance, fact))
        same = rows[fact.namespace, fact.name, kind, unit]
        if not same or same[-1][1][column] is not None:
            label = labels.dutch(fact.name), labels.english(fact.name)
            same.append((Row("", *label, (), kind, unit), [None] * len(columns)))
            made.append(same[-1])
        same[-1][1][column] = value
    heads = tuple(map(_heading, columns))
    return Section(*title, heads, tuple(replace(row, values=tuple(v)) for row, v in made))


def _title(instance: Instance, fact: Fact, context: Context | None, title: Label) -> Label:
    """The tuple it is in, and the members of its dimensions; else the given title."""
    dimensions = context.dimensions if context else ()
    names = [*_path(instance.groups, fact.group), *map(_member, dimensions[:_MOST_NAMES])]
    if not names:
        return title
    if len(dimensions) > _MOST_NAMES:
        names.append(("...", "..."))
    return " - ".join(nl for nl, _ in names), " - ".join(en for _, en in names)


def _path(groups: Sequence[Group], number: int) -> list[Label]:
    """A tuple's name after those around it, three at most."""
    names: list[Label] = []
    while number and len(names) < 3:
        group = groups[number - 1]
        names.insert(0, _label(group.name))
        number = group.within
    return names


def _member(member: Member) -> Label:
    if not member.typed:
        return _label(member.value)
    (nl, en), value = _label(member.dimension), member.value[:_LONGEST]
    return f"{nl}: {value}", f"{en}: {value}"


def _label(name: str) -> Label:
    return labels.dutch(name[:_LONGEST]), labels.english(name[:_LONGEST])


def _period(instance: Instance, fact: Fact) -> Period:
    context = instance.contexts.get(fact.context)
    return context.period if context else Period(None, None)


def _latest(period: Period) -> tuple[str, str]:
    return str(period.end or ""), str(period.start or "")


def _heading(period: Period) -> Label:
    """The days of a column, as they are written in Dutch; the same in both languages."""
    start, end = (f"{d:%d-%m-%Y}" if d else "" for d in (period.start, period.end))
    return (f"{start} t/m {end}", f"{start} to {end}") if start else (end, end)
