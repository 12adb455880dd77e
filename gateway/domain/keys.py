"""Every key of the installation, derived from one main key that is never in the database.

HKDF-SHA256 (RFC 5869) with a label per use: a digest of one use says nothing about another.
"""

import base64
import hashlib
import hmac
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import ConfigInvalid, PortalError

#: Characters that a main key has at the least; `openssl rand -base64 32` gives 44.
LEAST = 32


class SealBroken(PortalError):
    """A sealed value does not open: another key, another field, or it was changed."""


class Keys:
    """Derives keys, makes keyed digests, seals and opens short values."""

    def __init__(self, main: str) -> None:
        """Raises ConfigInvalid when the main key is too short to be one."""
        if len(main) < LEAST:
            raise ConfigInvalid(f"the main key must have {LEAST} characters or more", field="key")
        self._main = main.encode()
        self._derived: dict[str, bytes] = {}
        self._seal = AESGCM(self.derive("seal"))

    def derive(self, label: str) -> bytes:
        """32 bytes for one use."""
        if label not in self._derived:
            made = HKDF(SHA256(), 32, salt=None, info=b"map:" + label.encode())
            self._derived[label] = made.derive(self._main)
        return self._derived[label]

    def digest(self, label: str, *parts: str) -> str:
        """Keyed digest (HMAC-SHA256, base64url) of parts; their borders count."""
        mac = hmac.new(self.derive(label), digestmod=hashlib.sha256)
        for part in parts:
            data = part.encode()
            mac.update(len(data).to_bytes(8, "big") + data)
        return _text(mac.digest())

    def seal(self, label: str, value: str) -> str:
        """The value encrypted (AES-256-GCM, fresh nonce, bound to label) as base64url."""
        nonce = secrets.token_bytes(12)
        return _text(nonce + self._seal.encrypt(nonce, value.encode(), label.encode()))

    def open(self, label: str, sealed: str) -> str:
        """The value of `seal` with the same label. Raises SealBroken."""
        try:
            data = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            return self._seal.decrypt(data[:12], data[12:], label.encode()).decode()
        except (InvalidTag, ValueError) as e:
            raise SealBroken from e


def token() -> str:
    """A fresh secret of 256 bits for a cookie or a link, base64url."""
    return secrets.token_urlsafe(32)


def fingerprint(token: str) -> str:
    """SHA-256 of a token, base64url: what the database keeps of it."""
    return _text(hashlib.sha256(token.encode()).digest())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
