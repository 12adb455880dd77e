"""Which certificates an FTP server may have; blocking. Source: RFC 4217, 4 and 9."""

import hashlib
import socket
import ssl

from gateway.errors import AuthFailed, ConfigInvalid


class Trust:
    """Which certificates a server may have."""

    def __init__(self, ca: str, pins: frozenset[bytes]) -> None:
        """ca: file of authorities (PEM); "": the machine's. pins: SHA-256 of the certificates that
        are taken instead, whoever signed them. Blocking. Raises ConfigInvalid."""
        try:
            self._context = ssl.create_default_context(cafile=ca or None)
        except OSError as e:
            raise ConfigInvalid(f"no authorities there: {type(e).__name__}", field="ca") from None
        self._pins = pins
        if pins:
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE

    def wrap(
        self, plain: socket.socket, host: str, session: ssl.SSLSession | None
    ) -> ssl.SSLSocket:
        """TLS on a connection; `check` must follow. Raises OSError when the other side has gone:
        wrap_socket would tell the same, and leave what it made of `plain` open."""
        plain.getpeername()
        return self._context.wrap_socket(
            plain, server_hostname=host, session=session, do_handshake_on_connect=False
        )

    def check(self, wrapped: ssl.SSLSocket) -> None:
        """Shake hands. Raises OSError, and AuthFailed for a certificate that is not pinned."""
        wrapped.do_handshake()
        if self._pins:
            found = hashlib.sha256(wrapped.getpeercert(True) or b"")
            if found.digest() not in self._pins:
                raise AuthFailed(
                    f"the server has another certificate: {found.hexdigest()}",
                    field="fingerprints",
                )
