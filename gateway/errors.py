"""What can go wrong, as one tree. Each class says what to do next.

::

    PortalError
    ├── Denied                 the person may not (shown as 404: existence is not told)
    ├── Invalid                what was sent is wrong; carries every fault at once
    ├── TooMany                a throttle said no; carries when to try again
    ├── Stale                  the form was made for another state (other klant, other session)
    └── SourceError            a back office did not do what was asked
        ├── ConfigInvalid      operations must change the configuration
        ├── AuthFailed         operations must renew the credentials; probing stops
        ├── NotFound           no such document in this klant's dossier
        │   └── PermissionDenied   the source refuses; told as NotFound
        ├── AlreadyExists      put with if_absent met a document of that name
        ├── ConditionFailed    the document is no longer the version asked for
        ├── RangeNotSatisfiable
        ├── Unsupported        this kind of source cannot do that
        ├── TooLarge
        ├── RateLimited        try again after retry_after
        ├── Unavailable        not reachable; try again later
        ├── DeadlineExceeded   no answer in time; carries the phase
        ├── ProtocolError      it answered, but not in its own protocol
        ├── IntegrityError     the bytes are not the bytes that were promised
        └── Busy               our own bulkhead or breaker said no

The docstring of a class is its message for operations; what a client reads stands in
the catalogue under ``user_message``.
"""

from collections.abc import Mapping
from typing import ClassVar


class PortalError(Exception):
    """Something went wrong in the portal."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip().splitlines()[0])


class Denied(PortalError):
    """This person may not see or do this."""


class Invalid(PortalError):
    """The input is not right."""

    def __init__(self, faults: Mapping[str, str], message: str = "") -> None:
        """`faults` maps a field name to a Dutch sentence that says what is wrong."""
        super().__init__(message or "; ".join(f"{k}: {v}" for k, v in faults.items()))
        self.faults = dict(faults)


class TooMany(PortalError):
    """Too many attempts; wait before trying again."""

    def __init__(self, retry_after: float, message: str = "") -> None:
        """`retry_after` is in seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class Stale(PortalError):
    """The page was made for another state than the present one."""


class SourceError(PortalError):
    """A source failed.

    code: stable word for logs, metrics and the interfaces.
    status: HTTP status when a document was asked for.
    retryable: may be tried again before the first byte.
    counts: counts against the circuit breaker of the source.
    owner: who must act: "client", "ops" or "nobody".
    """

    code: ClassVar[str] = "source_error"
    status: ClassVar[int] = 502
    retryable: ClassVar[bool] = False
    counts: ClassVar[bool] = False
    owner: ClassVar[str] = "nobody"

    def __init__(
        self,
        message: str = "",
        *,
        native: str = "",
        field: str = "",
        retry_after: float | None = None,
    ) -> None:
        """`message` and `native` (the source's own code) are for operations only.

        field: path of the option at fault, for a configuration page.
        retry_after: seconds, when the source or the guard knows.
        """
        super().__init__(message)
        self.native = native
        self.field = field
        self.retry_after = retry_after


class ConfigInvalid(SourceError):
    """The configuration of the source is not right."""

    code = "config_invalid"
    status = 500
    owner = "ops"


class AuthFailed(SourceError):
    """The source refuses our credentials."""

    code = "auth_failed"
    status = 503
    owner = "ops"


class NotFound(SourceError):
    """There is no such document in this dossier."""

    code = "not_found"
    status = 404


class PermissionDenied(NotFound):
    """The source does not let us read this document."""

    code = "permission_denied"
    owner = "ops"


class AlreadyExists(SourceError):
    """A document of that name exists already."""

    code = "already_exists"
    status = 409
    owner = "client"


class ConditionFailed(SourceError):
    """The document is no longer the version that was asked for."""

    code = "condition_failed"
    status = 412


class RangeNotSatisfiable(SourceError):
    """The range lies outside the document."""

    code = "range_not_satisfiable"
    status = 416


class Unsupported(SourceError):
    """This kind of source cannot do that."""

    code = "unsupported"
    status = 501


class TooLarge(SourceError):
    """The document is larger than the source or the portal takes."""

    code = "too_large"
    status = 413
    owner = "client"


class RateLimited(SourceError):
    """The source asks us to slow down."""

    code = "rate_limited"
    status = 503
    retryable = True


class Unavailable(SourceError):
    """The source cannot be reached."""

    code = "unavailable"
    status = 503
    retryable = True
    counts = True
    owner = "ops"


class DeadlineExceeded(SourceError):
    """The source did not answer in time."""

    code = "deadline_exceeded"
    status = 504
    retryable = True
    counts = True
    owner = "ops"

    def __init__(self, message: str = "", *, phase: str = "total", native: str = "") -> None:
        """`phase`: connect, first_byte, idle, list or total."""
        super().__init__(message or f"no answer in time ({phase})", native=native)
        self.phase = phase


class ProtocolError(SourceError):
    """The source answered, but not in its own protocol."""

    code = "protocol_error"
    status = 502
    counts = True
    owner = "ops"


class IntegrityError(SourceError):
    """The bytes that came are not the bytes that were promised."""

    code = "integrity_error"
    status = 502
    owner = "ops"


class Busy(SourceError):
    """All places for this source are taken, or it is resting after failures."""

    code = "busy"
    status = 503
