"""An OpenSSH of strangers for the tests of one process: Debian's sshd, in a folder of its own.

It serves SFTP to the account that runs the tests, by key: the machine's passwords are not ours.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.demo import follow

HOST = "127.0.0.1"
_POLL = 0.02
_CONFIG = """\
ListenAddress {host}
Port {port}
PidFile none
HostKey {folder}/host_ed25519
HostKey {folder}/host_rsa
AuthorizedKeysFile {folder}/authorized
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding no
X11Forwarding no
PermitTTY no
MaxStartups 200
MaxAuthTries 20
LoginGraceTime 60
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""
#: Newer ones keep away who failed too often, and every test comes from one address.
_NEWER = "PerSourcePenalties no\n"


class SshdError(RuntimeError):
    """There is no server, or it did not come up; the message ends with its log."""


class Sshd:
    """One server and its folder. `start`, `stop` and `restart` keep the port and the files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self._process: subprocess.Popen[bytes] | None = None
        self.path.mkdir()
        for name, kind in (("host_ed25519", "ed25519"), ("host_rsa", "rsa"), ("user", "ed25519")):
            self.make_key(name, kind)
        self.make_key("geheim", "ed25519", self.passphrase)
        self.make_key("vreemd", "ed25519")
        known = [self.public("user"), self.public("geheim")]
        (folder / "authorized").write_text("".join(f"{key}\n" for key in known))
        self._configure()

    #: Of the user's second key.
    passphrase = "wachtzin van de sleutel"

    @property
    def path(self) -> Path:
        """The folder that is served, to fill it past the server."""
        return self.folder / "files"

    def private(self, name: str) -> Path:
        """A private key's file: of the server, or of who signs in."""
        return self.folder / name

    def public(self, name: str) -> str:
        """A public key, as one line."""
        return (self.folder / f"{name}.pub").read_text().strip()

    def fingerprint(self, name: str) -> str:
        """Its SHA-256, as ssh-keygen tells it."""
        told = _run("ssh-keygen", "-lf", str(self.folder / f"{name}.pub"))
        return told.split()[1]

    def make_key(self, name: str, kind: str, passphrase: str = "") -> None:
        """A new pair of keys."""
        path = str(self.folder / name)
        _run("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "proef", "-f", path)

    def start(self, timeout: float = 20.0) -> "Sshd":
        """Start, and come back when it answers. Raises SshdError."""
        command = [_program("sshd"), "-D", "-e", "-f", str(self._config)]
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
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
                raise SshdError((self.folder / "sshd.log").read_text(errors="replace")[-2000:])
            time.sleep(_POLL)
        return self

    def stop(self) -> None:
        """End it, with the processes of its connections. Safe to call twice."""
        process, family = self._process, self.family()
        self._process = None
        if process is None:
            return
        process.kill()
        process.wait()
        self._signal(family, signal.SIGKILL)

    def restart(self) -> "Sshd":
        """Every connection breaks; the files stay."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Let nothing answer any more, with every connection open; `resume` ends it."""
        self._signal(self.family(), signal.SIGSTOP)

    def resume(self) -> None:
        """Go on as before `pause`."""
        self._signal(self.family(), signal.SIGCONT)

    def family(self) -> list[int]:
        """The server's processes: it gives each connection some, in sessions of their own."""
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
            try:
                links = list(Path(f"/proc/{pid}/fd").iterdir())
            except OSError:
                continue
            for link in links:
                try:
                    count += str(link.readlink()).startswith(str(self.path))
                except OSError:
                    continue
        return count

    def _signal(self, pids: list[int], sign: int) -> None:
        for pid in pids:
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                continue

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), 1) as probe:
                return probe.recv(4) == b"SSH-"
        except OSError:
            return False

    @property
    def _config(self) -> Path:
        return self.folder / "sshd_config"

    def _configure(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks itself into
        text = _CONFIG.format(host=HOST, port=self.port, folder=self.folder)
        self._config.write_text(text + _NEWER)
        known = subprocess.run(
            [_program("sshd"), "-t", "-f", str(self._config)], capture_output=True, check=False
        )
        if known.returncode:
            self._config.write_text(text)


def _parents() -> Iterator[tuple[int, int]]:
    """Every process of the machine, with its parent."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = path.read_text()
        except OSError:
            continue
        yield int(path.parent.name), int(told.rpartition(")")[2].split()[1])


def _run(name: str, *options: str) -> str:
    told = subprocess.run(
        [_program(name), *options], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return told.stdout.decode()


def installed() -> bool:
    """Whether there is an OpenSSH to start."""
    return _found("sshd") is not None and _found("ssh-keygen") is not None


def _program(name: str) -> str:
    found = _found(name)
    if found is None:
        raise SshdError(f"{name} is not installed (Debian: openssh-server)")
    return found


def _found(name: str) -> str | None:
    """Path of a program; sshd wants to be called by its whole path, and is kept in sbin."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serve() -> Iterator[Sshd]:
    """A server, until the block ends. Raises SshdError."""
    folder = Path(tempfile.mkdtemp(prefix="map-sshd-"))
    try:
        server = Sshd(folder)
        try:
            yield server.start()
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def served() -> Iterator[Sshd]:
    """The body of a fixture: the same, or a skip."""
    if not installed():
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    with serve() as server:
        yield server
