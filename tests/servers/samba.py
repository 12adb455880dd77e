"""A Samba of strangers for the tests of one process: Debian's smbd, in a folder of its own.

Works for root and for anybody else:
Samba's users are accounts of the machine, so the first is the one that runs the tests and the
second is ``nobody`` (or ``daemon``); neither password is the machine's.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.demo import follow

HOST = "127.0.0.1"
#: Shares, each with the place of its only user in `Samba.users`.
SHARES: Mapping[str, int] = {"dossiers": 0, "elders": 1}
_POLL = 0.02
_STRANGERS = ("nobody", "daemon")
_FOLDERS = (
    *("lock directory", "state directory", "cache directory", "private dir", "pid directory"),
    *("ncalrpc dir", "nmbd:socket dir", "usershare path", "winbindd socket directory"),
)
_GLOBAL = """\
[global]
  workgroup = KANTOOR
  server role = standalone server
  disable netbios = yes
  disable spoolss = yes
  load printers = no
  printing = bsd
  printcap name = /dev/null
  smb ports = {port}
  interfaces = {host}
  bind interfaces only = yes
  passdb backend = tdbsam
  map to guest = never
  restrict anonymous = 2
  guest account = {guest}
  log file = {log}
  log level = 0
  max log size = 0
  usershare max shares = 0
"""
_SHARE = """\
[{name}]
  path = {path}
  valid users = {user}
  read only = no
  create mask = 0666
  directory mask = 0777
  store dos attributes = no
  follow symlinks = no
"""


class SambaError(RuntimeError):
    """There is no server, or it did not come up; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class User:
    """Who may sign in."""

    name: str
    password: str


class Samba:
    """One server and its folder. `start`, `stop` and `restart` keep the port and the files."""

    def __init__(self, folder: Path, extra: str = "") -> None:
        """extra: lines for the part [global] of its configuration."""
        self.folder, self._extra = folder, extra
        self.port = _free_port()
        own = pwd.getpwuid(os.geteuid()).pw_name
        stranger = next(name for name in _STRANGERS if name != own)
        self.users = (User(own, "wachtwoord een"), User(stranger, "wachtwoord twee"))
        self._process: subprocess.Popen[bytes] | None = None
        self._write()

    def path(self, share: str = "dossiers") -> Path:
        """The folder behind a share, to fill it past Samba."""
        return self.folder / "shares" / share

    def start(self, timeout: float = 20.0) -> "Samba":
        """Start, and come back when it answers. Raises SambaError."""
        command = [_program("smbd"), "--foreground", "--no-process-group"]
        command += [f"--configfile={self._config}", f"--log-basename={self.folder}"]
        with (self.folder / "smbd.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,  # on a socket it would believe that inetd started it
                stdout=log,
                stderr=log,
                preexec_fn=follow.parent,
                start_new_session=True,
            )
        until = time.monotonic() + timeout
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise SambaError((self.folder / "smbd.log").read_text(errors="replace")[-2000:])
            time.sleep(_POLL)
        return self

    def stop(self) -> None:
        """End it, with the processes of its connections. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        for sign in (15, 9):
            try:
                os.killpg(process.pid, sign)
                process.wait(5)
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                process.wait()
            return

    def pause(self) -> None:
        """Let nothing answer any more, with every connection open; `resume` ends it."""
        self._signal(19)

    def resume(self) -> None:
        """Go on as before `pause`."""
        self._signal(18)

    def restart(self) -> "Samba":
        """Every connection breaks; the files stay."""
        self.stop()
        return self.start()

    def configure(self, old: str, new: str) -> None:
        """Change its configuration; counts from the next start on."""
        self._config.write_text(self._config.read_text().replace(old, new))

    def _signal(self, sign: int) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, sign)

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True

    @property
    def _config(self) -> Path:
        return self.folder / "smb.conf"

    def _write(self) -> None:
        """The configuration, and the users in a database of its own."""
        text = _GLOBAL.format(
            port=self.port, host=HOST, guest=_STRANGERS[0], log=self.folder / "samba.log"
        )
        for option in _FOLDERS:
            path = self.folder / option.replace(" ", "-").replace(":", "-")
            path.mkdir(mode=0o755)
            text += f"  {option} = {path}\n"
        text += "".join(f"  {line}\n" for line in self._extra.splitlines())
        for name, number in SHARES.items():
            self.path(name).mkdir(parents=True)
            self.path(name).chmod(0o777)
            text += _SHARE.format(name=name, path=self.path(name), user=self.users[number].name)
        self._config.write_text(text)
        for user in self.users:
            subprocess.run(
                [_program("pdbedit"), "-s", self._config, "-t", "-a", user.name],
                input=f"{user.password}\n{user.password}\n".encode(),
                check=True,
                capture_output=True,
            )


def installed() -> bool:
    """Whether there is a Samba to start."""
    return _found("smbd") is not None and _found("pdbedit") is not None


def has_module(name: str) -> bool:
    """Whether a VFS module is there (Debian: samba-vfs-modules)."""
    told = subprocess.run([_program("smbd"), "-b"], capture_output=True, text=True, check=True)
    folder = next(x for x in told.stdout.splitlines() if "MODULESDIR:" in x).split(":")[1]
    return Path(folder.strip(), "vfs", f"{name}.so").exists()


def _program(name: str) -> str:
    found = _found(name)
    if found is None:
        raise SambaError(f"{name} is not installed (Debian: samba)")
    return found


def _found(name: str) -> str | None:
    """Path of a program of Samba's; Debian keeps smbd where only root's PATH looks."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serve(extra: str = "") -> Iterator[Samba]:
    """A server, until the block ends. Raises SambaError."""
    folder = Path(tempfile.mkdtemp(prefix="map-samba-"))
    folder.chmod(0o755)  # its second user must come through
    try:
        server = Samba(folder, extra)
        try:
            yield server.start()
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def served(extra: str = "") -> Iterator[Samba]:
    """The body of a fixture: the same, or a skip."""
    if not installed():
        pytest.skip("smbd is not installed (Debian: samba)")
    with serve(extra) as server:
        yield server
