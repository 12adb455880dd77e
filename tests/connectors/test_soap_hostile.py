"""The `soap` kind against servers that lie, break off, and set traps."""

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.connector.contract import CHUNK, Scope
from gateway.connector.soap.client import MOST
from gateway.errors import (
    AuthFailed,
    ConditionFailed,
    IntegrityError,
    NotFound,
    ProtocolError,
    SourceError,
    Unavailable,
    Unsupported,
)
from tests.servers.soap_kit import (
    KLANT,
    Liar,
    content,
    every,
    fault,
    info,
    opened,
    serving,
    soap,
    table,
    whole,
    xml,
)


@pytest.fixture
async def liar() -> AsyncIterator[tuple[Liar, str]]:
    server = Liar()
    async with serving(server.app()) as url:
        yield server, url


async def test_a_source_that_ignores_the_filter_crosses_no_border(liar: tuple[Liar, str]) -> None:
    server, url = liar
    rows = [{"BcCd": "300002"}, {"SbTy": "Intern"}, {"SbId": "8"}, {"SbId": "x y"}, {"BcCd": ""}]
    server.answers["GetDataWithOptions"] = lambda q: table(*rows) if q["skip"] == "0" else table()
    async with opened(url) as source:
        assert [e.id for e in await every(source, KLANT)] == ["8/F1"]
        server.calls.clear()
        with pytest.raises(NotFound):
            await source.read(KLANT, "7/F1")
        assert [name for name, _ in server.calls] == ["GetDataWithOptions"]
        assert await whole(source, KLANT, "8/F1") == b"ABC"


async def test_content_is_asked_for_after_the_border_was_seen(liar: tuple[Liar, str]) -> None:
    server, url = liar
    async with opened(url) as source:
        await whole(source, KLANT, "7/F1")
        assert [name for name, _ in server.calls] == [
            "GetDataWithOptions",
            "GetSubjectAttachmentInfo",
            "GetAttachment",
        ]
        server.calls.clear()
        with pytest.raises(NotFound):
            await source.read(KLANT, "7/F2")
        assert "GetAttachment" not in [name for name, _ in server.calls]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (xml(fault("Attachment not found")), NotFound),
        (xml(fault("Attachment not found"), 500), NotFound),
        (xml(fault("Invalid token")), AuthFailed),
        (xml(soap('<GetAttachmentResponse xmlns="urn:Afas.Profit.Services"/>')), NotFound),
        (xml(soap("")), NotFound),
        (xml(b""), IntegrityError),
        (xml(content("QUJD")[:-20]), IntegrityError),
        (xml(content("QUJ")), IntegrityError),
        (xml(content("QUJD")[:200]), IntegrityError),
        (xml(b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + content("&x;")),
         ProtocolError),
        (xml(content("QUJD"), **{"Content-Encoding": "gzip"}), ProtocolError),
        (xml(content("QUJD"), 206), ProtocolError),
        (xml(b"<html><p>Sorry</html>"), ProtocolError),
        (xml(b"x" * 10_000_000, 500), ProtocolError),
    ],
)  # fmt: skip
async def test_an_answer_instead_of_a_document(
    liar: tuple[Liar, str], answer: web.Response, error: type[SourceError]
) -> None:
    server, url = liar
    server.answers["GetAttachment"] = lambda _: web.Response(
        body=answer.body, status=answer.status, headers=answer.headers
    )
    async with opened(url) as source:
        with pytest.raises(SourceError) as caught:
            await whole(source, KLANT, "7/F1")
        assert type(caught.value) is error


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>" + soap("&x;"),
        b"<!DOCTYPE a [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '" + b"&a;" * 5000 + b"'>]>"
        + soap("&b;"),
        soap("<GetDataWithOptionsResponse><GetDataWithOptionsResult>&lt;!DOCTYPE a [&lt;!ENTITY x"
             " SYSTEM 'file:///etc/hostname'>]>&lt;AfasGetConnector>&amp;x;&lt;/AfasGetConnector>"
             "</GetDataWithOptionsResult></GetDataWithOptionsResponse>"),
        soap("<GetDataWithOptionsResponse><GetDataWithOptionsResult>&lt;Iets/>"
             "</GetDataWithOptionsResult></GetDataWithOptionsResponse>"),
        soap("<Iets/>"),
        b"<Iets/>",
        b"",
        b" " * (MOST + 1),
    ],
    ids=["xxe", "bomb", "inner xxe", "inner other", "other", "not soap", "empty", "huge"],
)  # fmt: skip
async def test_a_hostile_listing_is_refused(liar: tuple[Liar, str], data: bytes) -> None:
    server, url = liar
    server.answers["GetDataWithOptions"] = lambda _: xml(data)
    async with opened(url) as source:
        with pytest.raises(ProtocolError):
            await source.list(KLANT)


