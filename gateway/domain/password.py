"""Rules for passwords (trust.md 2.8).

`veilig`: 12 to 128 characters of any kind, not a guess (NIST 800-63B: no composition rules, a
blocklist). `handleiding-2018`: the manual's rule to the letter, as a firm's compatibility
setting; the blocklist holds there too. Neither stands alone: every sign-in has a second factor.

Weighing a password takes up to a tenth of a second: never on the event loop.
"""

import re
import threading
import unicodedata
from collections.abc import Iterable

from zxcvbn import zxcvbn
from zxcvbn.matching import RANKED_DICTIONARIES

_MANUAL = re.compile(r"[A-Za-z0-9!()\-?\[_~@#]{5,}")
LONGEST = 128
SHORTEST = 12
#: zxcvbn refuses more than 72 characters.
_WEIGHED = 72
#: Passwords that everybody tries first: this many of zxcvbn's list, which is English for the most
#: part, and what is chosen in this country and this trade.
_COMMON = 10_000
_DUTCH = re.findall(
    r"\w+",
    "welkom wachtwoord geheim hallo inloggen toegang portaal kantoor accountant boekhouder"
    " boekhouding administratie belasting aangifte jaarrekening factuur bedrijf"
    " maandag dinsdag woensdag donderdag vrijdag zaterdag zondag januari februari maart april"
    " juni juli augustus september oktober november december lente zomer herfst winter vakantie"
    " kerst voetbal ajax feyenoord oranje nederland holland amsterdam rotterdam utrecht denhaag"
    " eindhoven groningen lieverd schatje liefje familie zonnebloem",
)
_LEET = str.maketrans("430157@$!", "aeoistasi")
#: Signs that zxcvbn takes for letters. It tries every reading of every one of them: with twenty
#: kinds in one password that takes seconds.
_READINGS = frozenset("4@8({[<369|!1/-+0$57%2")
_KINDS = 5
#: zxcvbn keeps the words of the call under way in a global.
_ALONE = threading.Lock()

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
    return unicodedata.normalize("NFC", password.encode(errors="replace").decode())


def fault(password: str, policy: str, words: Iterable[str] = ()) -> str | None:
    """What is wrong with a new password, in Dutch; None when it may be used.

    words: names that an attacker would try first (person, firm, product).
    """
    text = normal(password)
    if len(text) > LONGEST:
        return TOO_LONG
    by_manual = policy == "handleiding-2018"
    if by_manual and not _MANUAL.fullmatch(text):
        return MANUAL_RULE
    if not by_manual and len(text) < SHORTEST:
        return TOO_SHORT
    own = [w.casefold() for word in words for w in re.split(r"[\W_]+", word) if len(w) > 3]
    if any(w in text.casefold() for w in own) and len(text) < 20:
        return OWN_WORDS
    if _common(text) or _score(text, own) < (1 if by_manual else 3):
        return TOO_EASY
    return None


def _common(text: str) -> bool:
    """Whether it is a common password, with or without figures and signs around it."""
    whole = text.casefold()
    core = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", whole)
    ranks = RANKED_DICTIONARIES["passwords"]
    forms = {whole, core, whole.translate(_LEET), core.translate(_LEET)}
    return any(form in _DUTCH or ranks.get(form, _COMMON) < _COMMON for form in forms)


def _score(text: str, own: Iterable[str]) -> int:
    """How hard it is to guess, 0 to 4."""
    kinds = list(dict.fromkeys(c for c in text if c in _READINGS))
    plain = text.translate({ord(c): "~" for c in kinds[_KINDS:]})
    with _ALONE:
        score: int = zxcvbn(plain[:_WEIGHED], user_inputs=[*own, *_DUTCH])["score"]
    return score
