"""What the file of a proof holds: exactly these pieces, of exactly these types."""

import json
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from gateway.domain import chain

FORMAT = "mijnaccountantsportal/bewijs"
VERSION = 1
HOW = (
    "SHA-256 (hex) van JSON in UTF-8, zonder spaties: een gesorteerde lijst met van elk onderdeel"
    " [nummer, rol, naam, lengte, sha256]"
)
#: Covered by the seal alone in a proof of what was delivered; * stands for a number or name.
#: Everything else is also held by the parts, the chain or a receiver's signature; confirmed_at
#: to two minutes and received_at to a quarter of an hour; the person of a paper consent by the
#: seal alone.
ONLY_SEALED = (
    "made_at", "product.*", "firm.name", "klant.name",
    "stuk.titel", "stuk.jaar", "stuk.periode", "stuk.deadline", "stuk.route", "stuk.state",
    "stuk.created_at", "rule.*", "parts.*.media_type",
    "approvals.*.id", "approvals.*.name", "approvals.*.username", "approvals.*.at",
    "approvals.*.reason", "approvals.*.mandate.*",
    "deliveries.*.kind", "deliveries.*.destination", "deliveries.*.receiver",
    "deliveries.*.trouble", "deliveries.*.created_at", "deliveries.*.accepted_at",
    "deliveries.*.ended_at", "deliveries.*.attempts.*.outcome", "deliveries.*.attempts.*.why",
    "deliveries.*.attempts.*.opened_at", "deliveries.*.attempts.*.ended_at",
)  # fmt: skip

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _moment(text: str) -> str:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or chain.moment(at) != text or not 1900 < at.year < 9999:
        raise ValueError("not a moment as it is written here")
    return text


def _day(text: str) -> str:
    if date.fromisoformat(text).isoformat() != text:
        raise ValueError("not a day as it is written here")
    return text


#: As gateway.domain.chain.moment writes it.
Moment = Annotated[str, AfterValidator(_moment)]
Day = Annotated[str, AfterValidator(_day)]


class _Piece(BaseModel):
    """A part of the file: exactly these keys, exactly these types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Product(_Piece):
    """What made it."""

    name: str
    version: str


class FirmSaid(_Piece):
    """The accountant."""

    id: str
    name: str


class KlantSaid(_Piece):
    """Whose stuk it is."""

    number: str
    name: str


class StukSaid(_Piece):
    """What the stuk is, and where it stands."""

    id: str
    soort: str
    titel: str
    jaar: int
    periode: str
    deadline: Day | None
    route: str
    state: str
    put_up_by: str
    created_at: Moment
    replaces: str | None


class GroupSaid(_Piece):
    """So many of these people; of anybody with a mandate when nobody is named."""

    people: list[str]
    need: int


class ManifestSaid(_Piece):
    """The hash of all parts, and how it is computed."""

    sha256: Sha256
    how: str


class PartSaid(_Piece):
    """One file; never its bytes."""

    number: int
    role: Literal["akkoorddocument", "instance", "bijlage"]
    name: str
    media_type: str
    length: int
    sha256: Sha256


class CodeSaid(_Piece):
    """The SMS code that confirmed it: which one, never the code itself."""

    id: str
    purpose: Literal["approving", "rejecting"]


class MandateSaid(_Piece):
    """The mandate that held that day. until: the last day."""

    id: str
    soort: str
    since: Day
    until: Day | None


class ApprovalSaid(_Piece):
    """What one person did. confirmed_at: when the code was right, or the paper was recorded;
    null: it was not sent yet, and does not count. recorded_by: who recorded a paper consent."""

    id: str
    person: str
    name: str
    username: str
    act: Literal["approved", "rejected", "paper"]
    manifest: Sha256
    at: Moment
    confirmed_at: Moment | None
    code: CodeSaid | None
    mandate: MandateSaid | None
    reason: str
    recorded_by: str


class AttemptSaid(_Piece):
    """One time that it was sent. outcome: null while it is not known."""

    message_id: str
    opened_at: Moment
    outcome: str | None
    why: str
    ended_at: Moment | None


class StatusSaid(_Piece):
    """What the receiver said of it. at: by the receiver's clock."""

    kenmerk: str
    code: str
    at: Moment
    description: str
    fault: str
    fault_text: str
    details: str


class ReplySaid(_Piece):
    """A reply as it came, signature and all. certificate: DER in base64, of who was trusted to
    sign it at that moment."""

    kind: Literal["aanleveren", "status"]
    message_id: str
    received_at: Moment
    envelope: str
    certificate: str


class DeliverySaid(_Piece):
    """The way to one receiver."""

    id: str
    kind: str
    destination: str
    receiver: str
    berichtsoort: str
    aanleverkenmerk: str
    manifest: Sha256
    state: str
    trouble: str
    kenmerk: str | None
    created_at: Moment
    accepted_at: Moment | None
    ended_at: Moment | None
    attempts: list[AttemptSaid]
    statuses: list[StatusSaid]
    replies: list[ReplySaid]


class EventSaid(_Piece):
    """A row of the audit as it is digested. number: of its link in the chain."""

    number: int
    id: int
    at: Moment
    event: str
    person: str | None
    klant: str | None
    subject: str
    request: str
    data: str
    digest: Sha256

    def row(self, firm: str) -> chain.Row:
        """As the chain digests it."""
        return chain.Row(firm, self.id, self.at, self.event, self.person, self.klant,
                         self.subject, self.request, self.data)  # fmt: skip

    @property
    def told(self) -> dict[str, Any]:
        """Its data, read."""
        return told(self.data)


class CheckpointSaid(_Piece):
    """A signed hash of the chain (gateway.domain.chain)."""

    number: int
    hash: Sha256
    at: Moment
    key: str
    signature: str


class SegmentSaid(_Piece):
    """Digests of consecutive links, from `first` to the checkpoint. before: the hash that link
    `first` follows; empty at the first of all."""

    first: int
    before: str
    digests: list[Sha256]
    checkpoint: CheckpointSaid


class KeySaid(_Piece):
    """The public key: Ed25519, 32 bytes in base64url; and the first signs of its SHA-256."""

    algorithm: Literal["Ed25519"]
    id: str
    public: str


class SealSaid(_Piece):
    """SHA-256 of every piece of the file, and the signature over these."""

    digests: dict[str, Sha256]
    signature: str


class Proof(_Piece):
    """The whole file."""

    format: Literal["mijnaccountantsportal/bewijs"]
    version: Literal[1]
    made_at: Moment
    product: Product
    firm: FirmSaid
    klant: KlantSaid
    stuk: StukSaid
    rule: list[GroupSaid]
    manifest: ManifestSaid
    parts: list[PartSaid]
    approvals: list[ApprovalSaid]
    banks: list[str]
    deliveries: list[DeliverySaid]
    events: list[EventSaid]
    chain: list[SegmentSaid]
    key: KeySaid
    seal: SealSaid


def told(data: str) -> dict[str, Any]:
    """The data of an event, read; empty when it is no JSON object."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
