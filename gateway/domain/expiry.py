"""When certificates end, and when somebody has to be told (trust.md, section 2: 60/30/14/7)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

#: Days before the end at which a warning goes out.
STEPS = (60, 30, 14, 7)
ENDED = 0


@dataclass(frozen=True, slots=True, order=True)
class Life:
    """From when until when a certificate is valid (UTC), and its SHA-256 in hexadecimal."""

    begin: datetime
    end: datetime
    mark: str

    def holds(self, at: datetime) -> bool:
        """Whether it is valid."""
        return self.begin <= at < self.end

    def days(self, now: datetime) -> int:
        """Whole days that are left; negative: it has ended."""
        return (self.end - now) // timedelta(days=1)

    def step(self, now: datetime) -> int | None:
        """The last warning that is due; None while there is time."""
        if self.end <= now:
            return ENDED
        return min((s for s in STEPS if self.end <= now + timedelta(days=s)), default=None)


def lasting(lives: Iterable[Life], now: datetime) -> Life:
    """The one with whose end nothing is valid any more: each begins before the last has ended.

    At least one is given. When none is valid now, the one that ended or begins last.
    """
    ordered = sorted(lives)
    found = next((one for one in ordered if one.holds(now)), None)
    if found is None:
        return max(ordered, key=lambda one: one.end)
    for one in ordered:
        if one.begin <= found.end < one.end:
            found = one
    return found
