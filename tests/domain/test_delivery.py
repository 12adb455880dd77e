"""The delivery's machine: moves, the verdict about an open attempt, the end, waiting."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.store
from gateway.domain import delivery as rules
from gateway.domain.delivery import Asked, Candidate, State, Timing, Verdict, judge, late
from gateway.domain.sbr import Statusmelding
from gateway.domain.soort import DEFAULTS

T0 = datetime(2026, 3, 31, 12, tzinfo=UTC)
TIMING = Timing(horizon=1800.0, negatives=3, skew=300.0)


def at(seconds: float) -> datetime:
    """So many seconds after the attempt was opened."""
    return T0 + timedelta(seconds=seconds)


# --- moves


def test_the_moves_are_those_of_the_database():
    """gateway.domain.delivery and the trigger delivery_guard say the same."""
    file = Path(gateway.store.__file__).parent / "migrations" / "0002_stukken.sql"
    text = file.read_text()
    (found,) = re.findall(r"allowed constant jsonb := '(\{.*?\})';", text, re.DOTALL)
    moves = {State(old): {State(n) for n in new} for old, new in json.loads(found).items()}
    assert moves == rules.MOVES
    (states,) = re.findall(r"check \(state in \(\s*('queued'.*?)\)\)", text, re.DOTALL)
    assert set(re.findall(r"'(\w+)'", states)) == set(State)


def test_every_state_ends_or_leads_to_an_end():
    for state in State:
        seen, todo = {state}, [state]
        while todo:
            fresh = rules.MOVES[todo.pop()] - seen
            seen |= fresh
            todo.extend(fresh)
        assert seen & rules.ENDED, state


@pytest.mark.parametrize("sent", [State.ATTEMPT, State.ACCEPTED, State.FINAL_OK])
def test_what_may_have_arrived_is_not_withdrawn(sent):
    assert sent not in rules.WITHDRAWABLE


def test_nothing_accepted_is_sent_again():
    """From accepted no way leads to a state that sends (I2, I4)."""
    seen, todo = set(), [State.ACCEPTED]
    while todo:
        fresh = rules.MOVES[todo.pop()] - seen
        seen |= fresh
        todo.extend(fresh)
    assert not seen & {State.QUEUED, State.ATTEMPT, State.HELD_UNAVAILABLE}


def test_only_queued_and_held_become_an_attempt():
    before = {s for s in State if rules.may_move(s, State.ATTEMPT)}
    assert before == {State.QUEUED, State.HELD_UNAVAILABLE}


# --- the verdict

OURS = Candidate("k1", True, at(1), "a")
OTHERS = Candidate("k2", False, at(1), "b")
MAYBE = Candidate("k3", None, at(1))
EARLIER = Candidate("k4", None, at(-301))
SILENT = Candidate("k5", None, None)


@pytest.mark.parametrize(
    ("found", "seconds", "negatives", "verdict"),
    [
        ([OURS], 1, 0, (Verdict.ADOPT, "k1")),
        ([OURS, OTHERS, MAYBE, EARLIER, SILENT], 1, 0, (Verdict.ADOPT, "k1")),
        ([OURS, Candidate("k9", True, at(2), "a")], 1, 0, (Verdict.UNCERTAIN, None)),
        ([MAYBE], 1, 0, (Verdict.ADOPT, "k3")),
        ([MAYBE, OTHERS, EARLIER], 1, 0, (Verdict.ADOPT, "k3")),
        ([MAYBE, Candidate("k9", None, at(2))], 1, 0, (Verdict.UNCERTAIN, None)),
        ([SILENT], 1, 0, (Verdict.WAIT, None)),
        ([SILENT, MAYBE], 1, 0, (Verdict.WAIT, None)),
        ([SILENT], 1800, 9, (Verdict.UNCERTAIN, None)),
        ([], 0, 0, (Verdict.WAIT, None)),
        ([], 1799.9, 9, (Verdict.WAIT, None)),
        ([], 1800, 1, (Verdict.WAIT, None)),
        ([], 1800, 2, (Verdict.NOT_ARRIVED, None)),
        ([OTHERS, EARLIER], 1800, 2, (Verdict.NOT_ARRIVED, None)),
        ([Candidate("k4", None, at(-300))], 1800, 2, (Verdict.ADOPT, "k4")),
    ],
)
def test_verdict(found, seconds, negatives, verdict):
    assert judge(Asked(T0, negatives, at(seconds)), found, TIMING) == verdict


@pytest.mark.parametrize(("since_last", "counts"), [(599.9, False), (600, True), (4000, True)])
def test_an_answer_counts_when_the_last_is_long_ago(since_last, counts):
    """Three answers, a third of the horizon apart: the last one too."""
    asked = Asked(T0, 2, at(5000), at(5000 - since_last))
    assert judge(asked, [], TIMING)[0] is (Verdict.NOT_ARRIVED if counts else Verdict.WAIT)


_moments = st.floats(-4000, 4000).map(at)
_candidates = st.builds(
    Candidate, st.uuids().map(str), st.sampled_from([True, False, None]), st.none() | _moments
)


@given(st.lists(_candidates, max_size=4), st.integers(0, 5), _moments, st.none() | _moments)
def test_verdicts_are_careful(found, negatives, now, last):
    """Adopted is what is or may be ours; sent again only after the horizon, without a doubt."""
    verdict, kenmerk = judge(Asked(T0, negatives, now, last), found, TIMING)
    by_kenmerk = {c.kenmerk: c for c in found}
    assert (kenmerk is not None) == (verdict is Verdict.ADOPT)
    if kenmerk is not None:
        assert by_kenmerk[kenmerk].ours is not False
    if verdict is Verdict.NOT_ARRIVED:
        assert now >= at(TIMING.horizon)
        assert negatives >= TIMING.negatives - 1
        assert last is None or (now - last).total_seconds() >= TIMING.spacing
        assert all(
            c.ours is False or (c.ours is None and c.since is not None and c.since < at(-300))
            for c in found
        )


@given(st.lists(_candidates, max_size=4), st.integers(0, 5), _moments)
def test_order_of_what_is_told_does_not_matter(found, negatives, now):
    asked = Asked(T0, negatives, now)
    assert judge(asked, found, TIMING) == judge(asked, found[::-1], TIMING)


# --- the end


def _status(code: str, fault: str = "") -> Statusmelding:
    return Statusmelding("k1", code, T0, "", fault, "", "")


@pytest.mark.parametrize(
    ("codes", "end"),
    [
        ([], None),
        (["105", "100", "400"], None),
        (["105", "500"], State.FINAL_OK),
        (["500", "105"], State.FINAL_OK),
        (["311"], State.FINAL_FAILED),
        (["510", "400"], State.FINAL_FAILED),
        (["500", "510"], State.FINAL_FAILED),
        (["999"], None),
    ],
)
def test_ending(codes, end):
    found = rules.ending([_status(c) for c in codes], DEFAULTS["ob"])
    assert (found[0] if found else None) is end


def test_the_last_attempt_of_the_receiver_is_an_end():
    """AFS600: it was tried for 72 hours. The same code without that fault is not."""
    assert rules.ending([_status("420")], DEFAULTS["ob"]) is None
    found = rules.ending([_status("420"), _status("420", "AFS600")], DEFAULTS["ob"])
    assert found is not None
    assert (found[0], found[1].foutcode) == (State.FINAL_FAILED, "AFS600")


# --- waiting


@pytest.mark.parametrize(
    ("tries", "seconds"), [(0, 30), (1, 30), (2, 60), (3, 120), (7, 1800), (10**9, 1800)]
)
def test_backoff(tries, seconds):
    assert rules.backoff(tries, Timing()) == seconds


@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(100, 10**5))
def test_backoff_grows_to_its_most(tries, retry, most):
    timing = Timing(retry=retry, retry_most=most)
    assert retry <= rules.backoff(tries, timing) <= rules.backoff(tries + 1, timing) <= most


@pytest.mark.parametrize(
    ("found", "sent", "busy", "told"),
    [
        ([OURS], State.ACCEPTED, False, [OURS]),
        ([OURS], State.FINAL_OK, True, [OURS]),  # the receiver says whose it is
        ([OTHERS], State.FINAL_OK, False, []),
        ([MAYBE], State.FINAL_OK, False, [MAYBE]),
        ([MAYBE], State.FINAL_OK, True, []),  # it may be what is being sent
        ([OURS, MAYBE], State.ATTEMPT, False, []),
        ([OURS], State.QUEUED, False, []),
        ([OURS], State.HELD_UNAVAILABLE, False, []),
    ],
)
def test_what_came_late(found, sent, busy, told):
    assert late(found, sent, busy=busy) == told
