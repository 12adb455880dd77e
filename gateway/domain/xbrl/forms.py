"""Forms that people know: the aangifte omzetbelasting and the opgaaf ICP.

A form takes the facts that it has a place for; the others are for gateway.domain.xbrl.view.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from gateway.domain.xbrl import labels, ob
from gateway.domain.xbrl.instance import Fact, Instance
from gateway.domain.xbrl.table import Label, Row, Section, Shape

_OB_COLUMNS: tuple[Label, ...] = (("Omzet", "Turnover"), ("Omzetbelasting", "VAT"))
_TAX_COLUMN = _OB_COLUMNS[1:]
_TOTALS = {ob.TOTAL, ob.TOTAL_EXTRA}
_ICP = ("SuppliesAmount", "ServicesAmount", "ABCSuppliesAmount")
#: What names a customer: concepts in a tuple, or dimensions of a context.
_CUSTOMER = {
    "CountryCodeISO-EC": "country",
    "VATIdentificationNumberNational": "number",
    "CountryCodeEUDimension": "country",
    "VATNumberDimension": "number",
}


def fill(instance: Instance, facts: Sequence[Fact]) -> tuple[list[Section], list[Fact]]:
    """The sections of the form, if the kind of report has one, and the facts left over."""
    if instance.kind.key in ("ob", "obsup"):
        sections, taken = _ob(instance, facts)
    elif instance.kind.key == "icp":
        sections, taken = _icp(instance, facts)
    else:
        return [], list(facts)
    return sections, [f for f in facts if id(f) not in taken]


def euros(instance: Instance, fact: Fact) -> Decimal | None:
    """The amount of a fact in euros, or None."""
    return fact.number if instance.units.get(fact.unit or "") == "EUR" else None


def _ob(instance: Instance, facts: Iterable[Fact]) -> tuple[list[Section], set[int]]:
    """The blocks of the form, each line with what the instance says of it."""
    cells: dict[str, tuple[Fact, Decimal]] = {}
    for fact in facts:
        if fact.name not in cells and (amount := euros(instance, fact)) is not None:
            cells[fact.name] = fact, amount
    sections, taken = [], set()
    for block in ob.FORM:
        two = any(r.turnover for r in block.rubrieken)
        rows = [row for r in block.rubrieken if (row := _rubriek(r, cells, two))]
        if rows:
            columns = _OB_COLUMNS if two else _TAX_COLUMN
            sections.append(Section(block.nl, block.en, columns, tuple(rows)))
        taken |= {id(cells[n][0]) for r in block.rubrieken for n in (r.turnover, r.tax)
                  if n in cells}  # fmt: skip
    return sections, taken


def _rubriek(rubriek: ob.Rubriek, cells: dict[str, tuple[Fact, Decimal]], two: bool) -> Row | None:
    names = (rubriek.turnover, rubriek.tax) if two else (rubriek.tax,)
    values = tuple(cells[n][1] if n in cells else None for n in names)
    if not any(n in cells for n in names):
        return None
    kind = Shape.TOTAL if rubriek.tax in _TOTALS else Shape.AMOUNT
    return Row(rubriek.number, rubriek.nl, rubriek.en, values, kind, "EUR")


def _icp(instance: Instance, facts: Sequence[Fact]) -> tuple[list[Section], set[int]]:
    """One table: a line for each customer, by country and number, with up to three amounts."""
    in_tuple, in_context = _in_tuple(facts), _in_context(instance)
    lines: dict[tuple[str, str], list[dict[str, Decimal]]] = {}
    taken: set[int] = set()
    for fact in facts:
        if fact.name in _ICP and (amount := euros(instance, fact)) is not None:
            named = in_tuple.get(fact.group, {})
            told = {part: f.value.strip() for part, f in named.items()}
            told = told or in_context.get(fact.context, {})
            customer = told.get("country", ""), told.get("number", "")
            _put(lines.setdefault(customer, [{}]), fact.name, amount)
            taken |= {id(fact), *map(id, named.values())}
    rows = tuple(_line(c, line) for c, some in lines.items() for line in some)
    columns = tuple((labels.dutch(n), labels.english(n)) for n in _ICP)
    title = "Intracommunautaire prestaties per afnemer", "Intra-Community supplies by customer"
    return ([Section(*title, columns, rows)] if rows else []), taken


def _in_tuple(facts: Iterable[Fact]) -> dict[int, dict[str, Fact]]:
    """Tuple -> the facts that name its customer (NT19 and before)."""
    named: defaultdict[int, dict[str, Fact]] = defaultdict(dict)
    for fact in facts:
        if fact.group and (part := _CUSTOMER.get(fact.name)):
            named[fact.group].setdefault(part, fact)
    return named


def _in_context(instance: Instance) -> dict[str, dict[str, str]]:
    """Context -> what its dimensions say of the customer (NT20)."""
    return {
        c.id: {p: m.value for m in c.dimensions if (p := _CUSTOMER.get(m.dimension))}
        for c in instance.contexts.values()
    }


def _put(some: list[dict[str, Decimal]], name: str, amount: Decimal) -> None:
    """Puts an amount on the customer's last line, or on a new one when it has that already."""
    if name in some[-1]:
        some.append({})
    some[-1][name] = amount


def _line(customer: tuple[str, str], amounts: dict[str, Decimal]) -> Row:
    country, number = customer
    values = tuple(amounts.get(name) for name in _ICP)
    return Row(country, number, number, values, Shape.AMOUNT, "EUR")
