"""What a PROPFIND tells of a folder and what is in it.

A name is what the last part of an address says, decoded once. A server may write the address of
its own folder in another way than we do, and with or without its host; where it leads is compared
part by part. Source: RFC 4918, 9.1, 14 and 15; RFC 9110, 8.8.3 (ETag).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes, urlsplit

from gateway.connector.walk import Parts, Row
from gateway.domain.xml import Element, parse
from gateway.errors import ProtocolError

#: The body of the question.
ASKED = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/>'
    b"<getcontentlength/><getlastmodified/><getetag/></prop></propfind>"
)

_D = "{DAV:}"
_SIZE = re.compile(r"[0-9]{1,18}")
_TAG = re.compile(r'(W/)?"([!#-~]{1,500})"')
_BARE_TAG = re.compile(r"[!#-~]{1,500}")  # some leave the quotes out
_GOOD = re.compile(r"HTTP/[0-9.]+ 2[0-9][0-9]\b")


def rows(text: bytes, at: Parts) -> tuple[Row | None, list[Row]]:
    """What was asked about, and what is in it. `at`: the parts of the address that was asked.

    What the server tells of deeper folders, which it was not asked for, is left out.
    Raises ProtocolError.
    """
    root = parse(text)
    if root.tag != f"{_D}multistatus":
        raise ProtocolError("the answer is no listing")
    asked: Row | None = None
    inside = list[Row]()
    for response in root.iterchildren(f"{_D}response"):
        parts = _parts(response.findtext(f"{_D}href") or "")
        if parts is None:
            continue
        if parts[: len(at)] != at:
            raise ProtocolError("a listing of another place came")
        told = _told(response)
        if told is None:
            continue
        if len(parts) == len(at):
            asked = asked or _row(parts[-1] if parts else "", told)
        elif len(parts) == len(at) + 1:
            inside.append(_row(parts[-1], told))
    return asked, inside


def version_of(tag: str | None) -> str | None:
    """A version for an ETag; None for one that we could not ask for again."""
    tag = (tag or "").strip()
    if match := _TAG.fullmatch(tag):
        return (match[1] or "") + match[2]
    return tag if _BARE_TAG.fullmatch(tag) else None


def moment_of(text: str | None) -> datetime | None:
    """An HTTP date; None for what is none."""
    try:
        found = parsedate_to_datetime(text or "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found
    except (ValueError, OverflowError):
        return None


def _parts(href: str) -> Parts | None:
    """The names in an address; None when one is no Unicode."""
    try:
        path = urlsplit(href.strip()).path
        return tuple(unquote_to_bytes(part).decode() for part in path.split("/") if part)
    except ValueError:
        return None


def _told(response: Element) -> list[Element] | None:
    """The properties that it has; None for what is not there after all."""
    if (status := response.findtext(f"{_D}status")) and not _GOOD.match(status.strip()):
        return None
    return list(_properties(response))


def _properties(response: Element) -> Iterator[Element]:
    for some in response.iterchildren(f"{_D}propstat"):
        status = some.findtext(f"{_D}status")
        if status is None or _GOOD.match(status.strip()):
            for properties in some.iterchildren(f"{_D}prop"):
                yield from properties


def _row(name: str, told: list[Element]) -> Row:
    found = {str(each.tag): each for each in told}
    kind = found.get(f"{_D}resourcetype")
    if kind is not None and kind.find(f"{_D}collection") is not None:
        return Row(name, True)
    texts = {tag.removeprefix(_D): (each.text or "").strip() for tag, each in found.items()}
    size = texts.get("getcontentlength", "")
    return Row(
        name,
        False,
        int(size) if _SIZE.fullmatch(size) else None,
        moment_of(texts.get("getlastmodified")),
        version_of(texts.get("getetag")),
    )
