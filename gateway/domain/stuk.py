"""A stuk: what a client approves. Its parts, its manifest, and the states of its accordering.

The accordering is what people do; what the gateway does afterwards is the delivery
(gateway.domain.delivery). Each change of state is one function of gateway.store.stukken, under
the row's lock, from a set of states that stands in `MOVES`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.soort import Route

_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")


def tijdvak(periode: str, jaar: int) -> str:
    """The periode as people read it: with its year, unless it names one itself."""
    return periode if _YEAR.search(periode) else f"{periode} {jaar}"


class Role(StrEnum):
    """What a part is for."""

    AKKOORD = "akkoorddocument"  # what the client reads: PDF or HTML
    INSTANCE = "instance"  # the XBRL instance that is filed
    BIJLAGE = "bijlage"  # filed beside the instance, byte for byte


@dataclass(frozen=True, slots=True)
class Part:
    """One file, as it was when the stuk was put up. id: the document's id in the source."""

    number: int
    role: Role
    source: str
    id: str
    name: str
    media_type: str
    length: int
    sha256: str


def manifest(parts: Iterable[Part]) -> str:
    """The hash of all that is approved: SHA-256 (hex) of every part's role, name, length, hash.

    Where a part lies is not in it: the same bytes are the same stuk wherever they come from.
    """
    rows = [[p.number, p.role, p.name, p.length, p.sha256] for p in parts]
    text = json.dumps(sorted(rows), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def subject(manifests: Sequence[str]) -> str:
    """What one code consents to: the hash of a batch of manifests, in any order."""
    return hashlib.sha256("\n".join(sorted(manifests)).encode()).hexdigest()


class State(StrEnum):
    """Where the accordering stands."""

    CONCEPT = "concept"
    TO_APPROVE = "te_accorderen"
    PARTLY = "deels_akkoord"
    READY = "klaar_om_te_verzenden"
    APPROVED = "goedgekeurd"
    REJECTED = "afgekeurd"
    WITHDRAWN = "ingetrokken"
    REPLACED = "vervangen"
    CHANGED = "gewijzigd_na_akkoord"
    FAILED = "fout_bij_verzending"
    FILED = "ingediend"
    ACCEPTED = "akkoord_digipoort"
    DONE = "afgerond"


class Actor(StrEnum):
    """Who acts next."""

    CLIENT = "client"
    FIRM = "kantoor"
    GATEWAY = "portaal"
    RECEIVER = "ontvanger"
    NOBODY = "niemand"


@dataclass(frozen=True, slots=True)
class Shown:
    """How a state is told, in Dutch. tone: "wait", "busy", "good" or "bad", for colour and icon.
    next: what happens now."""

    label: str
    actor: Actor
    tone: str
    next: str


LABELS: dict[State, Shown] = {
    State.CONCEPT: Shown(
        "Concept",
        Actor.FIRM,
        "wait",
        "Het kantoor werkt hier nog aan.",
    ),
    State.TO_APPROVE: Shown(
        "Te accorderen",
        Actor.CLIENT,
        "wait",
        "Open het document en keur het goed of af.",
    ),
    State.PARTLY: Shown(
        "Deels akkoord",
        Actor.CLIENT,
        "wait",
        "Er is nog een akkoord van een ander nodig.",
    ),
    State.READY: Shown(
        "Klaar om te verzenden",
        Actor.CLIENT,
        "wait",
        "Verzend het document met een SMS code.",
    ),
    State.APPROVED: Shown(
        "Wordt verzonden",
        Actor.GATEWAY,
        "busy",
        "Wij verzenden het document. U hoeft niets te doen.",
    ),
    State.REJECTED: Shown(
        "Afgekeurd",
        Actor.FIRM,
        "bad",
        "Uw accountant heeft uw reden ontvangen en neemt contact met u op.",
    ),
    State.WITHDRAWN: Shown(
        "Ingetrokken",
        Actor.NOBODY,
        "bad",
        "Uw accountant heeft het document ingetrokken. U hoeft niets te doen.",
    ),
    State.REPLACED: Shown(
        "Vervangen",
        Actor.NOBODY,
        "bad",
        "Er is een nieuwe versie. Bekijk die.",
    ),
    State.CHANGED: Shown(
        "Gewijzigd na akkoord",
        Actor.FIRM,
        "bad",
        "Het document is na uw akkoord veranderd en daarom niet verzonden. Uw accountant"
        " zet het opnieuw klaar.",
    ),
    State.FAILED: Shown(
        "Fout bij verzending",
        Actor.FIRM,
        "bad",
        "Uw accountant lost dit op. U hoeft niets te doen.",
    ),
    State.FILED: Shown(
        "Ingediend",
        Actor.RECEIVER,
        "busy",
        "De ontvanger verwerkt het document. U hoeft niets te doen.",
    ),
    State.ACCEPTED: Shown(
        "Akkoord Digipoort",
        Actor.NOBODY,
        "good",
        "De ontvanger heeft het document aangenomen. U bent klaar.",
    ),
    State.DONE: Shown(
        "Afgerond",
        Actor.NOBODY,
        "good",
        "U bent klaar.",
    ),
}

#: Waits for a client; these are his "Openstaande taken".
OPEN = frozenset({State.TO_APPROVE, State.PARTLY, State.READY})
#: Nothing more will happen.
ENDED = frozenset(
    {State.REJECTED, State.WITHDRAWN, State.REPLACED, State.ACCEPTED, State.DONE}
)  # fmt: skip
MOVES: dict[State, frozenset[State]] = {
    State.CONCEPT: frozenset({State.TO_APPROVE, State.WITHDRAWN, State.REPLACED}),
    State.TO_APPROVE: frozenset(
        {State.PARTLY, State.READY, State.APPROVED, State.DONE, State.REJECTED, State.WITHDRAWN,
         State.REPLACED}
    ),
    State.PARTLY: frozenset(
        {State.TO_APPROVE, State.PARTLY, State.READY, State.APPROVED, State.DONE, State.REJECTED,
         State.WITHDRAWN, State.REPLACED}
    ),
    State.READY: frozenset(
        {State.TO_APPROVE, State.PARTLY, State.APPROVED, State.DONE, State.REJECTED,
         State.WITHDRAWN, State.REPLACED}
    ),
    State.APPROVED: frozenset(
        {State.FILED, State.ACCEPTED, State.DONE, State.CHANGED, State.FAILED, State.WITHDRAWN}
    ),
    State.FILED: frozenset({State.ACCEPTED, State.FAILED, State.DONE}),
    State.ACCEPTED: frozenset({State.DONE}),
    State.FAILED: frozenset({State.APPROVED, State.FILED, State.ACCEPTED, State.REPLACED,
                             State.WITHDRAWN, State.DONE}),
    State.CHANGED: frozenset({State.REPLACED, State.WITHDRAWN}),
    State.REJECTED: frozenset({State.REPLACED, State.WITHDRAWN}),
    State.WITHDRAWN: frozenset({State.REPLACED}),
    State.REPLACED: frozenset(),
    State.DONE: frozenset({State.WITHDRAWN, State.REPLACED}),  # see may_move
}  # fmt: skip
#: A new version may take its place.
REPLACEABLE = frozenset(s for s, after in MOVES.items() if State.REPLACED in after)


def may_move(old: State, new: State, route: Route) -> bool:
    """Whether a stuk of that route may go from one state to another. What is done is over, but for
    what was only to be read: nobody approved that, and it was not sent."""
    if old is State.DONE and route is not Route.INZAGE:
        return False
    return new in MOVES[old]
