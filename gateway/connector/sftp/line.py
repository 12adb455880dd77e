"""One SSH connection with its SFTP session, made again when it breaks.

What asyncssh would take from the machine it runs on is shut out: its known_hosts, ~/.ssh/config,
agent, keys and certificate authorities. It connects by our socket, so to the very address that
egress allowed. Source: RFC 4252-4254; draft-ietf-secsh-filexfer-02, 7; asyncssh 2.24.
"""

import asyncio
import base64
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncssh

from gateway.connector.egress import EgressPolicy
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConfigInvalid,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    ProtocolError,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)

T = TypeVar("T")

#: What asyncssh raises, and what it means to us. The first that fits counts.
ERRORS: Mapping[type[Exception], type[SourceError]] = {
    asyncssh.SFTPNoSuchFile: NotFound,
    asyncssh.SFTPNoSuchPath: NotFound,
    asyncssh.SFTPNotADirectory: NotFound,
    asyncssh.SFTPFileIsADirectory: NotFound,
    asyncssh.SFTPInvalidFilename: NotFound,
    asyncssh.SFTPLinkLoop: NotFound,
    asyncssh.SFTPPermissionDenied: PermissionDenied,
    asyncssh.SFTPWriteProtect: PermissionDenied,
    asyncssh.SFTPFileAlreadyExists: AlreadyExists,
    asyncssh.SFTPNoSpaceOnFilesystem: TooLarge,
    asyncssh.SFTPQuotaExceeded: TooLarge,
    asyncssh.SFTPOpUnsupported: Unsupported,
    asyncssh.SFTPBadMessage: ProtocolError,
    asyncssh.SFTPError: Unavailable,  # "failure" without a reason; no session any more
    asyncssh.HostKeyNotVerifiable: AuthFailed,
    asyncssh.PermissionDenied: AuthFailed,
    asyncssh.IllegalUserName: AuthFailed,
    asyncssh.KeyExchangeFailed: ProtocolError,
    asyncssh.ProtocolError: ProtocolError,
    asyncssh.ProtocolNotSupported: ProtocolError,
    asyncssh.MACError: ProtocolError,
    asyncssh.CompressionError: ProtocolError,
    asyncssh.DisconnectError: Unavailable,
    asyncssh.ChannelOpenError: Unavailable,
    OSError: Unavailable,
    # What its parser meets in an answer that is none.
    asyncssh.Error: ProtocolError,
    ValueError: ProtocolError,
    LookupError: ProtocolError,
    TypeError: ProtocolError,
    AssertionError: ProtocolError,
    EOFError: Unavailable,
}
#: After these the connection is of no use any more.
_BROKEN = (
    asyncssh.DisconnectError,
    asyncssh.SFTPConnectionLost,
    asyncssh.SFTPNoConnection,
    asyncssh.SFTPBadMessage,
    OSError,
    EOFError,
)

_CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com",
            "aes256-ctr", "aes192-ctr", "aes128-ctr")  # fmt: skip
_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_HOST_KEYS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
              "ecdsa-sha2-nistp521", *_RSA)  # fmt: skip
_SIGN_IN = 20.0  # seconds, from the connection to the session
_ALIVE = 10.0  # seconds of silence until a sign of life is asked for; twice unanswered is enough
_SILENCE = 20.0  # seconds without any answer, when one call was given up on already


@dataclass(frozen=True, slots=True)
class Login:
    """Who signs in, where, and how."""

    host: str
    port: int
    username: str
    pins: "Pins"
    password: str | None = field(default=None, repr=False)
    key: asyncssh.SSHKey | None = field(default=None, repr=False)

    def options(self) -> asyncssh.SSHClientConnectionOptions:
        """For asyncssh, without anything of this machine's. Blocking. Raises ConfigInvalid."""
        ways = ["publickey"] if self.key else []
        ways += ["password", "keyboard-interactive"] if self.password is not None else []
        try:
            return asyncssh.SSHClientConnectionOptions(
                config=None,
                known_hosts=([], [], []),  # nothing at all would mean the machine's own
                server_host_key_algs=self.pins.algorithms,
                x509_trusted_certs=None,
                x509_trusted_cert_paths=[],
                username=self.username,
                password=self.password,
                client_keys=[self.key] if self.key else None,
                agent_path=None,
                gss_host=None,
                preferred_auth=ways,
                disable_trivial_auth=True,  # a server that lets in whoever comes
                kex_algs="-*sha1*",
                mac_algs="-*sha1*,umac-64*",
                encryption_algs=_CIPHERS,
                compression_algs=["none"],  # what is small may not become large here
                keepalive_interval=_ALIVE,
                keepalive_count_max=2,
            )
        except (ValueError, OSError) as e:
            raise ConfigInvalid(f"SSH cannot be set up: {e}") from None


