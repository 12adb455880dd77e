"""One signed-in control connection to an FTP server, and its data connections; blocking.

ftplib keeps the dialogue. Sockets are made here: by the egress policy, to the control
connection's own address whatever the server says, and with TLS, the data connection's resuming
the session of the control connection (vsftpd and FileZilla Server refuse others, and ftplib never
does it). Text goes as latin-1, so that a path's bytes are ours and no answer fails to decode.
Source: RFC 959, 4.2 and 5.4; RFC 2428, 3 (EPSV); RFC 4217, 4, 9 and 10 (TLS); RFC 3659, 5 (REST).
"""

import ftplib
import re
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from gateway.connector.egress import EgressPolicy
from gateway.connector.ftps.tls import Trust
from gateway.connector.ftps.words import ERRORS, error_of, failure, wire
from gateway.connector.walk import Parts
from gateway.errors import (
    AuthFailed,
    ConfigInvalid,
    DeadlineExceeded,
    NotFound,
    ProtocolError,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)

#: Bytes that are taken or sent at a time.
BLOCK = 256 * 1024
PATIENCE = 20.0  # seconds without a sign of life
_SETTLE = 5.0  # the same, for the last word on a transfer that was broken off
_ALIVE = 30  # seconds of silence until the network is asked for a sign of life
_LONGEST = 32 * 1024 * 1024  # bytes of a listing: a folder of some 200,000 documents
_LINES = 1000  # of one reply
_FAREWELL = 100  # pieces that a server may still send on a connection that we write to
_FOLDER = re.compile(r"^ (?:[^ ]*;)?type=(?:dir|cdir)[; ]", re.IGNORECASE | re.MULTILINE)
_LOWEST = 1024  # below it stand services that no server gives a data connection on


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server is and who signs in. path: the folder that all paths are below.
    connecting: seconds for a connection."""

    host: str
    port: int
    implicit: bool
    username: str
    path: str
    trust: Trust
    egress: EgressPolicy
    connecting: float
    password: str = field(repr=False)

    def sign_in(self) -> "Line":
        """At the first of its addresses that answers. Raises Unavailable, DeadlineExceeded,
        AuthFailed, ConfigInvalid, ProtocolError."""
        broken: SourceError = Unavailable("the host has no address")
        for ip in self.egress.resolve(self.host, self.port):
            try:
                reached = self.reach(ip, self.port)
            except TimeoutError:
                broken = DeadlineExceeded(phase="connect")
            except OSError as e:
                broken = Unavailable(f"not reached: {e.strerror}", native=str(e.errno))
            else:
                return Line(self, reached)
        raise broken

    def reach(self, ip: str, port: int) -> socket.socket:
        """A connection to an address. Raises OSError."""
        numeric = socket.AI_NUMERICHOST
        found = socket.getaddrinfo(ip, port, type=socket.SOCK_STREAM, flags=numeric)[0]
        made = self.egress.socket(found)
        try:
            made.settimeout(self.connecting)
            made.connect(found[4])
            made.settimeout(PATIENCE)
        except BaseException:
            made.close()
            raise
        return made


class Line(ftplib.FTP):
    """A control connection. Does one thing at a time; only `cut` and `hang_up` may be called from
    another thread meanwhile. Raises SourceError.

    base: absolute path of the source's folder. tells_facts: the server has MLSD and MLST.
    """

    def __init__(self, server: Server, reached: socket.socket) -> None:
        super().__init__(timeout=PATIENCE, encoding="latin-1")
        self._server = server
        self._control = reached
        self._data: ssl.SSLSocket | None = None
        self._ends = threading.Lock()
        self._broken = self._owed = self._old_passive = False
        self.base, self.tells_facts = "", False
        self.host = server.host
        try:
            self._sign_in()
        except BaseException:
            self.close()
            raise

    # --- its life

    @property
    def alive(self) -> bool:
        """Whether it has not broken yet."""
        return not self._broken

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way, nor owed by the server."""
        return self._data is None and not self._owed

    def usable(self) -> bool:
        """Whether it waits for us: what is not asked for is the server's farewell, or its end."""
        if self._broken:
            return False
        known = select.poll()
        known.register(self._control, select.POLLIN)
        return not known.poll(0)

    def cut(self) -> None:
        """End the transfer that is under way."""
        with self._ends, suppress(OSError):
            if self._data is not None:
                socket.socket.shutdown(self._data, socket.SHUT_RDWR)

    def hang_up(self) -> None:
        """End everything."""
        self._broken = True
        self.cut()
        with self._ends, suppress(OSError):
            socket.socket.shutdown(self._control, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what is open, without a word. Safe to call twice."""
        self._broken = True
        self._drop()
        with self._ends:
            super().close()
            self._control.close()

    def settle(self) -> None:
        """Break off what is under way, and make sure that the next answer is to the next command.
        A server that does not go along breaks the connection."""
        try:
            if self._owed:
                with suppress(SourceError):
                    self.done(_SETTLE)
            if self.alive and not self.ask("NOOP").startswith("200"):
                self._broken = True
        except SourceError:
            self._broken = True

    # --- asking

    def at(self, parts: Parts) -> str:
        """The absolute path of what is below the source's folder."""
        return "/".join((self.base.rstrip("/"), *parts)) or "/"

    def ask(self, verb: str, path: str | None = None, *, wanted: str = "2") -> str:
        """One command and its reply, which must begin with `wanted`. A path is absolute."""
        with self._talk(verb, private=path is not None or wanted == "1"):
            reply = self.sendcmd(verb if path is None else f"{verb} {wire(path)}")
            if reply[0] != wanted:
                raise ftplib.error_reply(reply)
            return reply

    def enter(self) -> None:
        """Raises Unavailable when the source's own folder is not there."""
        try:
            self.find_folder(self.base)
        except NotFound as e:
            raise Unavailable("the folder is not there", native=e.native, field="path") from None

    def find_folder(self, path: str) -> None:
        """Raises NotFound when there is none of that name."""
        if not self.tells_facts:
            self.ask("CWD", path)
        elif not _FOLDER.search(self.ask("MLST", path)):
            raise NotFound

    # --- transfers: begun by `transfer`, ended by `done`, `sent`, or `settle`

    def transfer(self, verb: str, path: str | None = None, offset: int = 0) -> None:
        """Begin one, over a data connection of its own."""
        with self._talk(verb):
            plain = self._server.reach(*self.makepasv())
            try:
                if offset:
                    self.ask("REST", str(offset), wanted="3")
                self.ask(verb, path, wanted="1")
            except BaseException:
                plain.close()
                raise
            self._owed = True
            control = self._control
            session = control.session if isinstance(control, ssl.SSLSocket) else None
            try:
                self._data = self._server.trust.wrap(plain, self.host, session)
            except BaseException:
                plain.close()
                raise
            self._server.trust.check(self._data)

    def receive(self, most: int) -> bytes:
        """What has come, at least a byte; b"" at the end."""
        with self._talk("the data"):
            found = bytearray(self._under_way.recv(most))
            while found and len(found) < most and self._has_more():
                if not (more := self._under_way.recv(most - len(found))):
                    break
                found += more
            return bytes(found)

    def fetch(self, verb: str, path: str | None = None) -> tuple[bytes, str]:
        """All that a listing gives, and the last reply. Raises TooLarge."""
        self.transfer(verb, path)
        found = bytearray()
        while piece := self.receive(BLOCK):
            found += piece
            if len(found) > _LONGEST:
                raise TooLarge(f"a listing of more than {_LONGEST} bytes")
        return bytes(found), self.done()

    def done(self, patience: float = PATIENCE) -> str:
        """What was received was all: the server's last word on it."""
        with self._talk("the end"):
            if self._data is not None:
                self._farewell(self._data)
            self._drop()
            return self._last(patience)

    def send(self, block: bytes) -> None:
        """Send a block of a document."""
        with self._talk("the data"):
            try:
                self._under_way.sendall(block)
            except TimeoutError:
                raise
            except OSError:
                self._drop()
                self._last(_SETTLE)  # why the server takes no more
                raise

    def sent(self) -> None:
        """What was sent was all: tell so by TLS and by TCP, and wait for the server's last word.

        Nothing may lie unread when the connection closes, such as the tickets of TLS 1.3: it would
        be reset, and what is still on its way would be lost.
        """
        with self._talk("the data"):
            data = self._under_way
            self._farewell(data)
            data.settimeout(PATIENCE)
            with suppress(OSError):
                data.shutdown(socket.SHUT_WR)
                for _ in range(_FAREWELL):
                    if not data.recv(BLOCK):
                        break
            self._drop()
        self.done()

    # --- how

    @property
    def _under_way(self) -> ssl.SSLSocket:
        if self._data is None:
            raise EOFError("the transfer was broken off")
        return self._data

    def _farewell(self, data: ssl.SSLSocket) -> None:
        """The end of TLS, for which some servers wait; they are not waited for in turn."""
        writable = select.poll()
        writable.register(data, select.POLLOUT)
        writable.poll(PATIENCE * 1000)
        data.setblocking(False)
        with suppress(OSError):
            data.unwrap()

    def _has_more(self) -> bool:
        known = select.poll()
        known.register(self._under_way, select.POLLIN)
        return self._under_way.pending() > 0 or bool(known.poll(0))

    def _drop(self) -> None:
        with self._ends:
            data, self._data = self._data, None
            if data is not None:
                data.close()

    def _last(self, patience: float) -> str:
        self._owed = False
        self._control.settimeout(patience)
        try:
            return self.voidresp()
        finally:
            self._control.settimeout(PATIENCE)

    @contextmanager
    def _talk(self, what: str, *, private: bool = True) -> Iterator[None]:
        """Raises ftplib's errors, TLS's and the network's as ours. private: replies may tell the
        names of documents."""
        try:
            yield
        except (ftplib.error_perm, ftplib.error_temp) as e:
            reply = str(e)
            self._broken = self._broken or reply[:3] == "421" or not reply[:3].isdecimal()
            raise error_of(what, reply, private=private) from None
        except AuthFailed:
            self._broken = True
            raise
        except tuple(ERRORS) as e:
            self._broken = True
            raise failure(what, e) from None

    def _sign_in(self) -> None:
        to = self._server
        self._over(self._control)
        if to.implicit:
            self._secure()
        with self._talk("the greeting", private=False):
            if self.getresp()[0] == "1":
                self.voidresp()
        if not to.implicit:
            try:
                self.ask("AUTH TLS")
            except (Unsupported, ProtocolError, AuthFailed) as e:
                if not e.native.isdecimal():
                    raise
                raise ConfigInvalid(
                    "the server has no TLS", native=e.native, field="tls"
                ) from None
            self._secure()
        self._enter()
        try:
            self.ask("PBSZ 0")
            self.ask("PROT P")
        except (Unsupported, ProtocolError) as e:
            raise ConfigInvalid(
                "the server has no TLS for data", native=e.native, field="tls"
            ) from None
        self.ask("TYPE I")
        self._features()
        self.base = to.path if to.path.startswith("/") else self._below_home(to.path)

    def _enter(self) -> None:
        """Say who we are; only ever over TLS. Raises AuthFailed."""
        if not isinstance(self.sock, ssl.SSLSocket):
            raise ConfigInvalid("not without TLS", field="tls")
        try:
            with self._talk("signing in", private=False):
                reply = self.sendcmd(f"USER {wire(self._server.username)}")
                if reply[0] == "3":
                    reply = self.sendcmd(f"PASS {wire(self._server.password)}")
                if reply[0] != "2":
                    raise AuthFailed("the server wants more than a password", native=reply[:3])
        except SourceError as e:
            if e.native[:1] == "5" and not isinstance(e, Unavailable):
                raise AuthFailed(str(e), native=e.native, field="username") from None
            raise

    def _features(self) -> None:
        """Raises ProtocolError for a server that cannot tell what a document is.

        UTF-8 is what RFC 2640 wants of every server; some must be told.
        """
        try:
            told = self.ask("FEAT").splitlines()[1:-1]
        except (Unsupported, ProtocolError) as e:
            if not self.alive:
                raise
            raise ProtocolError("the server tells no features", native=e.native) from None
        can = {line.split()[0].upper() for line in told if line.strip()}
        self.tells_facts = "MLST" in can
        if not self.tells_facts and not {"SIZE", "MDTM"} <= can:
            raise ProtocolError("the server has neither MLST, nor SIZE and MDTM")
        for option in ("UTF8 ON", "MLST type;size;modify;"):
            with suppress(SourceError):  # one that does not know it may be so already
                self.ask(f"OPTS {option}")

    def _below_home(self, path: str) -> str:
        home = ftplib.parse257(self.ask("PWD")).encode("latin-1").decode("utf-8", "replace")
        if not home.startswith("/") or "\ufffd" in home:
            raise ProtocolError("a home that is no absolute path")
        return f"{home.rstrip('/')}/{path}".rstrip("/") or "/"

    def _over(self, connection: socket.socket) -> None:
        self._control = self.sock = connection
        self.af = connection.family
        self.file = connection.makefile("r", encoding=self.encoding)
        for level, name, value in (
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            # A line is silent while a long document comes over the other one.
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _ALIVE),
        ):
            connection.setsockopt(level, name, value)

    def _secure(self) -> None:
        """What came in plain text before is forgotten: nobody could tell who said it."""
        with self._talk("TLS"):
            wrapped = self._server.trust.wrap(self._control, self.host, None)
            self._over(wrapped)
            self._server.trust.check(wrapped)

    def getmultiline(self) -> str:
        """See ftplib; a reply has an end here. RFC 959, 4.2."""
        lines = [first := self.getline()]
        while first[3:4] == "-" and (lines[-1][:3] != first[:3] or lines[-1][3:4] == "-"):
            lines.append(self.getline())
            if len(lines) > _LINES:
                raise ftplib.error_proto("a reply without an end")
        return "\n".join(lines)

    def makepasv(self) -> tuple[str, int]:
        """Where to connect for data: the address is the control connection's, always."""
        ip = str(self._control.getpeername()[0])
        port = 0
        if not self._old_passive:
            try:
                port = int(ftplib.parse229(self.sendcmd("EPSV"), (ip, 0))[1])
            except ftplib.error_perm:
                self._old_passive = True
        if self._old_passive:
            port = ftplib.parse227(self.sendcmd("PASV"))[1]
        if not _LOWEST <= port <= 65535:
            raise ftplib.error_proto("a port that is not for data")
        return ip, port
