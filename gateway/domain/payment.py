"""How a client pays what an aangifte omzetbelasting says: amount, betalingskenmerk, IBAN, date.

Nothing is paid here. The receiver's name and IBAN are configuration.
"""

import calendar
import re
from dataclasses import dataclass
from datetime import MAXYEAR, date
from decimal import Decimal

from gateway.domain.xbrl import numbers
from gateway.domain.xbrl.instance import Instance, Period
from gateway.domain.xbrl.summary import total
from gateway.errors import Invalid

_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_KENMERK = re.compile(r"[0-9]{16}")
#: Weights of the Dutch betalingskenmerk, from the last digit on, again and again.
_WEIGHTS = (2, 4, 8, 5, 10, 9, 7, 3, 6, 1)
_MOST = Decimal("999999999.99")  # EPC069-12


@dataclass(frozen=True, slots=True)
class Receiver:
    """To whom is paid. iban: without spaces. Raises Invalid with all that is wrong."""

    name: str
    iban: str
    bic: str = ""

    def __post_init__(self) -> None:
        """Checks what configuration gave."""
        faults = {}
        if not is_iban(self.iban):
            faults["iban"] = "Dit is geen geldig IBAN."
        if not 1 <= len(self.name) <= 70 or not self.name.isprintable():
            faults["name"] = "De naam heeft 1 tot 70 tekens."
        if self.bic and not re.fullmatch(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?", self.bic):
            faults["bic"] = "Dit is geen geldige BIC."
        if faults:
            raise Invalid(faults)


@dataclass(frozen=True, slots=True)
class Payment:
    """What is to be paid. amount: euros, above zero. betalingskenmerk: 16 digits, or "" when it
    is not known. due: the day that the money is there at the latest; None when not known."""

    amount: Decimal
    betalingskenmerk: str
    receiver: Receiver
    due: date | None


def of_return(instance: Instance, receiver: Receiver, kenmerk: str = "") -> Payment | None:
    """The payment that goes with an aangifte omzetbelasting; None when nothing is to be paid.

    A suppletie has none: the Belastingdienst sends an assessment. kenmerk: as the firm gave it,
    otherwise it is derived. Raises Invalid when the given one is not right.
    """
    amount = total(instance)
    if instance.kind.key != "ob" or amount is None or amount <= 0:
        return None
    if kenmerk and not is_betalingskenmerk(kenmerk):
        raise Invalid({"betalingskenmerk": "Dit is geen geldig betalingskenmerk."})
    if not kenmerk and len(instance.identifiers) == 1:
        kenmerk = betalingskenmerk(next(iter(instance.identifiers))[1], instance.period) or ""
    return Payment(amount, kenmerk, receiver, due(instance.period))


def due(period: Period) -> date | None:
    """The last day to file and pay: the end of the next month; of a calendar year 31 March.

    It is not moved by a weekend or holiday: the Belastingdienst wants the money in time. None
    when the period has no end, or one that no calendar goes past.
    """
    if period.end is None or period.end.year == MAXYEAR:
        return None
    if _tijdvak(period) == "40":
        return date(period.end.year + 1, 3, 31)
    year, month = divmod(period.end.year * 12 + period.end.month, 12)
    return date(year, month + 1, calendar.monthrange(year, month + 1)[1])


def betalingskenmerk(ob_nummer: str, period: Period) -> str | None:
    """The betalingskenmerk of an aangifte omzetbelasting, 16 digits.

    A check digit; the first eight digits of the BSN or RSIN; 1 for omzetbelasting; the last
    digit of the year; the two digits after the B; the tijdvak; 0. This is what the search aid of
    the Belastingdienst makes (its examples are in the tests) and what Odoo gives. None when the
    number is not right or the period is no calendar month, quarter or year.
    """
    tijdvak = _tijdvak(period)
    if not numbers.ob(ob_nummer) or tijdvak is None or period.end is None:
        return None
    year = str(period.end.year)[-1]
    rest = f"{ob_nummer[:8]}1{year}{ob_nummer[10:]}{tijdvak}0"
    return _check_digit(rest) + rest


def is_betalingskenmerk(text: str) -> bool:
    """Whether it is 16 digits whose first one checks the rest (Betaalvereniging Nederland)."""
    return _KENMERK.fullmatch(text) is not None and _check_digit(text[1:]) == text[0]


def is_iban(text: str) -> bool:
    """Whether it is an IBAN, without spaces (ISO 13616: modulo 97 is 1; a Dutch one has 18)."""
    if not _IBAN.fullmatch(text) or (text.startswith("NL") and len(text) != 18):
        return False
    return int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def qr_text(payment: Payment) -> str:
    """The text of a QR code that a banking app reads (EPC069-12, version 002, UTF-8).

    The betalingskenmerk goes as free text: the field for references is for those of ISO 11649.
    Raises Invalid for an amount that such a code cannot tell.
    """
    amount, to = payment.amount, payment.receiver
    if not 0 < amount <= _MOST or amount != round(amount, 2):
        raise Invalid({"bedrag": "Dit bedrag kan niet in een QR-code."})
    head = ["BCD", "002", "1", "SCT", to.bic, to.name, to.iban, f"EUR{amount:.2f}"]
    return "\n".join([*head, "", "", payment.betalingskenmerk]).rstrip("\n")


def _tijdvak(period: Period) -> str | None:
    """01 to 12 for a month; 21, 24, 27, 30 for a quarter; 40 for a year; all of the calendar.

    Shifted quarters have codes too, but of those that cross a year it is not known which year
    counts.
    """
    start, end = period.start, period.end
    if start is None or end is None or start.year != end.year or start.day != 1:
        return None
    if end.day != calendar.monthrange(end.year, end.month)[1]:
        return None
    months = end.month - start.month + 1
    if months == 1:
        return f"{end.month:02}"
    if months == 3 and start.month % 3 == 1:
        return str(20 + start.month)
    return "40" if months == 12 else None


def _check_digit(digits: str) -> str:
    """Of a betalingskenmerk: 11 less the weighted sum modulo 11; 10 is written 1, and 11 as 0."""
    weighted = (int(d) * _WEIGHTS[i % 10] for i, d in enumerate(reversed(digits)))
    rest = sum(weighted) % 11
    return str(rest if rest < 2 else 11 - rest)
