"""Two WebDAV servers of strangers for the tests of one process, each in a folder of its own:
Debian's Apache, and wsgidav from its wheel (whose ETags tell whole seconds only).

Run as a module this is wsgidav's process: folder, port, user and password.
"""

import base64
import hashlib
import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.servers.process import HOST, Server, program

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


class DavServer(Server):
    """One server and its folder."""

    user, password = "kantoor", "wachtwoord van het kantoor"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        folder.chmod(0o755)  # Apache is somebody else
        self.path.chmod(0o777)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}/dav"


class Apache(DavServer):
    """Debian's, with mod_dav."""

    programs, package = ("apache2",), "apache2-bin"

    @classmethod
    def installed(cls) -> bool:
        return super().installed() and _MODULES.is_dir()

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
        return [program("apache2"), "-D", "FOREGROUND", "-f", str(self.folder / "httpd.conf")]


class Wsgidav(DavServer):
    """From PyPI."""

    def command(self) -> Sequence[str]:
        told = [str(self.path), str(self.port), self.user, self.password]
        return [sys.executable, "-m", __name__, *told]


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
