"""How a delivery can end other than well. Each class says whether the bericht may have arrived.

::

    PortalError
    └── DeliveryError
        ├── NotSent         no byte of the body left: it may be sent again
        │   └── Unsendable  by our own rules it cannot be sent at all
        ├── Refused         the receiver said no, and signed that
        └── Unclear         everything else: it may have arrived, so ask before sending again
"""

from collections.abc import Mapping

from gateway.errors import PortalError


class DeliveryError(PortalError):
    """A message to Digipoort or a bank did not get its answer.

    reason: a stable word for logs, metrics and the database.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(f"{reason}: {message}" if message else reason)
        self.reason = reason


class NotSent(DeliveryError):
    """No byte of the body left. reason: "dns", "connect", "tls", "timeout", "cut", "limits"."""


class Unsendable(NotSent):
    """The message breaks the limits of the koppelvlak; nothing changes until it does."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        """`faults` maps the name of an element to a Dutch sentence that says what is wrong."""
        super().__init__("limits", "; ".join(f"{k}: {v}" for k, v in faults.items()))
        self.faults = dict(faults)


class Refused(DeliveryError):
    """The receiver refused the message in a fault with a good signature."""

    def __init__(self, code: str, text: str) -> None:
        """`code`: foutcode, as ALS100; `text`: foutbeschrijving."""
        super().__init__("refused", f"{code} {text}".strip())
        self.code, self.text = code, text


class Unclear(DeliveryError):
    """The message may have arrived.

    reason: "timeout"; "cut", the connection ended early; "http_<status>"; "garbage", no reply of
    the koppelvlak; "too_large", the reply; "forged", a reply that cannot be trusted;
    "unsigned_fault", with its code; "echo", a good reply about something else than was sent.
    """

    def __init__(self, reason: str, message: str = "", *, code: str = "") -> None:
        """`message`: for operations. `code`: foutcode of an unsigned fault."""
        super().__init__(reason, f"{code} {message}".strip())
        self.code, self.text = code, message
