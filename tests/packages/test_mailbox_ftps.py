"""A mailbox on an FTP server, as AFAS and what is like it leave their files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packages.test_mailbox import CATEGORY, _everything, bus  # noqa: F401
from tests.servers.ftp import FtpServer, Pyftpd, Vsftpd
from tests.servers.process import HOST, serve


@pytest.fixture(scope="module", params=[Vsftpd, Pyftpd])
def server(request: pytest.FixtureRequest) -> Iterator[FtpServer]:
    with serve(request.param) as server:
        yield server


async def test_over_ftps(
    office: Any, bus: Any, server: FtpServer, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    """A set that is right goes to `verwerkt`, a wrong file to `fout` beside its reason."""
    (tmp_path / "wachtwoord").write_text(server.password)
    root = server.path / "bus"
    (root / "uit").mkdir(parents=True)
    options = {"host": HOST, "port": server.port, "path": server.at(root),
               "username": server.user, "password": "file:wachtwoord",
               "ca": str(server.folder / "cert.pem"), "writable": True}  # fmt: skip
    source = {"id": "bus", "title": "B", "kind": "ftps", "categories": CATEGORY}
    await _everything(office, bus, {**source, "options": options}, root, tmp_path)
