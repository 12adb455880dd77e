"""Files and folders of a share: opened, listed and read by their raw messages; blocking.

smbprotocol's own classes for answers cost ten times what unpacking the few fields does.
Source: [MS-SMB2] 2.2.14, 2.2.20, 2.2.34, 2.2.38; [MS-FSCC] 2.4.17, 2.4.22.
"""

import struct
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smbprotocol.file_info import FileInformationClass, InfoType
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    ImpersonationLevel,
    ShareAccess,
    SMB2CloseRequest,
    SMB2CreateRequest,
    SMB2QueryDirectoryRequest,
    SMB2QueryInfoRequest,
    SMB2ReadRequest,
)

from gateway.connector.smb.share import Link
from gateway.connector.smb.wire import Stopped
from gateway.errors import IntegrityError, NotFound, ProtocolError, SourceError

READ_ATTRIBUTES, READ_DATA, WRITE_DATA, DELETE = 0x80, 0x01, 0x02, 0x00010000
SYNCHRONIZE = 0x00100000

_BODY = 64  # where a body starts, for offsets that are told from the header on
_SAME = b"\xff" * 16  # in a compound: the file that the first message opens
_LIST = 256 * 1024  # bytes of a listing at a time: some 1,700 documents
_NO_MORE = frozenset(("STATUS_NO_MORE_FILES", "STATUS_NO_SUCH_FILE"))
_SURROGATE = 0x20000000  # of a reparse tag: it stands for another place (a link, a mount point)
_DFS = frozenset((0x8000000A, 0x80000012))  # reparse tags: it stands on another server
_ALL_SHARE = (
    ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE
)


@dataclass(frozen=True, slots=True)
class Found:
    """A document or folder. modified: in 100 ns since 1601. number: the file system's own."""

    name: str
    is_folder: bool
    size: int
    modified: int
    number: int


@dataclass(frozen=True, slots=True)
class Opened:
    """An open document at the server. first: the request for its first bytes, if one was sent."""

    link: Link
    handle: bytes
    found: Found
    first: Any = None

    def close(self) -> None:
        """Close it, without waiting for the answer."""
        if self.first is not None:
            self.link.forget([self.first])
        close(self.link, self.handle)


def creating(
    path: str,
    access: int,
    options: int,
    disposition: int = CreateDisposition.FILE_OPEN,
) -> SMB2CreateRequest:
    """A message that opens or makes `path` (its parts between backslashes; "": the share)."""
    message = SMB2CreateRequest()
    message["impersonation_level"] = ImpersonationLevel.Impersonation
    message["desired_access"] = access | SYNCHRONIZE
    message["share_access"] = _ALL_SHARE
    message["create_disposition"] = disposition
    message["create_options"] = options
    message["buffer_path"] = path.encode("utf-16-le") or b"\0\0"
    return message


def closing(handle: bytes) -> SMB2CloseRequest:
    """A message that closes."""
    message = SMB2CloseRequest()
    message["file_id"] = handle
    return message


def close(link: Link, handle: bytes) -> None:
    """Close, without waiting for the answer."""
    if link.alive:
        link.forget(link.send(closing(handle)))


def open_document(
    link: Link, path: str, parents: Sequence[str], offset: int, length: int, stop: threading.Event
) -> Opened:
    """Open a document that no link leads to, and ask for its first bytes at once.

    parents: the folders on the way that may not be links; a server follows those by itself.
    Raises NotFound, SourceError, Stopped.
    """
    size = max(min(length, Blocks.FIRST, link.largest_read), 1)
    reading = _reading(_SAME, offset, size)
    made, told, waiting = _opening(link, path, parents, READ_DATA, reading, size, stop)
    try:
        return Opened(link, made[64:80], _found(made, told), waiting)
    except BaseException:
        link.forget([waiting])
        close(link, made[64:80])
        raise


def look(link: Link, path: str, parents: Sequence[str], stop: threading.Event) -> Found:
    """What is told of a document, in the same way."""
    made, told, waiting = _opening(link, path, parents, 0, closing(_SAME), 1, stop)
    link.forget([waiting])
    return _found(made, told)


