"""Rests a source that keeps failing, and lets one call through to see whether it is back."""

import random
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum

from gateway.errors import Busy


class State(StrEnum):
    """closed: calls pass. open: calls are refused. half_open: one call is trying."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Opens at `limit` failures in a row, or when half of at least `least` calls in `window` fail.

    It stays open for `rest` seconds, doubling up to `rest_most` with each failed trial, with
    jitter so that many processes do not try at the same moment. Refused credentials open it for
    `rest_attention` seconds, or until `reset`: more tries would lock the account at the source.
    Not shared between processes: each finds out for itself, within a few calls.

    `enter` gives a ticket, which the outcome brings back. What was under way when the breaker
    changed its mind has an old ticket and does not count: eight calls that hung together are one
    outage, not a doubling for each, and none of them may end the trial of another.
    """

    def __init__(
        self,
        *,
        limit: int = 5,
        least: int = 10,
        window: float = 30.0,
        rest: float = 15.0,
        rest_most: float = 300.0,
        rest_attention: float = 1800.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._limit, self._least, self._window = limit, least, window
        self._rest, self._rest_most, self._rest_attention = rest, rest_most, rest_attention
        self._clock, self._jitter = clock, jitter
        self._calls: deque[tuple[float, bool]] = deque(maxlen=256)
        self._in_a_row = 0
        self._trials = 0
        self._until = 0.0
        self._trying = False
        self.ticket = 1  # of the calls whose outcome counts now
        self.state = State.CLOSED
        self.since: float | None = None  # clock time of the first refusal, for the page
        self.needs_attention = False

    def enter(self) -> int:
        """Before a call; its ticket. Raises Busy while resting, or while another is the trial."""
        if self.state is State.CLOSED:
            return self.ticket
        now = self._clock()
        if self._trying or now < self._until:
            raise Busy("resting after failures", retry_after=max(self._until - now, 1.0))
        self._change(State.HALF_OPEN)
        self._trying = True
        return self.ticket

    def succeeded(self, ticket: int) -> None:
        """After a call that the source answered (also with 'not found')."""
        if ticket != self.ticket:
            return
        self._in_a_row = 0
        self._calls.append((self._clock(), True))
        if self.state is not State.CLOSED:
            self.reset()

    def failed(self, ticket: int, *, attention: bool = False) -> None:
        """After a call that counts as a failure of the source.

        attention: the credentials were refused.
        """
        if ticket != self.ticket:
            return
        now = self._clock()
        self._in_a_row += 1
        self._calls.append((now, False))
        self.needs_attention = self.needs_attention or attention
        if self._trying or attention or self._too_many(now):
            self._open(now, attention)

    def abandoned(self, ticket: int) -> None:
        """After a call that says neither good nor bad; when it was the trial, another may try."""
        if ticket == self.ticket:
            self._trying = False

    def reset(self) -> None:
        """Close it, as after a changed configuration."""
        self._change(State.CLOSED)
        self.since = None
        self._in_a_row = self._trials = 0
        self.needs_attention = False
        self._calls.clear()

    def _change(self, state: State) -> None:
        self.state = state
        self.ticket += 1
        self._trying = False

    def _too_many(self, now: float) -> bool:
        recent = [good for at, good in self._calls if now - at <= self._window]
        bad = recent.count(False)
        return self._in_a_row >= self._limit or (
            len(recent) >= self._least and bad * 2 >= len(recent)
        )

    def _open(self, now: float, attention: bool) -> None:
        rest = min(self._rest * 2**self._trials, self._rest_most)
        rest = self._rest_attention if attention else rest
        self._until = now + rest * (0.9 + 0.2 * self._jitter())
        self._trials += 1
        self._change(State.OPEN)
        self.since = self.since if self.since is not None else now
