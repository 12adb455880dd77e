"""Two FTP servers of strangers for the tests of one process, over TLS, each in its own folder:
Debian's vsftpd, which has no MLSD and takes only data connections that resume the TLS session of
the control connection, and pyftpdlib from PyPI, which has MLSD.

vsftpd runs as whoever runs the tests, so nobody can sign in but its "anonymous", by a password.
Run as a module this is pyftpdlib's process: folder, port, first port for data, user and password.
"""

import random
import socket
import sys
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.servers.process import HOST, Server, ServerError, program
from tests.servers.tls import certificate

#: Where a proxy may stand before it, on the same ports.
PROXY = "127.0.0.2"
#: Ports for data connections of one server.
PORTS = 60
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


class FtpServer(Server):
    """One server and its folder."""

    user, password = "anonymous", "wachtwoord van het kantoor"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port, *self.data = _free_ports(PORTS + 1)
        certificate(folder)

    @abstractmethod
    def at(self, path: Path) -> str:
        """What the server calls it."""

    def position(self) -> int:
        """How far its processes are in the files of the served folder, together: bytes."""
        count = 0
        for link in self._opened():
            with suppress(OSError):
                told = (link.parents[1] / "fdinfo" / link.name).read_text()
                count += int(told.split()[1])
        return count


class Vsftpd(FtpServer):
    """Debian's."""

    programs, package = ("vsftpd",), "vsftpd"
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
        return [program("vsftpd"), str(config)]


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
    raise ServerError("no free ports")


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
