"""Two FTP servers of strangers for the tests of one process, over TLS, each in its own folder:
Debian's vsftpd, which has no MLSD and takes only data connections that resume the TLS session of
the control connection, and pyftpdlib from PyPI, which has MLSD.

vsftpd runs as whoever runs the tests, so nobody can sign in but its "anonymous", by a password.
Run as a module this is pyftpdlib's process: folder, port, first port for data, user and password.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway.demo import follow
from tests.servers.tls import certificate

HOST = "127.0.0.1"
#: Where a proxy may stand before it, on the same ports.
PROXY = "127.0.0.2"
#: Ports for data connections of one server.
PORTS = 60
ROOT = Path(__file__).parents[2]
_POLL = 0.02
_VSFTPD = """\
listen=YES
listen_address={host}
listen_port={port}
background=NO
run_as_launching_user=YES
seccomp_sandbox=NO
local_enable=NO
anonymous_enable=YES
anon_root={path}
secure_email_list_enable=YES
email_password_file={folder}/passwords
delay_failed_login=0
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_world_readable_only=NO
ssl_enable=YES
implicit_ssl={implicit}
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
ssl_ciphers=HIGH
rsa_cert_file={folder}/cert.pem
rsa_private_key_file={folder}/key.pem
pasv_min_port={first}
pasv_max_port={last}
max_per_ip=100
max_clients=100
"""


class FtpServerError(RuntimeError):
    """There is no server, or it did not come up; the message ends with its log."""


class FtpServer(ABC):
    """One server and its folder. `start` and `stop` keep the port and the files."""

    user, password = "anonymous", "wachtwoord van het kantoor"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, *self.data = _free_ports(PORTS + 1)
        self._process: subprocess.Popen[bytes] | None = None
        self.path.mkdir()
        certificate(folder)

    @property
    def path(self) -> Path:
        """The folder that is served, to fill it past the server."""
        return self.folder / "files"

    @abstractmethod
    def at(self, path: Path) -> str:
        """What the server calls it."""

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What to run."""

    def start(self, timeout: float = 60.0) -> "FtpServer":
        """Start, and come back when it answers. Raises FtpServerError."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=follow.parent,
                start_new_session=True,
            )
        until = time.monotonic() + timeout
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise FtpServerError((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(_POLL)
        return self

    def stop(self) -> None:
        """End it, with the processes of its connections. Safe to call twice."""
        process, family = self._process, self.family()
        self._process = None
        if process is not None:
            process.kill()
            process.wait()
            _signal(family, signal.SIGKILL)

    def pause(self) -> None:
        """Let nothing answer any more, with every connection open; `resume` ends it."""
        _signal(self.family(), signal.SIGSTOP)

    def resume(self) -> None:
        """Go on as before `pause`."""
        _signal(self.family(), signal.SIGCONT)

    def family(self) -> list[int]:
        """The server's processes: vsftpd gives each connection one, in a session of its own."""
        if self._process is None:
            return []
        parents = dict(_parents())
        found = [self._process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def open_files(self) -> int:
        """How many files of the served folder its processes have open."""
        count = 0
        for pid in self.family():
            with suppress(OSError):
                for link in Path(f"/proc/{pid}/fd").iterdir():
                    with suppress(OSError):
                        told = link.readlink()
                        count += told.is_relative_to(self.path) and not told.is_dir()
        return count

    def position(self) -> int:
        """How far its processes are in the files of the served folder, together: bytes."""
        count = 0
        for pid in self.family():
            with suppress(OSError):
                for link in Path(f"/proc/{pid}/fd").iterdir():
                    with suppress(OSError):
                        if link.readlink().is_relative_to(self.path):
                            told = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
                            count += int(told.split()[1])
        return count

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True


class Vsftpd(FtpServer):
    """Debian's."""

    implicit = False

    def at(self, path: Path) -> str:
        return str(path)

    def command(self) -> Sequence[str]:
        text = _VSFTPD.format(
            host=HOST, port=self.port, folder=self.folder, path=self.path,
            first=self.data[0], last=self.data[-1], implicit="YES" if self.implicit else "NO",
        )  # fmt: skip
        (self.folder / "passwords").write_text(f"{self.password}\n")
        config = self.folder / "vsftpd.conf"
        config.write_text(text)
        config.chmod(0o600)
        return [vsftpd() or "", str(config)]


class Implicit(Vsftpd):
    """The same, with TLS from the first byte."""

    implicit = True


class Pyftpd(FtpServer):
    """pyftpdlib."""

    user = "kantoor"

    def at(self, path: Path) -> str:
        return f"/{path.relative_to(self.path)}"

    def command(self) -> Sequence[str]:
        told = [str(self.folder), str(self.port), str(self.data[0]), self.user, self.password]
        return [sys.executable, "-W", "ignore", "-m", __name__, *told]


def _parents() -> Iterator[tuple[int, int]]:
    """Every process of the machine, with its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            yield int(path.parent.name), int(path.read_text().rpartition(")")[2].split()[1])


def _signal(pids: Sequence[int], sign: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)


def vsftpd() -> str | None:
    """Path of the program, if it is here."""
    return shutil.which("vsftpd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _free_ports(count: int) -> list[int]:
    """Neighbours, below those that the system gives out by itself."""
    for _ in range(100):
        first = random.randrange(12_000, 32_000 - count)
        taken: list[socket.socket] = []
        try:
            for port in range(first, first + count):
                for host in (HOST, PROXY):
                    probe = socket.socket()
                    taken.append(probe)
                    probe.bind((host, port))
        except OSError:
            continue
        finally:
            for probe in taken:
                probe.close()
        return list(range(first, first + count))
    raise FtpServerError("no free ports")


@contextmanager
def serve(kind: type[FtpServer]) -> Iterator[FtpServer]:
    """A server, until the block ends. Raises FtpServerError."""
    folder = Path(tempfile.mkdtemp(prefix="map-ftp-"))
    try:
        server = kind(folder)
        try:
            yield server.start()
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def served(kind: type[FtpServer]) -> Iterator[FtpServer]:
    """The body of a fixture: the same, or a skip."""
    if issubclass(kind, Vsftpd) and vsftpd() is None:
        pytest.skip("not here: vsftpd (Debian: vsftpd)")
    with serve(kind) as server:
        yield server


def _pyftpd(folder: str, port: str, first: str, user: str, password: str) -> None:
    """Serve until killed."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import TLS_FTPHandler
    from pyftpdlib.servers import FTPServer

    known = DummyAuthorizer()
    known.add_user(user, password, f"{folder}/files", perm="elradfmwMT")
    TLS_FTPHandler.authorizer = known
    TLS_FTPHandler.certfile, TLS_FTPHandler.keyfile = f"{folder}/cert.pem", f"{folder}/key.pem"
    TLS_FTPHandler.tls_control_required = TLS_FTPHandler.tls_data_required = True
    TLS_FTPHandler.passive_ports = list(range(int(first), int(first) + PORTS))
    TLS_FTPHandler.auth_failed_timeout = 0
    FTPServer((HOST, int(port)), TLS_FTPHandler).serve_forever(handle_exit=False)


if __name__ == "__main__":
    _pyftpd(*sys.argv[1:])
