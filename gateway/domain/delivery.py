"""The delivery of an approved stuk: the machine's states (trust.md, section 4).

Invariants: I1 every approved stuk is in exactly one state and ends; I2 it is accepted once at
the most; I3 what is sent is what was approved; I4 a kenmerk is written once and states do not go
back; I5 one open attempt per channel; I6 each change has its audit row in the same transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.domain.sbr import Statusmelding
from gateway.domain.soort import Soort


class State(StrEnum):
    """Where a delivery stands."""

    QUEUED = "queued"
    ATTEMPT = "attempt"  # an attempt is open: it may have arrived, or not
    ACCEPTED = "accepted"  # the receiver gave a kenmerk; statuses follow
    FINAL_OK = "final_ok"
    FINAL_FAILED = "final_failed"
    HELD_CHANGED = "held_changed"  # the source holds other bytes than were approved
    HELD_UNAVAILABLE = "held_unavailable"  # the source has not given them for long
    UNCERTAIN = "uncertain"  # a person decides
    WITHDRAWN = "withdrawn"


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset(
        {State.ATTEMPT, State.ACCEPTED, State.HELD_CHANGED, State.HELD_UNAVAILABLE,
         State.UNCERTAIN, State.WITHDRAWN, State.FINAL_OK, State.FINAL_FAILED}
    ),
    State.HELD_UNAVAILABLE: frozenset(
        {State.QUEUED, State.ATTEMPT, State.HELD_CHANGED, State.UNCERTAIN, State.WITHDRAWN}
    ),
    State.ATTEMPT: frozenset(
        {State.QUEUED, State.ACCEPTED, State.UNCERTAIN, State.FINAL_FAILED}
    ),
    State.UNCERTAIN: frozenset(
        {State.QUEUED, State.ACCEPTED, State.FINAL_FAILED, State.WITHDRAWN}
    ),
    State.ACCEPTED: frozenset({State.FINAL_OK, State.FINAL_FAILED}),
    State.HELD_CHANGED: frozenset({State.WITHDRAWN}),
    State.FINAL_OK: frozenset(),
    State.FINAL_FAILED: frozenset(),
    State.WITHDRAWN: frozenset(),
}  # fmt: skip

#: Nothing was sent yet.
WAITING = frozenset({State.QUEUED, State.HELD_UNAVAILABLE})
#: The worker has something to do in these.
WORKING = frozenset({State.QUEUED, State.HELD_UNAVAILABLE, State.ATTEMPT, State.ACCEPTED})
ENDED = frozenset(s for s, after in MOVES.items() if not after)
#: It can still be taken back: nothing was sent that may have arrived.
WITHDRAWABLE = frozenset(s for s, after in MOVES.items() if State.WITHDRAWN in after)


def may_move(old: State, new: State) -> bool:
    """Whether a delivery may go from one state to another."""
    return new in MOVES[old]


class Trouble(StrEnum):
    """Why a delivery does not go on."""

    SOURCE = "bron"
    CHANGED = "gewijzigd"
    MANDATE = "mandaat"
    CONFIG = "configuratie"
    CHANNEL = "kanaal"  # another delivery has an open attempt there
    SENDING = "verzenden"
    UNCLEAR = "onduidelijk"
    REFUSED = "fout"
    SILENT = "stil"


class Outcome(StrEnum):
    """How an attempt ended; None while it is open."""

    ACCEPTED = "accepted"  # a verified reply
    NOT_SENT = "not_sent"  # no byte of the body left
    REFUSED = "refused"  # a verified fault
    NOT_ARRIVED = "not_arrived"  # the receiver was asked, and has not got it
    ADOPTED = "adopted"  # the receiver was asked, and has it
    DECIDED = "decided"  # a person decided


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; settings may shorten them for simulators, never the order of things.

    total: of one attempt. horizon: how long what was sent may still arrive unseen. A resend needs
    `negatives` answers that it has not arrived, spaced by horizon / negatives, the last after the
    horizon. held, alarm: after which a person is told. skew: how far clocks may differ. watch:
    how long it is looked whether what seemed not to have arrived came late.
    """

    total: float = 120.0
    horizon: float = 1800.0
    negatives: int = 3
    poll: float = 60.0
    poll_most: float = 900.0
    alarm: float = 96 * 3600.0
    retry: float = 30.0
    retry_most: float = 1800.0
    held: float = 4 * 3600.0
    skew: float = 300.0
    watch: float = 72 * 3600.0

    @property
    def spacing(self) -> float:
        """Between two answers that count."""
        return self.horizon / self.negatives

    @property
    def watch_every(self) -> float:
        """Between two looks."""
        return self.watch / 72


