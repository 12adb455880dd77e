"""The proof of a stuk: one JSON file that shows what was approved, by whom, and what became of it.

It is checked without a server or a database. Three things hold it together: the receiver's own
signed replies; the chain of the audit up to a signed checkpoint (gateway.domain.chain), which
was signed before anybody knew that this proof would be asked; and a seal over the whole file,
made when the proof was. The key belongs to who made it: compare it with one from elsewhere.

`ONLY_SEALED` lists what the seal alone covers: names that the audit does not hold, because it
holds no personal data, and moments that it holds as its own.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

from gateway.domain import chain
from gateway.domain.accordering import ALL, Rule
from gateway.domain.stuk import Part, Role, State, manifest
from gateway.errors import PortalError

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

_AMSTERDAM = ZoneInfo("Europe/Amsterdam")
#: Of these it is said that everybody who had to approve did.
_COMPLETE = {State.APPROVED, State.FILED, State.ACCEPTED, State.DONE, State.CHANGED, State.FAILED}
#: Events that end a delivery, and its state then.
_ENDS = {"delivery_final": "final_ok", "package_done": "final_ok",
         "delivery_failed": "final_failed", "package_failed": "final_failed"}  # fmt: skip
_CONFIRMS = {"approved": "stuk_confirmed", "rejected": "stuk_rejected",
             "paper": "stuk_approved_on_paper"}  # fmt: skip
#: A moment of the database's transaction and that of its audit row; seconds.
_TOGETHER = 120.0

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


class NotAProof(PortalError):
    """The file is not a proof of a stuk."""


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
    """What a receiver's signed reply tells (gateway.flows.proof opens it). delivery: number in
    the file; statuses: what it tells of them, as the file writes it."""

    delivery: int
    kenmerk: str
    aanleverkenmerk: str
    berichtsoort: str
    statuses: tuple[StatusSaid, ...] = ()


# --- reading and sealing


def told(data: str) -> dict[str, Any]:
    """The data of an event, read; empty when it is no JSON object."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read(text: bytes | str) -> dict[str, Any]:
    """The file. Raises NotAProof; also when a key stands there twice."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as e:
        raise NotAProof(f"not JSON: {str(e)[:100]}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise NotAProof(f"not a proof of a stuk: format is not {FORMAT}")
    if found.get("version") != VERSION:
        raise NotAProof(f"version {str(found.get('version'))[:20]} of the format is not known")
    return found


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def canonical(value: object) -> bytes:
    """JSON as RFC 8785 writes it; the file has neither fractions nor keys beyond ASCII."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def digests(content: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 (hex) of every piece but the seal: "stuk", "parts.0", "parts.1", ..."""
    pieces: dict[str, Any] = {}
    for name, value in content.items():
        if name != "seal" and isinstance(value, list) and value:
            pieces |= {f"{name}.{n}": one for n, one in enumerate(value)}
        elif name != "seal":
            pieces[name] = value
    return {name: hashlib.sha256(canonical(one)).hexdigest() for name, one in pieces.items()}


