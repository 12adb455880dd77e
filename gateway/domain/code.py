"""Codes by SMS: two groups of three digits, good for one thing, ten minutes and five tries.

NIST 800-63B 5.1.3 asks 20 bits and 10 minutes at the most; six digits with five tries leave
a guesser one chance in 200,000.
"""

import re
import secrets
import unicodedata
from datetime import timedelta
from enum import StrEnum

LIFETIME = timedelta(minutes=10)
TRIES = 5
#: Between two codes, and codes in one session.
COOL_DOWN = timedelta(seconds=60)
SENDS = 3

_DIGITS = re.compile(r"^[0-9]{6}$")
_BETWEEN = re.compile(r"[\s\-–.]+")
#: Letters of a name that fit: those of GSM 03.38 that take one place. Any other would make the
#: whole message Unicode, of 70 characters a segment instead of 160.
_GSM = frozenset(
    "@£$¥èéùìòÇØøÅåÆæßÉ !\"#%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)


class Purpose(StrEnum):
    """What a code consents to; a code of one purpose is nothing for another."""

    SIGNING_IN = "signing_in"
    APPROVING = "approving"
    REJECTING = "rejecting"


def new() -> str:
    """Six digits."""
    return f"{secrets.randbelow(1_000_000):06d}"


def shown(code: str) -> str:
    """As it is sent: 123-456."""
    return f"{code[:3]}-{code[3:]}"


def entered(*boxes: str) -> str | None:
    """The code typed or pasted into one box or two; None when it cannot be one."""
    parts = [_BETWEEN.sub("", b) for b in boxes]
    whole = next((p for p in parts if _DIGITS.match(p)), "".join(parts))
    return whole if _DIGITS.match(whole) else None


def message(code: str, firm: str, language: str) -> str:
    """The text: one segment, what it is for first, and never to be passed on."""
    firm = "".join(map(_fitting, firm))
    if language == "en":
        return f"{shown(code)} is your code to sign in at {firm}. Never share this code."
    return f"{shown(code)} is uw code om in te loggen bij {firm}. Geef deze code nooit door."


def fitting(text: str) -> str:
    """A text whose signs all fit, cut to one segment of 160."""
    return "".join(map(_fitting, text))[:160]


def _fitting(sign: str) -> str:
    """A sign that fits into the message: itself, without its accent, or nothing."""
    plain = sign if sign in _GSM else unicodedata.normalize("NFKD", sign)[:1]
    return plain if plain in _GSM else ""
