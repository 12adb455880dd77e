"""The few figures that matter of a report: for a text message, a mail and the head of a page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from gateway.domain.xbrl import labels, ob
from gateway.domain.xbrl.forms import euros
from gateway.domain.xbrl.instance import Context, Instance

_PROFIT = ("TaxableProfit",)
_BOXES = (*("IncomeAfterPersonAttachedDeductionBox" + n for n in "123"), "OverallIncome")
_ACCOUNTS = ("Assets", "Equity", "NetRevenue", "ResultAfterTax")
_ICP = ("SuppliesAmount", "ServicesAmount", "ABCSuppliesAmount")
_OWN = {"CommercialMember", "SeparateMember"}
_CONSOLIDATED = {"CommercialMember", "ConsolidatedMember"}


@dataclass(frozen=True, slots=True)
class Figure:
    """One amount in euros, never below zero when the label tells its direction."""

    label_nl: str
    label_en: str
    amount: Decimal


def summary(instance: Instance) -> list[Figure]:
    """The figures of a report, four at most; none for a kind that is not known."""
    make = _BY_KIND.get(instance.kind.key)
    return make(instance) if make else []


def total(instance: Instance) -> Decimal | None:
    """What is to be paid, below zero what is paid back: of an aangifte or suppletie OB.

    None when it is neither, or the amount is missing or given twice.
    """
    name = {"ob": ob.TOTAL, "obsup": ob.TOTAL_EXTRA}.get(instance.kind.key, "")
    found = [euros(instance, f) for f in instance.values(name)]
    return found[0] if len(found) == 1 else None


def _ob(instance: Instance) -> list[Figure]:
    found = total(instance)
    first = []
    if found is not None:
        back = found < 0
        label = ("Terug te vragen", "To reclaim") if back else ("Te betalen", "To pay")
        first = [Figure(*label, abs(found))]
    rest = {ob.OWED: ("Verschuldigde omzetbelasting", "VAT owed"),
            ob.INPUT: ("Voorbelasting", "Input tax")}  # fmt: skip
    amounts = [(label, _one(instance, name)) for name, label in rest.items()]
    return [*first, *(Figure(*label, a) for label, a in amounts if a is not None)]


def _icp(instance: Instance) -> list[Figure]:
    """Totals over all customers."""
    figures = []
    for name in _ICP:
        amounts = [a for f in instance.values(name) if (a := euros(instance, f)) is not None]
        if amounts:
            figures.append(_figure(name, sum(amounts, Decimal(0))))
    return figures


def _named(*names: str) -> Callable[[Instance], list[Figure]]:
    """Makes the figures of these concepts, of the first who is named: the declarant."""

    def make(instance: Instance) -> list[Figure]:
        found = [(name, _one(instance, name)) for name in names]
        return [_figure(name, amount) for name, amount in found if amount is not None]

    return make


def _accounts(instance: Instance) -> list[Figure]:
    """Of this year: the company's own figures, else the group's."""
    end = instance.period.end
    found = [(name, _of_year(instance, name, end)) for name in _ACCOUNTS]
    return [_figure(name, amount) for name, amount in found if amount is not None]


def _of_year(instance: Instance, name: str, end: date | None) -> Decimal | None:
    best: dict[int, Decimal] = {}
    for fact in instance.values(name):
        context = instance.contexts.get(fact.context)
        amount = euros(instance, fact)
        if amount is not None and context and context.period.end == end:
            best.setdefault(_rank(context), amount)
    return best.get(0, best.get(1))


def _rank(context: Context) -> int:
    """0: the company's own figures, 1: the group's, 2: a breakdown of either."""
    members = {m.value for m in context.dimensions[:3]}
    return 0 if members <= _OWN else 1 if members <= _CONSOLIDATED else 2


def _one(instance: Instance, name: str) -> Decimal | None:
    amounts = (euros(instance, f) for f in instance.values(name))
    return next((a for a in amounts if a is not None), None)


def _figure(name: str, amount: Decimal) -> Figure:
    return Figure(labels.dutch(name), labels.english(name), amount)


_BY_KIND: dict[str, Callable[[Instance], list[Figure]]] = {
    "ob": _ob,
    "obsup": _ob,
    "icp": _icp,
    "ihz": _named(*_BOXES),
    "vpb": _named(*_PROFIT),
    "publicatiestukken": _accounts,
    "kredietrapportage": _accounts,
}
