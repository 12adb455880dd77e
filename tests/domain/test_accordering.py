"""Who must approve: tables, and orders of any number of people."""

from datetime import date
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import stuk
from gateway.domain.accordering import ALL, Group, Mandate, Rule, mandated
from gateway.domain.stuk import ENDED, LABELS, MOVES, OPEN, State

A, B, C, D = (UUID(int=n) for n in range(1, 5))
DAY = date(2026, 11, 24)


def group(*people: UUID, need: int = 1) -> Group:
    return Group(frozenset(people), need)


@pytest.mark.parametrize(
    ("rule", "given", "complete", "may"),
    [
        (Rule(), [], False, {A, B, C, D}),
        (Rule(), [C], True, set()),
        (Rule((group(A),)), [], False, {A}),
        (Rule((group(A),)), [B], False, {A}),
        (Rule((group(A, B, need=2),)), [A], False, {B}),
        (Rule((group(A, B, need=2),)), [A, A], False, {B}),
        (Rule((group(A, B, C, need=2),)), [C], False, {A, B}),
        (Rule((group(A), group(B))), [], False, {A}),
        (Rule((group(A), group(B))), [B], False, {A}),  # before his turn: no place
        (Rule((group(A), group(B))), [A], False, {B}),
        (Rule((group(A), group(A, B))), [A], False, {B}),  # nobody fills two places
        (Rule((group(A), group(B))), [A, B], True, set()),
        (Rule((Group(need=2),)), [D], False, {A, B, C}),
    ],
)
def test_places(rule, given, complete, may):
    assert rule.complete(given) is complete
    assert {p for p in (A, B, C, D) if rule.may(p, given)} == may


groups = st.builds(
    Group,
    st.frozensets(st.sampled_from([A, B, C, D]), max_size=4),
    st.integers(1, 3),
)


@given(
    st.lists(groups, min_size=1, max_size=4).map(lambda g: Rule(tuple(g))),
    st.lists(st.sampled_from([A, B, C, D]), max_size=8),
)
def test_any_order_fills_each_place_once(rule, given):
    filled = rule.places(given)
    everybody = [p for group in filled for p in group]
    assert len(everybody) == len(set(everybody))
    for one, places in zip(rule.groups, filled, strict=True):
        assert len(places) <= one.need
        assert all(one.takes(p) for p in places)
    assert Rule.from_json(rule.to_json()) == rule
    if rule.complete(given):
        assert rule.waiting(given) is None
        assert not any(rule.may(p, given) for p in (A, B, C, D))


@pytest.mark.parametrize(
    ("rule", "faults"),
    [
        (Rule(), 0),
        (Rule(()), 1),
        (Rule((group(A, need=2),)), 1),
        (Rule((Group(need=0),)), 1),
        (Rule((group(A), group(A))), 1),
        (Rule((group(A), group(A, B))), 0),
    ],
)
def test_a_rule_that_cannot_be_met_is_told(rule, faults):
    assert len(rule.faults()) == faults


@pytest.mark.parametrize(
    ("klant", "soort", "since", "until", "holds"),
    [
        ("1", ALL, DAY, None, True),
        ("1", "ob", DAY, DAY, True),
        ("1", "ihz", DAY, None, False),
        ("2", ALL, DAY, None, False),
        ("1", ALL, date(2026, 11, 25), None, False),
        ("1", ALL, date(2026, 1, 1), date(2026, 11, 23), False),
    ],
)
def test_mandates(klant, soort, since, until, holds):
    mandate = Mandate(uuid4(), A, klant, soort, since, until)
    assert mandate.holds("1", "ob", DAY) is holds
    assert mandated([mandate], "1", "ob", DAY) == ({A} if holds else set())


def test_every_state_is_told_and_leads_somewhere():
    assert set(LABELS) == set(MOVES) == set(State)
    assert all(state in MOVES for after in MOVES.values() for state in after)
    assert all(MOVES[s] for s in OPEN)
    assert State.CONCEPT not in OPEN
    assert not OPEN & ENDED
    for shown in LABELS.values():
        assert shown.tone in {"wait", "busy", "good", "bad"}
        assert shown.next.endswith(".")


def test_a_manifest_is_of_the_bytes_and_names_in_any_order():
    parts = [
        stuk.Part(n, role, "s", f"id{n}", f"{n}.pdf", "x/y", n, f"{n}" * 64)
        for n, role in enumerate(stuk.Role, 1)
    ]
    whole = stuk.manifest(parts)
    assert whole == stuk.manifest(reversed(parts))
    import dataclasses

    elsewhere = [dataclasses.replace(p, source="t", id="other") for p in parts]
    assert stuk.manifest(elsewhere) == whole
    for change in ({"sha256": "0" * 64}, {"length": 9}, {"name": "x"}, {"role": "instance"}):
        assert stuk.manifest([dataclasses.replace(parts[0], **change), *parts[1:]]) != whole
