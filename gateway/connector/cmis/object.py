"""A CMIS document as an Entry, and the reading of its content.

A repository that does not know ranges must not give wrong bytes. Some tell neither the length of
a part nor where it ends, so the bytes are counted against the size that the document has.
"""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import aiohttp

from gateway.connector.cmis.wire import Child, Properties
from gateway.connector.contract import CHUNK, Entry
from gateway.connector.outside import translated
from gateway.connector.pagedwalk import Path, Row, is_path
from gateway.errors import IntegrityError, ProtocolError


class CmisReader:
    """One open content stream; `response` is None for a document without bytes."""

    def __init__(
        self,
        entry: Entry,
        response: aiohttp.ClientResponse | None,
        offset: int,
        length: int | None,
    ) -> None:
        self.entry, self.offset, self.length = entry, offset, length
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """See Reader. Raises IntegrityError, Unavailable."""
        count = 0
        while self._response is not None:
            with translated(IntegrityError):
                piece = await self._response.content.read(CHUNK)
            if not piece:
                break
            count += len(piece)
            if self.length is not None and count > self.length:
                raise IntegrityError(f"more than the {self.length} bytes that were promised")
            yield piece
        if self.length is not None and count != self.length:
            raise IntegrityError(f"{count} bytes came of {self.length}")

    async def aclose(self) -> None:
        """See Reader."""
        if self._response is not None:
            self._response.close()


def is_folder(properties: Properties) -> bool:
    """Whether other objects may be in it."""
    return properties.get("cmis:baseTypeId") == "cmis:folder"


def object_id(properties: Properties) -> str:
    """The repository's own id. Raises ProtocolError."""
    found = properties.get("cmis:objectId")
    if not isinstance(found, str) or not found:
        raise ProtocolError("an object without an id")
    return found


def entry_of(path: Sequence[str], properties: Properties) -> Entry | None:
    """The document at a path below the klant's place; None for what is none.

    Raises ProtocolError for a document that lacks what the standard demands of one.
    """
    if properties.get("cmis:baseTypeId") != "cmis:document":
        return None
    name, kind = properties.get("cmis:name"), properties.get("cmis:contentStreamMimeType")
    size, at = properties.get("cmis:contentStreamLength"), properties.get(_CHANGED)
    if not isinstance(at, int) or not isinstance(size, int | None) or isinstance(size, bool):
        raise ProtocolError("a document without its date, or with a size that is none")
    try:
        changed = datetime.fromtimestamp(at / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise ProtocolError("a document with a date that is none") from None
    token = properties.get("cmis:changeToken")
    told = repr((object_id(properties), token, at, size))
    return Entry(
        id="/".join(path),
        name=name if isinstance(name, str) and name else path[-1],
        folder=tuple(path[:-1]),
        # A document without content has no length; a negative one stands for "not known".
        size=0 if size is None else size if size >= 0 else None,
        modified=changed,
        media_type=kind if isinstance(kind, str) and kind else None,
        version=blake2b(told.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest(),
    )


def row_of(folder: Path, child: Child) -> Row:
    """A child of a folder, for a listing."""
    path = (*folder, child.segment)
    if not is_path(path):
        return Row(path, False)
    if is_folder(child.properties):
        return Row(path, True)
    return Row(path, False, entry_of(path, child.properties))


_CHANGED = "cmis:lastModificationDate"


def judge_range(response: aiohttp.ClientResponse, offset: int) -> None:
    """Whether an answer is the part that was asked for. Raises ProtocolError."""
    if response.status != 206:
        raise ProtocolError("the repository does not know ranges: set `ranges` to no")
    told = response.headers.get("Content-Range")
    match = re.match(r"bytes ([0-9]+)-", told or "")
    if told is not None and (match is None or int(match[1]) != offset):
        raise ProtocolError("another range came than was asked for")
