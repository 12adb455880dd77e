"""How a document may be shown: decided by its name's ending, never by what a source says.

A type outside this table is only saved. HTML and SVG can carry script, so they are shown in a
sandbox of their own where nothing runs and nothing is fetched (trust.md 0.6, case 15).
"""

from dataclasses import dataclass
from enum import StrEnum


class Showing(StrEnum):
    """inline: the browser shows it. sandboxed: shown without script. saved: only to save."""

    INLINE = "inline"
    SANDBOXED = "sandboxed"
    SAVED = "saved"


@dataclass(frozen=True, slots=True)
class Media:
    """A type: what the answer says, how it may be shown, and the icon beside its name."""

    type: str
    showing: Showing
    icon: str


_I, _B, _S = Showing.INLINE, Showing.SANDBOXED, Showing.SAVED
_OFFICE = "application/vnd.openxmlformats-officedocument."
_TABLE = {
    "pdf": Media("application/pdf", _I, "file-text"),
    "png": Media("image/png", _I, "file-image"),
    "jpg": Media("image/jpeg", _I, "file-image"),
    "jpeg": Media("image/jpeg", _I, "file-image"),
    "gif": Media("image/gif", _I, "file-image"),
    "webp": Media("image/webp", _I, "file-image"),
    "txt": Media("text/plain; charset=utf-8", _B, "file-text"),
    "html": Media("text/html", _B, "file-code"),
    "htm": Media("text/html", _B, "file-code"),
    "svg": Media("image/svg+xml", _B, "file-image"),
    "xml": Media("application/xml", _S, "file-code"),
    "xbrl": Media("application/xml", _S, "file-code"),
    "csv": Media("text/csv; charset=utf-8", _S, "file-spreadsheet"),
    "zip": Media("application/zip", _S, "file-archive"),
    "docx": Media(_OFFICE + "wordprocessingml.document", _S, "file-text"),
    "xlsx": Media(_OFFICE + "spreadsheetml.sheet", _S, "file-spreadsheet"),
    "pptx": Media(_OFFICE + "presentationml.presentation", _S, "file-text"),
    "doc": Media("application/msword", _S, "file-text"),
    "xls": Media("application/vnd.ms-excel", _S, "file-spreadsheet"),
    "eml": Media("message/rfc822", _S, "file-text"),
}
_UNKNOWN = Media("application/octet-stream", _S, "file")


def of(name: str) -> Media:
    """The media of a document by its name."""
    stem, dot, ending = name.rpartition(".")
    return _TABLE.get(ending.lower(), _UNKNOWN) if dot and stem else _UNKNOWN
