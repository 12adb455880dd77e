"""E-mail addresses."""

import re

import idna

_TEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"\w(?:[\w-]{0,61}\w)?"

#: What an address looks like: letters of other alphabets stand in its domain only, because few
#: servers take them before the "@" (RFC 6531), and no quotes, because nobody's address has them.
PATTERN = re.compile(
    rf"(?=.{{1,254}}\Z)(?=[^@]{{1,64}}@){_TEXT}(?:\.{_TEXT})*@{_LABEL}(?:\.{_LABEL})+"
)


def written(text: str) -> str | None:
    """The address as a letter carries it, its domain in ASCII ("a@xn--bcher-kva.example"), which
    every server takes; None for what is no address."""
    if not PATTERN.fullmatch(text):
        return None
    local, _, domain = text.rpartition("@")
    if domain.isascii():
        return text
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode()}"
    except idna.IDNAError:
        return None
