"""Checking a proof offline: its rules, and what the receivers signed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.domain.proof import verify as rules
from gateway.domain.proof.contents import Proof, ReplySaid
from gateway.domain.proof.findings import Finding, Signed
from gateway.errors import PortalError
from gateway.flows.proof import replies


def verify(
    data: Mapping[str, Any],
    *,
    key: Ed25519PublicKey | None = None,
    document: str | None = None,
    certificates: Sequence[x509.Certificate] = (),
) -> list[Finding]:
    """Check a proof, the receivers' replies too, without a network. Raises NotAProof.

    key, document: as in gateway.domain.proof. certificates: those that the reader knows to be
    the receivers'; none: whose they are is told, and not judged.
    """
    signed: list[Signed] = []
    found: list[Finding] = []
    for number, delivery in enumerate(_replies(data)):
        for at, reply in enumerate(delivery):
            name = f"deliveries.{number}.replies.{at}"
            try:
                signed.append(replace(replies.opened(reply, certificates), delivery=number))
                found.append(Finding(True, name, _signer(reply, bool(certificates))))
            except (PortalError, ValueError, OverflowError) as e:
                found.append(Finding(False, name, f"not what the receiver signed: {e}"))
    return [*rules.verify(data, key=key, document=document, signed=signed), *found]


def _replies(data: Mapping[str, Any]) -> list[list[ReplySaid]]:
    """The replies of each delivery; nothing when the file is not as the format says, which
    gateway.domain.proof tells."""
    try:
        return [d.replies for d in Proof.model_validate(data).deliveries]
    except ValueError:
        return []


def _signer(reply: ReplySaid, compared: bool) -> str:
    what = "the certificate that was given" if compared else "a certificate that was not compared"
    return f"signed with {what}: {replies.certificate_text(reply)}"
