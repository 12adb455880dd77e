"""Rules for passwords (trust.md 2.8).

`veilig`: 12 to 128 characters of any kind, not a guess (NIST 800-63B: no composition rules, a
blocklist). `handleiding-2018`: the manual's rule to the letter, as a firm's compatibility
setting; the blocklist holds there too. Neither stands alone: every sign-in has a second factor.
"""

import re
import unicodedata
from collections.abc import Iterable

from zxcvbn import zxcvbn

_MANUAL = re.compile(r"^[A-Za-z0-9!()\-?\[_~@#]{5,}$")
LONGEST = 128
SHORTEST = 12
#: zxcvbn refuses more than 72 characters and gets slow before that.
_WEIGHED = 72

TOO_SHORT = "Kies een wachtwoord van ten minste 12 tekens."
TOO_LONG = "Kies een wachtwoord van ten hoogste 128 tekens."
TOO_EASY = "Dit wachtwoord is te makkelijk te raden. Neem bijvoorbeeld vier losse woorden."
OWN_WORDS = "Gebruik niet uw naam, uw e-mailadres of de naam van het kantoor."
MANUAL_RULE = (
    "Het wachtwoord dient minimaal 5 tekens lang te zijn en mag alleen bestaan uit: "
    "(hoofd)letters zonder accenten (a-z), cijfers (0-9) en de tekens !()-?[_~@#"
)


def normal(password: str) -> str:
    """The form that is compared: NFC, so that every keyboard's "é" is the same."""
    return unicodedata.normalize("NFC", password)


def fault(password: str, policy: str, words: Iterable[str] = ()) -> str | None:
    """What is wrong with a new password, in Dutch; None when it may be used.

    words: names that an attacker would try first (person, firm, product).
    """
    text = normal(password)
    if len(text) > LONGEST:
        return TOO_LONG
    if policy == "handleiding-2018":
        if not _MANUAL.match(text):
            return MANUAL_RULE
    elif len(text) < SHORTEST:
        return TOO_SHORT
    own = [w.casefold() for word in words for w in re.split(r"[\W_]+", word) if len(w) > 3]
    if any(w in text.casefold() for w in own) and len(text) < 20:
        return OWN_WORDS
    least = 1 if policy == "handleiding-2018" else 3
    if zxcvbn(text[:_WEIGHED], user_inputs=own)["score"] < least:
        return TOO_EASY
    return None
