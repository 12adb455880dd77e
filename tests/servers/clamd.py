"""A clamd of strangers for tests: Debian's, in a folder of its own, with one signature.

No signature file can be fetched here, so it knows the EICAR test file alone (eicar.org), which
every scanner knows. It is written in two halves: a scanner on this machine would take the tests
away.
"""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.servers.process import Server, program

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_CONFIG = """\
DatabaseDirectory {folder}
LocalSocket {folder}/clamd.sock
Foreground yes
StreamMaxLength 30M
MaxScanSize 100M
MaxFileSize 100M
User {user}
"""


class Clamd(Server):
    """One scanner, at a socket in its folder."""

    programs, package = ("clamd",), "clamav-daemon"

    @property
    def address(self) -> str:
        """As gateway.yaml has it."""
        return f"unix:{self._socket}"

    def command(self) -> Sequence[str]:
        (self.folder / "eicar.ndb").write_text(f"Eicar-Test-Signature:0:0:{EICAR.hex()}\n")
        user = "root" if os.geteuid() == 0 else os.environ.get("USER", "")
        config = self.folder / "clamd.conf"
        config.write_text(_CONFIG.format(folder=self.folder, user=user))
        return [program("clamd"), "-c", str(config)]

    @property
    def _socket(self) -> Path:
        return self.folder / "clamd.sock"

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0