class Pins:
    """The keys that the server may have, by the SHA-256 of each."""

    def __init__(self, texts: Sequence[str]) -> None:
        """texts: public keys ("ssh-ed25519 AAAA… comment") or fingerprints ("SHA256:…").

        Raises ConfigInvalid.
        """
        self._known: set[str] = set()
        kinds: set[str] = set()
        for text in map(str.strip, texts):
            if text.startswith("SHA256:"):
                self._known.add(_fingerprint(text))
                kinds.update(_HOST_KEYS)  # a fingerprint does not tell
                continue
            try:
                key = asyncssh.import_public_key(text)
            except (ValueError, asyncssh.Error) as e:
                raise ConfigInvalid(f"no public key: {e}", field="host_keys") from None
            self._known.add(key.get_fingerprint("sha256").rstrip("="))
            kind = key.get_algorithm()
            kinds.update(_RSA if kind == "ssh-rsa" else (kind,))
        #: What is asked of the server: with whole keys, one of just these sorts.
        self.algorithms = [name for name in _HOST_KEYS if name in kinds]
        if not self.algorithms:
            raise ConfigInvalid("no key of a sort that is in use", field="host_keys")

    def holds(self, key: asyncssh.SSHKey) -> bool:
        """Whether the server may have this key."""
        return key.get_fingerprint("sha256").rstrip("=") in self._known


def _fingerprint(text: str) -> str:
    """In one way of writing. Raises ConfigInvalid."""
    digest = text.removeprefix("SHA256:").rstrip("=")
    try:
        whole = len(base64.b64decode(digest + "=", validate=True)) == 32
    except ValueError:
        whole = False
    if not whole:
        raise ConfigInvalid("no SHA-256 fingerprint of a key", field="host_keys")
    return f"SHA256:{digest}"


def private_key(text: str, passphrase: str | None) -> asyncssh.SSHKey:
    """A key to sign in with. Blocking: a passphrase takes time. Raises ConfigInvalid."""
    try:
        return asyncssh.import_private_key(f"{text}\n", passphrase)
    except asyncssh.KeyEncryptionError:
        raise ConfigInvalid("the passphrase does not open it", field="passphrase") from None
    except (ValueError, asyncssh.Error):
        what = "no private key, or one with a passphrase"
        raise ConfigInvalid(what, field="private_key") from None


def error_of(error: BaseException) -> SourceError:
    """Our error for asyncssh's."""
    kind = next(ours for theirs, ours in ERRORS.items() if isinstance(error, theirs))
    return kind(f"{type(error).__name__}: {error}"[:200], native=type(error).__name__)


class _Gate(asyncssh.SSHClient):
    """Asked by asyncssh whether the server has the right key. `told`: what was wrong with it."""

    def __init__(self, pins: Pins) -> None:
        self._pins = pins
        self.told = ""

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        """See asyncssh.SSHClient."""
        if self._pins.holds(key):
            return True
        self.told = f"the server has another key: {key.get_algorithm()} {key.get_fingerprint()}"
        return False


