"""The breaker, on a clock of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connector.breaker import Breaker, State
from gateway.errors import Busy


class Clock:
    """Seconds that pass when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock, jitter=lambda: 0.5)


def fail(breaker: Breaker, times: int, *, attention: bool = False) -> None:
    for _ in range(times):
        breaker.failed(breaker.enter(), attention=attention)


def refuses(breaker: Breaker) -> float:
    """How long it says to wait."""
    with pytest.raises(Busy) as told:
        breaker.enter()
    assert told.value.retry_after is not None
    return told.value.retry_after


def test_five_failures_in_a_row_open_it(breaker: Breaker):
    fail(breaker, 4)
    breaker.succeeded(breaker.enter())
    fail(breaker, 4)
    assert breaker.state is State.CLOSED
    fail(breaker, 1)
    assert breaker.state is State.OPEN
    assert refuses(breaker) == 15


def test_half_of_the_calls_failing_opens_it(breaker: Breaker):
    for _ in range(4):
        breaker.succeeded(breaker.enter())
        fail(breaker, 1)
    assert breaker.state is State.CLOSED  # eight calls are too few to judge by
    breaker.succeeded(breaker.enter())
    fail(breaker, 1)
    assert breaker.state is State.OPEN


def test_failures_of_long_ago_do_not_count_in_the_share(breaker: Breaker, clock: Clock):
    for _ in range(4):
        breaker.succeeded(breaker.enter())
        fail(breaker, 1)
    clock.now += 31
    breaker.succeeded(breaker.enter())
    fail(breaker, 1)
    assert breaker.state is State.CLOSED


def test_a_trial_that_succeeds_closes_it(breaker: Breaker, clock: Clock):
    fail(breaker, 5)
    assert breaker.since == clock.now
    clock.now += 15
    breaker.succeeded(breaker.enter())
    assert (breaker.state, breaker.since) == (State.CLOSED, None)
    fail(breaker, 4)
    assert breaker.state is State.CLOSED  # it begins anew


def test_failed_trials_double_the_rest_up_to_five_minutes(breaker: Breaker, clock: Clock):
    fail(breaker, 5)
    rests = []
    for _ in range(7):
        rests.append(refuses(breaker))
        clock.now += rests[-1]
        fail(breaker, 1)
    assert rests == [15, 30, 60, 120, 240, 300, 300]
    assert breaker.since == 1000  # still the same outage


def test_one_of_twenty_is_the_trial(breaker: Breaker, clock: Clock):
    fail(breaker, 5)
    clock.now += 15
    ticket = breaker.enter()
    assert breaker.state is State.HALF_OPEN
    for _ in range(19):
        refuses(breaker)
    breaker.abandoned(ticket)  # the browser left before there was an answer
    breaker.succeeded(breaker.enter())
    assert breaker.state is State.CLOSED


def test_calls_that_hung_together_are_one_outage(breaker: Breaker, clock: Clock):
    tickets = [breaker.enter() for _ in range(20)]
    for ticket in tickets:
        breaker.failed(ticket)
    assert refuses(breaker) == 15


def test_stragglers_neither_end_nor_double_a_trial(breaker: Breaker, clock: Clock):
    tickets = [breaker.enter() for _ in range(9)]
    for ticket in tickets[:5]:
        breaker.failed(ticket)
    clock.now += 15
    trial = breaker.enter()
    breaker.succeeded(tickets[5])
    breaker.failed(tickets[6])
    breaker.failed(tickets[7], attention=True)
    breaker.abandoned(tickets[8])
    assert breaker.state is State.HALF_OPEN
    refuses(breaker)
    breaker.succeeded(trial)
    assert (breaker.state, breaker.needs_attention) == (State.CLOSED, False)


def test_what_failed_before_it_closed_does_not_open_it_again(breaker: Breaker, clock: Clock):
    late = [breaker.enter() for _ in range(12)]
    for ticket in late[:5]:
        breaker.failed(ticket)
    clock.now += 15
    breaker.succeeded(breaker.enter())
    for ticket in late[5:]:
        breaker.failed(ticket)
    assert breaker.state is State.CLOSED


def test_refused_credentials_rest_half_an_hour(breaker: Breaker, clock: Clock):
    fail(breaker, 1, attention=True)
    assert breaker.needs_attention
    assert refuses(breaker) == 1800
    clock.now += 1799
    refuses(breaker)
    clock.now += 1
    fail(breaker, 1, attention=True)
    assert refuses(breaker) == 1800


def test_reset_ends_the_wait(breaker: Breaker):
    fail(breaker, 1, attention=True)
    breaker.reset()
    assert (breaker.state, breaker.needs_attention) == (State.CLOSED, False)
    breaker.succeeded(breaker.enter())


@pytest.mark.parametrize(("jitter", "rest"), [(0.0, 13.5), (1.0, 16.5)])
def test_processes_do_not_try_at_the_same_moment(clock: Clock, jitter: float, rest: float):
    breaker = Breaker(clock=clock, jitter=lambda: jitter)
    fail(breaker, 5)
    assert refuses(breaker) == pytest.approx(rest)


STEPS = st.lists(
    st.one_of(
        st.just("enter"),
        st.tuples(st.sampled_from(["good", "bad", "401", "left"]), st.integers(0, 30)),
        st.floats(0, 400).map(lambda seconds: ("wait", seconds)),
        st.just("reset"),
    ),
    max_size=120,
)


@given(STEPS)
def test_whatever_happens_there_is_one_trial_and_it_comes_back(steps: list):
    clock = Clock()
    breaker = Breaker(clock=clock)
    tickets: list[int] = []
    trial: int | None = None
    for step in steps:
        match step:
            case "enter":
                try:
                    tickets.append(breaker.enter())
                except Busy:
                    assert breaker.state is not State.CLOSED
                else:
                    if breaker.state is State.HALF_OPEN:
                        assert trial is None
                        trial = tickets[-1]
            case "reset":
                breaker.reset()
            case ("wait", seconds):
                clock.now += seconds
            case (outcome, number) if tickets:
                ticket = tickets.pop(number % len(tickets))
                match outcome:
                    case "good":
                        breaker.succeeded(ticket)
                    case "bad":
                        breaker.failed(ticket)
                    case "401":
                        breaker.failed(ticket, attention=True)
                    case "left":
                        breaker.abandoned(ticket)
        if trial is not None and (trial not in tickets or breaker.state is not State.HALF_OPEN):
            trial = None
    for ticket in tickets:
        breaker.abandoned(ticket)
    clock.now += 2000
    breaker.succeeded(breaker.enter())
    assert breaker.state is State.CLOSED
