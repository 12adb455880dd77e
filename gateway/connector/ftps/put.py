"""Writing to an FTP server: under a name of ours, which becomes the document's own; blocking.

FTP has no rename that refuses to overwrite: that there is no namesake is asked just before, and
one process lets one writer of a name at a time do so (`connectors.ftps`). Source: RFC 959, 4.1.3
(STOR, RNFR, RNTO, DELE, MKD).
"""

import re
import time
from contextlib import suppress

from gateway.connector.ftps import file
from gateway.connector.ftps.line import Line
from gateway.connector.walk import ABANDONED, PARTIAL, Parts, Row
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    IntegrityError,
    NotFound,
    PermissionDenied,
    SourceError,
    Unsupported,
)

_OURS = re.compile(re.escape(PARTIAL) + "[0-9a-f]{32}")


def begin(line: Line, draft: Parts, to: Parts, replace: bool) -> None:
    """A new file, in a folder that is made when it is not there.

    Raises NotFound, AlreadyExists.
    """
    _make(line, draft[:-1])
    _sweep(line, draft[:-1])
    if not replace and _is_there(line, to):
        raise AlreadyExists
    line.transfer("STOR", line.at(draft))


def end(line: Line, draft: Parts, count: int) -> None:
    """All `count` bytes were sent. Raises IntegrityError when the server has others."""
    line.sent()
    kept = file.look(line, draft).size
    if kept != count:
        raise IntegrityError(f"the server kept {kept} bytes of {count}")


def name(line: Line, draft: Parts, to: Parts, replace: bool) -> None:
    """Give it its name. Raises AlreadyExists, and Unsupported from a server that replaces none."""
    if not replace and _is_there(line, to):
        raise AlreadyExists
    try:
        _rename(line, draft, to)
    except (NotFound, PermissionDenied):
        if not _is_there(line, to):
            raise
        if not replace:
            raise AlreadyExists from None
        raise Unsupported("this server replaces no document") from None


def move(line: Line, at: Parts, to: Parts, versioned: bool) -> None:
    """Give a document another name. Raises NotFound, AlreadyExists, ConditionFailed."""
    file.look(line, at)
    if versioned:
        raise ConditionFailed("this source tells no versions")
    _make(line, to[:-1])
    name(line, at, to, replace=False)


def remove(line: Line, draft: Parts) -> bool:
    """Take away what was being written; whether it was there."""
    try:
        line.ask("DELE", line.at(draft))
    except NotFound:
        return False
    return True


def _rename(line: Line, at: Parts, to: Parts) -> None:
    line.ask("RNFR", line.at(at), wanted="3")
    line.ask("RNTO", line.at(to))


def _make(line: Line, at: Parts) -> None:
    """Make a folder unless there is one. Raises NotFound where a document stands in the way."""
    try:
        line.find_folder(line.at(at))
    except NotFound:
        line.enter()
        for count in range(1, len(at) + 1):
            _make_one(line, line.at(at[:count]))


def _make_one(line: Line, path: str) -> None:
    try:
        line.find_folder(path)
    except NotFound:
        refused: SourceError | None = None
        try:
            line.ask("MKD", path)
        except SourceError as e:  # another may have made it at the same moment
            refused = e
        try:
            line.find_folder(path)
        except NotFound:
            raise refused or NotFound() from None


def _is_there(line: Line, at: Parts) -> bool:
    """Whether there is a document or a folder of that name, or something that we may not see."""
    path = line.at(at)
    for verb in ("MLST",) if line.tells_facts else ("SIZE", "CWD"):
        try:
            line.ask(verb, path)
        except PermissionDenied:
            return True
        except NotFound:
            continue
        return True
    return False


def _sweep(line: Line, at: Parts) -> None:
    """Take away what writers left that died; who may write may not always look."""
    with suppress(NotFound):
        for row in file.folder(line, at):
            if not row.is_folder and _OURS.fullmatch(row.name) and _is_old(line, at, row):
                remove(line, (*at, row.name))


def _is_old(line: Line, at: Parts, row: Row) -> bool:
    written = row.modified or file.moment(line, (*at, row.name))
    return written.timestamp() < time.time() - ABANDONED
