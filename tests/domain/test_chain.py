"""The chain of the audit, judged: every change is told, and names its row."""

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import chain
from gateway.domain.chain import Kind, Link, Row
from gateway.domain.keys import Keys

AT = "2026-03-01T08:15:00.000000Z"
KEY = chain.private_key(Keys("k" * 44))
RING = chain.key_ring([KEY.public_key()])


def rows_of(count: int) -> list[Row]:
    """Rows with ids 11, 12, ..."""
    return [Row("een", 10 + n, AT, "e", None, "1", f"s{n}", "", "{}") for n in range(1, count + 1)]


def chained(rows: list[Row]) -> list[Link]:
    """Their links."""
    links, before = [], ""
    for number, row in enumerate(rows, 1):
        digest = chain.digest(row)
        before = chain.linked(before, digest)
        links.append(Link(number, row.id, digest, before))
    return links


def signed(link: Link, key: Ed25519PrivateKey = KEY) -> chain.Checkpoint:
    """A checkpoint at a link."""
    return chain.sign(key, "een", link.number, link.hash, AT)


def judged(rows, links, *checkpoints, ring=RING):
    """Kind, link and row of every finding."""
    found = chain.verify(rows, links, checkpoints, ring, "een")
    return {(f.kind, f.number, f.audit) for f in found}


@pytest.fixture
def rows() -> list[Row]:
    """Six rows."""
    return rows_of(6)


@pytest.fixture
def links(rows: list[Row]) -> list[Link]:
    """Six links."""
    return chained(rows)


def test_a_known_row_has_a_known_digest():
    """Written out by hand, so that the form cannot drift: length, colon, value, comma."""
    row = Row("een", 7, AT, "é", None, "", "s", "r", '{"a": 1}')
    text = f'3:een,1:7,27:{AT},2:é,-,0:,1:s,1:r,8:{{"a": 1}},'
    assert "".join(map(chain.field, ("é", "", None))) == "2:é,0:,-,"
    assert chain.digest(row) == hashlib.sha256(text.encode()).hexdigest()


def test_what_is_whole_is_good(rows, links):
    assert judged(rows, links, signed(links[2]), signed(links[5])) == set()
    assert judged([], []) == set()


@pytest.mark.parametrize("field", ["at", "event", "person", "klant", "subject", "request", "data"])
def test_a_changed_row_is_named(rows, links, field):
    rows[2] = replace(rows[2], **{field: "x"})
    assert judged(rows, links) == {(Kind.CHANGED, 3, 13)}


def test_a_deleted_row_is_named(rows, links):
    del rows[3]
    assert judged(rows, links) == {(Kind.DELETED, 4, 14)}


def test_a_row_without_a_link_is_named(rows, links):
    rows.append(replace(rows[0], id=99))
    assert judged(rows, links) == {(Kind.ADDED, None, 99)}


def test_a_row_of_another_firm_is_named(rows, links):
    rows[1] = replace(rows[1], firm="twee")
    links = chained(rows)
    assert judged(rows, links) == {(Kind.CHANGED, 2, 12)}


def test_a_row_deleted_with_its_link_is_named(rows, links):
    del rows[3], links[3]
    assert judged(rows, links) == {(Kind.MISSING, 5, None)}


def test_rows_that_changed_places_are_named(rows, links):
    rows[1], rows[4] = replace(rows[4], id=12), replace(rows[1], id=15)
    assert judged(rows, links) == {(Kind.REORDERED, 2, 12), (Kind.REORDERED, 5, 15)}


def test_links_that_point_at_one_anothers_rows_are_named(rows, links):
    links[1], links[4] = replace(links[1], audit=15), replace(links[4], audit=12)
    assert judged(rows, links) == {(Kind.REORDERED, 2, 15), (Kind.REORDERED, 5, 12)}


def test_links_that_changed_places_are_named(rows, links):
    links[1], links[2] = replace(links[2], number=2), replace(links[1], number=3)
    found = judged(rows, links)
    assert {(Kind.REORDERED, 2, 13), (Kind.REORDERED, 3, 12)} <= found


def test_a_broken_link_is_named(rows, links):
    links[3] = replace(links[3], hash="0" * 64)
    assert (Kind.BROKEN, 4, 14) in judged(rows, links)


def test_a_chain_made_anew_does_not_fit_its_checkpoint(rows, links):
    old = signed(links[4])
    rows[2] = replace(rows[2], event="x")
    assert judged(rows, chained(rows), old) == {(Kind.CHECKPOINT, 5, 15)}


def test_a_tail_that_is_cut_off_is_told(rows, links):
    assert judged(rows[:4], links[:4], signed(links[5])) == {(Kind.CUT_OFF, 6, None)}
    assert judged([], [], signed(links[5])) == {(Kind.CUT_OFF, 6, None)}


def test_a_checkpoint_that_is_not_ours_is_told(rows, links):
    other = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
    assert judged(rows, links, signed(links[3], other)) == {(Kind.KEY, 4, None)}
    both = chain.key_ring([KEY.public_key(), other.public_key()])
    assert judged(rows, links, signed(links[3], other), ring=both) == set()
    as_ours = replace(signed(links[3], other), key=chain.key_id(KEY.public_key()))
    assert judged(rows, links, as_ours) == {(Kind.CHECKPOINT, 4, None)}


@given(st.sampled_from(["firm", "hash", "at", "number", "signature"]))
def test_every_field_of_a_checkpoint_is_signed(field):
    good = chain.sign(KEY, "een", 3, "a" * 64, AT)
    other = {"number": 4}.get(field, "A" * 86)
    assert chain.is_signed(good, KEY.public_key())
    assert not chain.is_signed(replace(good, **{field: other}), KEY.public_key())


def test_findings_do_not_grow_without_end():
    rows = rows_of(chain.MOST * 2)
    links = chained(rows)
    check = chain.Check("een", RING)
    for link in links:
        check.link(link, None)
    assert (len(check.findings()), check.more) == (chain.MOST, chain.MOST)


@given(st.data())
def test_any_edit_below_a_checkpoint_is_found(data):
    """Whatever one edit does to rows or links: nothing that a checkpoint covers is lost."""
    rows = rows_of(5)
    links = chained(rows)
    last = signed(links[-1])
    at = data.draw(st.integers(0, 4))
    match data.draw(st.sampled_from(["row", "digest", "hash", "drop row", "drop link", "swap"])):
        case "row":
            rows[at] = replace(rows[at], data=data.draw(st.text().filter(lambda t: t != "{}")))
        case "digest":
            links[at] = replace(links[at], digest="f" * 64)
        case "hash":
            links[at] = replace(links[at], hash="f" * 64)
        case "drop row":
            del rows[at]
        case "drop link":
            del links[at]
        case _:
            other = (at + 1) % 5
            links[at], links[other] = (
                replace(links[other], number=at + 1),
                replace(links[at], number=other + 1),
            )
    assert judged(rows, links, last)


def test_keys_have_one_spelling():
    text = chain.key_text(KEY.public_key())
    assert chain.read_key(text) == KEY.public_key()
    for wrong in (text + "=", text[:-1], text[:-1] + chr(ord(text[-1]) + 1), "é"):
        with pytest.raises(ValueError):
            chain.read_key(wrong)
