"""Writing to a share: under a name of ours that goes by itself when the connection breaks.

The new file is marked to be deleted when it is closed, by us or by the server after a cut. Only
when every byte is there and flushed the mark is taken off and the file gets its name.
Source: [MS-SMB2] 2.2.39; [MS-FSCC] 2.4.11, 2.4.42.
"""

import secrets
import struct
import threading
from collections.abc import Sequence

from smbprotocol.file_info import FileInformationClass, InfoType
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    SMB2FlushRequest,
    SMB2SetInfoRequest,
    SMB2WriteRequest,
)

from gateway.connector.smb import file as smbfile
from gateway.connector.smb.file import Found, Opened
from gateway.connector.smb.share import Link
from gateway.errors import AlreadyExists, NotFound

#: What a file that is being written is called; never listed or read.
PREFIX = "~map-"

BLOCK = 1024 * 1024


def begin(link: Link, parts: Sequence[str], root: int, stop: threading.Event) -> Opened:
    """A new, empty file in a folder, which is made when it is not there.

    parts: of the folder, from the share on. root: how many of them are the place's own; the
    ones after it may not be links (NotFound).
    """
    below = ["\\".join(parts[:count]) for count in range(root + 1, len(parts) + 1)]
    try:
        smbfile.refuse_links(link, below, stop)
        return _new(link, parts, stop)
    except NotFound:
        _make_folders(link, parts, stop)
        smbfile.refuse_links(link, below, stop)
        return _new(link, parts, stop)


def write(opened: Opened, offset: int, data: bytes, stop: threading.Event) -> None:
    """Write a block of at most `BLOCK` bytes."""
    step = min(BLOCK, opened.link.largest_write)
    for start in range(0, len(data), step):
        message = SMB2WriteRequest()
        message["length"] = len(data[start : start + step])
        message["offset"] = offset + start
        message["file_id"] = opened.handle
        message["buffer"] = data[start : start + step]
        opened.link.call(message, stop, payload=step)


def finish(opened: Opened, path: str, replace: bool, stop: threading.Event) -> None:
    """Give it its name, and close it. Raises AlreadyExists; then it is open, and marked to go."""
    link, handle = opened.link, opened.handle
    flush = SMB2FlushRequest()
    flush["file_id"] = handle
    link.call(flush, stop)
    _mark(opened, False, stop)
    try:
        link.call(_renaming(handle, path, replace=replace), stop)
    except BaseException:
        _mark(opened, True, threading.Event())
        raise
    # Waited for: a server may set the time of the last change when the document is closed.
    link.call(smbfile.closing(handle), stop)


def make(link: Link, parts: Sequence[str], root: int, stop: threading.Event) -> None:
    """A folder, made when it is not there; see `begin`. Raises NotFound for a link."""
    below = ["\\".join(parts[:count]) for count in range(root + 1, len(parts) + 1)]
    try:
        smbfile.refuse_links(link, below, stop)
    except NotFound:
        _make_folders(link, parts, stop)
        smbfile.refuse_links(link, below, stop)


def rename(link: Link, old: str, new: str, stop: threading.Event) -> None:
    """Give a file another path, never over another one. Raises NotFound, AlreadyExists."""
    made = link.call(
        smbfile.creating(
            old,
            smbfile.READ_ATTRIBUTES | smbfile.DELETE,
            CreateOptions.FILE_NON_DIRECTORY_FILE | CreateOptions.FILE_OPEN_REPARSE_POINT,
        ),
        stop,
    )
    handle = made[64:80]
    try:
        link.call(_renaming(handle, new, replace=False), stop)
    finally:
        smbfile.close(link, handle)


def _new(link: Link, parts: Sequence[str], stop: threading.Event) -> Opened:
    path = "\\".join((*parts, f"{PREFIX}{secrets.token_hex(16)}"))
    access = smbfile.WRITE_DATA | smbfile.READ_ATTRIBUTES | smbfile.DELETE
    message = smbfile.creating(
        path, access, CreateOptions.FILE_NON_DIRECTORY_FILE, CreateDisposition.FILE_CREATE
    )
    made = link.call(message, stop)
    opened = Opened(link, made[64:80], Found(path, False, 0, 0, 0))
    _mark(opened, True, stop)
    return opened


def _make_folders(link: Link, parts: Sequence[str], stop: threading.Event) -> None:
    for count in range(1, len(parts) + 1):
        message = smbfile.creating(
            "\\".join(parts[:count]),
            smbfile.READ_ATTRIBUTES,
            CreateOptions.FILE_DIRECTORY_FILE,
            CreateDisposition.FILE_OPEN_IF,
        )
        try:
            made = link.call(message, stop)
        except AlreadyExists:
            continue  # another made it at the same moment
        smbfile.close(link, made[64:80])


def _mark(opened: Opened, going: bool, stop: threading.Event) -> None:
    """Whether it is deleted when it is closed."""
    kind = FileInformationClass.FILE_DISPOSITION_INFORMATION
    opened.link.call(_setting(opened.handle, kind, bytes([going])), stop)


def _renaming(handle: bytes, path: str, *, replace: bool) -> SMB2SetInfoRequest:
    name = path.encode("utf-16-le")
    body = struct.pack("<B7xQI", replace, 0, len(name)) + name
    return _setting(handle, FileInformationClass.FILE_RENAME_INFORMATION, body)


def _setting(handle: bytes, kind: int, body: bytes) -> SMB2SetInfoRequest:
    message = SMB2SetInfoRequest()
    message["info_type"] = InfoType.SMB2_0_INFO_FILE
    message["file_info_class"] = kind
    message["file_id"] = handle
    message["buffer"] = body
    return message
