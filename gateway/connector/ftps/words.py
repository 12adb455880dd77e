"""The words of FTP: what goes on a command line, and what replies and failures mean.

Source: RFC 959, 4.2.2 (replies); RFC 4217, 10 (those about TLS); RFC 2640, 2.2 (UTF-8).
"""

import ftplib
import re
import ssl
from collections.abc import Mapping

from gateway.errors import (
    AuthFailed,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    ProtocolError,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)

#: What a reply means to us. Of the others those from 400 on are Unavailable, from 500 on
#: ProtocolError.
REPLIES: Mapping[str, type[SourceError]] = {
    "430": AuthFailed,
    "452": TooLarge,
    "500": Unsupported,
    "502": Unsupported,
    "504": Unsupported,
    "530": AuthFailed,
    "532": AuthFailed,
    "535": AuthFailed,
    "550": NotFound,
    "552": TooLarge,
    "553": PermissionDenied,
}
#: What else may go wrong. The first that fits counts; the connection is of no use after it.
ERRORS: Mapping[type[Exception], type[SourceError]] = {
    ssl.SSLCertVerificationError: AuthFailed,
    ssl.SSLEOFError: Unavailable,
    ssl.SSLZeroReturnError: Unavailable,
    ssl.SSLError: ProtocolError,
    TimeoutError: DeadlineExceeded,
    OSError: Unavailable,
    EOFError: Unavailable,
    ftplib.Error: ProtocolError,
    # What its parser meets in an answer that is none.
    ValueError: ProtocolError,
    LookupError: ProtocolError,
    TypeError: ProtocolError,
    AttributeError: ProtocolError,
}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
#: Words by which servers say what the code leaves open.
_CROWDED = re.compile(r"too many|maximum", re.IGNORECASE)
_DENIED = re.compile(r"denied|not permitted|not allowed", re.IGNORECASE)


def has_control(text: str) -> bool:
    """Whether a text has a character that could end a command, or confuse a server."""
    return _CONTROL.search(text) is not None


def error_of(what: str, reply: str, *, private: bool) -> SourceError:
    """What a reply of 400 or more means."""
    code = reply[:3]
    kind = REPLIES.get(code) or (Unavailable if code[:1] == "4" else ProtocolError)
    if not code.isdecimal():
        return ProtocolError(f"{what}: no reply of FTP")
    if code == "501" and private:  # "not a directory", or no name for this server
        kind = NotFound
    if kind is NotFound and _DENIED.search(reply):
        kind = PermissionDenied
    if kind is AuthFailed and _CROWDED.search(reply):
        kind = Unavailable
    told = code if private else reply.splitlines()[0][:200]
    return kind(f"{what}: {told}", native=code)


def failure(what: str, error: Exception) -> SourceError:
    """What it means that a connection broke, or was never spoken on in this protocol."""
    kind = next(k for e, k in ERRORS.items() if isinstance(error, e))
    name = type(error).__name__
    if kind is DeadlineExceeded:
        return DeadlineExceeded(phase="idle", native=name)
    if kind is AuthFailed:
        why = getattr(error, "verify_message", "")
        return AuthFailed(f"the server's certificate is refused: {why}", native=name, field="ca")
    return kind(f"{what}: {name}", native=name)


def wire(text: str) -> str:
    """As its UTF-8 bytes, each a character of latin-1. Raises NotFound for what could be taken for
    the end of a command."""
    if has_control(text):
        raise NotFound
    try:
        return text.encode().decode("latin-1")
    except UnicodeEncodeError:
        raise NotFound from None
