"""What may come in: names, and first bytes that agree with them (trust.md case 20)."""

import unicodedata

LONGEST = 200  # of a name; SMB and most file systems take 255 bytes
#: Enough of a document to know it by.
HEAD = 16

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OLE = (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",)
_MAGIC: dict[str, tuple[bytes, ...]] = {
    "pdf": (b"%PDF-",),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpg": (b"\xff\xd8\xff",),
    "jpeg": (b"\xff\xd8\xff",),
    "gif": (b"GIF87a", b"GIF89a"),
    "webp": (b"RIFF",),
    "zip": _ZIP,
    "docx": _ZIP,
    "xlsx": _ZIP,
    "pptx": _ZIP,
    "doc": _OLE,
    "xls": _OLE,
}
_MARKUP = frozenset({"xml", "xbrl", "html", "htm", "svg"})
_PLAIN = frozenset({"txt", "csv", "eml"})
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_PROGRAMS = (b"MZ", b"\x7fELF", b"#!", b"\xca\xfe\xba\xbe", b"\xcf\xfa\xed\xfe")
_ENCRYPTED = 0x0001  # general purpose bit flag 0 (PKWARE APPNOTE 4.4.4)


def name_fault(name: str) -> str:
    """What is wrong with a document's name; "" when nothing is."""
    if not name.strip(". ") or len(name) > LONGEST:
        return f"De bestandsnaam heeft 1 tot {LONGEST} tekens."
    if any(c in '/\\:*?"<>|' or unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in name):
        return "De bestandsnaam heeft een teken dat niet kan."
    if _ending(name) not in _MAGIC.keys() | _MARKUP | _PLAIN:
        return "Dit soort bestand neemt het portaal niet aan."
    return ""


def content_fault(name: str, head: bytes) -> str:
    """What is wrong with a document that begins so; "" when nothing is. head: `HEAD` bytes, or
    all of a shorter one."""
    ending = _ending(name)
    if not head:
        return "Het bestand is leeg."
    if head.startswith(_PROGRAMS):
        return "Dit is een programma, geen document."
    if ending in _MAGIC and not head.startswith(_MAGIC[ending]):
        return f"De inhoud is geen {ending.upper()}."
    if ending in _MARKUP and not head.startswith(_BOMS) and not head.lstrip().startswith(b"<"):
        return f"De inhoud is geen {ending.upper()}."
    if ending in _PLAIN and b"\0" in head and not head.startswith(_BOMS):
        return "De inhoud is geen tekst."
    if head.startswith(_ZIP[0]) and int.from_bytes(head[6:8], "little") & _ENCRYPTED:
        return "Het bestand heeft een wachtwoord: de inhoud is niet te controleren."
    return ""


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()
