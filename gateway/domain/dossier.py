"""Rules of the dossier page: rows, categories, order, pages, and names that are safe to give."""

import base64
import binascii
import heapq
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from gateway.domain.firm import Source
from gateway.domain.model import Text

#: Rows on one page of the list.
PAGE = 50

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One document in the list. `handle` stands in addresses instead of the source's id."""

    source: str
    handle: str
    name: str
    category: str
    modified: datetime | None
    size: int | None


@dataclass(frozen=True, slots=True)
class CategoryCount:
    """A category with its number of documents. `complete` is False while a source of it is
    missing: the number is then "at least"."""

    key: str
    name: Text
    count: int
    complete: bool


class Order(StrEnum):
    """What the list is sorted on; "-" in front: the other way round."""

    NEWEST = "-datum"
    OLDEST = "datum"
    NAME = "naam"
    NAME_DOWN = "-naam"
    SMALLEST = "grootte"
    LARGEST = "-grootte"


def handle(id: str) -> str:
    """A document's id as it stands in an address: base64url, reveals no path in one look."""
    return base64.urlsafe_b64encode(id.encode("utf-8", "surrogateescape")).rstrip(b"=").decode()


def id_of(handle: str) -> str | None:
    """The id behind a handle; None when it is not one that `handle` makes."""
    try:
        data = base64.b64decode(handle + "=" * (-len(handle) % 4), altchars=b"-_", validate=True)
        id = data.decode("utf-8", "surrogateescape")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return id if _canonical(id, handle) else None


def _canonical(id: str, given: str) -> bool:
    return bool(id) and handle(id) == given


def category_key(name: Text) -> str:
    """A category's word in addresses; categories of one name in several sources are one."""
    plain = unicodedata.normalize("NFKD", name.nl).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-") or "categorie"


def count(
    sources: Iterable[tuple[Source, bool]], rows: Iterable[Row]
) -> tuple[CategoryCount, ...]:
    """Categories in the order of the firm's file, with counts.

    sources: each with whether its listing is whole.
    """
    numbers = Counter(r.category for r in rows)
    names: dict[str, Text] = {}
    partial: set[str] = set()
    for source, whole in sources:
        for category in source.categories:
            key = category_key(category.name)
            names.setdefault(key, category.name)
            if not whole:
                partial.add(key)
    return tuple(CategoryCount(k, n, numbers[k], k not in partial) for k, n in names.items())


def _words(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def select(rows: Iterable[Row], *, category: str = "", search: str = "") -> list[Row]:
    """Rows of a category whose name holds every word of `search`."""
    words = _words(search).split()
    return [
        r
        for r in rows
        if (not category or r.category == category)
        and (not words or all(w in _words(r.name) for w in words))
    ]


def page(rows: Sequence[Row], order: Order, number: int, size: int = PAGE) -> list[Row]:
    """Rows of page `number` (from 1) in an order; without sorting more than it must."""
    down = order.value.startswith("-")
    word = order.value.lstrip("-")

    def key(row: Row) -> tuple[object, ...]:
        if word == "naam":
            return _words(row.name), row.source, row.handle
        if word == "grootte":
            return -1 if row.size is None else row.size, row.name, row.handle
        return row.modified or _LONG_AGO, row.name, row.handle

    first = (number - 1) * size
    take = heapq.nlargest if down else heapq.nsmallest
    return take(first + size, rows, key=key)[first:]


def pages(count: int, size: int = PAGE) -> int:
    """How many pages there are; at least one."""
    return max(1, -(-count // size))


def file_name(name: str, fallback: str = "document") -> str:
    """A name that a file system of anyone takes and that cannot lie about its ending.

    No separators, control characters, marks that turn the direction of writing, leading dots,
    trailing blanks or dots, or names that Windows keeps; at most 150 characters, ending kept.
    """
    kept = "".join(
        "_" if c in '/\\:*?"<>|' else c
        for c in unicodedata.normalize("NFC", name)
        if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
    )
    kept = kept.lstrip(". ").rstrip(". ")
    if _RESERVED.match(kept):
        kept = "_" + kept
    stem, dot, ending = kept.rpartition(".")
    if len(kept) > 150:
        kept = f"{stem[: 149 - len(ending)]}.{ending}" if dot and len(ending) < 12 else kept[:150]
    return kept or fallback