def sealed(content: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The content with its key and its seal."""
    public = key.public_key()
    said = {"algorithm": "Ed25519", "id": chain.key_id(public), "public": chain.key_text(public)}
    whole = {**content, "key": said}
    made = digests(whole)
    return {**whole, "seal": {"digests": made, "signature": chain.text_of(key.sign(_what(made)))}}


def _what(made: object) -> bytes:
    """What the seal signs."""
    return b"map-proof-1\n" + canonical(made)


# --- judging


def verify(
    bundle: Mapping[str, Any],
    *,
    key: Ed25519PublicKey | None = None,
    document: str | None = None,
    signed: Iterable[Signed] | None = None,
) -> list[Finding]:
    """Check everything that can be checked without a network. Raises NotAProof.

    key: one that the reader has from elsewhere. document: SHA-256 (hex) of a file that should be
    a part. signed: what the receivers' good replies tell; None: they were not opened.
    """
    if bundle.get("format") != FORMAT or bundle.get("version") != VERSION:
        raise NotAProof
    try:
        proof = Proof.model_validate(bundle)
    except ValidationError as e:
        return [*_shape(e), *_seal(bundle, None)]
    public = _public(proof)
    found = [*_key(proof, public, key), *_seal(bundle, public), *_chain(proof, public)]
    found += [*_manifest(proof), *_about(proof), *_approvals(proof), *_rule(proof)]
    for number, delivery in enumerate(proof.deliveries):
        replies = None if signed is None else [s for s in signed if s.delivery == number]
        found += _delivery(proof, f"deliveries.{number}", delivery, replies)
    if document is not None:
        found.append(_document(proof, document))
    return found


def _shape(error: ValidationError) -> Iterator[Finding]:
    for one in error.errors(include_url=False, include_input=False):
        where = ".".join(map(str, one["loc"]))
        yield Finding(False, where, f"it is not as the format says: {one['msg']}")


def _public(proof: Proof) -> Ed25519PublicKey | None:
    try:
        return chain.read_key(proof.key.public)
    except ValueError:
        return None


def _key(
    proof: Proof, public: Ed25519PublicKey | None, other: Ed25519PublicKey | None
) -> Iterator[Finding]:
    if public is None or proof.key.id != chain.key_id(public):
        yield Finding(False, "key", "it is not a key, or not the key that it says it is")
    elif other is None:
        yield Finding(
            True, "key", f"not compared; ask the maker whether his is {proof.key.public}"
        )
    else:
        same = chain.key_id(other) == chain.key_id(public)
        yield Finding(same, "key", "the key that was given" if same else "another key than the"
                      " one that was given: somebody else made this file")  # fmt: skip


def _seal(bundle: Mapping[str, Any], public: Ed25519PublicKey | None) -> Iterator[Finding]:
    """Which pieces are not as they were sealed. public: None when the shape is wrong already."""
    seal = bundle.get("seal")
    written = seal.get("digests") if isinstance(seal, dict) else None
    if not isinstance(seal, dict) or not isinstance(written, dict):
        yield Finding(False, "seal", "it is missing")
        return
    now = digests(bundle)
    for name in sorted(now.keys() | written.keys()):
        if now.get(name) != written.get(name):
            what = "changed" if name in now and name in written else "added or taken away"
            yield Finding(False, name, f"{what} after the proof was made")
    if public is not None:
        good = chain.signature_fits(public, str(seal.get("signature")), _what(written))
        yield Finding(good, "seal", "signed with the key" if good else "not signed with the key")


def _chain(proof: Proof, public: Ed25519PublicKey | None) -> Iterator[Finding]:
    at: dict[int, str] = {}
    for number, segment in enumerate(proof.chain):
        name = f"chain.{number}"
        yield _segment(proof, name, segment, public)
        at |= dict(enumerate(segment.digests, segment.first))
    firsts = [s.first for s in proof.chain]
    if firsts != sorted(firsts) or len(at) != sum(len(s.digests) for s in proof.chain):
        yield Finding(False, "chain", "its pieces overlap or stand in another order")
    for number, event in enumerate(proof.events):
        yield _event(proof, f"events.{number}", event, at)
    numbers = [e.number for e in proof.events]
    if numbers != sorted(set(numbers)) or not numbers:
        yield Finding(False, "events", "they are missing, twice, or in another order")


def _segment(
    proof: Proof, name: str, segment: SegmentSaid, public: Ed25519PublicKey | None
) -> Finding:
    """From its first link to the checkpoint, computed again."""
    said, hash = segment.checkpoint, segment.before
    for digest in segment.digests:
        hash = chain.linked(hash, digest)
    if (segment.first == 1) != (segment.before == "") or segment.first < 1:
        return Finding(False, name, "it does not begin where it says")
    if said.number != segment.first + len(segment.digests) - 1 or said.hash != hash:
        return Finding(False, name, "the links do not lead to the checkpoint")
    checkpoint = chain.Checkpoint(
        proof.firm.id, said.number, said.hash, said.at, said.key, said.signature
    )
    if public is None or said.key != proof.key.id or not chain.is_signed(checkpoint, public):
        return Finding(False, name, "the checkpoint is not signed with the key")
    return Finding(True, name, f"links {segment.first} to {said.number} lead to the checkpoint"
                   f" of {said.at}")  # fmt: skip


def _event(proof: Proof, name: str, event: EventSaid, at: Mapping[int, str]) -> Finding:
    digest = chain.digest(event.row(proof.firm.id))
    if event.digest != digest:
        return Finding(False, name, f"event {event.event} is not what was digested")
    if at.get(event.number) != digest:
        return Finding(False, name, f"event {event.event} does not stand in the chain")
    if event.subject != f"stuk:{proof.stuk.id}":
        return Finding(False, name, f"event {event.event} is about another stuk")
    return Finding(True, name, f"{event.event} of {event.at} stands in the chain")


def _manifest(proof: Proof) -> Iterator[Finding]:
    parts = [
        Part(p.number, Role(p.role), "", "", p.name, p.media_type, p.length, p.sha256)
        for p in proof.parts
    ]
    good = manifest(parts) == proof.manifest.sha256
    yield Finding(good, "manifest", "it follows from the parts" if good else "it does not follow"
                  " from the parts: a part was changed, added or taken away")  # fmt: skip
    if proof.manifest.how != HOW:
        yield Finding(False, "manifest.how", "not how it is computed")


def _about(proof: Proof) -> Iterator[Finding]:
    """What was put up, by the event of it."""
    stuk = proof.stuk
    event = next((e for e in proof.events if e.event == "stuk_put_up"), None)
    if event is None:
        yield Finding(False, "events", "the event of putting it up is missing")
        return
    consents = [e.told.get("banks") for e in proof.events if e.event == "bank_consent"]
    banks = {str(one) for chosen in consents if isinstance(chosen, list) for one in chosen}
    if proof.banks != sorted(banks):
        yield Finding(False, "banks", "the chain tells of another consent")
    told = {"manifest": proof.manifest.sha256, "soort": stuk.soort, "by": stuk.put_up_by,
            "replaces": stuk.replaces}  # fmt: skip
    wrong = [name for name, value in told.items() if event.told.get(name) != value]
    wrong += ["klant"] if event.klant != proof.klant.number else []
    yield Finding(not wrong, "stuk", f"the event of putting it up tells another"
                  f" {', '.join(wrong)}" if wrong else "it is what was put up")  # fmt: skip


def _approvals(proof: Proof) -> Iterator[Finding]:
    for number, approval in enumerate(proof.approvals):
        name = f"approvals.{number}"
        fault = _approval_fault(proof, approval)
        what = f"{approval.act} by {approval.username}"
        if fault:
            yield Finding(False, name, f"{what}: {fault}")
        elif approval.confirmed_at is None:
            yield Finding(True, name, f"{what}: not confirmed, so it does not count")
        else:
            yield Finding(True, name, f"{what} on {approval.confirmed_at}, over this manifest")


def _approval_fault(proof: Proof, approval: ApprovalSaid) -> str:
    """Why it is not an approval of this stuk; "" when it is."""
    if approval.manifest != proof.manifest.sha256:
        return "it is over another manifest"
    if (approval.code is None) != (approval.act == "paper" or approval.confirmed_at is None):
        return "it has no code, or one that does not belong there"
    purpose = "rejecting" if approval.act == "rejected" else "approving"
    if approval.code is not None and approval.code.purpose != purpose:
        return "the code was for something else"
    if (approval.recorded_by != "") != (approval.act == "paper"):
        return "it is not clear who recorded it"
    if not any(_tells(e, approval) for e in proof.events):
        return "no event in the chain tells of it"
    return _mandate_fault(proof, approval)


def _tells(event: EventSaid, approval: ApprovalSaid) -> bool:
    """Whether an event in the chain is this approval's."""
    person, told = event.person == approval.person, event.told
    if approval.confirmed_at is None:
        return event.event == "stuk_approved" and person
    if event.event != _CONFIRMS[approval.act] or not _together(event.at, approval.confirmed_at):
        return False
    if approval.act == "paper":  # the firm recorded it; older events name only who did that
        return event.person in (None, approval.person) and told.get("by") == approval.recorded_by
    code = told.get("code", None if approval.code is None else approval.code.id)
    return person and (told.get("manifest"), code) == (
        approval.manifest,
        None if approval.code is None else approval.code.id,
    )


def _together(event: str, written: str) -> bool:
    """Whether an event tells of what was written at a moment."""
    apart = datetime.fromisoformat(event) - datetime.fromisoformat(written)
    return abs(apart.total_seconds()) <= _TOGETHER


def _mandate_fault(proof: Proof, approval: ApprovalSaid) -> str:
    """A paper consent needs none: the firm answers for it."""
    held = approval.mandate
    if approval.act == "paper":
        return ""
    if held is None:
        return "without a mandate"
    begin, end = held.since, held.until or "9999-12-31"
    at = datetime.fromisoformat(approval.confirmed_at or approval.at)
    on = at.astimezone(_AMSTERDAM).date().isoformat()
    if held.soort not in (ALL, proof.stuk.soort) or not begin <= on <= end:
        return "the mandate does not hold for this soort and day"
    return ""


def _rule(proof: Proof) -> Iterator[Finding]:
    """Whether those who had to approve did, in the order of the rule."""
    if proof.stuk.route == "inzage":
        return
    try:
        rule = Rule.from_json([g.model_dump() for g in proof.rule])
        given = [a for a in proof.approvals if a.act != "rejected" and a.confirmed_at]
        complete = not rule.faults() and rule.complete([UUID(a.person) for a in given])
    except ValueError:
        yield Finding(False, "rule", "a person in it is not a person")
        return
    if complete:
        yield Finding(True, "rule", "everybody who had to approve did")
    elif proof.deliveries or proof.stuk.state in _COMPLETE:
        yield Finding(False, "rule", "the approvals do not satisfy it")
    else:
        yield Finding(True, "rule", "not everybody who has to approve did, and nothing was sent")


def _document(proof: Proof, sha256: str) -> Finding:
    part = next((p for p in proof.parts if p.sha256 == sha256), None)
    if part is None:
        return Finding(False, "document", f"no part has SHA-256 {sha256}")
    return Finding(True, "document", f"it is part {part.number}, {part.role}")


# --- judging a delivery


def _delivery(
    proof: Proof, name: str, delivery: DeliverySaid, replies: Sequence[Signed] | None
) -> Iterator[Finding]:
    faults = list(_delivery_faults(proof, delivery))
    if replies is not None:
        faults += _reply_faults(delivery, replies)
    yield from (Finding(False, name, fault) for fault in faults)
    if not faults:
        yield Finding(True, name, f"aanleverkenmerk {delivery.aanleverkenmerk}, kenmerk"
                      f" {delivery.kenmerk or '-'}: {delivery.state}")  # fmt: skip


def _delivery_faults(proof: Proof, delivery: DeliverySaid) -> Iterator[str]:
    if delivery.manifest != proof.manifest.sha256:
        yield "it is of another manifest"
    mine = [e for e in proof.events if e.told.get("delivery") == delivery.id]
    sent = [e.told.get("message_id") for e in mine if e.event == "delivery_attempt"]
    if sent != [a.message_id for a in delivery.attempts]:
        yield "the attempts are not those that the chain tells"
    answered = {r.message_id for r in delivery.replies if r.kind == "aanleveren"}
    if not {a.message_id for a in delivery.attempts if a.outcome == "accepted"} <= answered:
        yield "the receiver's reply to an attempt is missing"
    if not answered <= set(sent):
        yield "there is a reply to what the chain does not tell was sent"
    kenmerken = [e.told.get("kenmerk") for e in mine if e.event == "delivery_accepted"]
    by_hand = any(e.event == "delivery_decided" for e in proof.events)
    if delivery.kenmerk not in (kenmerken or [None]) and not by_hand:
        yield "the chain tells another kenmerk"
    if any(s.kenmerk != delivery.kenmerk for s in delivery.statuses):
        yield "a status is of another kenmerk"
    if len({(s.code, s.at) for s in delivery.statuses}) < len(delivery.statuses):
        yield "a status stands there twice"
    missing = _told_statuses(mine) - Counter((s.code, s.fault) for s in delivery.statuses)
    if missing:
        yield f"status {', '.join(sorted(code for code, _ in missing))} is missing"
    ends = {_ENDS[e.event] for e in (*mine, *_packages(proof)) if e.event in _ENDS}
    if delivery.state not in ends and (ends or delivery.state in _ENDS.values()):
        yield f"the chain tells that it ended as {', '.join(ends) or 'nothing'}"


def _packages(proof: Proof) -> list[EventSaid]:
    """What a fiscal package told; these events name the stuk and not the delivery."""
    return [e for e in proof.events if e.event.startswith("package_")]


def _told_statuses(events: Iterable[EventSaid]) -> Counter[tuple[str, str]]:
    """Code and fault of the statuses that the events tell, and how many times."""
    found = (e.told for e in events if e.event == "delivery_status")
    return Counter((str(t.get("code")), str(t.get("fault"))) for t in found)


def _reply_faults(delivery: DeliverySaid, replies: Sequence[Signed]) -> Iterator[str]:
    """replies: what is in those that are good."""
    for reply in replies:
        if reply.kenmerk not in ("", delivery.kenmerk):  # no status told: no kenmerk
            yield f"the receiver signed kenmerk {reply.kenmerk}"
        if reply.aanleverkenmerk not in ("", delivery.aanleverkenmerk):
            yield f"the receiver signed aanleverkenmerk {reply.aanleverkenmerk}"
        if reply.berichtsoort not in ("", delivery.berichtsoort):
            yield f"the receiver signed berichtsoort {reply.berichtsoort}"
        for status in reply.statuses:
            if status not in delivery.statuses:
                yield f"the receiver signed status {status.code}, which is not in the file"
    signed = {s for r in replies for s in r.statuses}
    for status in delivery.statuses:
        if status not in signed:
            yield f"the receiver signed no such status {status.code}"