async def test_a_source_that_gives_the_same_page_for_ever(liar: tuple[Liar, str]) -> None:
    server, url = liar
    server.answers["GetDataWithOptions"] = lambda _: table({"SbTy": "Intern"})
    async with opened(url) as source:
        with pytest.raises(ProtocolError, match="same page"):
            await source.list(KLANT)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(liar: tuple[Liar, str], status: int) -> None:
    server, url = liar
    hits: list[str] = []

    async def caught(request: web.Request) -> web.Response:
        hits.append(request.path)
        return table()

    trap = web.Application()
    trap.router.add_route("*", "/{any:.*}", caught)
    async with serving(trap) as elsewhere, opened(url) as source:
        server.answers["GetDataWithOptions"] = lambda _: web.Response(
            status=status, headers={"Location": elsewhere}
        )
        with pytest.raises(ProtocolError, match=str(status)):
            await source.list(KLANT)
    assert hits == []


async def test_a_cut_connection_after_the_first_bytes(liar: tuple[Liar, str]) -> None:
    server, url = liar
    part = content(base64.b64encode(b"x" * 900_000).decode())[:700_000]

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1200000"})
        await response.prepare(request)
        await response.write(part)
        assert request.transport is not None
        request.transport.close()
        return response

    server.answers["GetAttachment"] = lambda _: cut
    async with opened(url) as source:
        reader = await source.read(KLANT, "7/F1")
        got = 0

        async def gather() -> None:
            nonlocal got
            async for piece in reader:
                assert 0 < len(piece) <= CHUNK
                got += len(piece)

        with pytest.raises((IntegrityError, Unavailable)):
            await gather()
        await reader.aclose()
        assert got > 0


async def test_a_reader_that_leaves_ends_the_call(liar: tuple[Liar, str]) -> None:
    server, url = liar
    left = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            await response.write(content("").partition(b"</GetAttachmentResult>")[0])
            while True:
                await response.write(b"QUJD" * 10_000)
                await asyncio.sleep(0)
        except (ConnectionResetError, asyncio.CancelledError):
            left.set()
        return response

    server.answers["GetAttachment"] = lambda _: endless
    async with opened(url) as source:
        reader = await source.read(KLANT, "7/F1")
        async for piece in reader:
            assert piece
            break
        await reader.aclose()
        await reader.aclose()
        await asyncio.wait_for(left.wait(), 5)


async def test_a_server_that_is_not_there() -> None:
    async with opened("http://127.0.0.1:9/profitservices") as source:
        for call in (source.list(KLANT), source.read(KLANT, "7/F1")):
            with pytest.raises(Unavailable):
                await call
        assert (await source.check(Scope.PARAMETERS)).ok


async def test_what_cannot_be_asked(liar: tuple[Liar, str]) -> None:
    _, url = liar
    async with opened(url) as source:
        for span in ({"offset": 1}, {"length": 1}):
            with pytest.raises(Unsupported):
                await source.read(KLANT, "7/F1", **span)
        with pytest.raises(ConditionFailed):
            await source.read(KLANT, "7/F1", version="other")


async def test_attachments_are_asked_for_side_by_side_and_not_too_many(
    liar: tuple[Liar, str],
) -> None:
    server, url = liar
    now = most = 0

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return info("F1")

    rows = [{"SbId": str(n)} for n in range(1, 25)]
    server.answers["GetDataWithOptions"] = lambda q: table(*rows) if q["skip"] == "0" else table()
    server.answers["GetSubjectAttachmentInfo"] = lambda _: slow
    async with opened(url, parallel=4) as source:
        assert len(await every(source, KLANT)) == 24
    assert most == 4


async def test_dates_as_they_come(liar: tuple[Liar, str]) -> None:
    server, url = liar
    told = {
        "2024-07-01T12:00:00": "2024-07-01T12:00:00+02:00",
        "2024-01-01T12:00:00Z": "2024-01-01T12:00:00+00:00",
        "31-12-2024": "2024-12-31T00:00:00+01:00",
        "gisteren": None,
        "": None,
    }
    rows = [{"SbId": str(n), "DaSe": d} for n, d in enumerate(told, 1)]
    server.answers["GetDataWithOptions"] = lambda q: table(*rows) if q["skip"] == "0" else table()
    async with opened(url) as source:
        dates = [
            e.modified.isoformat() if e.modified else None for e in await every(source, KLANT)
        ]
    assert dates == list(told.values())
