"""A test authority and the certificates below it, made once in a folder.

As at Digipoort: a certificate for the TLS server, another one to sign replies with, and for each
client one that serves for TLS and for signing. A client's OIN, 20 digits, stands in the
serialNumber of its subject. Every key is RSA 2048, every file 0600.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEARS = timedelta(days=3650)
_PURPOSES = {
    "server": [ExtendedKeyUsageOID.SERVER_AUTH],
    "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "signing": [ExtendedKeyUsageOID.EMAIL_PROTECTION],
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both PEM files."""

    certificate: Path
    key: Path

    def load(self) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        """Both, read."""
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{self.key} is not an RSA key")
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()), key


@dataclass(frozen=True, slots=True)
class Pki:
    """The authority, what the service uses, and the clients by name."""

    ca: Pair
    server: Pair
    signing: Pair
    clients: Mapping[str, Pair]


def make(folder: Path, clients: Mapping[str, str] | None = None) -> Pki:
    """What stands in the folder, made where it is missing.

    clients: the KvK number (8 digits) of each client by name; the name becomes a file name.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca = _pair(folder, "ca")
    if not ca.certificate.exists():
        _authority(ca)
    server, signing = _pair(folder, "server"), _pair(folder, "signing")
    _below(ca, server, "server", "Digipoort (simulator)", oin("00000001"))
    _below(ca, signing, "signing", "Digipoort ondertekening (simulator)", oin("00000001"))
    pairs = {name: _pair(folder, f"client-{name}") for name in clients or {}}
    for name, kvk in (clients or {}).items():
        _below(ca, pairs[name], "client", name, oin(kvk))
    return Pki(ca, server, signing, pairs)


def oin(kvk: str) -> str:
    """The OIN of a company: 00000003, its KvK number, 0000."""
    return f"00000003{kvk:0>8}0000"


def oin_of(certificate: x509.Certificate) -> str:
    """The OIN in a certificate's subject; empty when it has none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return str(found[0].value) if found else ""


def stranger() -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    """A certificate that no authority knows, in memory: for a forged reply."""
    key = rsa.generate_private_key(65537, 2048)
    subject = _name("Digipoort ondertekening (simulator)", oin("00000001"))
    return _builder(subject, subject, key).sign(key, hashes.SHA256()), key


def _pair(folder: Path, name: str) -> Pair:
    return Pair(folder / f"{name}.pem", folder / f"{name}.key")


def _name(common: str, serial: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Simulator"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, serial),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, ca: bool = False
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority(pair: Pair) -> None:
    key = rsa.generate_private_key(65537, 2048)
    subject = _name("Testautoriteit (simulator)", oin("00000000"))
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = _builder(subject, subject, key, ca=True).add_extension(usage, critical=True)
    _write(pair, builder.sign(key, hashes.SHA256()), key)


def _below(ca: Pair, pair: Pair, purpose: str, common: str, serial: str) -> None:
    """A certificate that the authority signed, unless it is there already."""
    if pair.certificate.exists():
        return
    issuer, issuer_key = ca.load()
    key = rsa.generate_private_key(65537, 2048)
    builder = (
        _builder(_name(common, serial), issuer.subject, key)
        .add_extension(x509.ExtendedKeyUsage(_PURPOSES[purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if purpose == "server":
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    _write(pair, builder.sign(issuer_key, hashes.SHA256()), key)


def _write(pair: Pair, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
    """The key first: a certificate that is there has its key."""
    _private(
        pair.key,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    _private(pair.certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _private(path: Path, data: bytes) -> None:
    """Written whole or not at all, for the owner alone."""
    half = path.with_name(path.name + ".new")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)
    half.replace(path)
