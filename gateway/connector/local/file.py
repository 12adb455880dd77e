"""Folders and files of this machine, walked from an open folder; blocking.

Paths are opened one part at a time, never following a link (openat(2), O_NOFOLLOW), so neither
an id nor a link that somebody left in a folder leads outside. Only ordinary files are documents.
"""

import contextlib
import ctypes
import errno
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.connector.contract import Entry
from gateway.errors import (
    AlreadyExists,
    ConditionFailed,
    IntegrityError,
    NotFound,
    PermissionDenied,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)

#: What an operating system's error means to us. Anything else is Unavailable.
ERRORS: dict[type[SourceError], tuple[int, ...]] = {
    NotFound: (
        errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG,
        errno.ELOOP,  # a link: not followed
        errno.ENXIO, errno.ENODEV, errno.EISDIR,  # a socket, a device, a folder
    ),
    PermissionDenied: (errno.EACCES, errno.EPERM, errno.EROFS),
    AlreadyExists: (errno.EEXIST,),
    TooLarge: (errno.EFBIG, errno.ENOSPC, errno.EDQUOT),
}  # fmt: skip
_BY_NUMBER = {number: kind for kind, some in ERRORS.items() for number in some}

#: Documents that are being written have such names, and are not there yet for anyone.
PARTIAL = ".map-part-"
#: What a writer left that died goes after this many seconds, with the next that writes there.
_ABANDONED = 24 * 3600

_LONGEST_ID = 1024  # bytes in UTF-8, the contract's limit
_DEEPEST = 64  # folders below each other
_PARENT = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)
_NOREPLACE = 1


def error_of(error: OSError) -> SourceError:
    """Our error for the operating system's."""
    native = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return _BY_NUMBER.get(error.errno or 0, Unavailable)(native=native)


def parts_of(path: str) -> tuple[str, ...]:
    """The parts of a relative path. Raises NotFound for anything that is not plainly one."""
    parts = tuple(path.split("/"))
    if len(parts) > _DEEPEST or not _fits(path) or not all(map(_is_plain, parts)):
        raise NotFound
    return parts


def _is_plain(name: str) -> bool:
    return (
        name not in ("", ".", "..")
        and "\\" not in name
        and "\0" not in name
        and not name.startswith(PARTIAL)
    )


@dataclass(frozen=True, slots=True)
class Root:
    """Where a source begins. mounted: only when something is mounted there."""

    path: str
    mounted: bool = False

    def enter(self, parts: Sequence[str], last: int = _PARENT) -> int:
        """A descriptor of a folder below. Raises OSError; Unavailable when the root is away."""
        opened = self._open()
        for number, part in enumerate(parts, 1):
            opened = _step(opened, part, last if number == len(parts) else _PARENT)
        return opened

    def make(self, parts: Sequence[str]) -> int:
        """The same; what is missing of it is made."""
        opened = self._open()
        for part in parts:
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o750, dir_fd=opened)
            except BaseException:
                os.close(opened)
                raise
            opened = _step(opened, part, _PARENT)
        return opened

    def _open(self) -> int:
        try:
            if self.mounted and not os.path.ismount(self.path):
                raise Unavailable("nothing is mounted there")
            return os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as e:
            raise Unavailable("the folder is not there", native=error_of(e).native) from None


def _step(opened: int, part: str, flags: int) -> int:
    """Into a folder; the one before is closed."""
    try:
        return os.open(part, flags, dir_fd=opened)
    finally:
        os.close(opened)


def entry_of(id: str, folder: tuple[str, ...], name: str, found: os.stat_result) -> Entry:
    """The document of an id, which is its folder and name joined."""
    try:
        at = datetime.fromtimestamp(found.st_mtime, UTC)
    except (OverflowError, ValueError):  # nobody's document is from the year 30,000
        at = None
    return Entry(id, name, folder, found.st_size, at, None, _version(found))


