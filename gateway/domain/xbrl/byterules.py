"""Filing rules about the bytes of an instance and its name (SBR Filing Rules, chapters 1 and 2).

Each rule gives the places where it is broken, as a person would look for them.
"""

import re
from collections.abc import Iterator

from gateway.domain.xbrl import source
from gateway.domain.xbrl.source import Source

#: Basic Latin, Latin-1 Supplement, Currency Symbols (FR-NL-1.02).
_RANGES = ((0x0, 0xFF), (0x20A0, 0x20CF))
#: Every other character, as UTF-8. Bytes, because text would take up to four times the room.
_FOREIGN = re.compile(
    rb"[\xc4-\xdf][\x80-\xbf]"
    rb"|\xe2(?!\x82[\xa0-\xbf]|\x83[\x80-\x8f])[\x80-\xbf]{2}"
    rb"|[\xe0\xe1\xe3-\xef][\x80-\xbf]{2}"
    rb"|[\xf0-\xf7][\x80-\xbf]{3}"
)
_REFERENCE = re.compile(rb"&(?:#([0-9]+)|#[xX]([0-9A-Fa-f]+)|([0-9A-Za-z]+));")
_NAMED = {b"lt", b"gt", b"amp", b"apos", b"quot"}
_STEM = re.compile(r"[0-9A-Za-z_-]*")


def byte_order_mark(file: Source) -> Iterator[str]:
    """FR-NL-1.01."""
    if any(file.data.startswith(mark) for mark, _ in source.BOMS):
        yield "het begin van het bestand"


def foreign_characters(file: Source) -> Iterator[str]:
    """FR-NL-1.02: as such or by a character reference."""
    for found in _FOREIGN.finditer(file.utf8):
        point = ord(found.group().decode(errors="replace")[0])
        yield f"{line(file.utf8, found.start())}: U+{point:04X}"
    for found in _REFERENCE.finditer(file.utf8):
        if found.group(3) is None and not _allowed(found):
            yield f"{line(file.utf8, found.start())}: {_shown(found)}"


def doctype(file: Source) -> Iterator[str]:
    """FR-NL-1.03. The rest of such a file is not looked at."""
    if file.doctype:
        yield "het begin van het bestand"


def references(file: Source) -> Iterator[str]:
    """FR-NL-1.04: numeric references to allowed characters, and the five of XML itself."""
    for found in _REFERENCE.finditer(file.utf8):
        if not _allowed(found):
            yield f"{line(file.utf8, found.start())}: {_shown(found)}"


def encoding(file: Source) -> Iterator[str]:
    """FR-NL-1.05."""
    if file.encoding not in ("utf-8", "utf-8-sig"):
        yield file.encoding
    elif not source.is_utf8(file.utf8):
        yield "de inhoud is geen UTF-8"


def cdata_end(file: Source) -> Iterator[str]:
    """FR-NL-2.06: the end of a CDATA section, anywhere."""
    for found in re.finditer(rb"]]>", file.utf8):
        yield line(file.utf8, found.start())


def stem(name: str) -> bool:
    """FR-NL-1.06: whether a file name without its extension has safe characters alone."""
    first, dot, _ = name.rpartition(".")
    return _STEM.fullmatch(first if dot else name) is not None


def line(data: bytes, position: int) -> str:
    """The line of a position, as it is told."""
    return "regel " + str(data.count(b"\n", 0, position) + 1)


def _allowed(reference: re.Match[bytes]) -> bool:
    decimal, hexadecimal, named = reference.groups()
    if named is not None:
        return named in _NAMED
    digits = (decimal or hexadecimal).lstrip(b"0") or b"0"
    if len(digits) > 8:
        return False
    point = int(digits, 10 if decimal else 16)
    return any(low <= point <= high for low, high in _RANGES)


def _shown(reference: re.Match[bytes]) -> str:
    return reference.group()[:20].decode()
