"""Checking a proof without a network: the key, the seal, the chain, and what the chain tells."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import ValidationError

from gateway.domain import chain
from gateway.domain.proof import approvals, deliveries, seal
from gateway.domain.proof.contents import FORMAT, HOW, VERSION, EventSaid, Proof, SegmentSaid
from gateway.domain.proof.findings import Finding, NotAProof, Signed
from gateway.domain.stuk import Part, Role, manifest


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
        return [*_shape(e), *seal.check(bundle, None)]
    public = _public(proof)
    found = [*_key(proof, public, key), *seal.check(bundle, public), *_chain(proof, public)]
    found += [*_manifest(proof), *_about(proof), *approvals.check(proof)]
    for number, delivery in enumerate(proof.deliveries):
        replies = None if signed is None else [s for s in signed if s.delivery == number]
        found += deliveries.check(proof, f"deliveries.{number}", delivery, replies)
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


def _document(proof: Proof, sha256: str) -> Finding:
    part = next((p for p in proof.parts if p.sha256 == sha256), None)
    if part is None:
        return Finding(False, "document", f"no part has SHA-256 {sha256}")
    return Finding(True, "document", f"it is part {part.number}, {part.role}")
