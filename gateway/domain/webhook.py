"""Webhooks: their secret, what is signed, and how long is waited before the next attempt.

Signing is that of Standard Webhooks 1.0 (https://www.standardwebhooks.com), symmetric.
"""

import base64
import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

#: After this an event is given up, counted from when it was taken over.
PATIENCE = timedelta(days=3)
#: The wait after the first failure; it doubles up to the last.
FIRST, LAST = timedelta(seconds=10), timedelta(hours=6)
#: Attempts that fail one after the other before a webhook rests, and how long at the most.
ENOUGH, REST = 5, timedelta(minutes=1)
#: Webhooks of one package.
MOST = 10
#: Characters of an address.
LONGEST = 2000

_PREFIX = "whsec_"


def new_secret() -> str:
    """A fresh secret: a word that says what it is, and 256 bits in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def message_id(webhook: UUID, number: int) -> str:
    """The same for every attempt to deliver an event; no full stop in it, for the signature's
    sake."""
    return f"{webhook}_{number}"


def signature(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """Of one attempt, as it goes into the header."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    mac = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(mac.digest()).decode()


def headers(secret: str, id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """What goes with a body."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "MijnAccountantsPortal",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(secret, id, timestamp, body),
    }


def wait(tries: int) -> timedelta:
    """How long to wait after so many attempts that failed."""
    return min(FIRST * (1 << min(tries - 1, 20)), LAST)


def rest(failures: int) -> timedelta:
    """How long nothing is sent to a webhook after so many failures without a success between:
    whoever is away is asked with one event, not with all that wait."""
    return min(wait(failures - ENOUGH + 1), REST) if failures >= ENOUGH else timedelta()


def may_be_clear(url: str) -> bool:
    """Whether an address is one of this machine, which does without TLS."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
