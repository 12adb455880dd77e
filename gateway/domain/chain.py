"""The chain of the audit: digests, links and signed checkpoints, as 0002_stukken.sql makes them.

A row's digest is SHA-256 over its fields, each as a netstring. A link's hash is SHA-256 over the
hash before it and the digest, both in hex; before the first is nothing. A checkpoint signs the
hash of a link with Ed25519 (RFC 8032). Who may write in the database can make a whole chain anew,
but no checkpoint: of what a checkpoint covers every change shows. Rows after the last checkpoint
can be cut off unseen, and so can all of it by whoever deletes the checkpoints too: therefore they
also leave the house, in the proof bundles.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.domain.keys import Keys

#: Findings that are kept; the rest is counted.
MOST = 200


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the audit, in the order of its digest. at: as `moment` writes it; data: the text
    of the jsonb as PostgreSQL writes it."""

    firm: str
    id: int
    at: str
    event: str
    person: str | None
    klant: str | None
    subject: str
    request: str
    data: str


@dataclass(frozen=True, slots=True)
class Link:
    """A row of the chain. number: 1, 2, 3, ... in each firm; audit: id of the row."""

    number: int
    audit: int
    digest: str
    hash: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The hash of a link, signed. key: id of the key (`key_id`); signature: base64url."""

    firm: str
    number: int
    hash: str
    at: str
    key: str
    signature: str


_FIELDS = attrgetter("firm", "id", "at", "event", "person", "klant", "subject", "request", "data")
_SIGNED = attrgetter("firm", "number", "hash", "at", "key")


def moment(at: datetime) -> str:
    """UTC, to the microsecond: 2026-03-01T08:15:00.000000Z."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def field(value: str | None) -> str:
    """Length in bytes and the value, so that borders cannot be moved."""
    return "-," if value is None else f"{len(_bytes(value))}:{value},"


def digest(row: Row) -> str:
    """SHA-256 (hex) of a row."""
    values = (None if v is None else str(v) for v in _FIELDS(row))
    return hashlib.sha256(_bytes("".join(map(field, values)))).hexdigest()


def linked(before: str, digest: str) -> str:
    """The hash (hex) of a link. before: the hash of the one before it; "" at the first."""
    return hashlib.sha256(_bytes(before + digest)).hexdigest()


def _bytes(text: str) -> bytes:
    """UTF-8; what a forger wrote may hold half a character, and is digested all the same."""
    return text.encode("utf-8", "surrogatepass")


# --- keys and checkpoints


def private_key(keys: Keys) -> Ed25519PrivateKey:
    """The key of this installation that signs checkpoints and proofs."""
    return Ed25519PrivateKey.from_private_bytes(keys.derive("checkpoint"))


def key_text(key: Ed25519PublicKey) -> str:
    """A public key as it is printed: 32 bytes in base64url."""
    return text_of(key.public_bytes_raw())


def read_key(text: str) -> Ed25519PublicKey:
    """The key of `key_text`. Raises ValueError."""
    return Ed25519PublicKey.from_public_bytes(bytes_of(text))


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 signs of the SHA-256 (hex) of a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def key_ring(keys: Iterable[Ed25519PublicKey]) -> dict[str, Ed25519PublicKey]:
    """Public keys by their id."""
    return {key_id(k): k for k in keys}


