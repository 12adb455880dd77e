"""Two WebDAV servers of strangers for the tests of one process, each in a folder of its own:
Debian's Apache, and wsgidav from its wheel (whose ETags tell whole seconds only).

Run as a module this is wsgidav's process: folder, port, user and password.
"""

import base64
import hashlib
import os
import pwd
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

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
_POLL = 0.02
_MODULES = Path("/usr/lib/apache2/modules")
_NEEDED = (
    *("mpm_event", "authn_core", "authn_file", "authz_core", "authz_user"),
    *("auth_basic", "dav", "dav_fs", "alias"),
)
_APACHE = """\
ServerName localhost
ServerRoot {folder}
Listen {host}:{port}
PidFile {folder}/pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
LogLevel error
DavLockDB {folder}/locks
DocumentRoot {folder}/empty
Alias /dav {path}
ThreadsPerChild 32
MaxRequestWorkers 64
<Directory />
  Options None
  AllowOverride None
  Require all denied
</Directory>
<Directory {path}>
  Dav On
  DavDepthInfinity Off
  AuthType Basic
  AuthName dossiers
  AuthUserFile {folder}/users
  Require valid-user
</Directory>
"""


class DavServerError(RuntimeError):
    """There is no server, or it did not come up; the message ends with its log."""


class DavServer(ABC):
    """One server and its folder. `start`, `stop` and `restart` keep the port and the files."""

    user, password = "kantoor", "wachtwoord van het kantoor"

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.path.mkdir()
        self.path.chmod(0o777)

    @property
    def path(self) -> Path:
        """The folder that is served, to fill it past the server."""
        return self.folder / "files"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}/dav"

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What to run."""

    def start(self, timeout: float = 20.0) -> "DavServer":
        """Start, and come back when it answers. Raises DavServerError."""
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
                raise DavServerError((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(_POLL)
        return self

    def stop(self) -> None:
        """End it. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def restart(self) -> "DavServer":
        """Every connection breaks; the files stay."""
        self.stop()
        return self.start()

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True


class Apache(DavServer):
    """Debian's, with mod_dav."""

    def command(self) -> Sequence[str]:
        text = "".join(f"LoadModule {n}_module {_MODULES}/mod_{n}.so\n" for n in _NEEDED)
        text += _APACHE.format(host=HOST, port=self.port, folder=self.folder, path=self.path)
        if os.geteuid() == 0:  # it will not serve as root
            who = pwd.getpwnam("nobody")
            text += f"User #{who.pw_uid}\nGroup #{who.pw_gid}\n"
            os.chown(self.folder, who.pw_uid, who.pw_gid)
        digest = base64.b64encode(hashlib.sha1(self.password.encode()).digest()).decode()
        (self.folder / "users").write_text(f"{self.user}:{{SHA}}{digest}\n")
        (self.folder / "users").chmod(0o644)
        (self.folder / "empty").mkdir(exist_ok=True)
        (self.folder / "httpd.conf").write_text(text)
        return [apache() or "", "-D", "FOREGROUND", "-f", str(self.folder / "httpd.conf")]


class Wsgidav(DavServer):
    """From PyPI."""

    def command(self) -> Sequence[str]:
        told = [str(self.path), str(self.port), self.user, self.password]
        return [sys.executable, "-m", "tests.servers.webdav", *told]


def apache() -> str | None:
    """Path of Debian's Apache; it is kept where only root's PATH looks."""
    return shutil.which("apache2", path=os.environ.get("PATH", "") + ":/usr/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serve(kind: type[DavServer]) -> Iterator[DavServer]:
    """A server, until the block ends. Raises DavServerError."""
    folder = Path(tempfile.mkdtemp(prefix="map-webdav-"))
    folder.chmod(0o755)
    try:
        server = kind(folder)
        try:
            yield server.start()
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def served(kind: type[DavServer]) -> Iterator[DavServer]:
    """The body of a fixture: the same, or a skip."""
    if kind is Apache and (apache() is None or not _MODULES.is_dir()):
        pytest.skip("Apache is not installed (Debian: apache2-bin)")
    with serve(kind) as server:
        yield server


def _wsgidav(folder: str, port: str, user: str, password: str) -> None:
    from cheroot.wsgi import Server
    from wsgidav.fs_dav_provider import FilesystemProvider
    from wsgidav.wsgidav_app import WsgiDAVApp

    app = WsgiDAVApp(
        {
            "provider_mapping": {"/dav": FilesystemProvider(folder, fs_opts={})},
            "http_authenticator": {"accept_digest": False, "default_to_digest": False},
            "simple_dc": {"user_mapping": {"*": {user: {"password": password}}}},
            "verbose": 1,
            "logging": {"enable": False},
            "block_size": 1024 * 1024,
            "property_manager": None,
            "lock_storage": False,
        }
    )
    server = Server((HOST, int(port)), app, numthreads=24)
    server.start()


if __name__ == "__main__":
    _wsgidav(*sys.argv[1:])
