"""When certificates end, and when somebody is told."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.expiry import ENDED, STEPS, Life, lasting

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def _life(begin: float, end: float) -> Life:
    """Days from now."""
    return Life(NOW + timedelta(days=begin), NOW + timedelta(days=end), f"{begin}..{end}")


@pytest.mark.parametrize(
    ("left", "step"),
    [(400, None), (60.1, None), (60, 60), (30.5, 60), (30, 30), (14.5, 30), (14, 14), (7.1, 14),
     (7, 7), (0.1, 7), (0, ENDED), (-3, ENDED)],
)  # fmt: skip
def test_the_steps(left, step):
    assert _life(-10, left).step(NOW) == step


@pytest.mark.parametrize(
    ("lives", "found"),
    [
        ([(-9, 5)], "-9..5"),
        ([(-9, 5), (-1, 90)], "-1..90"),  # they overlap
        ([(-9, 5), (5, 90)], "5..90"),  # one begins as the other ends
        ([(-9, 5), (6, 90)], "-9..5"),  # a day without any
        ([(6, 90), (-9, 5), (2, 8)], "6..90"),  # a third closes the gap
        ([(-9, -5), (-30, -8)], "-9..-5"),  # all have ended
        ([(-9, -5), (3, 9)], "3..9"),  # nothing now
    ],
)
def test_the_one_that_lasts(lives, found):
    assert lasting([_life(*one) for one in lives], NOW).mark == found


_SPANS = st.lists(
    st.tuples(st.integers(-99, 99), st.integers(1, 99)).map(lambda s: _life(s[0], s[0] + s[1])),
    min_size=1, max_size=6,
)  # fmt: skip


@given(_SPANS)
def test_until_its_end_there_is_always_a_valid_one(lives):
    found = lasting(lives, NOW)
    assert found in lives
    if not any(one.holds(NOW) for one in lives):
        return
    day = NOW
    while day < found.end:
        assert any(one.holds(day) for one in lives)
        day += timedelta(days=1)
    assert not any(one.holds(found.end) for one in lives)


@given(st.integers(-2400, 2400).map(lambda hours: hours / 24))
def test_a_warning_never_comes_earlier_than_its_step(left):
    step = _life(-200, left).step(NOW)
    assert step in {None, ENDED, *STEPS}
    assert step is None or left <= step
