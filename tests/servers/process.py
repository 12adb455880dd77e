"""A server of strangers for the tests of one process: a program, and a folder that it serves."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import pytest

from gateway.demo import follow
from gateway.demo.seaweed import free_port

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
_POLL = 0.02
_PATIENCE = 60.0
#: Debian keeps servers where only root's PATH looks.
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


class ServerError(RuntimeError):
    """The server did not come up; the message ends with its log."""


class Server(ABC):
    """One server and its folder. `start`, `stop` and `restart` keep the port and the files.

    programs: what it needs of this machine; package: Debian's that has them.
    """

    programs: ClassVar[Sequence[str]] = ()
    package: ClassVar[str] = ""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.path.mkdir()

    @classmethod
    def installed(cls) -> bool:
        """Whether there is one to start."""
        return all(map(program, cls.programs))

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What to run, in the foreground, once its configuration is written."""

    @property
    def path(self) -> Path:
        """The folder that is served, to fill it past the server."""
        return self.folder / "files"

    def start(self) -> Self:
        """Start, and come back when it answers. Raises ServerError."""
        told = self.folder / "log"
        with told.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,  # on a socket smbd would believe that inetd started it
                stdout=log,
                stderr=log,
                preexec_fn=follow.parent,
                start_new_session=True,
            )
        until = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise ServerError(told.read_text(errors="replace")[-2000:])
            time.sleep(_POLL)
        return self

    def stop(self) -> None:
        """End it, with the processes of its connections. Safe to call twice."""
        process, family = self._process, self._family()
        self._process = None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _signal(family, signal.SIGKILL)
            process.wait()

    def restart(self) -> Self:
        """Every connection breaks; the files stay."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Let nothing answer any more, with every connection open; `resume` ends it."""
        _signal(self._family(), signal.SIGSTOP)

    def resume(self) -> None:
        """Go on as before `pause`."""
        _signal(self._family(), signal.SIGCONT)

    def open_files(self) -> int:
        """How many files of the served folder its processes have open."""
        return sum(1 for _ in self._opened())

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True

    def _family(self) -> list[int]:
        """Its processes: some give each connection one, in a session of its own."""
        if self._process is None:
            return []
        parents = dict(_parents())
        found = [self._process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def _opened(self) -> Iterator[Path]:
        """Of each file and folder below `path` that is open, where proc(5) tells of it."""
        for pid in self._family():
            with suppress(OSError):
                for link in Path(f"/proc/{pid}/fd").iterdir():
                    with suppress(OSError):
                        if link.readlink().is_relative_to(self.path):
                            yield link


S = TypeVar("S", bound=Server)


def program(name: str) -> str:
    """Path of a program; empty when it is not here."""
    return shutil.which(name, path=_PATH) or ""


@contextmanager
def serve(kind: type[S], *options: Any) -> Iterator[S]:
    """A server, until the block ends; skips the test when it is not installed. Raises
    ServerError."""
    if not kind.installed():
        pytest.skip(f"not here: {', '.join(kind.programs)} (Debian: {kind.package})")
    prefix = f"map-{kind.__name__.lower()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        server = kind(Path(folder), *options)
        try:
            yield server.start()
        finally:
            server.stop()


def _parents() -> Iterator[tuple[int, int]]:
    """Every process of the machine, with its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])


def _signal(pids: Sequence[int], sign: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
