"""Starts the AFAS-shaped node-soap server (afas_server.mjs) and talks to its admin side."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("afas_server.mjs")
TOKEN = "A" * 64


def node() -> str | None:
    """The node of the virtual environment, or the machine's."""
    own = Path(sys.prefix) / "bin" / "node"
    return str(own) if own.exists() else shutil.which("node")


class NodeSoap:
    """A running server. `url` is what the source's option says."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/profitservices"

    def _admin(self, **body: Any) -> dict[str, str]:
        request = Request(f"http://127.0.0.1:{self.port}/admin", json.dumps(body).encode())
        with urlopen(request, timeout=30) as response:
            return dict(json.load(response))

    def put(self, klant: str, type: str, name: str, data: bytes = b"", **more: Any) -> str:
        """Add an attachment (to `item`, or to a dossier item of its own); gives its id."""
        content = {} if "zeros" in more else {"base64": base64.b64encode(data).decode()}
        told = self._admin(put={"klant": klant, "type": type, "name": name, **content, **more})
        return f"{told['item']}/{told['file']}"

    def remove(self, id: str) -> None:
        """Take an attachment away."""
        item, file = id.split("/")
        self._admin(remove={"item": item, "file": file})

    def clear(self) -> None:
        """Take everything away, and behave."""
        self._admin(clear=True, set={"token": TOKEN, "fault": None, "status": None, "wrap": False})

    def set(self, **state: Any) -> None:
        """token, fault, status or wrap; see afas_server.mjs."""
        self._admin(set=state)


@contextmanager
def serve() -> Iterator[NodeSoap]:
    """The server, until the block ends. Skips the test when node or node-soap is absent."""
    program = node()
    if program is None:
        pytest.skip("no node: install the extra 'demo', or a node of the system")
    if not (ROOT / "node_modules" / "soap").is_dir():
        pytest.skip("no node_modules/soap: run 'make assets'")
    process = subprocess.Popen(
        [program, str(SCRIPT), str(ROOT / "config" / "wsdl")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()  # ends with the process, should it fail
        assert line, f"node-soap ended with {process.wait(10)}"
        yield NodeSoap(json.loads(line)["port"])
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
