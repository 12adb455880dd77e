"""An SMB 2/3 connection on smbprotocol, held to what was agreed; blocking, shared by threads.

What smbprotocol leaves open is closed here: it accepts an unsigned answer where signatures were
agreed, follows symbolic links and DFS referrals to where the server says, waits for ever, and
polls with select(), which fails from the 1,024th open file on. Source: [MS-SMB2], [MS-ERREF].
"""

import hmac
import select
import socket
import struct
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from smbprotocol.connection import Commands, Connection, SigningAlgorithms
from smbprotocol.exceptions import SMBException
from smbprotocol.header import NtStatus, Smb2Flags
from smbprotocol.transport import Tcp

from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConfigInvalid,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RateLimited,
    SourceError,
    TooLarge,
    Unavailable,
)

#: NTSTATUS, and what it means to us. Anything else is a ProtocolError.
ERRORS: Mapping[type[SourceError], Sequence[int]] = {
    NotFound: (
        *(0xC000000F, 0xC0000033, 0xC0000034, 0xC0000039, 0xC000003A, 0xC000003B),  # names, paths
        *(0xC0000056, 0xC00000BA, 0xC0000103, 0xC0000225),  # being deleted, a folder, no folder
        *(0x8000002D, 0xC0000279),  # a link: not followed
    ),
    PermissionDenied: (0xC0000022, 0xC0000061, 0xC00000CA, 0xC0000121),
    AlreadyExists: (0xC0000035,),
    AuthFailed: (
        *(0xC0000064, 0xC000006A, 0xC000006D, 0xC000006E, 0xC000006F, 0xC0000070, 0xC0000071),
        *(0xC0000072, 0xC000015B, 0xC0000193, 0xC0000224, 0xC0000234),  # disabled, expired, locked
    ),
    ConfigInvalid: (0xC00000CC, 0xC0000257, 0xC000026D),  # no such share; it is a DFS namespace
    TooLarge: (0xC0000044, 0xC000007F, 0xC0000904),  # quota, disk full, larger than it can hold
    # Another program has the document open: one document's trouble, so not for the breaker.
    RateLimited: (0xC0000043, 0xC0000054),
    Unavailable: (
        *(0xC00000C9, 0xC0000203, 0xC000035C, 0xC0000128),  # share, session or handle is gone
        *(0xC000005E, 0xC0000192),  # it cannot ask its domain controller
        *(0xC000009A, 0xC0000205, 0xC00000D0, 0xC00000B5, 0xC0000466),  # no resources, no time
    ),
}
_BY_STATUS = {status: kind for kind, some in ERRORS.items() for status in some}
_NAMES = {v: k for k, v in vars(NtStatus).items() if k.startswith("STATUS_")}

_LARGEST = 9 * 1024 * 1024  # of one message: the largest read that is agreed, and its header
_SMALL = 64 * 1024
_TICK = 0.25  # how soon a thread notices that nobody waits for it any more
_SUSPECT = 5.0  # seconds without a sign of life, when one call was given up on already


class Stopped(Exception):
    """Nobody waits for this call any more."""


def error_of(status: int, what: str = "") -> SourceError:
    """Our error for an NTSTATUS."""
    name = _NAMES.get(status, f"0x{status:08X}")
    return _BY_STATUS.get(status, ProtocolError)(f"{what} {name}".strip(), native=name)


class Transport(Tcp):  # type: ignore[misc]  # smbprotocol has no types
    """The library's, with poll(), an end to sending, and a limit to what a message may weigh."""

    last = 0.0  # when something came last, on the monotonic clock

    def __init__(self, address: str, port: int, connecting: float, patience: float) -> None:
        super().__init__(address, port, connecting)
        self._patience = patience
        self._buffer = bytearray()
        self.message = memoryview(b"")

    def connect(self) -> None:
        super().connect()
        self.last = time.monotonic()
        seconds = struct.pack("ll", int(self._patience), 0)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self, timeout: float) -> bytes | memoryview:
        """The next message, b"" when the connection ends. A large one stays in the one buffer
        until the next is asked for: the library copies what it keeps of it."""
        head = self._whole(memoryview(bytearray(4)), timeout)
        if not head:
            return b""
        size: int = struct.unpack(">L", head)[0]
        if size > _LARGEST:
            raise SMBException(f"a message of {size} bytes was announced")
        if size > len(self._buffer):
            self._buffer = bytearray(size)
        whole = self._whole(memoryview(self._buffer)[:size], self._patience)
        # What is signed as a whole, for `Held`; a small one may be kept, so it is a copy.
        self.message = whole
        return whole if size > _SMALL else bytes(whole)

    def _whole(self, buffer: memoryview, timeout: float) -> memoryview:
        """Filled; empty when the connection ends."""
        rest = buffer
        while rest:
            with self._close_lock:
                if not self.connected:
                    return buffer[:0]
                self._await(timeout, begun=len(rest) < len(buffer) or len(buffer) != 4)
                try:
                    count = self._sock.recv_into(rest)
                except OSError:
                    count = 0
            if not count:
                self.close()
                return buffer[:0]
            self.last = time.monotonic()
            rest = rest[count:]
        return buffer

    def _await(self, timeout: float, *, begun: bool) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        if poll.poll(timeout * 1000):
            return
        if begun:
            raise SMBException("a message stopped halfway")
        raise TimeoutError  # idle: the library sends an echo


