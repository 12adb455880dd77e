"""Rows, handles, names, ranges and media."""

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import dossier, media, span
from gateway.domain.dossier import Order, Row
from gateway.domain.firm import Source
from gateway.domain.media import Showing
from gateway.domain.model import Text
from gateway.errors import RangeNotSatisfiable

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
ROWS = st.lists(
    st.builds(
        Row,
        source=st.sampled_from(["a", "b"]),
        handle=st.integers(0, 10**6).map(str),
        name=st.text(max_size=12),
        category=st.sampled_from(["permanent", "loon"]),
        modified=st.none() | st.integers(0, 999).map(lambda d: BEGIN + timedelta(days=d)),
        size=st.none() | st.integers(0, 10**9),
    ),
    max_size=130,
)


@given(st.text(min_size=1, max_size=300))
def test_a_handle_leads_back_to_its_id(id):
    try:
        id.encode()
    except UnicodeEncodeError:
        return
    handle = dossier.handle(id)
    assert dossier.id_of(handle) == id
    assert handle.isascii()
    assert not set(handle) & set("/+=.%")


@given(st.text(max_size=40))
def test_what_is_no_handle_is_told_so(text):
    id = dossier.id_of(text)
    assert id is None or dossier.handle(id) == text


@given(ROWS, st.sampled_from(list(Order)), st.integers(1, 4))
def test_a_page_is_what_sorting_everything_would_give(rows, order, number):
    pages = dossier.pages(len(rows), 40)
    got = [dossier.page(rows, order, n, 40) for n in range(1, pages + 1)]
    flat = [r for p in got for r in p]
    assert sorted(flat, key=repr) == sorted(rows, key=repr)
    assert all(len(p) == 40 for p in got[:-1])
    word = order.value.lstrip("-")
    keys = {
        "datum": lambda r: r.modified or datetime(1, 1, 1, tzinfo=UTC),
        "naam": lambda r: unicodedata.normalize("NFKC", r.name).casefold(),
        "grootte": lambda r: -1 if r.size is None else r.size,
    }
    values = [keys[word](r) for r in flat]
    assert values == sorted(values, reverse=order.value.startswith("-"))


def test_searching_finds_every_word_in_any_case():
    rows = [Row("a", str(i), n, "x", None, None) for i, n in enumerate(["Akte BV", "akte", "bv"])]
    assert [r.name for r in dossier.select(rows, search="BV akte")] == ["Akte BV"]
    assert len(dossier.select(rows, search="")) == 3
    assert dossier.select(rows, category="y") == []


def test_categories_of_one_name_are_one_and_say_when_a_source_is_missing():
    def source(id: str, *names: str) -> Source:
        return Source(
            id=id,
            title=Text(nl=id, en=id),
            kind="local",
            categories=[{"name": n, "folder": n} for n in names],
        )

    rows = [
        Row("a", "1", "x", "permanent", None, None),
        Row("b", "2", "y", "permanent", None, None),
    ]
    counts = dossier.count(
        [(source("a", "Permanent"), True), (source("b", "Permanent", "Loon"), False)], rows
    )
    assert [(c.key, c.count, c.complete) for c in counts] == [
        ("permanent", 2, False),
        ("loon", 0, False),
    ]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Akte d.d. 5-11.pdf", "Akte d.d. 5-11.pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\\b:c*d?.pdf", "a_b_c_d_.pdf"),
        ("fac\u202efdp.exe", "facfdp.exe"),
        ("con.pdf", "_con.pdf"),
        ("  .. ", "document"),
        ("a\r\nSet-Cookie: x.pdf", "aSet-Cookie_ x.pdf"),
        ("x" * 300 + ".pdf", "x" * 145 + ".pdf"),
    ],
)
def test_names_that_are_safe_to_give(name, safe):
    got = dossier.file_name(name)
    assert got == safe or (len(safe) > 100 and len(got) <= 150 and got.endswith(".pdf"))


@given(st.text(max_size=300))
def test_any_name_becomes_a_safe_one(name):
    safe = dossier.file_name(name)
    assert 0 < len(safe) <= 150
    assert not set(safe) & set('/\\:*?"<>|\r\n\0')
    assert not safe.startswith(".")
    assert not safe.endswith((".", " "))


@pytest.mark.parametrize(
    ("header", "size", "span_"),
    [  # RFC 9110, 14.1.2, for a representation of 10,000 bytes
        ("bytes=0-499", 10_000, (0, 500)),
        ("bytes=500-999", 10_000, (500, 500)),
        ("bytes=-500", 10_000, (9500, 500)),
        ("bytes=9500-", 10_000, (9500, 500)),
        ("bytes=0-", 10_000, (0, 10_000)),
        ("bytes=0-99999", 10_000, (0, 10_000)),
        ("bytes=-99999", 10_000, (0, 10_000)),
        ("bytes=0-0,-1", 10_000, None),  # several: the whole may be given
        ("bytes=5-2", 10_000, None),
        ("items=0-1", 10_000, None),
        ("bytes=", 10_000, None),
        ("bytes=-", 10_000, None),
        ("bytes=１-２", 10_000, None),
    ],
)
def test_ranges(header, size, span_):
    found = span.parse(header, size)
    assert (found and (found.offset, found.length)) == span_


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=0-", 0), ("bytes=-0", 5)])
def test_ranges_outside(header, size):
    with pytest.raises(RangeNotSatisfiable):
        span.parse(header, size)


@given(st.text(max_size=30), st.integers(0, 10**12))
def test_a_range_lies_inside_or_is_none(text, size):
    try:
        found = span.parse(f"bytes={text}", size)
    except RangeNotSatisfiable:
        return
    if found is not None:
        assert 0 <= found.offset < size
        assert 0 < found.length <= size - found.offset


@pytest.mark.parametrize(
    ("name", "showing"),
    [
        ("a.pdf", Showing.INLINE),
        ("a.PDF", Showing.INLINE),
        ("a.png", Showing.INLINE),
        ("a.html", Showing.SANDBOXED),
        ("a.svg", Showing.SANDBOXED),
        ("a.pdf.exe", Showing.SAVED),
        ("a.xml", Showing.SAVED),
        ("zonder", Showing.SAVED),
        (".pdf", Showing.SAVED),
        ("a.", Showing.SAVED),
        ("", Showing.SAVED),
    ],
)
def test_how_a_document_may_be_shown(name, showing):
    assert media.of(name).showing is showing
