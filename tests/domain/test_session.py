"""Sessions, throttles, and who may see what."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import throttle
from gateway.domain.access import may_see
from gateway.domain.firm import SessionRules
from gateway.domain.klant import Klant
from gateway.domain.person import RETURNS, Person, Role, State
from gateway.domain.session import Stage, ends

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # summer time begins while it lasts


@pytest.mark.parametrize(
    ("stage", "idle", "absolute"),
    [
        (Stage.HALF, timedelta(minutes=10), timedelta(minutes=10)),
        (Stage.FULL, timedelta(minutes=20), timedelta(hours=8)),
    ],
)
def test_when_a_session_ends(stage, idle, absolute):
    rules = SessionRules(idle_minutes=20, absolute_hours=8)
    assert ends(stage, rules, NOW) == (NOW + idle, NOW + absolute)


def _person(**more):
    fields = dict.fromkeys(Person.__dataclass_fields__)
    return Person(**{**fields, "role": Role.CLIENT, **more})


@pytest.mark.parametrize("state", State)
def test_only_an_active_person_with_password_and_number_may_sign_in(state):
    whole = _person(state=state, password="x", mobile_sealed="y")
    assert whole.may_sign_in == (state is State.ACTIVE)
    assert not _person(state=state, password=None, mobile_sealed="y").may_sign_in
    assert not _person(state=state, password="x", mobile_sealed=None).may_sign_in
    assert (state in RETURNS) == (state is not State.DISABLED)


numbers = st.lists(st.text("0123", min_size=1, max_size=2), unique=True)


@given(numbers, st.none() | st.text("0123", max_size=2))
def test_a_person_sees_those_with_access_and_no_other(mine, wanted):
    found = may_see([Klant(n, f"Klant {n}") for n in mine], wanted)
    assert (found.number if found else None) == (wanted if wanted in mine else None)


def test_numbers_have_their_own_limits():
    ten, day = throttle.per_number(3, 10)
    assert (ten.burst, ten.period) == (3, timedelta(minutes=10))
    assert (day.burst, day.period) == (10, timedelta(days=1))
    assert len({limit.name for limit in (ten, day, throttle.ACCOUNT, throttle.CONSECUTIVE)}) == 4