def backoff(tries: int, timing: Timing) -> float:
    """Seconds to wait after so many failures."""
    doubled: float = timing.retry * 2.0 ** min(max(tries - 1, 0), 16)
    return min(doubled, timing.retry_most)


class Verdict(StrEnum):
    """What asking the receiver about an open attempt tells."""

    ADOPT = "adopt"
    WAIT = "wait"
    NOT_ARRIVED = "not_arrived"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kenmerk at the receiver that is not ours yet. ours: its aanleverkenmerk is the attempt's;
    None when the receiver does not tell. since: the first sign of it."""

    kenmerk: str
    ours: bool | None
    since: datetime | None
    aanleverkenmerk: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known when judging, by the database's clock: when the attempt was opened, answers
    before this one that it had not arrived, when this question was put (its answer may have been
    long on its way), and when the last was that counted."""

    opened_at: datetime
    negatives: int
    now: datetime
    last: datetime | None = None

    def counts(self, timing: Timing) -> bool:
        """Whether this answer comes long enough after the last one."""
        spacing = timedelta(seconds=timing.spacing)
        return self.last is None or self.now - self.last >= spacing


def judge(asked: Asked, found: Iterable[Candidate], timing: Timing) -> tuple[Verdict, str | None]:
    """What to do about an open attempt; with the kenmerk to adopt.

    Certainty first: a kenmerk with our aanleverkenmerk is ours. Without that word from the
    receiver, the only kenmerk that began inside the attempt's window is; more than one is for a
    person. None: wait for the horizon, and for enough answers.
    """
    candidates = list(found)
    certain = [c for c in candidates if c.ours]
    if certain:
        return (
            (Verdict.ADOPT, certain[0].kenmerk) if len(certain) == 1 else (Verdict.UNCERTAIN, None)
        )
    begin = asked.opened_at - timedelta(seconds=timing.skew)
    over = asked.now >= asked.opened_at + timedelta(seconds=timing.horizon)
    likely = [c for c in candidates if c.ours is None and (c.since is None or c.since >= begin)]
    if likely and any(c.since is None for c in likely):  # it has not told of it yet
        return (Verdict.UNCERTAIN, None) if over else (Verdict.WAIT, None)
    if likely:
        sure = len(likely) == 1
        return (Verdict.ADOPT, likely[0].kenmerk) if sure else (Verdict.UNCERTAIN, None)
    if over and asked.counts(timing) and asked.negatives + 1 >= timing.negatives:
        return Verdict.NOT_ARRIVED, None
    return Verdict.WAIT, None


def late(found: Iterable[Candidate], sent: State, *, busy: bool) -> list[Candidate]:
    """What came to light on a channel after its delivery was thought not to have arrived.

    While it may still be sent, what is there may be what is sent next: `judge` says so. Where the
    receiver does not tell whose a kenmerk is, any new one is told; busy: an attempt of whatever
    delivery is open there, and then it may be that one's.
    """
    if sent in WAITING or sent is State.ATTEMPT:
        return []
    return [one for one in found if one.ours or (one.ours is None and not busy)]


def ending(statuses: Sequence[Statusmelding], soort: Soort) -> tuple[State, Statusmelding] | None:
    """The end that statuses tell, if any; failures first where a receiver tells both."""
    for codes, state in ((soort.failure, State.FINAL_FAILED), (soort.success, State.FINAL_OK)):
        found = next((s for s in statuses if s.statuscode in codes), None)
        if found is not None:
            return state, found
    gone = next((s for s in statuses if s.foutcode == "AFS600"), None)
    return (State.FINAL_FAILED, gone) if gone else None
