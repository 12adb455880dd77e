"""A Samba of strangers for the tests of one process: Debian's smbd, in a folder of its own.

Works for root and for anybody else: Samba's users are accounts of the machine, so the first is
the one that runs the tests and the second is ``nobody`` (or ``daemon``); neither password is the
machine's.
"""

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import HOST, Server, program

#: Shares, each with the place of its only user in `Samba.users`.
SHARES: Mapping[str, int] = {"dossiers": 0, "elders": 1}
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


@dataclass(frozen=True, slots=True)
class User:
    """Who may sign in."""

    name: str
    password: str


class Samba(Server):
    """One server and its folder, with a folder for each share."""

    programs, package = ("smbd", "pdbedit"), "samba"

    def __init__(self, folder: Path, extra: str = "") -> None:
        """extra: lines for the part [global] of its configuration."""
        super().__init__(folder)
        self._extra = extra
        folder.chmod(0o755)  # its second user must come through
        own = pwd.getpwuid(os.geteuid()).pw_name
        stranger = next(name for name in _STRANGERS if name != own)
        self.users = (User(own, "wachtwoord een"), User(stranger, "wachtwoord twee"))
        self._write()

    def command(self) -> Sequence[str]:
        options = [f"--configfile={self._config}", f"--log-basename={self.folder}"]
        return [program("smbd"), "--foreground", "--no-process-group", *options]

    def configure(self, old: str, new: str) -> None:
        """Change its configuration; counts from the next start on."""
        self._config.write_text(self._config.read_text().replace(old, new))

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
            share = self.path / name
            share.mkdir()
            share.chmod(0o777)
            text += _SHARE.format(name=name, path=share, user=self.users[number].name)
        self._config.write_text(text)
        for user in self.users:
            subprocess.run(
                [program("pdbedit"), "-s", self._config, "-t", "-a", user.name],
                input=f"{user.password}\n{user.password}\n".encode(),
                check=True,
                capture_output=True,
            )


def has_module(name: str) -> bool:
    """Whether a VFS module is there (Debian: samba-vfs-modules)."""
    if not Samba.installed():
        return False
    told = subprocess.run([program("smbd"), "-b"], capture_output=True, text=True, check=True)
    folder = next(x for x in told.stdout.splitlines() if "MODULESDIR:" in x).split(":")[1]
    return Path(folder.strip(), "vfs", f"{name}.so").exists()