def text_of(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    """The bytes of `text_of`, whose one spelling is taken. Raises ValueError."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if text_of(data) != text:
        raise ValueError("not base64url as it is written here")
    return data


def sign(key: Ed25519PrivateKey, firm: str, number: int, hash: str, at: str) -> Checkpoint:
    """A checkpoint at a link."""
    public = key_id(key.public_key())
    made = Checkpoint(firm, number, hash, at, public, "")
    return replace(made, signature=text_of(key.sign(_signed(made))))


def _signed(checkpoint: Checkpoint) -> bytes:
    """What is signed: what it is, and every field but the signature."""
    values = ("map-checkpoint-1", *map(str, _SIGNED(checkpoint)))
    return _bytes("".join(map(field, values)))


def is_signed(checkpoint: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Whether the key signed it."""
    return signature_fits(key, checkpoint.signature, _signed(checkpoint))


def signature_fits(key: Ed25519PublicKey, signature: str, data: bytes) -> bool:
    """Whether a signature (base64url) is the key's, over the data."""
    try:
        key.verify(bytes_of(signature), data)
    except (InvalidSignature, ValueError):
        return False
    return True


# --- judging a chain


class Kind(StrEnum):
    """What is wrong."""

    CHANGED = "changed"  # a row is not what was linked
    DELETED = "deleted"  # a row is gone, its link is there
    ADDED = "added"  # a row without a link
    REORDERED = "reordered"  # rows or links that stand in one another's place
    BROKEN = "broken"  # a link does not follow from the one before
    MISSING = "missing"  # links are gone between two others
    CHECKPOINT = "checkpoint"  # not signed by us, or of another hash than the link's
    KEY = "key"  # signed with a key that was not given
    CUT_OFF = "cut_off"  # a checkpoint lies beyond the end


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. number: of the link; audit: id of the row; None where there is none."""

    kind: Kind
    number: int | None
    audit: int | None
    text: str

    def __str__(self) -> str:
        row = "" if self.audit is None else f"audit row {self.audit}"
        link = "" if self.number is None else f"link {self.number}"
        return f"{self.kind}: {', '.join(filter(None, (row, link)))}: {self.text}"


class Check:
    """Judges one firm's chain. Give it every link in the order of the numbers, and then what
    has no link. It keeps the findings, not the rows: memory does not grow with the chain."""

    def __init__(self, firm: str, keys: Mapping[str, Ed25519PublicKey]) -> None:
        """keys: public keys by `key_id`."""
        self._firm, self._keys = firm, keys
        self._number, self._hash = 0, ""
        self._findings: list[Finding] = []
        self._changed: list[tuple[Finding, Link, Row]] = []
        self._broken: list[tuple[Finding, Link, str]] = []
        self.links = self.checkpoints = self.more = 0

    def link(self, link: Link, row: Row | None, checkpoint: Checkpoint | None = None) -> None:
        """The next link, with its row and the checkpoint at it, if there are."""
        self.links += 1
        follows = link.number == self._number + 1
        if not follows:
            gone = f"{self._number + 1} to {link.number - 1}"
            self._add(Kind.MISSING, link.number, None, f"links {gone} before it are gone")
        elif link.hash != linked(self._hash, link.digest):
            found = self._add(Kind.BROKEN, link.number, link.audit, "it does not follow from the"
                              " link before it")  # fmt: skip
            if len(self._broken) < MOST:
                self._broken.append((found, link, self._hash))
        self._row(link, row)
        self._number, self._hash = link.number, link.hash
        if checkpoint is not None:
            self._checkpoint(checkpoint, link)

    def _row(self, link: Link, row: Row | None) -> None:
        if row is None:
            self._add(Kind.DELETED, link.number, link.audit, "the row is gone")
        elif row.firm != self._firm or digest(row) != link.digest:
            found = self._add(Kind.CHANGED, link.number, link.audit, "the row is not what was"
                              " written")  # fmt: skip
            if len(self._changed) < MOST:
                self._changed.append((found, link, row))

    def _checkpoint(self, checkpoint: Checkpoint, link: Link) -> None:
        if self._signed(checkpoint) and checkpoint.hash != link.hash:
            self._add(Kind.CHECKPOINT, link.number, link.audit, f"the checkpoint of"
                      f" {checkpoint.at} signs another hash: rows up to here were other"
                      " rows")  # fmt: skip

    def _signed(self, checkpoint: Checkpoint) -> bool:
        self.checkpoints += 1
        key = self._keys.get(checkpoint.key)
        if key is None:
            self._add(Kind.KEY, checkpoint.number, None, f"the checkpoint of {checkpoint.at} is"
                      f" signed with another key, {checkpoint.key}")  # fmt: skip
        elif not is_signed(checkpoint, key):
            self._add(Kind.CHECKPOINT, checkpoint.number, None, f"the signature of the checkpoint"
                      f" of {checkpoint.at} is wrong")  # fmt: skip
        else:
            return True
        return False

    def outside(self, row: Row) -> None:
        """A row that no link names."""
        self._add(Kind.ADDED, None, row.id, f"{row.event} of {row.at} is not in the chain")

    def orphan(self, checkpoint: Checkpoint) -> None:
        """A checkpoint without a link, after all links."""
        self._signed(checkpoint)
        end = f"the chain ends at {self._number}"
        beyond = checkpoint.number > self._number
        kind, text = (Kind.CUT_OFF, end) if beyond else (Kind.MISSING, "its link is gone")
        self._add(kind, checkpoint.number, None, f"there is a checkpoint of {checkpoint.at}, but"
                  f" {text}")  # fmt: skip

    def findings(self) -> list[Finding]:
        """All that is wrong, at most `MOST`; `more` counts the rest. What stands in another's
        place is told as that."""
        moved = {id(f) for f in (*self._moved_rows(), *self._moved_links())}
        return [self._as_moved(f) if id(f) in moved else f for f in self._findings]

    def _as_moved(self, finding: Finding) -> Finding:
        what = "row" if finding.kind is Kind.CHANGED else "link"
        text = f"another {what} stands in its place: the order was changed"
        return replace(finding, kind=Kind.REORDERED, text=text)

    def _moved_rows(self) -> Iterator[Finding]:
        """Changed rows whose content stands in another changed row, under its id or its own."""
        for found, link, _ in self._changed:
            there = (r for _, other, r in self._changed if other is not link)
            if any(link.digest in (digest(r), digest(replace(r, id=link.audit))) for r in there):
                yield found

    def _moved_links(self) -> Iterator[Finding]:
        """Broken links that follow from another link than the one before them."""
        befores = {b for _, _, b in self._broken} | {link.hash for _, link, _ in self._broken}
        for found, link, _ in self._broken:
            if any(linked(before, link.digest) == link.hash for before in befores):
                yield found

    def _add(self, kind: Kind, number: int | None, audit: int | None, text: str) -> Finding:
        found = Finding(kind, number, audit, text)
        if len(self._findings) < MOST:
            self._findings.append(found)
        else:
            self.more += 1
        return found


def verify(
    rows: Iterable[Row],
    links: Iterable[Link],
    checkpoints: Iterable[Checkpoint],
    keys: Mapping[str, Ed25519PublicKey],
    firm: str,
) -> list[Finding]:
    """Judge a chain that fits into memory; see `Check` for one that does not."""
    by_id, at = {r.id: r for r in rows}, {c.number: c for c in checkpoints}
    check, named = Check(firm, keys), set[int]()
    for link in sorted(links, key=lambda one: one.number):
        check.link(link, by_id.get(link.audit), at.pop(link.number, None))
        named.add(link.audit)
    for id in by_id.keys() - named:
        check.outside(by_id[id])
    for checkpoint in at.values():
        check.orphan(checkpoint)
    return check.findings()
