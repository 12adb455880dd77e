"""The rules of a proof, on one written by hand: what must hold, and that nothing breaks."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import chain
from gateway.domain.keys import Keys
from gateway.domain.proof import contents, seal, verify
from gateway.domain.proof.findings import NotAProof
from gateway.domain.stuk import Part, Role, manifest

KEY = chain.private_key(Keys("k" * 44))
STUK = "00000000-0000-0000-0000-00000000000a"
SANNE = "00000000-0000-0000-0000-00000000000b"
PIET = "00000000-0000-0000-0000-00000000000c"
CODE = "00000000-0000-0000-0000-00000000000d"
AT = "2026-03-01T08:15:00.000000Z"
HASH = "ab" * 32
MANIFEST = manifest([Part(1, Role.AKKOORD, "", "", "a.pdf", "", 3, HASH)])


def event(number: int, name: str, person: str | None = None, **data: object) -> dict:
    """An event with its digest."""
    row = chain.Row("een", number, AT, name, person, "1", f"stuk:{STUK}", "r", json.dumps(data))
    return {
        "number": number, "id": number, "at": AT, "event": name, "person": person, "klant": "1",
        "subject": row.subject, "request": "r", "data": row.data, "digest": chain.digest(row),
    }  # fmt: skip


def approval(person: str = SANNE, act: str = "approved", **changes: object) -> dict:
    """An approval as the file tells it."""
    return {
        "id": CODE, "person": person, "name": "Sanne", "username": "sanne@bakkerij.example",
        "act": act, "manifest": MANIFEST, "at": AT, "confirmed_at": AT, "reason": "",
        "code": {"id": CODE, "purpose": "rejecting" if act == "rejected" else "approving"},
        "mandate": {"id": CODE, "soort": "*", "since": "2026-01-01", "until": None},
        "recorded_by": "",
    } | changes  # fmt: skip


def confirmed(number: int, person: str = SANNE) -> dict:
    """The event of an approval."""
    return event(number, "stuk_confirmed", person, manifest=MANIFEST, code=CODE)


def chained(events: list[dict]) -> list[dict]:
    """One piece of the chain from the first event to a checkpoint at the last."""
    digests, before = [e["digest"] for e in events], ""
    for digest in digests:
        before = chain.linked(before, digest)
    made = chain.sign(KEY, "een", len(digests), before, AT)
    said = {"number": made.number, "hash": made.hash, "at": AT, "key": made.key,
            "signature": made.signature}  # fmt: skip
    return [{"first": 1, "before": "", "digests": digests, "checkpoint": said}]


def made(*approvals: dict, events: tuple[dict, ...] = (), **changes: object) -> dict:
    """A proof of a stuk that was put up and approved; sealed whatever the changes are."""
    put_up = event(1, "stuk_put_up", manifest=MANIFEST, soort="ob", by="pakket", replaces=None)
    happened = [put_up, *events]
    content = {
        "format": contents.FORMAT, "version": 1, "made_at": AT,
        "product": {"name": "P", "version": "1"}, "firm": {"id": "een", "name": "Een"},
        "klant": {"number": "1", "name": "K"},
        "stuk": {"id": STUK, "soort": "ob", "titel": "ob", "jaar": 2026, "periode": "Q1",
                 "deadline": None, "route": "portal", "state": "goedgekeurd",
                 "put_up_by": "pakket", "created_at": AT, "replaces": None},
        "rule": [{"people": [], "need": 1}], "manifest": {"sha256": MANIFEST, "how": contents.HOW},
        "parts": [{"number": 1, "role": "akkoorddocument", "name": "a.pdf",
                   "media_type": "application/pdf", "length": 3, "sha256": HASH}],
        "approvals": list(approvals), "banks": [], "deliveries": [], "events": happened,
        "chain": chained(happened),
    } | changes  # fmt: skip
    return seal.sealed(content, KEY)


def wrong(data: dict, **more: object) -> dict[str, str]:
    """What does not verify, with why."""
    return {f.what: f.detail for f in verify.verify(data, **more) if not f.ok}


GOOD = made(approval(), events=(confirmed(2),))


def test_a_good_one_is_good():
    assert wrong(GOOD, key=KEY.public_key(), document=HASH) == {}
    assert seal.read(json.dumps(GOOD)) == GOOD
    assert wrong(GOOD, document="0" * 64) == {"document": f"no part has SHA-256 {'0' * 64}"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"manifest": "0" * 64}, "another manifest"),
        ({"code": None}, "no code"),
        ({"code": {"id": CODE, "purpose": "rejecting"}}, "something else"),
        ({"code": {"id": STUK, "purpose": "approving"}}, "no event"),
        ({"person": PIET}, "no event"),
        ({"confirmed_at": "2026-03-01T09:15:00.000000Z"}, "no event"),
        ({"recorded_by": "eva"}, "who recorded"),
        ({"mandate": None}, "without a mandate"),
        ({"mandate": {"id": CODE, "soort": "icp", "since": "2026-01-01", "until": None}}, "hold"),
        ({"mandate": {"id": CODE, "soort": "ob", "since": "2026-03-02", "until": None}}, "hold"),
        (
            {"mandate": {"id": CODE, "soort": "ob", "since": "2026-01-01", "until": "2026-02-28"}},
            "hold",
        ),
        ({"act": "rejected"}, "no event"),
        ({"act": "rejected", "code": {"id": CODE, "purpose": "approving"}}, "something else"),
        ({"act": "paper", "code": None}, "who recorded"),
    ],
)
def test_an_approval_that_does_not_count_is_named(changes, why):
    assert why in wrong(made(approval(**changes), events=(confirmed(2),)))["approvals.0"]


@pytest.mark.parametrize("until", [None, "2026-03-01"])
def test_a_mandate_holds_to_its_last_day(until):
    mandate = {"id": CODE, "soort": "ob", "since": "2026-03-01", "until": until}
    assert wrong(made(approval(mandate=mandate), events=(confirmed(2),))) == {}


def test_the_rule_is_that_of_the_stuk():
    """In the order of its steps, by the people that it names, each once."""
    rule = [{"people": [SANNE], "need": 1}, {"people": [PIET], "need": 1}]
    first, second = approval(), approval(PIET)
    events = (confirmed(2), confirmed(3, PIET))
    assert wrong(made(first, second, events=events, rule=rule)) == {}
    for given_so_far in ([], [first], [second], [second, first], [first, first]):
        assert set(wrong(made(*given_so_far, events=events, rule=rule))) == {"rule"}
    for bad in ([], [{"people": [], "need": 0}], [{"people": ["x"], "need": 1}]):
        assert set(wrong(made(first, second, events=events, rule=bad))) == {"rule"}


@pytest.mark.parametrize(
    ("person", "by", "good"),
    [(SANNE, "eva", True), (None, "eva", True), (PIET, "eva", False), (SANNE, "karim", False)],
)
def test_a_paper_consent_is_of_whom_its_event_names(person, by, good):
    """Events that were written before they named somebody tell only who recorded it."""
    paper = approval(act="paper", code=None, mandate=None, recorded_by="eva")
    told = event(2, "stuk_approved_on_paper", person, by=by, reason="sealed")
    assert ("approvals.0" not in wrong(made(paper, events=(told,)))) is good


def test_nothing_is_missing_while_nothing_was_sent():
    stuk = {**GOOD["stuk"], "state": "te_accorderen"}
    assert wrong(made(stuk=stuk)) == {}
    pending = approval(confirmed_at=None, code=None)
    assert wrong(made(pending, stuk=stuk, events=(event(2, "stuk_approved", SANNE),))) == {}


def test_the_chain_has_to_lead_to_the_checkpoint():
    piece = GOOD["chain"][0]
    for changes in (
        {"first": 2}, {"first": 0}, {"first": -1}, {"before": "0" * 64}, {"digests": []},
        {"digests": piece["digests"][::-1]}, {"digests": [*piece["digests"], HASH]},
        {"checkpoint": {**piece["checkpoint"], "number": 3}},
        {"checkpoint": {**piece["checkpoint"], "at": "2026-03-02T08:15:00.000000Z"}},
        {"checkpoint": {**piece["checkpoint"], "key": "0" * 16}},
    ):  # fmt: skip
        data = made(approval(), events=(confirmed(2),), chain=[{**piece, **changes}])
        assert "chain.0" in wrong(data), changes
    assert {"events.0", "events.1"} <= set(wrong(made(approval(), events=(confirmed(2),),
                                                      chain=[])))  # fmt: skip
    assert "chain" in wrong(made(approval(), events=(confirmed(2),), chain=[piece, piece]))


def test_events_of_another_stuk_or_order_are_named():
    other = {**confirmed(2), "subject": "stuk:x"}
    assert "events.1" in wrong(made(approval(), events=(other,)))
    assert "events" in wrong({**GOOD, "events": GOOD["events"][::-1]})
    assert "events" in wrong({**GOOD, "events": [], "chain": []})


def test_the_consent_for_banks_is_that_of_the_chain():
    consent = event(3, "bank_consent", SANNE, banks=["banken/b", "banken/a"])
    good = made(approval(), events=(confirmed(2), consent), banks=["banken/a", "banken/b"])
    assert wrong(good) == {}
    assert set(wrong(made(approval(), events=(confirmed(2), consent)))) == {"banks"}


@pytest.mark.parametrize(
    "data",
    ["", "5", "[]", '{"banks": 5, "kenmerk": [], "delivery": {}}', "[" * 5000, '{"banks": [[1]]}'],
)
@pytest.mark.parametrize("name", ["stuk_put_up", "bank_consent", "delivery_accepted"])
def test_what_a_forger_writes_into_an_event_breaks_nothing(name, data):
    """He can digest it, and with a key of his own he can link and seal it."""
    row = chain.Row("een", 2, AT, name, None, "1", f"stuk:{STUK}", "r", data)
    forged = {**event(2, name), "data": data, "digest": chain.digest(row)}
    verify.verify(made(approval(), events=(forged,)), signed=[])


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_any_value_anywhere_is_judged(data):
    """Whatever stands at any place, leaf or branch: a finding, and never a crash."""
    made_up = copy.deepcopy(GOOD)
    place = made_up
    while True:
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        name = data.draw(st.sampled_from(names))
        inner = place[name]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    value = data.draw(ANY)
    same = type(value) is type(inner) and value == inner
    place[name] = value
    try:
        found = wrong(made_up)
    except NotAProof:
        assert made_up["format"] != contents.FORMAT or made_up["version"] != contents.VERSION
        return
    assert found or same


@given(ANY)
def test_any_json_is_no_proof(value):
    with pytest.raises(NotAProof):
        seal.read(json.dumps(value))


def test_what_is_sealed_is_written_in_one_way():
    """RFC 8785: keys in order, no blanks, UTF-8."""
    assert seal.canonical({"b": [1, "é"], "a": None}) == '{"a":null,"b":[1,"é"]}'.encode()
    assert seal.digests({"a": [1, 2], "b": [], "seal": 1}).keys() == {"a.0", "a.1", "b"}
