"""The scanner of base64 in SOAP answers equals a whole parse, however the packets are cut."""

import base64
import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.connector.soap import tree as soaptree
from gateway.connector.soap.stream import AROUND, Base64Stream, ContentScanner
from gateway.domain import xml
from gateway.errors import IntegrityError, ProtocolError

PATH = ("GetAttachmentResponse", "GetAttachmentResult")
BEFORE = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"'
    b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soap:Header/>'
    b'<soap:Body><GetAttachmentResponse xmlns="urn:Afas.Profit.Services">'
)
AFTER = b"</GetAttachmentResponse></soap:Body></soap:Envelope>"


def answer(content: bytes, *, start: bytes = b"<GetAttachmentResult>") -> bytes:
    return BEFORE + start + content + b"</GetAttachmentResult>" + AFTER


def scan(data: bytes, cuts: list[int] | None = None) -> tuple[bytes, ContentScanner]:
    scanner = ContentScanner(PATH)
    edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts or ())})
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    out = b"".join(scanner.feed(p) for p in pieces)
    scanner.close()
    return out, scanner


def reference(data: bytes) -> bytes:
    """What a parser that has the whole answer makes of it."""
    root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, remove_comments=True))
    found = xml.below(soaptree.body(root), PATH)
    return base64.b64decode("".join(found.itertext()).translate(str.maketrans("", "", " \t\r\n")))


