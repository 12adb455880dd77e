"""A clamd of strangers for tests: Debian's, in a folder of its own, with one signature.

No signature file can be fetched here, so it knows the EICAR test file alone (eicar.org), which
every scanner knows. It is written in two halves: a scanner on this machine would take the tests
away.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_CONFIG = """\
DatabaseDirectory {folder}
LocalSocket {folder}/clamd.sock
LogFile {folder}/clamd.log
Foreground yes
StreamMaxLength 30M
MaxScanSize 100M
MaxFileSize 100M
User {user}
"""


def binary() -> str | None:
    """The program; None where it is not."""
    return shutil.which("clamd") or next(
        (p for p in ("/usr/sbin/clamd",) if Path(p).exists()), None
    )


@contextmanager
def serving() -> Iterator[str]:
    """The address of a running one, as gateway.yaml has it."""
    folder = Path(tempfile.mkdtemp(prefix="map-clamd-"))
    folder.chmod(0o777)
    (folder / "eicar.ndb").write_text(f"Eicar-Test-Signature:0:0:{EICAR.hex()}\n")
    user = "root" if os.geteuid() == 0 else os.environ.get("USER", "")
    config = folder / "clamd.conf"
    config.write_text(_CONFIG.format(folder=folder, user=user))
    server = subprocess.Popen(
        [str(binary()), "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    try:
        while not _answers(folder / "clamd.sock"):
            assert server.poll() is None, (folder / "clamd.log").read_text()
            time.sleep(0.05)
        yield f"unix:{folder}/clamd.sock"
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(str(path))
        except OSError:
            return False
    return True
