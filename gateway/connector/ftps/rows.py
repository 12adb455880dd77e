"""What an FTP server tells of folders and documents.

MLSD and MLST say it in facts, in UTC (RFC 3659, 7). A server without them (vsftpd) lists like
`ls -l`, which tells minutes or days of a time zone that nobody names: of that only the kind, the
size and the name are taken, and MDTM tells the time (RFC 3659, 3).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gateway.connector.walk import MOST, Row
from gateway.errors import NotFound, ProtocolError, TooLarge

#: Kind and rights, links, owner, group, size, month, day, time or year, one blank, the name.
_UNIX = re.compile(
    r"([-d])[^ ]{9,10} +\d+ +[^ ]+ +[^ ]+ +(\d+) +[^ ]+ +\d+ +[\d:]+ (.+)", re.DOTALL
)
_OTHER_KINDS = frozenset("lbcps")  # links, devices, pipes and sockets are no documents
_MOMENT = re.compile(r"(\d{14})(?:\.(\d{1,6})\d*)?")
_SIZE = re.compile(r"\d{1,18}")


def of_facts(listing: bytes) -> list[Row]:
    """The answer to MLSD. Raises ProtocolError, TooLarge."""
    found = []
    for line in _lines(listing):
        told, _, name = line.partition(" ")
        row = _row(name, facts(told))
        if row is not None:
            found.append(row)
    return found


def of_fact(reply: str, name: str) -> Row:
    """The answer to MLST, about a document. Raises NotFound when it is none, ProtocolError."""
    told = next((line for line in reply.splitlines() if line.startswith(" ")), None)
    if told is None:
        raise ProtocolError("an answer without facts")
    row = _row(name, facts(told.strip().partition(" ")[0]))
    if row is None or row.is_folder:
        raise NotFound
    return row


def of_unix(listing: bytes) -> list[Row]:
    """The answer to LIST, without links. Raises ProtocolError, TooLarge."""
    found = []
    for line in _lines(listing):
        if line[0] in _OTHER_KINDS or line.startswith("total "):
            continue
        told = _UNIX.fullmatch(line)
        if told is None:
            raise ProtocolError("a listing that is not like that of ls -l, nor MLSD")
        kind, size, name = told.groups()
        found.append(Row(name, True) if kind == "d" else Row(name, False, size_of(size)))
    return found


def facts(told: str) -> dict[str, str]:
    """ "Type=file;Size=5;" by name, in lower case."""
    pairs = (fact.partition("=") for fact in told.split(";") if fact)
    return {name.lower(): value for name, _, value in pairs}


def size_of(text: str) -> int:
    """Bytes. Raises ProtocolError."""
    if not _SIZE.fullmatch(text):
        raise ProtocolError("a document without a size")
    return int(text)


def moment_of(text: str) -> datetime:
    """ "20261124184100.5" in UTC; RFC 3659, 2.3. Raises ProtocolError."""
    told = _MOMENT.fullmatch(text)
    try:
        if told is None:
            raise ValueError
        whole = datetime.strptime(told[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        return whole + timedelta(microseconds=int((told[2] or "").ljust(6, "0")))
    except ValueError:
        raise ProtocolError("a time that is none") from None


def _row(name: str, told: dict[str, str]) -> Row | None:
    """A document or a folder. The kind is also that of the folder itself and of the one above it,
    and a link's ("OS.unix=slink:"); RFC 3659, 7.5.1."""
    kind = told.get("type", "").lower()
    if kind == "dir":
        return Row(name, True)
    if kind != "file":
        return None
    modified = moment_of(told["modify"]) if "modify" in told else None
    return Row(name, False, size_of(told.get("size", "")), modified)


def _lines(listing: bytes) -> Iterator[str]:
    """Without those that are no Unicode: no id could lead back to them. Names may have line feeds
    in them, so the end is a CRLF where there is any (RFC 959, 3.1.1.1)."""
    lines = listing.split(b"\r\n" if b"\r\n" in listing else b"\n")
    if len(lines) > MOST:
        raise TooLarge(f"a folder of more than {MOST} names")
    for line in lines:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            continue
        if text:
            yield text
