"""The names of a share: which are safe, and what stands below a folder."""

import re
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from gateway.connector.contract import Entry
from gateway.connector.smb import put as smbput
from gateway.connector.smb.file import Found, folder, refuse_links
from gateway.connector.smb.share import Link
from gateway.errors import NotFound, PermissionDenied

#: A name of one part, for pydantic too; a colon leads to an alternate stream.
NAME = r'^[^\\/:*?"<>|\x00-\x1f]+$'

_PLAIN = re.compile(NAME)
_LONGEST_ID = 1024  # bytes in UTF-8, the contract's limit
_LONGEST_NAME = 255  # UTF-16 units, of NTFS and of Samba
_DEEPEST = 32  # folders below each other
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def walk(
    link: Link,
    root: Sequence[str],
    parts: tuple[str, ...],
    after: tuple[str, ...],
    stop: threading.Event,
    above: frozenset[int] = frozenset(),
) -> Iterator[Entry]:
    """Documents in and below a folder, in the order of their names, from `after` on."""
    try:
        if not above:
            refuse_links(link, ways(root, parts), stop)
        rows = sorted(folder(link, "\\".join((*root, *parts)), stop), key=lambda row: row.name)
    except NotFound as e:
        if isinstance(e, PermissionDenied) and not above:
            raise  # the published folder itself; one below it is left out
        return
    folded = "".join(f"{part}/" for part in parts)
    room = _LONGEST_ID - len(folded.encode())
    for row in rows:
        here = (*parts, row.name)
        if (after and here < after[: len(here)]) or not is_plain(row.name):
            continue
        if not row.is_folder:
            if here != after and len(row.name.encode()) <= room:
                yield _entry(folded + row.name, row.name, parts, row)
        elif len(here) < _DEEPEST and row.number not in above:
            # A folder among those above it holds itself, through a link at the server.
            yield from walk(link, root, here, after, stop, above | {row.number or -len(here)})


def ways(root: Sequence[str], parts: Sequence[str]) -> Sequence[str]:
    """Paths of the folders between the root and the last of the parts."""
    return ["\\".join((*root, *parts[:count])) for count in range(1, len(parts))]


def entry_of(id: str, found: Found) -> Entry:
    """What is told of a document, from its id and what the server says."""
    *parts, name = id.split("/")
    return _entry(id, name, tuple(parts), found)


def _entry(id: str, name: str, parts: tuple[str, ...], found: Found) -> Entry:
    version = f"{found.modified:x}-{found.size:x}-{found.number:x}"
    return Entry(id, name, parts, found.size, _moment(found.modified), version=version)


def _moment(ticks: int) -> datetime | None:
    try:
        return _EPOCH + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None


def is_plain(part: str) -> bool:
    """Whether a name means itself to every server."""
    if part.isascii():
        short = len(part) <= _LONGEST_NAME
    else:
        try:
            short = len(part.encode("utf-16-le")) <= 2 * _LONGEST_NAME
        except UnicodeEncodeError:
            return False
    return (
        short
        and _PLAIN.fullmatch(part) is not None
        and part[-1] not in ". "
        and not part.startswith(smbput.PREFIX)
    )


def is_safe(root: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a path leads nowhere but below the root."""
    return (
        len(parts) <= _DEEPEST
        and all(is_plain(part) for part in (*root, *parts))
        and len("/".join(parts).encode()) <= _LONGEST_ID
    )