def _opening(
    link: Link,
    path: str,
    parents: Sequence[str],
    access: int,
    last: Any,
    payload: int,
    stop: threading.Event,
) -> tuple[bytes, bytes, Any]:
    """Answers to CREATE and to the question for the number, and the last message's request."""
    checks = [link.send(*_looking_at(p)) for p in parents if not link.knows(p)]
    number = SMB2QueryInfoRequest()
    number["info_type"] = InfoType.SMB2_0_INFO_FILE
    number["file_info_class"] = FileInformationClass.FILE_INTERNAL_INFORMATION
    number["output_buffer_length"] = 8
    number["file_id"] = _SAME
    opening = creating(path, READ_ATTRIBUTES | access, CreateOptions.FILE_NON_DIRECTORY_FILE)
    waiting = [r for check in checks for r in check]
    waiting += link.send(opening, number, last, payload=payload)
    try:
        for _ in checks:
            _refuse(link.answer(waiting.pop(0), stop))
            link.forget([waiting.pop(0)])
        for parent in parents:
            link.remember(parent)
        made = link.answer(waiting.pop(0), stop)
        try:
            return made, link.answer(waiting.pop(0), stop), waiting.pop()
        except BaseException:
            close(link, made[64:80])
            raise
    finally:
        link.forget(waiting)


def _found(made: bytes, told: bytes) -> Found:
    if _field("<I", made, 56) & FileAttributes.FILE_ATTRIBUTE_DIRECTORY:
        raise NotFound
    number = _field("<Q", _output(told), 0)
    return Found("", False, _field("<Q", made, 48), _field("<Q", made, 24), number)


def folder(link: Link, path: str, stop: threading.Event) -> Iterator[Found]:
    """What is in a folder, in the server's order, without links.

    Raises NotFound (there is no such folder, or it is a link), SourceError, Stopped.
    """
    opening = creating(
        path,
        READ_ATTRIBUTES | READ_DATA,
        CreateOptions.FILE_DIRECTORY_FILE | CreateOptions.FILE_OPEN_REPARSE_POINT,
    )
    waiting = link.send(opening, _asking(_SAME), _asking(_SAME), payload=_LIST)
    try:
        made = link.answer(waiting.pop(0), stop)
        handle = made[64:80]
        try:
            if _field("<I", made, 56) & FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT:
                raise NotFound
            while True:
                try:
                    answer = link.answer(waiting.pop(0), stop)
                except SourceError as e:
                    if e.native in _NO_MORE:
                        return
                    raise
                yield from rows(_output(answer))
                if not waiting:
                    waiting += link.send(_asking(handle), payload=_LIST)
        finally:
            close(link, handle)
    finally:
        link.forget(waiting)


