"""One session with one share, made again when it breaks; blocking, shared by threads."""

import contextlib
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from smbprotocol.connection import Commands
from smbprotocol.exceptions import (
    SMBAuthenticationError,
    SMBConnectionClosed,
    SMBException,
    SMBResponseException,
)
from smbprotocol.open import SMB2CloseRequest
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from gateway.connector.smb.wire import Held, Stopped, error_of, is_pending
from gateway.errors import (
    AuthFailed,
    ConfigInvalid,
    PermissionDenied,
    ProtocolError,
    SourceError,
    Unavailable,
)

_CREDITS = 512  # places in the server's queue that are asked for; Windows gives up to 8,192
_UNIT = 64 * 1024  # bytes of a message that one place is for
_KNOWN, _MOST = 30.0, 10_000  # seconds that a folder is known to be no link; folders known
_GONE = frozenset((0xC00000C9, 0xC0000203, 0xC000035C))  # the share or the session, not a file


@dataclass(frozen=True, slots=True)
class Address:
    """What to connect to, and as whom. username: with its domain, "KANTOOR\\\\jan"."""

    host: str
    port: int
    share: str
    username: str
    password: str = field(repr=False)
    encrypt: bool = False


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What smbprotocol raises, in our words."""
    try:
        yield
    except (SourceError, Stopped):
        raise
    except SMBResponseException as e:
        raise error_of(e.status) from None
    except SMBAuthenticationError as e:
        raise AuthFailed(str(e)) from None
    except SMBConnectionClosed:
        raise Unavailable("the connection was closed") from None
    except SMBException as e:
        raise ProtocolError(str(e)) from None
    except OSError as e:
        raise Unavailable(
            f"the connection broke: {type(e).__name__}", native=str(e.errno)
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, struct.error, InvalidTag) as e:
        # What its parser meets in an answer that is no SMB.
        raise ProtocolError(f"the answer is not SMB: {type(e).__name__}") from None


class Link:
    """A connection, its session and its share."""

    def __init__(self, connection: Held, session: Session, tree: TreeConnect) -> None:
        self._connection = connection
        self._ids = (session.session_id, tree.tree_connect_id)
        self._lock = threading.Lock()
        self._folders: dict[str, float] = {}
        self._forgotten: deque[Any] = deque()  # other threads append while one sweeps
        large = connection.supports_multi_credit
        self.largest_read = int(connection.max_read_size) if large else _UNIT
        self.largest_write = int(connection.max_write_size) if large else _UNIT

    @property
    def alive(self) -> bool:
        """Whether it has not broken yet."""
        transport = self._connection.transport
        return transport is not None and transport.connected and self._connection._t_exc is None

    def send(self, *messages: Any, payload: int = 1) -> list[Any]:
        """Send as one; more than one: each about the file that the first opens.

        payload: bytes of the largest message or answer. Raises Unavailable, ProtocolError.
        """
        charge = (payload - 1) // _UNIT + 1
        with self._lock, self._breaking():
            self._sweep()
            self._make_room(charge * len(messages))
            session, tree = self._ids
            if len(messages) > 1:
                return list(
                    self._connection.send_compound(list(messages), *self._ids, related=True)
                )
            ask = charge + (32 if self._room < _CREDITS else 0)
            return [self._connection.send(messages[0], session, tree, credit_request=ask)]

    def answer(self, request: Any, stop: threading.Event | None = None) -> bytes:
        """The body of the answer. Raises SourceError; Stopped soon after `stop` was set."""
        with self._breaking():
            response = self._connection.answer(request, stop)
            return bytes(response["data"].get_value())

    def call(
        self, message: Any, stop: threading.Event | None = None, *, payload: int = 1
    ) -> bytes:
        """Send one message, and its answer."""
        request = self.send(message, payload=payload)[0]
        try:
            return self.answer(request, stop)
        except Stopped:
            self.forget([request])
            raise

    def knows(self, folder: str) -> bool:
        """Whether this path was a plain folder a moment ago."""
        return time.monotonic() - self._folders.get(folder, -_KNOWN) < _KNOWN

    def remember(self, folder: str) -> None:
        """It is one now."""
        if not self.knows(folder):
            if len(self._folders) > _MOST:
                self._folders.clear()
            self._folders[folder] = time.monotonic()

    def forget(self, requests: Sequence[Any]) -> None:
        """Nobody waits for these any more. A file that was opened after all is closed."""
        self._forgotten.extend(requests)

    def close(self) -> None:
        """Break it; the server frees what was open."""
        with contextlib.suppress(Exception):  # it may be broken in any way already
            self._connection.disconnect(False)

    # --- how

    @contextlib.contextmanager
    def _breaking(self) -> Iterator[None]:
        """Closes the connection after anything but a plain answer: its state is not known."""
        try:
            with told():
                yield
        except Stopped:
            raise
        except SourceError as e:
            cause = e.__context__
            answered = isinstance(cause, SMBResponseException) and cause.status not in _GONE
            if not answered:
                self.close()
            raise

    @property
    def _room(self) -> int:
        window = self._connection.sequence_window
        return int(window["high"] - window["low"])

    def _make_room(self, charge: int) -> None:
        """Wait until the server takes as much; it gives places back with its answers."""
        until = time.monotonic() + self._connection.patience
        while self._room < charge:
            if not self.alive:
                raise Unavailable("the connection was closed")
            if time.monotonic() > until:
                raise Unavailable("the server takes no more messages")
            time.sleep(0.002)

    def _sweep(self) -> None:
        """Drop the answers that nobody waits for."""
        for _ in range(len(self._forgotten)):
            request = self._forgotten.popleft()
            response = request.response
            if response is None or is_pending(response):
                self._forgotten.append(request)
                continue
            self._connection.outstanding_requests.pop(request.message["message_id"].get_value(), 0)
            opened = request.message["command"].get_value() == Commands.SMB2_CREATE
            if opened and response["status"].get_value() == 0:
                close = SMB2CloseRequest()
                close["file_id"] = bytes(response["data"].get_value())[64:80]
                self._make_room(1)
                self._forgotten.append(self._connection.send(close, *self._ids))


class Share:
    """Gives the link that works, and makes a new one when it broke."""

    def __init__(
        self,
        address: Address,
        resolve: Callable[[], Sequence[str]],
        *,
        connecting: float,
        patience: float,
    ) -> None:
        """resolve: IP addresses of the host that may be connected to; blocking.

        connecting, patience: seconds for a connection, and for any sign of life after it.
        """
        self._address, self._resolve = address, resolve
        self._connecting, self._patience = connecting, patience
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._failed: tuple[float, SourceError] | None = None
        self._closed = False

    def link(self, asked: float) -> Link:
        """For who asked at that moment, on the monotonic clock.

        Who waited while another failed gets the same error: a dozen calls that arrive together
        are one attempt to sign in, for more would lock the account.
        Raises Unavailable, AuthFailed, ConfigInvalid, ProtocolError, DeadlineExceeded.
        """
        link = self._link
        if link is not None and link.alive:
            return link
        with self._lock:
            if self._link is not None and self._link.alive:
                return self._link
            if self._failed is not None and self._failed[0] > asked:
                raise self._failed[1]
            if self._closed:
                raise Unavailable("the source is closed")
            try:
                self._link = self._connect()
            except SourceError as e:
                self._failed = (time.monotonic(), e)
                raise
            return self._link

    def close(self) -> None:
        """Break the link; none is made any more."""
        self._closed = True
        if self._link is not None:
            self._link.close()

    def _connect(self) -> Link:
        """At the first of the addresses that answers."""
        broken: SourceError | None = None
        for ip in self._resolve():
            try:
                return self._sign_in(ip)
            except Unavailable as e:
                broken = e
        raise broken or Unavailable("the host has no address")

    def _sign_in(self, ip: str) -> Link:
        to = self._address
        connection = Held(to.host, ip, to.port, self._connecting, self._patience)
        try:
            with told():
                _reach(connection, self._patience)
                session = Session(
                    connection,
                    to.username,
                    to.password,
                    require_encryption=to.encrypt,
                    hostname_override=to.host,
                )
                _authenticate(session)
                tree = _enter(session, rf"\\{to.host}\{to.share}")
                connection.echo(sid=session.session_id, credit_request=_CREDITS)
            return Link(connection, session, tree)
        except BaseException:
            with contextlib.suppress(Exception):
                connection.disconnect(False)
            raise


def _reach(connection: Held, patience: float) -> None:
    try:
        connection.connect(timeout=patience)
    except ValueError as e:
        if connection.transport is None or not connection.transport.connected:
            raise Unavailable(str(e)) from None
        raise


def _authenticate(session: Session) -> None:
    """Sign in. Raises AuthFailed, also when the server would have us as a guest."""
    try:
        session.connect()
    except SMBResponseException as e:
        error = error_of(e.status)
        raise AuthFailed(str(error)) if isinstance(error, PermissionDenied) else error from None
    except (SMBConnectionClosed, SMBAuthenticationError):
        raise
    except SMBException as e:
        if session.session_id is None:  # what smbprotocol leaves behind for a guest
            raise AuthFailed("the server takes us for a guest") from None
        if session.require_encryption and not session.connection.supports_encryption:
            raise ConfigInvalid("the server cannot encrypt", field="encrypt") from None
        raise ProtocolError(str(e)) from None


def _enter(session: Session, path: str) -> TreeConnect:
    """Open the share. Raises ConfigInvalid when it does not exist, or is not for this user."""
    tree = TreeConnect(session, path)
    try:
        tree.connect()
    except SMBResponseException as e:
        error = error_of(e.status)
        if isinstance(error, PermissionDenied | ConfigInvalid):
            raise ConfigInvalid(str(error), native=error.native, field="share") from None
        raise error from None
    # A share of a DFS namespace refers to other servers; we follow to none of them.
    tree.is_dfs_share = False
    return tree
