"""Our certificate with its key, and whose certificates are trusted to sign replies.

One PKIoverheid certificate serves for TLS and for signing (digipoort README 1.4). Its subject
names the organisation by OIN, 20 digits, in serialNumber.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from gateway.domain.expiry import Life
from gateway.errors import ConfigInvalid

Algorithm = Literal["sha1", "sha256"]
HASHES: dict[Algorithm, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),  # noqa: S303  # what the WSDL prescribes
    "sha256": hashes.SHA256(),
}

_SHORTEST_KEY = 2048
T = TypeVar("T", bound=x509.ExtensionType)


class Credentials:
    """Our certificate, its issuers and its key. Neither repr nor any error shows the key."""

    def __init__(self, certificate: str, private_key: str) -> None:
        """Both PEM; `certificate` may be followed by its issuers. The key: RSA, not encrypted.

        Raises ConfigInvalid, also when the two do not belong together.
        """
        self.certificate, *issuers = certificates(certificate, "certificate")
        self._key = _rsa_key(private_key)
        if self._key.public_key() != self.certificate.public_key():
            raise ConfigInvalid("the key is not that of the certificate", field="private_key")
        chain = [self.certificate, *issuers]
        self._chain = b"".join(c.public_bytes(Encoding.PEM) for c in chain)
        self._pem = private_key.encode()

    def __repr__(self) -> str:
        return f"<Credentials of {oin(self.certificate) or 'no OIN'}, key ***>"

    def sign(self, data: bytes, algorithm: Algorithm) -> bytes:
        """An RSA PKCS#1 v1.5 signature."""
        return self._key.sign(data, padding.PKCS1v15(), HASHES[algorithm])

    def tls(self, ca: str | None) -> ssl.SSLContext:
        """For mutual TLS; blocking. ca: PEM of whom the server is trusted by; None: the system's.

        Raises ConfigInvalid.
        """
        try:
            context = ssl.create_default_context(cadata=ca)
            with _in_memory(self._chain) as chain, _in_memory(self._pem) as key:
                context.load_cert_chain(chain, key)
        except (ssl.SSLError, ValueError) as e:
            raise ConfigInvalid(f"TLS: {type(e).__name__}", field="certificate") from None
        return context


def certificates(pem: str, field: str) -> list[x509.Certificate]:
    """At least one. Raises ConfigInvalid, with the field's name."""
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise ConfigInvalid("not a certificate in PEM", field=field) from None


def life(certificate: x509.Certificate) -> Life:
    """How long it is valid."""
    return Life(
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.fingerprint(hashes.SHA256()).hex(),
    )


def oin(certificate: x509.Certificate) -> str:
    """The OIN in a certificate's subject; empty when it has none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return str(found[0].value) if found else ""


def strong(certificate: x509.Certificate) -> rsa.RSAPublicKey | None:
    """Its key, when it is one that a signature may be made with."""
    key = certificate.public_key()
    return key if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SHORTEST_KEY else None


@dataclass(frozen=True, slots=True)
class Trust:
    """Who may sign replies: exactly these certificates, or whoever one of the CAs certified.

    A reply carries its certificate without the issuers, so each CA here is an anchor that issued
    it itself. oin: when set, a certificate of a CA must be this organisation's; without it every
    client of a public CA could sign a reply.
    """

    pinned: tuple[x509.Certificate, ...] = ()
    authorities: tuple[x509.Certificate, ...] = ()
    oin: str = ""
    algorithms: frozenset[Algorithm] = frozenset({"sha1", "sha256"})

    def refusal(self, certificate: x509.Certificate, at: datetime) -> str:
        """Why a certificate is not trusted at a moment; empty when it is."""
        if not _valid(certificate, at):
            return "certificate_expired"
        if certificate in self.pinned:
            return ""
        by_authority = any(_issued(certificate, ca, at) for ca in self.authorities)
        if not by_authority or not _may_sign(certificate):
            return "certificate"
        return "certificate_oin" if self.oin and oin(certificate) != self.oin else ""


def _valid(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _issued(certificate: x509.Certificate, ca: x509.Certificate, at: datetime) -> bool:
    """RFC 5280, section 6.1.3 and 6.1.4, for a path of one certificate below its anchor."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return _valid(ca, at) and _is_ca(ca) and _understood(ca)


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    return bool(constraints and constraints.ca and (usage is None or usage.key_cert_sign))


def _may_sign(certificate: x509.Certificate) -> bool:
    """An end entity whose key may sign messages, without extensions that nobody understands."""
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    signs = usage is None or usage.digital_signature or usage.content_commitment
    return signs and not (constraints and constraints.ca) and _understood(certificate)


def _understood(certificate: x509.Certificate) -> bool:
    try:
        return not any(
            e.critical and isinstance(e.value, x509.UnrecognizedExtension | x509.NameConstraints)
            for e in certificate.extensions
        )
    except ValueError:
        return False


def _extension(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _rsa_key(pem: str) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):  # the error may quote the key
        raise ConfigInvalid("not a key in PEM without a password", field="private_key") from None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _SHORTEST_KEY:
        raise ConfigInvalid("not an RSA key of 2048 bits or more", field="private_key")
    return key


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """A path to a file that never touches a disk; OpenSSL reads certificates from paths alone."""
    with os.fdopen(os.memfd_create("pem", os.MFD_CLOEXEC), "wb") as file:
        file.write(data)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