class Blocks:
    """Reads a part of a document in order, one block ahead when the reader keeps up."""

    SMALLEST, FIRST, LARGEST = 64 * 1024, 256 * 1024, 1024 * 1024

    def __init__(self, opened: Opened, offset: int, length: int) -> None:
        """length: no more than there is from `offset` on."""
        self._opened = opened
        self._size = min(self.FIRST, opened.link.largest_read)
        self._asked, self._end = offset + min(self._size, length), offset + length
        self._waiting = deque([(opened.first, self._asked - offset)] if length else [])
        if not length:
            opened.link.forget([opened.first])
        self._ahead = False
        self._lock = threading.Lock()  # a call that was left ends a moment after its reader

    @property
    def done(self) -> bool:
        """Whether everything was given."""
        return self._asked >= self._end and not self._waiting

    def pace(self, fast: bool) -> None:
        """Larger blocks for who takes them quickly; a slow client holds little memory."""
        if fast:
            self._size = min(self._size * 2, self.LARGEST, self._opened.link.largest_read)
        else:
            self._size = max(self._size // 2, self.SMALLEST)
        self._ahead = fast

    def next(self, stop: threading.Event) -> memoryview:
        """The following block; only while not `done`. Raises IntegrityError at an early end."""
        with self._lock:
            return self._take(stop)

    def _take(self, stop: threading.Event) -> memoryview:
        link = self._opened.link
        while self._asked < self._end and len(self._waiting) <= self._ahead:
            size = min(self._size, self._end - self._asked)
            request = link.send(_reading(self._opened.handle, self._asked, size), payload=size)[0]
            self._waiting.append((request, size))
            self._asked += size
        request, size = self._waiting[0]
        try:
            data = _data(link.answer(request, stop))
        except Stopped:
            raise
        except SourceError as e:
            if e.native == "STATUS_END_OF_FILE":
                raise IntegrityError("the document became shorter while it was read") from None
            raise
        self._waiting.popleft()
        if len(data) < size:
            raise IntegrityError(f"{len(data)} bytes came of {size}")
        return data[:size]

    def close(self) -> None:
        """Drop what is under way, and close the document at the server."""
        link = self._opened.link
        with self._lock:
            link.forget([request for request, _ in self._waiting])
            self._waiting.clear()
            close(link, self._opened.handle)


def refuse_links(link: Link, folders: Sequence[str], stop: threading.Event) -> None:
    """Raises NotFound when one of these is not there, or is a link."""
    for path in folders:
        if link.knows(path):
            continue
        opened, closed = link.send(*_looking_at(path))
        link.forget([closed])
        try:
            _refuse(link.answer(opened, stop))
        except Stopped:
            link.forget([opened])
            raise
        link.remember(path)


def _looking_at(path: str) -> tuple[Any, Any]:
    options = CreateOptions.FILE_DIRECTORY_FILE | CreateOptions.FILE_OPEN_REPARSE_POINT
    return creating(path, READ_ATTRIBUTES, options), closing(_SAME)


def _refuse(made: bytes) -> None:
    if _field("<I", made, 56) & FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT:
        raise NotFound


def _asking(handle: bytes) -> SMB2QueryDirectoryRequest:
    message = SMB2QueryDirectoryRequest()
    message["file_information_class"] = FileInformationClass.FILE_ID_BOTH_DIRECTORY_INFORMATION
    message["file_id"] = handle
    message["output_buffer_length"] = _LIST
    message["buffer"] = "*".encode("utf-16-le")
    return message


def _reading(handle: bytes, offset: int, size: int) -> SMB2ReadRequest:
    message = SMB2ReadRequest()
    message["length"] = size
    message["offset"] = offset
    message["file_id"] = handle
    message["padding"] = b"\x50"
    return message


def _field(form: str, body: bytes, at: int) -> int:
    try:
        value: int = struct.unpack_from(form, body, at)[0]
    except struct.error:
        raise ProtocolError("an answer is too short") from None
    return value


def _output(body: bytes) -> bytes:
    """What a QUERY_INFO or QUERY_DIRECTORY gave."""
    start, size = _field("<H", body, 2) - _BODY, _field("<I", body, 4)
    if start < 0 or start + size > len(body):
        raise ProtocolError("an answer tells of more than it holds")
    return body[start : start + size]


def _data(body: bytes) -> memoryview:
    """What a READ gave."""
    start, size = _field("<B", body, 2) - _BODY, _field("<I", body, 4)
    if start < 0 or start + size > len(body):
        raise ProtocolError("an answer tells of more than it holds")
    return memoryview(body)[start : start + size]


_ROW = struct.Struct("<I20xQ8xQ8xIII28xQ")  # next, written, end, attributes, name, tag, number


def rows(data: bytes) -> Iterator[Found]:
    """What a listing tells, without links. Raises ProtocolError."""
    at, end = 0, len(data)
    while True:
        if at + 104 > end:
            raise ProtocolError("a listing stopped halfway")
        following, written, size, attributes, length, tag, number = _ROW.unpack_from(data, at)
        if at + 104 + length > end:
            raise ProtocolError("a listing tells of more than it holds")
        name = data[at + 104 : at + 104 + length].decode("utf-16-le", "surrogatepass")
        linked = attributes & FileAttributes.FILE_ATTRIBUTE_REPARSE_POINT and (
            tag & _SURROGATE or tag in _DFS
        )
        if not linked and name not in (".", ".."):
            is_folder = bool(attributes & FileAttributes.FILE_ATTRIBUTE_DIRECTORY)
            yield Found(name, is_folder, size, written, number)
        if not following:
            return
        at += following
