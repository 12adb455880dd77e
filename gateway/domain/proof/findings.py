"""What reading and checking a proof comes to."""

from dataclasses import dataclass

from gateway.domain.proof.contents import StatusSaid
from gateway.errors import PortalError


class NotAProof(PortalError):
    """The file is not a proof of a stuk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. what: the part of the file it is about."""

    ok: bool
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{'good' if self.ok else 'WRONG'}  {self.what}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a receiver's signed reply tells (gateway.flows.proof.replies opens it). delivery:
    number in the file; statuses: what it tells of them, as the file writes it."""

    delivery: int
    kenmerk: str
    aanleverkenmerk: str
    berichtsoort: str
    statuses: tuple[StatusSaid, ...] = ()
