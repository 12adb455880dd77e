"""An OpenSSH of strangers for the tests of one process: Debian's sshd, in a folder of its own.

It serves SFTP to the account that runs the tests, by key: the machine's passwords are not ours.
"""

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.process import HOST, Server, program

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


class Sshd(Server):
    """One server and its folder."""

    programs, package = ("sshd", "ssh-keygen"), "openssh-server"
    #: Of the user's second key.
    passphrase = "wachtzin van de sleutel"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        for name, kind in (("host_ed25519", "ed25519"), ("host_rsa", "rsa"), ("user", "ed25519")):
            self.make_key(name, kind)
        self.make_key("geheim", "ed25519", self.passphrase)
        self.make_key("vreemd", "ed25519")
        known = [self.public("user"), self.public("geheim")]
        (folder / "authorized").write_text("".join(f"{key}\n" for key in known))
        self._configure()

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

    def command(self) -> Sequence[str]:
        return [program("sshd"), "-D", "-e", "-f", str(self._config)]

    @property
    def _config(self) -> Path:
        return self.folder / "sshd_config"

    def _configure(self) -> None:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it locks itself into
        text = _CONFIG.format(host=HOST, port=self.port, folder=self.folder)
        self._config.write_text(text + _NEWER)
        known = subprocess.run(
            [program("sshd"), "-t", "-f", str(self._config)], capture_output=True, check=False
        )
        if known.returncode:
            self._config.write_text(text)


def _run(name: str, *options: str) -> str:
    told = subprocess.run(
        [program(name), *options], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return told.stdout.decode()
