"""Several documents as one ZIP, made while it is being sent.

Nothing is gathered first: each document is opened when its turn comes and goes through in
pieces. What a source refuses is told in a text file inside. A document that is cut half-way
gets a checksum that does not fit, so that unpacking reports that one as damaged, and it is told
in the text file too.
"""

import io
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from gateway.domain import dossier
from gateway.errors import PortalError, SourceError
from gateway.flows.dossier import Opened

#: Documents in one ZIP at the most.
MOST = 200

Opener = Callable[[], AbstractAsyncContextManager[Opened]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One document: the folder it goes in, its name for the error file, and how to open it."""

    folder: str
    name: str
    open: Opener


class _Pipe(io.RawIOBase):
    """A file that only takes bytes; they are taken out again after each write."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


@dataclass(slots=True)
class Streamed:
    """A ZIP being made. `told` turns an error into a sentence in the reader's language."""

    wanted: Iterable[Wanted]
    told: Callable[[PortalError], str]
    error_file: str
    introduction: str
    _names: set[str] = field(default_factory=set)
    _failures: list[str] = field(default_factory=list)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes of the ZIP."""
        pipe = _Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
            for wanted in self.wanted:
                async for piece in self._one(archive, pipe, wanted):
                    yield piece
            if self._failures:
                text = "\r\n".join([self.introduction, "", *self._failures, ""])
                archive.writestr(self._info(self.error_file), text)
        yield pipe.take()

    async def _one(
        self, archive: zipfile.ZipFile, pipe: _Pipe, wanted: Wanted
    ) -> AsyncIterator[bytes]:
        try:
            async with wanted.open() as opened:
                info = self._info(self._unique(wanted.folder, opened.entry.name))
                if opened.entry.modified is not None:
                    info.date_time = opened.entry.modified.timetuple()[:6]
                with archive.open(info, "w", force_zip64=True) as target:
                    try:
                        async for piece in opened.pieces():
                            target.write(piece)
                            yield pipe.take()
                    except SourceError:
                        target._crc ^= 0xFFFFFFFF  # type: ignore[attr-defined]
                        raise
            yield pipe.take()
        except PortalError as e:
            self._failures.append(f"{wanted.name}: {self.told(e)}")

    @staticmethod
    def _info(name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name, time.localtime()[:6])
        info.external_attr = 0o600 << 16
        return info

    def _unique(self, folder: str, name: str) -> str:
        """A path in the ZIP that is not taken, also not on a system that ignores case."""
        base = f"{dossier.file_name(folder)}/{dossier.file_name(name)}"
        stem, dot, ending = base.rpartition(".")
        path, number = base, 2
        while path.casefold() in self._names:
            path = f"{stem} ({number}).{ending}" if dot else f"{base} ({number})"
            number += 1
        self._names.add(path.casefold())
        return path
