"""What can be asked to happen, by name, and who is chosen to meet it.

The first eleven are the Aansluit Suite's. A scenario is chosen by an aanleverkenmerk that is its
name, or begins with its name and "-"; else by what the control page queued; else by chance, when
that was set up; else all goes well.
"""

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, auto

from gateway.simulators.digipoort.statuses import (
    AFGEWEZEN,
    HAPPY,
    NIET_AFGELEVERD,
    NIET_GEMACHTIGD,
    POGINGEN_OP,
    STORING_AFLEVEREN,
    STORING_VALIDATIE,
    VALIDATIEFOUT,
    Step,
)


class Act(StrEnum):
    """What happens to an aanlevering; booked means that the process has begun."""

    ANSWER = auto()  # booked and answered
    FAULT = auto()  # not booked
    UNAVAILABLE = auto()  # not booked, 503
    RESET_BEFORE = auto()  # not booked, connection reset
    SLOW = auto()  # booked, the answer comes late
    SILENT = auto()  # booked, no answer until the client leaves
    RESET_AFTER = auto()  # booked, connection reset
    ERROR_AFTER = auto()  # booked, 500
    LATE = auto()  # booked when the client has left
    OTHER_KENMERK = auto()  # booked, the answer has the kenmerk of the booking before
    OTHER_RELATES_TO = auto()  # booked, the answer is to another message
    FORGED = auto()  # booked, the answer is signed with another key
    UNSIGNED = auto()  # booked, the answer is not signed
    TAMPERED = auto()  # booked, the answer was changed after signing
    WRAPPED = auto()  # booked, the answer has a forged Body beside the signed one


class Telling(StrEnum):
    """What happens to a question about the statuses."""

    ANSWER = auto()
    FAULT = auto()
    SLOW = auto()
    UNAVAILABLE = auto()  # 503 for the first hour by the scaled clock
    REPEATED = auto()  # every status twice
    SHUFFLED = auto()  # newest first, and some come to light late


@dataclass(frozen=True, slots=True)
class Scenario:
    """What an aanlevering meets."""

    act: Act = Act.ANSWER
    steps: tuple[Step, ...] = HAPPY
    telling: Telling = Telling.ANSWER


SCENARIOS: Mapping[str, Scenario] = {
    "Happyflow": Scenario(),
    "AanleverFault": Scenario(Act.FAULT),
    "StatusInformatieFault": Scenario(telling=Telling.FAULT),
    "Afleverfout": Scenario(steps=NIET_AFGELEVERD),
    "Foutuitvragendepartij": Scenario(steps=AFGEWEZEN),
    "TechnischProbleemAfleveren": Scenario(steps=STORING_AFLEVEREN),
    "MaximaalAantalAfleverpogingen": Scenario(steps=POGINGEN_OP),
    "ZwaarbelastAanleveren": Scenario(Act.SLOW),
    "OverbelastAanleveren": Scenario(Act.UNAVAILABLE),
    "ZwaarbelastStatusInformatie": Scenario(telling=Telling.SLOW),
    "OverbelastStatusInformatie": Scenario(telling=Telling.UNAVAILABLE),
    "NietGemachtigd": Scenario(steps=NIET_GEMACHTIGD),
    "Validatiefout": Scenario(steps=VALIDATIEFOUT),
    "TechnischProbleemValidatie": Scenario(steps=STORING_VALIDATIE),
    "AcceptedNoAnswer": Scenario(Act.SILENT),
    "ResetBefore": Scenario(Act.RESET_BEFORE),
    "ResetAfter": Scenario(Act.RESET_AFTER),
    "LateBooking": Scenario(Act.LATE),
    "Slow": Scenario(Act.SLOW),
    "ErrorAfter": Scenario(Act.ERROR_AFTER),
    "DuplicateReply": Scenario(Act.OTHER_KENMERK),
    "OtherRelatesTo": Scenario(Act.OTHER_RELATES_TO),
    "ForgedReply": Scenario(Act.FORGED),
    "UnsignedReply": Scenario(Act.UNSIGNED),
    "TamperedReply": Scenario(Act.TAMPERED),
    "WrappedReply": Scenario(Act.WRAPPED),
    "OutOfOrder": Scenario(telling=Telling.SHUFFLED),
    "RepeatedStatuses": Scenario(telling=Telling.REPEATED),
}


@dataclass(frozen=True, slots=True)
class Queued:
    """A scenario for the next `count` aanleveringen of this berichtsoort and nummer, if given."""

    name: str
    count: int = 1
    berichtsoort: str | None = None
    nummer: str | None = None

    def suits(self, berichtsoort: str, nummer: str) -> bool:
        """Whether it is for such an aanlevering."""
        return self.berichtsoort in (None, berichtsoort) and self.nummer in (None, nummer)


class Chooser:
    """Chooses the scenario of each aanlevering; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[Queued] = []
        self._random = random.Random()
        self._rates: dict[str, float] = {}

    def queue(self, asked: Queued) -> None:
        """For later aanleveringen; what was queued first goes first."""
        with self._lock:
            self._queue.append(asked)

    def chaos(self, seed: int, rates: Mapping[str, float]) -> None:
        """From now on by chance, the same for the same seed and order. No rates: no chance."""
        with self._lock:
            self._random, self._rates = random.Random(seed), dict(rates)

    def clear(self) -> None:
        """Nothing queued, nothing by chance."""
        with self._lock:
            self._queue, self._rates = [], {}

    def unused(self) -> list[Queued]:
        """What is queued and was not met yet."""
        with self._lock:
            return list(self._queue)

    def choose(self, aanleverkenmerk: str | None, berichtsoort: str, nummer: str) -> str:
        """The name of a scenario."""
        name = (aanleverkenmerk or "").partition("-")[0]
        if name in SCENARIOS:
            return name
        with self._lock:
            return self._queued(berichtsoort, nummer) or self._chance() or "Happyflow"

    def _queued(self, berichtsoort: str, nummer: str) -> str | None:
        for n, asked in enumerate(self._queue):
            if asked.suits(berichtsoort, nummer):
                rest = [replace(asked, count=asked.count - 1)] if asked.count > 1 else []
                self._queue[n : n + 1] = rest
                return asked.name
        return None

    def _chance(self) -> str | None:
        if not self._rates:
            return None
        drawn = self._random.random()
        for name, rate in self._rates.items():
            drawn -= rate
            if drawn < 0:
                return name
        return None
