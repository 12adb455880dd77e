"""Texts and moments as XML Schema and canonical XML have them."""

import re
from datetime import UTC, datetime

_WHITE = re.compile(r"[\t\n\r ]+")
#: XML Schema 1.0 part 2, 3.2.7; hours of 24 and years of five digits are nobody's.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")


def collapsed(text: str | None) -> str:
    """Text as XSD's whiteSpace="collapse" leaves it."""
    return _WHITE.sub(" ", text or "").strip(" ")


def moment(text: str | None) -> datetime:
    """An xsd:dateTime; UTC when it has no zone. Raises ValueError."""
    value = collapsed(text)
    if not _MOMENT.fullmatch(value):
        raise ValueError(f"no xsd:dateTime: {value[:40]}")
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def escape(text: str) -> str:
    """Text as canonical XML writes it in an element (C14N 1.0, 2.3).

    It holds no carriage return, which no text of the koppelvlak may.
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