class Held(Connection):  # type: ignore[misc]
    """The library's, held to what was agreed."""

    def __init__(self, host: str, address: str, port: int, connecting: float, patience: float):
        self._made: Transport | None = None
        self._to = (address, port, connecting, patience)
        self._left = 0.0
        self.patience = patience
        # smbprotocol tells the host to the server, and connects to where we say.
        super().__init__(uuid.uuid4(), host, port, require_signing=True)

    @property
    def transport(self) -> Transport | None:
        return self._made

    @transport.setter
    def transport(self, made: Tcp | None) -> None:
        self._made = None if made is None else Transport(*self._to)

    def verify_signature(self, header: Any, session_id: int, force: bool = False) -> None:
        """Called for every answer that was not encrypted. Raises SMBException."""
        session = self.session_table.get(session_id)
        wanted = session is not None and header["command"].get_value() not in (
            Commands.SMB2_NEGOTIATE,
            Commands.SMB2_SESSION_SETUP,
        )
        if wanted and header["status"].get_value() != NtStatus.STATUS_PENDING:
            if session.encrypt_data:
                raise SMBException("an answer came that was not encrypted")
            if not header["flags"].has_flag(Smb2Flags.SMB2_FLAGS_SIGNED):
                raise SMBException("an answer came that was not signed")
            if large := self._large():
                return _verify(large, header["message_id"].get_value(), session.signing_key)
        super().verify_signature(header, session_id, force)
        return None

    def _large(self) -> memoryview | None:
        """The message, when it is one whole, large answer that is signed with AES-GMAC."""
        if self._made is None or self.signing_algorithm_id != SigningAlgorithms.AES_GMAC:
            return None
        message = self._made.message
        return message if len(message) > _SMALL and message[20:24] == bytes(4) else None

    def receive(
        self,
        request: Any,
        wait: bool = True,
        timeout: float | None = None,
        resolve_symlinks: bool = False,
    ) -> Any:
        """The answer; a link is an error. Raises DeadlineExceeded when nothing comes at all."""
        return self.answer(request, None, timeout)

    def answer(
        self, request: Any, stop: threading.Event | None, timeout: float | None = None
    ) -> Any:
        """As receive; raises Stopped soon after `stop` was set."""
        since = time.monotonic()
        while True:
            if not request.response_event.wait(_TICK):
                self._check_worker_running()
                if stop is not None and stop.is_set():
                    self._left = time.monotonic()
                    raise Stopped
                last = self._made.last if self._made is not None else 0.0
                # Somebody gave up on it, and nothing came since: it does not get as long again.
                patience = _SUSPECT if self._left > last else timeout or self.patience
                if time.monotonic() - max(since, last) > patience:
                    raise DeadlineExceeded(phase="first_byte")
                continue
            with request.response_event_lock:
                if request.response is not None and is_pending(request.response):
                    request.response_event.clear()
                    continue
            return super().receive(request, True, self.patience, False)


def _verify(message: memoryview, message_id: int, key: bytes) -> None:
    """What the library does with five copies of the message. [MS-SMB2] 3.1.4.1."""
    signature = bytes(message[48:64])
    message[48:64] = bytes(16)
    nonce = struct.pack("<QI", message_id, 1)  # 1: from the server
    if not hmac.compare_digest(AESGCM(key).encrypt(nonce, b"", message), signature):
        raise SMBException("the signature of an answer is not right")


def is_pending(response: Any) -> bool:
    """Whether the server only says that it is busy with it."""
    return bool(response["status"].get_value() == NtStatus.STATUS_PENDING)
