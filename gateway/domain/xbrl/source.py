"""The bytes of an instance, and the XML tree in them, within bounds.

What is too much is refused before it is parsed, so that a hostile file costs some 200 MiB and a
second or two at most: the tree's size follows the marks that open elements and attributes.
"""

import codecs
import re
from dataclasses import dataclass, field

from lxml import etree

from gateway.domain import sbr, xml
from gateway.errors import ProtocolError

#: Elements and attributes ("<" and "=") in one file. The densest real annual accounts would have
#: 270 000 and 170 000 at the largest size that Digipoort takes.
MARKS = 300_000
#: Facts in one file; those accounts would have 57 000.
FACTS = 100_000
#: Signs of a namespace; every element gives it in full, so a long one would cost its length each
#: time. Those of NT, FT and XBRL have a hundred at most.
LONGEST_NAMESPACE = 500
#: Namespaces that one element declares; lxml's walk takes time with the square of them.
NAMESPACES = 1000

#: Byte order marks, the longest first (UTF-32 begins as UTF-16 does).
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
#: Encodings that are read, to tell all other faults too; another than UTF-8 is itself a fault.
_READ = {"utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252", "utf-16", "utf-32", "utf-8-sig"}

_DECLARATION = re.compile(rb"\s*<\?xml\s[^>]*?\?>")
_ENCODING = re.compile(rb"""encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_TAG = re.compile(rb"<[^<]*")  # and the text after it: a ">" may stand in an attribute
# A document type stands before the root: after white space, comments and instructions alone.
_DOCTYPE = re.compile(rb"(?:\s|<\?(?>.*?\?>)|<!--(?>.*?-->))*+<!DOCTYPE", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """data: as it came. utf8: the same text in UTF-8, without mark and declaration when it was
    not UTF-8. root: None when `problem` (Dutch) says why there is no tree, or `doctype`."""

    data: bytes
    utf8: bytes = field(repr=False)
    encoding: str
    doctype: bool
    root: xml.Element | None
    problem: str


def encoding(data: bytes) -> str:
    """The Python name of the encoding, by its mark or its declaration; UTF-8 when neither is."""
    for mark, name in BOMS:
        if data.startswith(mark):
            return name
    head = _DECLARATION.match(data[:1024])
    declared = _ENCODING.search(head.group()) if head else None
    name = declared.group(1).decode() if declared else "utf-8"
    try:
        return codecs.lookup(name).name
    except LookupError:
        return name


def is_utf8(data: bytes) -> bool:
    """Whether the bytes are valid UTF-8; read in pieces, because text may take four times."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), 1 << 16):
            decoder.decode(data[start : start + (1 << 16)])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def load(data: bytes) -> Source:
    """The tree of an instance, or why there is none."""
    coding = encoding(data)
    if len(data) > sbr.MOST:
        most = f"{sbr.MOST:,}".replace(",", ".")
        return _unread(data, b"", coding, f"Het bestand is groter dan {most} bytes.")
    utf8 = _utf8(data, coding)
    if utf8 is None:
        return _unread(data, data, coding, "De tekens zijn niet te lezen; het moet UTF-8 zijn.")
    if not utf8.strip():
        return _unread(data, utf8, coding, "Het bestand is leeg.")
    if _DOCTYPE.match(utf8):
        return Source(data, utf8, coding, True, None, "")
    if _is_dense(utf8):
        return _unread(data, utf8, coding, "Het bestand heeft te veel elementen of attributen.")
    root, problem = _tree(utf8)
    return Source(data, utf8, coding, False, root, problem)


def namespaces(root: xml.Element) -> dict[xml.Element, dict[str, str]]:
    """Element -> prefix ("" for none) -> namespace, of all that are declared.

    In one walk: asking lxml for the prefixes of every element would take time that grows with
    the square of the file.
    """
    found: dict[xml.Element, dict[str, str]] = {}
    declared: dict[str, str] = {}
    for _, what in etree.iterwalk(root, events=("start-ns", "start")):
        if isinstance(what, tuple):
            declared[what[0]] = what[1]
        elif what is not None and declared:
            found[what], declared = declared, {}
    return found


def _unread(data: bytes, utf8: bytes, coding: str, problem: str) -> Source:
    return Source(data, utf8, coding, False, None, problem)


def _is_dense(utf8: bytes) -> bool:
    """Whether it could make a tree that is too large."""
    marks = max(utf8.count(b"<"), utf8.count(b"="))
    if marks > MARKS or utf8.count(b"contextRef") > FACTS:
        return True
    return any(tag.group().count(b"xmlns") > NAMESPACES for tag in _TAG.finditer(utf8))


def _utf8(data: bytes, coding: str) -> bytes | None:
    """The text in UTF-8, or None when it is not in its encoding or the encoding is unknown."""
    if coding == "utf-8":
        return data if is_utf8(data) else None
    if coding not in _READ:
        return None
    try:
        text = data.decode(coding).encode()
    except UnicodeError:
        return None
    head = _DECLARATION.match(text)
    return text[head.end() :] if head else text


def _tree(utf8: bytes) -> tuple[xml.Element | None, str]:
    try:
        root = xml.parse(utf8)
    except ProtocolError as e:
        return None, f"Het bestand is geen geldige XML: {str(e).removeprefix('not XML: ')}"
    for declared in namespaces(root).values():
        if max(map(len, declared.values())) > LONGEST_NAMESPACE:
            return None, "Het bestand heeft een namespace die te lang is."
    return root, ""
