"""Files and folders of an FTP server: looked at, listed and read; blocking.

A server follows the links on its own disk without telling, in a path at least. Source: RFC 959,
4.1.3 (CWD, LIST, RETR); RFC 3659, 3 (MDTM), 4 (SIZE), 7 (MLST, MLSD).
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from gateway.connector.contract import Entry
from gateway.connector.ftps import rows
from gateway.connector.ftps.line import BLOCK, Line
from gateway.connector.walk import Parts, Row
from gateway.errors import IntegrityError, NotFound, PermissionDenied


def folder(line: Line, at: Parts) -> Sequence[Row]:
    """What is in a folder, hidden names too; without links where the server tells them, and
    without times where it lists in the old way. Raises NotFound.

    LIST would take a path for options, or for a pattern: there the folder is entered first.
    """
    if line.tells_facts:
        return rows.of_facts(line.fetch("MLSD", line.at(at))[0])
    line.find_folder(line.at(at))
    listing, told = line.fetch("LIST -a")
    if not listing and "failed to open" in told:  # vsftpd's, with a reply of success
        raise PermissionDenied("a folder that may not be listed")
    return rows.of_unix(listing)


def look(line: Line, at: Parts) -> Row:
    """What is told of a document. Raises NotFound."""
    path = line.at(at)
    try:
        if line.tells_facts:
            return rows.of_fact(line.ask("MLST", path), at[-1])
        size = rows.size_of(line.ask("SIZE", path)[4:].strip())
        return Row(at[-1], False, size, moment(line, at))
    except NotFound:
        line.enter()
        raise


def moment(line: Line, at: Parts) -> datetime:
    """When it was written. Raises NotFound."""
    return rows.moment_of(line.ask("MDTM", line.at(at))[4:].strip())


def dated(line: Line, root: Parts, entries: Sequence[Entry]) -> list[Entry]:
    """The same documents with their times; without those that went meanwhile."""
    found = []
    for entry in entries:
        with suppress(NotFound):
            when = moment(line, (*root, *entry.folder, entry.name))
            found.append(entry._replace(modified=when))
    return found


class Download:
    """A document that comes over a line, from `offset` to its end or for `length` bytes."""

    def __init__(self, line: Line, at: Parts, row: Row, offset: int, length: int) -> None:
        """row: what it is now."""
        self.row, self.left = row, length
        self._line, self._at = line, at
        self._to_the_end = offset + length == row.size
        self._long = length > BLOCK
        if length:
            line.transfer("RETR", line.at(at), offset)

    def next(self) -> bytes:
        """The following bytes; only while there are any left. The last are given when the server
        has said that they are, and a long document is still what it was.

        Raises IntegrityError at an early end, and for more than was told of.
        """
        block = self._line.receive(min(BLOCK, self.left))
        self.left -= len(block)
        if not block:
            self._line.done()  # the server may say why
            raise IntegrityError(f"the document ended {self.left} bytes early")
        if not self.left and self._to_the_end:
            self.finish()
        return block

    def finish(self) -> None:
        """The end of a document that was read to its end."""
        if self._line.receive(1):
            raise IntegrityError("the document is longer than was told")
        self._line.done()
        if self._long and look(self._line, self._at) != self.row:
            raise IntegrityError("the document changed while it was being read")
