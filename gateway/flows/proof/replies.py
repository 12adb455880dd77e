"""The receivers' signed replies: opened, and read as the file of a proof writes them."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509

from gateway.delivery import messages, names
from gateway.delivery import verify as envelopes
from gateway.delivery.certificates import Trust, oin
from gateway.delivery.text import collapsed
from gateway.delivery.text import moment as read_moment
from gateway.domain import chain as links
from gateway.domain.proof.contents import ReplySaid, StatusSaid
from gateway.domain.proof.findings import Signed
from gateway.domain.sbr import Statusmelding
from gateway.domain.xml import Element
from gateway.errors import ProtocolError

_OPERATIONS = {"aanleveren": names.AANLEVEREN, "status": names.STATUSSEN}


def status(s: Statusmelding) -> StatusSaid:
    """A status of a receiver."""
    return StatusSaid(
        kenmerk=s.kenmerk,
        code=s.statuscode,
        at=links.moment(s.tijdstempel),
        description=s.omschrijving,
        fault=s.foutcode,
        fault_text=s.foutbeschrijving,
        details=s.details,
    )


def opened(reply: ReplySaid, certificates: Sequence[x509.Certificate]) -> Signed:
    """What a reply tells. Raises PortalError or ValueError when it is not the receiver's."""
    certificate = _certificate(reply)
    if certificates and certificate not in certificates:
        raise ValueError("its certificate is not one that was given")
    expected = envelopes.Expected(
        _OPERATIONS[reply.kind], reply.message_id, datetime.fromisoformat(reply.received_at),
        timedelta(minutes=15),
    )  # fmt: skip
    root = envelopes.parse(reply.envelope.encode())
    content = envelopes.verify(root, Trust(pinned=(certificate,)), expected)
    return _read_statuses(content) if reply.kind == "status" else _read_ontvangst(content)


def _certificate(reply: ReplySaid) -> x509.Certificate:
    return x509.load_der_x509_certificate(base64.b64decode(reply.certificate, validate=True))


def certificate_text(reply: ReplySaid) -> str:
    """Whose it is, in words of no language; "?" when it cannot be read."""
    try:
        one = _certificate(reply)
    except ValueError:
        return "?"
    digest = hashlib.sha256(base64.b64decode(reply.certificate)).hexdigest()
    return f"{one.subject.rfc4514_string()}, OIN {oin(one) or '-'}, SHA-256 {digest}"


def _text(element: Element, name: str) -> str:
    return collapsed(element.findtext(f"{{{names.KS}}}{name}"))


def _read_ontvangst(element: Element) -> Signed:
    """An aanleverResponse; it may tell a first status (koppelvlak 1.2)."""
    kenmerk = _text(element, "kenmerk")
    if not kenmerk:
        raise ProtocolError("no kenmerk")
    at = _text(element, "tijdstempelStatus") or _text(element, "tijdstempelAangeleverd")
    statuses: tuple[StatusSaid, ...] = ()
    if code := _text(element, "statuscode"):
        fault = element.find(f"{{{names.KS}}}statusFoutcode")
        told = Statusmelding(
            kenmerk, code, read_moment(at), _text(element, "statusomschrijving"),
            "" if fault is None else _text(fault, "foutcode"),
            "" if fault is None else _text(fault, "foutbeschrijving"),
            _text(element, "statusdetails"),
        )  # fmt: skip
        statuses = (status(told),)
    return Signed(
        -1, kenmerk, _text(element, "aanleverkenmerk"), _text(element, "berichtsoort"), statuses
    )


def _read_statuses(element: Element) -> Signed:
    """A getStatussenProcesResponse."""
    kenmerk = next((_text(e, "kenmerk") for e in element.iter() if _text(e, "kenmerk")), "")
    found = messages.read_statussen(element, kenmerk)
    return Signed(-1, kenmerk, "", "", tuple(map(status, found)))