class Line:
    """A connection with its session. Breaks by itself when somebody left and no answer comes."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, client: asyncssh.SFTPClient
    ) -> None:
        self._connection, self.client = connection, client
        self._broken = False
        self._answers = 0

    @property
    def alive(self) -> bool:
        """Whether it has not broken yet."""
        return not self._broken and not self._connection.is_closed()

    async def ask(self, call: Coroutine[Any, Any, T]) -> T:
        """One request, or a few. Raises SourceError."""
        try:
            found = await call
        except tuple(ERRORS) as e:
            if isinstance(e, _BROKEN) or not isinstance(e, asyncssh.SFTPError):
                self.close()
            raise error_of(e) from None
        finally:
            self.heard()
        return found

    def heard(self) -> None:
        """An answer came."""
        self._answers += 1

    async def watch(self, left: asyncio.Future[Any]) -> None:
        """Waits for a call that nobody waits for any more; with none answered, breaks."""
        while not left.done():
            before = self._answers
            await asyncio.wait([left], timeout=_SILENCE)
            if not left.done() and before == self._answers:
                self.close()
                return

    def close(self) -> None:
        """Break it; the server frees what was open."""
        self._broken = True
        self._connection.abort()


class Server:
    """Gives the line that works, and makes a new one when it broke."""

    def __init__(
        self,
        login: Login,
        options: asyncssh.SSHClientConnectionOptions,
        egress: EgressPolicy,
        resolve: Callable[[], Coroutine[Any, Any, Sequence[str]]],
        connecting: float,
    ) -> None:
        """resolve: IP addresses of the host that may be connected to.

        connecting: seconds for a connection.
        """
        self._login, self._options, self._egress = login, options, egress
        self._resolve, self._connecting = resolve, connecting
        self._line: Line | None = None
        self._making: asyncio.Task[Line] | None = None
        self._closed = False

    async def line(self) -> Line:
        """A line that works. Who comes while one is being made waits for it, and gets the same
        error: a dozen calls are one attempt to sign in, for more would lock the account.

        Raises Unavailable, AuthFailed, ConfigInvalid, ProtocolError, DeadlineExceeded.
        """
        if self._line is not None and self._line.alive:
            return self._line
        if self._closed:
            raise Unavailable("the source is closed")
        if self._making is None:
            self._making = asyncio.ensure_future(self._made())
            self._making.add_done_callback(self._ready)
        return await asyncio.shield(self._making)

    async def aclose(self) -> None:
        """Break the line; none is made any more."""
        self._closed = True
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait([self._making])
        if self._line is not None:
            self._line.close()

    def _ready(self, made: asyncio.Task[Line]) -> None:
        self._making = None
        if not made.cancelled() and made.exception() is None:
            self._line = made.result()

    async def _made(self) -> Line:
        """At the first of the addresses that answers."""
        broken: SourceError = Unavailable("the host has no address")
        for ip in await self._resolve():
            try:
                async with asyncio.timeout(self._connecting):
                    reached = await self._reach(ip)
            except TimeoutError:
                broken = DeadlineExceeded(phase="connect")
            except OSError as e:
                broken = Unavailable(f"not reached: {e.strerror}", native=str(e.errno))
            else:
                return await self._sign_in(reached)
        raise broken

    async def _reach(self, ip: str) -> socket.socket:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(
            ip, self._login.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
        made = self._egress.socket(found[0])
        try:
            await loop.sock_connect(made, found[0][4])
        except BaseException:
            made.close()
            raise
        return made

    async def _sign_in(self, reached: socket.socket) -> Line:
        gate, to = _Gate(self._login.pins), self._login
        connection: asyncssh.SSHClientConnection | None = None
        try:
            async with asyncio.timeout(_SIGN_IN):
                connection = await asyncssh.connect(
                    to.host, to.port, sock=reached, config=None, options=self._options,
                    client_factory=lambda: gate,
                )  # fmt: skip
                return Line(connection, await connection.start_sftp_client())
        except BaseException as e:
            if connection is not None:
                connection.abort()
            reached.close()
            raise _refusal(e, gate.told) from None


def _refusal(error: BaseException, key: str) -> BaseException:
    """Why nobody was let in."""
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(phase="connect")
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return AuthFailed(key or "the server's key is not a known one", field="host_keys")
    if isinstance(error, asyncssh.PermissionDenied):
        return AuthFailed("the server refuses us", field="username")
    if isinstance(error, asyncssh.ChannelOpenError):
        return ConfigInvalid(f"no SFTP for this account: {error.reason}"[:200], field="username")
    return error_of(error) if isinstance(error, tuple(ERRORS)) else error