def _version(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"


@dataclass(slots=True)
class Walk:
    """Documents in the order of their ids, the ones after `after`.

    Text is compared by its code points, which is the order of UTF-8 too. left_out: how many names
    could not be shown or read back, or not be looked into, and links, pipes and such.
    """

    after: str
    limit: int
    found: list[Entry] = field(default_factory=list)
    left_out: int = 0

    @property
    def full(self) -> bool:
        """Whether there is one document more than asked for."""
        return len(self.found) > self.limit

    def folder(self, opened: int, parts: tuple[str, ...]) -> None:
        """Take what is in and below an open folder, and close it. Raises OSError."""
        try:
            prefix = "".join(f"{p}/" for p in parts)
            start = len(prefix)
            for key in sorted(self._ids(opened, prefix)):
                if key[-1] == "/":
                    self._into(opened, (*parts, key[start:-1]))
                else:
                    self._take(opened, key, parts, key[start:])
                if len(self.found) > self.limit:
                    return
        finally:
            os.close(opened)

    def _ids(self, opened: int, prefix: str) -> list[str]:
        """What may hold documents after `after`: ids, with a "/" behind a folder's."""
        after, keys = self.after, []
        with os.scandir(opened) as found:
            for one in found:
                key = prefix + one.name
                if one.is_dir(follow_symlinks=False):
                    key += "/"
                    if key < after and not after.startswith(key):
                        continue
                elif key <= after:
                    continue
                elif not one.is_file(follow_symlinks=False):
                    self.left_out += 1
                    continue
                if self._usable(one.name, key):
                    keys.append(key)
        return keys

    def _usable(self, name: str, key: str) -> bool:
        """Whether an address can lead back to it."""
        if not _fits(key) or "\\" in name:
            self.left_out += 1
            return False
        return not name.startswith(PARTIAL)

    def _into(self, above: int, parts: tuple[str, ...]) -> None:
        if len(parts) >= _DEEPEST:
            self.left_out += 1
            return
        try:
            self.folder(os.open(parts[-1], _FOLDER, dir_fd=above), parts)
        except (FileNotFoundError, NotADirectoryError):
            return  # it went, or is another thing by now
        except PermissionError:
            self.left_out += 1

    def _take(self, opened: int, id: str, folder: tuple[str, ...], name: str) -> None:
        try:
            found = os.stat(name, dir_fd=opened, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISREG(found.st_mode):
            self.found.append(entry_of(id, folder, name, found))


def _fits(id: str) -> bool:
    """Whether it is Unicode, and no longer than an id may be."""
    try:
        return len(id if id.isascii() else id.encode()) <= _LONGEST_ID
    except UnicodeEncodeError:
        return False


def walk(
    root: Root, above: tuple[str, ...], folders: Sequence[tuple[str, ...]], way: Walk
) -> Walk:
    """Take what is in the folders below `above`, which come in order. Raises OSError."""
    for parts in folders:
        key = "".join(f"{p}/" for p in parts)
        if way.full or (key < way.after and not way.after.startswith(key)):
            continue
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            way.folder(root.enter((*above, *parts), _FOLDER), parts)
    return way


class File:
    """An open file that threads use; closed when the last of them lets go.

    So a reader may be left while a thread hangs in it, and its number is never another's.
    """

    def __init__(self, file: int, end: Callable[[], None] = lambda: None) -> None:
        """`end` is called after closing."""
        self.number = file
        self._end = end
        self._lock = threading.Lock()
        self._users = 0
        self._closed = False

    @contextlib.contextmanager
    def use(self) -> Iterator[int]:
        """The descriptor. Raises OSError when it is closed."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "closed")
            self._users += 1
        try:
            yield self.number
        finally:
            self._leave()

    def close(self) -> None:
        """Close it, now or when the last user is done. Safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._users += 1
        self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._closed and not self._users
        if last:
            os.close(self.number)
            self._end()


def open_document(root: Root, above: tuple[str, ...], id: str) -> tuple[int, Entry]:
    """An ordinary file and what it is. Raises OSError, NotFound."""
    parts = parts_of(id)
    folder = root.enter((*above, *parts[:-1]))
    file = _step(folder, parts[-1], _FILE)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise NotFound
        return file, entry_of(id, parts[:-1], parts[-1], found)
    except BaseException:
        os.close(file)
        raise


def read_block(file: int, count: int, at: int) -> bytes:
    """As many bytes. Raises IntegrityError when the file has become shorter."""
    pieces: list[bytes] = []
    while count:
        piece = os.pread(file, count, at)
        if not piece:
            raise IntegrityError("the file became shorter while it was being read")
        pieces.append(piece)
        count, at = count - len(piece), at + len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def verify(file: int, version: str | None) -> None:
    """Raises IntegrityError when the file is not the version any more that was opened."""
    if _version(os.fstat(file)) != version:
        raise IntegrityError("the file changed while it was being read")


class Draft:
    """A new document under a name that nobody sees, until `finish` gives it its own."""

    def __init__(self, folder: int) -> None:
        """Takes over the descriptor of the folder. Raises OSError."""
        self._folder = folder
        self._name = PARTIAL + secrets.token_hex(8)
        try:
            _sweep(folder)
            self._file = File(os.open(self._name, _NEW, 0o640, dir_fd=folder), self._gone)
        except BaseException:
            os.close(folder)
            raise

    def write(self, data: bytes) -> None:
        """Add bytes."""
        rest = memoryview(data)
        with self._file.use() as file:
            while rest:
                rest = rest[os.write(file, rest) :]

    def finish(self, id: str, if_absent: bool) -> Entry:
        """Give it its name, when every byte is on the disk. Raises OSError, AlreadyExists."""
        parts = parts_of(id)
        with self._file.use() as file:
            os.fsync(file)
            if if_absent:
                self._link(parts[-1])
            else:
                os.replace(self._name, parts[-1], src_dir_fd=self._folder, dst_dir_fd=self._folder)
            _sync_folder(self._folder)
            entry = entry_of(id, parts[:-1], parts[-1], os.fstat(file))
        self.discard()
        return entry

    def discard(self) -> None:
        """Close it; what has no name yet goes."""
        self._file.close()

    def _link(self, name: str) -> None:
        """A second name, which fails when somebody was first; where no file has two, a rename."""
        at = self._folder
        try:
            os.link(self._name, name, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
        except OSError as e:
            if e.errno not in _NO_LINKS:
                raise
            _rename(at, self._name, at, name)

    def _gone(self) -> None:
        try:
            with contextlib.suppress(OSError):
                os.unlink(self._name, dir_fd=self._folder)
        finally:
            os.close(self._folder)


def move(root: Root, above: tuple[str, ...], id: str, new: str, version: str | None) -> Entry:
    """Give an ordinary file another path, never over another one; folders are made.

    Raises OSError, NotFound, AlreadyExists, ConditionFailed, Unsupported.
    """
    old, parts = parts_of(id), parts_of(new)
    at = root.enter((*above, *old[:-1]))
    try:
        if not stat.S_ISREG(os.stat(old[-1], dir_fd=at, follow_symlinks=False).st_mode):
            raise NotFound
        to = root.make((*above, *parts[:-1]))
        try:
            found = os.stat(old[-1], dir_fd=at, follow_symlinks=False)
            if version is not None and _version(found) != version:
                raise ConditionFailed
            try:
                _rename(at, old[-1], to, parts[-1])
            except Unsupported:  # NFS: a second name, then the first goes
                os.link(old[-1], parts[-1], src_dir_fd=at, dst_dir_fd=to, follow_symlinks=False)
                os.unlink(old[-1], dir_fd=at)
            for folder in (to, at):
                _sync_folder(folder)
            return entry_of(new, parts[:-1], parts[-1], found)
        finally:
            os.close(to)
    finally:
        os.close(at)


def _rename(folder: int, old: str, to: int, new: str) -> None:
    """renameat2(2), which the standard library lacks. Raises OSError, Unsupported."""
    call = ctypes.CDLL(None, use_errno=True).renameat2
    if call(folder, os.fsencode(old), to, os.fsencode(new), _NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number == errno.EINVAL:
        raise Unsupported("this file system cannot keep from overwriting", native="EINVAL")
    raise OSError(number, os.strerror(number))


def _sync_folder(folder: int) -> None:
    with _readable(folder) as opened:
        os.fsync(opened)


def _sweep(folder: int) -> None:
    """Take away what writers left that died. Raises OSError."""
    with _readable(folder) as opened, os.scandir(opened) as found:
        for item in found:
            if not item.name.startswith(PARTIAL):
                continue
            with contextlib.suppress(OSError):  # somebody else may be sweeping
                if time.time() - item.stat(follow_symlinks=False).st_mtime > _ABANDONED:
                    os.unlink(item.name, dir_fd=folder)


@contextlib.contextmanager
def _readable(folder: int) -> Iterator[int]:
    """The folder, opened for more than finding what is in it."""
    opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        yield opened
    finally:
        os.close(opened)
