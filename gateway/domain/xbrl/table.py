"""Tables that a person reads: sections, rows, values; and what a fact's value is. No HTML."""

import html
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from gateway.domain.xbrl.instance import Fact, day

Value = Decimal | date | bool | str | None
Label = tuple[str, str]  # Dutch, English

_CURRENCY = re.compile(r"[A-Z]{3}")  # ISO 4217


class Shape(StrEnum):
    """What the values of a row are."""

    AMOUNT = "amount"  # Decimal, of the currency in `unit`
    NUMBER = "number"  # Decimal, of `unit` ("pure", "shares", ...)
    DATE = "date"
    YESNO = "yesno"  # bool
    TEXT = "text"
    TOTAL = "total"  # an amount that the report is about


@dataclass(frozen=True, slots=True)
class Row:
    """One line. values: one for each column of the section, None where there is none."""

    rubriek: str
    label_nl: str
    label_en: str
    values: tuple[Value, ...]
    kind: Shape
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One table. columns: a heading for each value (Dutch, English)."""

    title_nl: str
    title_en: str
    columns: tuple[Label, ...]
    rows: tuple[Row, ...]


def shape(fact: Fact, unit: str) -> tuple[Shape, Value]:
    """What a fact's value is, and the value. unit: its measure; three capitals is a currency."""
    if (number := fact.number) is not None:
        return (Shape.AMOUNT if _CURRENCY.fullmatch(unit) else Shape.NUMBER), number
    value = fact.value.strip()
    if (found := day(value)) is not None:
        return Shape.DATE, found
    if value in ("true", "false"):
        return Shape.YESNO, value == "true"
    return Shape.TEXT, plain(value)


def plain(value: str) -> str:
    """Formatted text (escaped XHTML) as plain text, line by line."""
    if "<" in value:
        value = re.sub(r"<(?:br|/p|/li|/div|/tr)\b[^<>]*>", "\n", value)
        value = re.sub(r"<img\b[^<>]*>", "[afbeelding]", value)
        value = html.unescape(re.sub(r"</?[A-Za-z][^<>]*>", "", value))
    return value.strip()
