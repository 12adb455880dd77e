"""Numbers by which the government knows persons, firms and consultants, and their checks."""

import re
from collections.abc import Callable

_DIGITS = re.compile(r"[0-9]+")
_OB = re.compile(r"([0-9]{9})B[0-9]{2}")


def fiscal(number: str) -> bool:
    """BSN or RSIN: nine digits that pass the elfproef (weights 9 to 2, and -1 for the last).

    Eight digits are taken with a zero before them, as old numbers are written.
    """
    if not _DIGITS.fullmatch(number) or len(number) not in (8, 9):
        return False
    digits = [int(d) for d in number.zfill(9)]
    total = sum(w * d for w, d in zip((9, 8, 7, 6, 5, 4, 3, 2, -1), digits, strict=True))
    return any(digits) and total % 11 == 0


def ob(number: str) -> bool:
    """Omzetbelastingnummer: a BSN or RSIN of nine digits, B, two digits.

    The btw-id of a sole trader looks the same but does not pass; it is not for returns.
    """
    found = _OB.fullmatch(number)
    return found is not None and fiscal(found.group(1))


def kvk(number: str) -> bool:
    """KvK-nummer: eight digits."""
    return len(number) == 8 and _DIGITS.fullmatch(number) is not None


def becon(number: str) -> bool:
    """Beconnummer of a consultant: six digits, the last one the weighted sum modulo 11."""
    if len(number) != 6 or not _DIGITS.fullmatch(number):
        return False
    *digits, last = (int(d) for d in number)
    return sum(w * d for w, d in zip((6, 5, 4, 3, 2), digits, strict=True)) % 11 == last


SCHEME_OB = "www.belastingdienst.nl/omzetbelastingnummer"
SCHEME_FISCAL = "www.belastingdienst.nl/identificatie"
SCHEME_KVK = "http://www.kvk.nl/kvk-id"

#: Scheme of an identifier -> its check.
BY_SCHEME: dict[str, Callable[[str], bool]] = {
    SCHEME_OB: ob,
    SCHEME_FISCAL: fiscal,
    SCHEME_KVK: kvk,
    "http://www.nba.nl/kvk-id": kvk,
}


def fits(scheme: str, number: str) -> bool:
    """Whether a number is one of its scheme; of an unknown scheme none is."""
    check = BY_SCHEME.get(scheme)
    return check is not None and check(number)
