"""Certificates for tests: an authority in memory, and what it or nobody certified."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from gateway.delivery.certificates import Credentials

NOW = datetime.now(UTC).replace(microsecond=0)
OIN = "00000001000000010000"


@dataclass(frozen=True)
class Pair:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    def credentials(self) -> Credentials:
        return Credentials(self.pem, self.key_pem)

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        for path, text in zip(paths, (self.pem, self.key_pem), strict=True):
            path.write_text(text)
        return paths


def make(
    name: str,
    issuer: Pair | None = None,
    *,
    ca: bool = False,
    oin: str = "00000003123456780000",
    begins: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=365),
    usage: str | None = None,
    bits: int = 2048,
    host: bool | str = False,
    critical: bool = False,
) -> Pair:
    """A certificate of `issuer`, of itself when None. usage: the one key usage it has. host: it is
    for this machine, or for another of that name."""
    key = rsa.generate_private_key(65537, bits)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.SERIAL_NUMBER, oin),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usage:
        builder = builder.add_extension(_usage(usage), critical=True)
    if host:
        names: list[x509.GeneralName] = [x509.DNSName("localhost" if host is True else host)]
        if host is True:
            names.append(x509.IPAddress(ip_address("127.0.0.1")))
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if critical:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    return Pair(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def _usage(only: str) -> x509.KeyUsage:
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name == only for name in names})


class Pki:
    """What tests share; each pair is made once, when it is first asked for."""

    @cached_property
    def ca(self) -> Pair:
        return make("Testautoriteit", ca=True, usage="key_cert_sign")

    @cached_property
    def other_ca(self) -> Pair:
        return make("Andere autoriteit", ca=True, usage="key_cert_sign")

    @cached_property
    def client(self) -> Pair:
        return make("Kantoor Voorbeeld", self.ca, usage="digital_signature")

    @cached_property
    def service(self) -> Pair:
        """Whose signature a reply has."""
        return make("Ontvanger", self.ca, oin=OIN, usage="digital_signature")

    @cached_property
    def short(self) -> Pair:
        """A key that can be broken."""
        return make("Ontvanger", self.ca, oin=OIN, bits=1024)

    @cached_property
    def stranger(self) -> Pair:
        return make("Ontvanger", oin=OIN)

    @cached_property
    def server(self) -> Pair:
        return make("localhost", self.ca, oin=OIN, host=True)