@st.composite
def contents(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A document, and its base64 as any of the stacks may write it."""
    document = draw(st.binary(max_size=4000))
    text = base64.b64encode(document)
    width = draw(st.sampled_from([0, 4, 76, 77, 1000]))
    if width:
        end = draw(st.sampled_from([b"\n", b"\r\n", b"&#xD;\n", b" ", b"\t\n"]))
        text = end.join(text[i : i + width] for i in range(0, len(text), width)) + end
    marks = st.tuples(
        st.integers(0, len(text)), st.sampled_from(["cdata", "comment", "plus", "pi"])
    )
    for at, kind in sorted(draw(st.lists(marks, max_size=4)), reverse=True):
        text = _marked(text, at, kind)
    return document, text


def _marked(text: bytes, at: int, kind: str) -> bytes:
    if b"&" in text[max(0, at - 5) : at + 5]:
        return text
    before, after = text[:at], text[at:]
    if kind == "comment":
        return before + b"<!-- > ]]> < & -->" + after
    if kind == "pi":
        return before + b"<?x a > b ?>" + after
    if kind == "plus":  # before any CDATA, where it would be no entity
        near, mark, far = after.partition(b"<")
        near = near.replace(b"+", b"&#43;", 1).replace(b"/", b"&#x2F;", 1)
        return before + near + mark + far
    end = next((i for i, c in enumerate(after) if c in b"<&"), len(after))
    return before + b"<![CDATA[" + after[:end] + b"]]>" + after[end:]


@given(contents(), st.lists(st.integers(0, 20_000), max_size=30))
def test_any_cut_gives_the_document(content: tuple[bytes, bytes], cuts: list[int]) -> None:
    document, text = content
    data = answer(text)
    assert reference(data) == document
    out, scanner = scan(data, cuts)
    assert out == document
    assert scanner.started
    assert scanner.ended


@given(contents())
def test_byte_by_byte_gives_the_document(content: tuple[bytes, bytes]) -> None:
    document, text = content
    data = answer(text)
    assert scan(data, list(range(len(data))))[0] == document


@given(contents(), st.integers(0, 20_000), st.lists(st.integers(0, 20_000), max_size=5))
def test_a_cut_answer_is_never_taken_for_whole(
    content: tuple[bytes, bytes], length: int, cuts: list[int]
) -> None:
    data = answer(content[1])
    with pytest.raises((IntegrityError, ProtocolError)):
        scan(data[: length % len(data)], cuts)


@given(contents(), st.data())
def test_what_came_before_the_cut_is_a_beginning(
    content: tuple[bytes, bytes], data: st.DataObject
) -> None:
    document, text = content
    whole = answer(text)
    scanner, out = ContentScanner(PATH), b""
    for piece in (whole[: data.draw(st.integers(0, len(whole)))],):
        out += scanner.feed(piece)
    assert document.startswith(out)


@given(st.binary(max_size=3000), st.lists(st.integers(0, 5000), max_size=6))
def test_nonsense_raises_nothing_but_our_errors(data: bytes, cuts: list[int]) -> None:
    with contextlib.suppress(IntegrityError, ProtocolError):
        scan(data, cuts)
    with contextlib.suppress(IntegrityError, ProtocolError):
        scan(answer(data), cuts)


@given(st.binary(max_size=500), st.lists(st.integers(0, 5000), max_size=6))
def test_a_fault_is_kept_for_reading(junk: bytes, cuts: list[int]) -> None:
    text = base64.b64encode(junk).decode()
    data = (
        b"<e:Envelope xmlns:e='http://schemas.xmlsoap.org/soap/envelope/'><e:Body><e:Fault>"
        b"<faultcode>e:Server</faultcode><faultstring>Niet gevonden " + text.encode() +
        b"</faultstring></e:Fault></e:Body></e:Envelope>"
    )  # fmt: skip
    out, scanner = scan(data, cuts)
    assert (out, scanner.started) == (b"", False)
    told = soaptree.fault(xml.parse(bytes(scanner.head)))
    assert told is not None
    assert told[0] == "e:Server"
    assert f"Niet gevonden {text}".strip() in told[1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]>" + answer(b"QQ=="), "document type"),
        (answer(b"QQ==").replace(b"<soap:H", b"<!DOCTYPE a><soap:H"), "not XML"),
        (answer(b"QQ&boom;=="), "not XML"),
        (answer(b"QQ<b/>=="), "elements stand inside"),
        (answer(b"QQ==QQ=="), "not base64|goes on"),
        (answer(b"QQ==\n") + b"junk", "not XML"),
        (answer(b"QQ!="), "not base64"),
        (answer("Qé==".encode()), "not base64"),
        (answer("<![CDATA[Qé==]]>".encode()), "not base64"),
        (answer(b"QQ==</GetAttachmentResult><GetAttachmentResult>QQ=="), "two documents"),
        (b"<html><body><p>Sorry</body></html>", "not XML"),
        (b"<a>" + b"<b></b>" * AROUND, "no document where it should"),
        (answer(b"QQ==") + b" " * (2 * AROUND), "goes on after"),
    ],
)  # fmt: skip
def test_refused(data: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        scan(data, list(range(0, len(data), 1000)))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_an_answer_in_two_bytes_a_letter_is_read_or_refused_but_never_wrong(encoding: str) -> None:
    try:
        out = scan(answer(b"QUJD").decode().encode(encoding))[0]
    except (ProtocolError, IntegrityError):
        return
    assert out == b"ABC"


@pytest.mark.parametrize("content", [b"QQ=", b"QQ", b"Q", b"QUJDQ\n", b"<![CDATA[QQ=]]>"])
def test_base64_without_its_end_is_refused(content: bytes) -> None:
    with pytest.raises(IntegrityError, match="cut off"):
        scan(answer(content))


def test_an_element_that_is_nil_or_empty() -> None:
    out, scanner = scan(answer(b"", start=b'<GetAttachmentResult xsi:nil="true">'))
    assert not scanner.started
    out, scanner = scan(answer(b""))
    assert (out, scanner.started) == (b"", True)
    out, scanner = scan(BEFORE + b"<GetAttachmentResult/>" + AFTER)
    assert (out, scanner.started, scanner.ended) == (b"", True, True)


def test_an_element_of_that_name_elsewhere_is_not_the_document() -> None:
    elsewhere = b"<x><GetAttachmentResult>QUFB</GetAttachmentResult></x>"
    assert scan(BEFORE + elsewhere + AFTER)[1].started is False
    header = BEFORE.replace(
        b"<soap:Header/>",
        b"<soap:Header><GetAttachmentResponse><GetAttachmentResult>QUFB</GetAttachmentResult>"
        b"</GetAttachmentResponse></soap:Header>",
    )
    assert scan(header + b"<GetAttachmentResult>QkJC</GetAttachmentResult>" + AFTER)[0] == b"BBB"


def test_the_first_bytes_come_with_the_first_packet() -> None:
    scanner = ContentScanner(PATH)
    assert scanner.feed(answer(base64.b64encode(b"abc" * 1000))[:1000]).startswith(b"abcabc")


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=8))
def test_base64_stream(document: bytes, cuts: list[int]) -> None:
    text = base64.encodebytes(document)
    stream = Base64Stream()
    edges = sorted({0, len(text), *(c % (len(text) + 1) for c in cuts)})
    out = b"".join(stream.feed(text[a:b]) for a, b in itertools.pairwise(edges))
    stream.close()
    assert out == document
