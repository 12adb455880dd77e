"""The S3 connector: against SeaweedFS, and against services that lie."""

import asyncio
import calendar
import hashlib
import itertools
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from blockbuster import blockbuster_ctx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from connectors.s3 import S3, S3Config
from gateway.connector.conformance import PERMANENT, Conformance, World
from gateway.connector.context import Context
from gateway.connector.contract import CHUNK, Entry, Place, Scope
from gateway.connector.egress import EgressPolicy
from gateway.connector.s3.sigv4 import Signer, encode_path, encode_query
from gateway.connector.s3.upload import PART
from gateway.demo import seaweed as seaweed_module
from gateway.demo.seaweed import Seaweed, SeaweedError
from gateway.errors import (
    AlreadyExists,
    AuthFailed,
    ConditionFailed,
    ConfigInvalid,
    IntegrityError,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RangeNotSatisfiable,
    RateLimited,
    SourceError,
    TooLarge,
    Unavailable,
    Unsupported,
)
from tests.connectors import worlds
from tests.connectors.worlds import LOOPBACK, body, nobody_comes_in
from tests.servers.seaweed import SeededBucket, fresh, serve

PLACE = Place("300001", "300001", ("Documenten", "Jaarstukken"))
ID = "Documenten/a.pdf"
Opener = Callable[..., Awaitable[S3]]


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """One server a test process."""
    with serve(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
async def bucket(seaweed: Seaweed) -> AsyncIterator[SeededBucket]:
    """A fresh, empty bucket."""
    async with fresh(seaweed) as bucket:
        yield bucket


@pytest.fixture
async def opener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opener]:
    """Opens sources, and closes them after the test."""
    monkeypatch.setenv("S3_ACCESS", "AKIDEXAMPLE")
    monkeypatch.setenv("S3_SECRET", "a secret that no server knows")
    async with AsyncExitStack() as stack:

        async def make(endpoint: str, egress: EgressPolicy = LOOPBACK, **more: Any) -> S3:
            context = Context("kantoor/s3", egress=egress, base=tmp_path)
            stack.push_async_callback(context.aclose)
            options = {
                "endpoint": endpoint,
                "bucket": "dossiers",
                "access_key": "env:S3_ACCESS",
                "secret_key": "env:S3_SECRET",
                **more,
            }
            source = await S3.open(S3Config(**options), context)
            stack.push_async_callback(source.aclose)
            return source

        yield make


@pytest.fixture
def real(
    bucket: SeededBucket, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Awaitable[S3]]:
    """Opens sources on the bucket, with keys that fit."""
    monkeypatch.setenv("S3_ACCESS", bucket.server.access_key)
    monkeypatch.setenv("S3_SECRET", bucket.server.secret_key)

    async def make(**more: Any) -> S3:
        return await opener(bucket.server.endpoint, **{"bucket": bucket.name, **more})

    return make


class S3World(World):
    """A bucket of SeaweedFS with the dossiers of the firm below "klanten"."""

    place, other = worlds.PLACE, worlds.OTHER

    def __init__(self, bucket: SeededBucket, opener: Opener) -> None:
        self._bucket, self._opener = bucket, opener

    async def open(self, **options: Any) -> S3:
        mine = {"endpoint": self._bucket.server.endpoint, "bucket": self._bucket.name}
        return await self._opener(**{**mine, "prefix": "klanten", **options})

    async def seed(self, place: Place, folder: str, name: str, body: bytes) -> None:
        await self._bucket.put(self._key(place, folder, name), body)

    async def remove(self, place: Place, folder: str, name: str) -> None:
        await self._bucket.remove(self._key(place, folder, name))

    async def seed_large(self, place: Place, folder: str, name: str, size: int) -> bytes:
        return await self._bucket.put_large(self._key(place, folder, name), size)

    def wrong_credentials(self) -> dict[str, Any]:
        return {"secret_key": "env:S3_WRONG"}

    def upstream(self) -> tuple[str, int]:
        return "127.0.0.1", self._bucket.server.ports["s3"]

    def through(self, port: int) -> dict[str, Any]:
        return {"endpoint": f"http://127.0.0.1:{port}"}

    def _key(self, place: Place, folder: str, name: str) -> str:
        return f"klanten/{place.root}/{folder}/{name}"


@pytest.fixture
def world(bucket: SeededBucket, opener: Opener, monkeypatch: pytest.MonkeyPatch) -> S3World:
    """A back office for the suite."""
    monkeypatch.setenv("S3_ACCESS", bucket.server.access_key)
    monkeypatch.setenv("S3_SECRET", bucket.server.secret_key)
    monkeypatch.setenv("S3_WRONG", "wrong")
    return S3World(bucket, opener)


class TestS3(Conformance):
    def _writing(self) -> dict[str, Any]:
        return {"writable": True}

    async def test_wrong_credentials(self, world: S3World) -> None:
        """The suite asks for an id outside the published folders, which S3 is never asked for:
        without its traffic there is no AuthFailed, but the NotFound that the contract names."""
        await nobody_comes_in(world, f"{PERMANENT}/y")


async def read(source: S3, id: str, place: Place = PLACE, **part: Any) -> bytes:
    """The bytes of a document."""
    reader = await source.read(place, id, **part)
    try:
        return b"".join([piece async for piece in reader])
    finally:
        await reader.aclose()


async def listed(source: S3, place: Place = PLACE, limit: int = 1000) -> list[Entry]:
    """Every entry, page by page."""
    entries: list[Entry] = []
    page = None
    while True:
        found = await source.list(place, page=page, limit=limit)
        assert len(found.entries) <= limit
        assert found.entries or found.next is None
        entries += found.entries
        page = found.next
        if page is None:
            return entries


# --- services that lie


def http(status: int, content: bytes = b"", **headers: str) -> bytes:
    """An answer over HTTP."""
    told = {"Content_Length": str(len(content)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in told.items())
    return f"HTTP/1.1 {status} Answer\r\n{head}\r\n".encode() + content


def object_(content: bytes, status: int = 200, **headers: str) -> bytes:
    """An answer that holds (a part of) an object."""
    told = {"ETag": '"1"', "Last-Modified": "Tue, 24 Nov 2026 09:30:28 GMT", **headers}
    return http(status, content, **told)


def error(code: str, more: str = "") -> bytes:
    """S3's body of an error."""
    return f"<Error><Code>{code}</Code><Message>so it is</Message>{more}</Error>".encode()


def contents(*keys: str, more: str = "") -> bytes:
    """S3's body of a listing."""
    rows = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-11-24T09:30:28.123Z</LastModified>"
        f'<ETag>"1"</ETag><Size>1</Size></Contents>'
        for key in keys
    )
    space = "http://s3.amazonaws.com/doc/2006-03-01/"
    return f'<ListBucketResult xmlns="{space}">{rows}{more}</ListBucketResult>'.encode()


class Liar:
    """A service that gives the answer it was told to give, and remembers what was asked."""

    def __init__(self) -> None:
        self.answer: Callable[[str], bytes] = lambda _: http(500)
        self.asked: list[str] = []
        self.hang_up = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                self.asked.append(head)
                writer.write(self.answer(head))
                await writer.drain()
                if self.hang_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def _lying() -> AsyncIterator[Liar]:
    liar = Liar()
    server = await asyncio.start_server(liar.serve, "127.0.0.1", 0)
    liar.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield liar
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    """A service that lies."""
    async with _lying() as liar:
        yield liar


@pytest.fixture
async def trap() -> AsyncIterator[Liar]:
    """A service that nobody may come to."""
    async with _lying() as trap:
        yield trap


@pytest.fixture
async def fooled(liar: Liar, opener: Opener) -> S3:
    """A source on the service that lies."""
    return await opener(liar.url, writable=True)


# --- signatures


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ({"lifecycle": ""}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            {"max-keys": "2", "prefix": "J"},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_signatures_are_those_of_the_published_examples(
    query: dict[str, str], signature: str
) -> None:
    signer = Signer(
        "examplebucket.s3.amazonaws.com",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        region="us-east-1",
    )
    now = calendar.timegm((2013, 5, 24, 0, 0, 0))
    headers = signer.headers("GET", "/", encode_query(query), now=now)
    assert headers["authorization"].endswith(f"Signature={signature}")


@given(
    key=st.text(st.characters(codec="utf-8"), min_size=1),
    prefix=st.text(st.characters(codec="utf-8")),
    token=st.sampled_from(["", "FwoGZXIvYXdzEJr"]),
    days=st.integers(0, 20_000),
    media_type=st.sampled_from(["", "application/pdf"]),
)
def test_signatures_are_those_of_botocore(
    key: str, prefix: str, token: str, days: int, media_type: str
) -> None:
    signer = Signer("s3.example.nl", "AKID", "secret", region="eu-central-1", token=token)
    path, query = f"/dossiers/{encode_path(key)}", encode_query({"prefix": prefix, "list": "2"})
    now = days * 86_400 + 3_661
    ours = signer.headers("GET", path, query, media_type=media_type, now=now)

    request = AWSRequest("GET", f"http://s3.example.nl{path}?{query}")
    if media_type:
        request.headers["Content-Type"] = media_type
    request.context["timestamp"] = ours["x-amz-date"]
    request.headers["X-Amz-Content-SHA256"] = ours["x-amz-content-sha256"]
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    if token:
        request.headers["X-Amz-Security-Token"] = token
    theirs = S3SigV4Auth(Credentials("AKID", "secret", token or None), "s3", "eu-central-1")
    text = theirs.string_to_sign(request, theirs.canonical_request(request))
    assert ours["authorization"].endswith(f"Signature={theirs.signature(text, request)}")


def test_the_key_of_the_day_is_made_anew_on_another_day() -> None:
    signer = Signer("h", "AKID", "secret", region="us-east-1")
    fresh = Signer("h", "AKID", "secret", region="us-east-1")
    signer.headers("GET", "/", now=86_400)
    assert signer.headers("GET", "/", now=200_000) == fresh.headers("GET", "/", now=200_000)


# --- opening and checking


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        ("http://169.254.169.254", "endpoint"),
        ("http://127.0.0.1:1/path", "endpoint"),
        ("http://user:word@127.0.0.1:1", "endpoint"),
        ("http://127.0.0.1:1/?a=b", "endpoint"),
        ("ftp://127.0.0.1:1", "endpoint"),
        ("127.0.0.1", "endpoint"),
        ("https://s3.example.nl", "endpoint"),
    ],
)
async def test_an_address_that_egress_does_not_name_is_refused(
    opener: Opener, endpoint: str, field: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        await opener(endpoint)
    assert caught.value.field == field


async def test_with_the_bucket_in_the_host_name_that_name_must_be_allowed(opener: Opener) -> None:
    only = EgressPolicy(("s3.example.nl:443",))
    await opener("https://s3.example.nl", only)
    with pytest.raises(ConfigInvalid, match=r"dossiers\.s3\.example\.nl"):
        await opener("https://s3.example.nl", only, path_style=False)
    both = EgressPolicy(("s3.example.nl:443", "*.s3.example.nl:443"))
    await opener("https://s3.example.nl", both, path_style=False)


async def test_a_secret_that_is_not_there_is_told(opener: Opener) -> None:
    with pytest.raises(ConfigInvalid, match="S3_NOWHERE"):
        await opener("http://127.0.0.1:1", secret_key="env:S3_NOWHERE")


@pytest.mark.parametrize(
    ("option", "value", "error", "field"),
    [
        ("secret_key", "env:WRONG", AuthFailed, "secret_key"),
        ("access_key", "env:WRONG", AuthFailed, "access_key"),
        ("bucket", "no-such-bucket", ConfigInvalid, "bucket"),
    ],
)
async def test_a_wrong_option_is_named_by_every_call(
    real: Opener,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    value: str,
    error: type[SourceError],
    field: str,
) -> None:
    monkeypatch.setenv("WRONG", "wrong")
    source = await real(writable=True, **{option: value})
    calls: list[Awaitable[object]] = [
        source.list(PLACE),
        source.stat(PLACE, ID),
        source.read(PLACE, ID),
        source.put(PLACE, "Documenten", "b.pdf", body(b"1")),
    ]
    for call in calls:
        with pytest.raises(error) as caught:
            await call
        assert type(caught.value) is error
        assert caught.value.field == field
    report = await source.check(Scope.READ, PLACE)
    assert [f.ok for f in report.findings] == [True, False]
    assert (report.findings[-1].field, report.findings[-1].code) == (field, error.code)


async def test_check_goes_as_far_as_it_is_asked(real: Opener, bucket: SeededBucket) -> None:
    source = await real()
    assert (await source.check(Scope.READ, PLACE)).ok  # an empty place is no fault
    await bucket.put("300001/Documenten/a.pdf", b"1")
    for number, scope in enumerate(Scope, 1):
        report = await source.check(scope, PLACE)
        assert report.ok
        assert [f.scope for f in report.findings] == list(Scope)[:number]
    report = await source.check(Scope.LIST)
    assert not report.ok
    assert "place" in report.findings[-1].message


async def test_keys_for_a_part_of_the_bucket_are_keys_that_work(liar: Liar, fooled: S3) -> None:
    liar.answer = lambda _: http(403, error("AccessDenied"))
    assert (await fooled.check(Scope.CONNECTIVITY)).ok
    assert not (await fooled.check(Scope.LIST, PLACE)).ok


# --- listing


async def test_a_large_place_is_listed_once_and_in_order(
    real: Opener, bucket: SeededBucket
) -> None:
    ids = [f"Documenten/{n % 7}/stuk-{n:04}.pdf" for n in range(4_000)]
    ids += [f"Jaarstukken/{n:04}.xbrl" for n in range(1_000)]
    others = [f"30000{n}/Documenten/x.pdf" for n in (0, 2)]
    others += ["300001/Prive/x.pdf", "300001/Documentenmap/x.pdf", "3000010/Documenten/x.pdf"]
    await _filled(bucket, [f"300001/{id}" for id in ids] + others)
    source = await real()
    for limit in (1_000, 700):
        assert [e.id for e in await listed(source, limit=limit)] == sorted(ids)


async def _filled(bucket: SeededBucket, keys: list[str]) -> None:
    for start in range(0, len(keys), 100):
        await asyncio.gather(*(bucket.put(key, b"1") for key in keys[start : start + 100]))


async def test_what_a_listing_tells_is_what_stat_and_read_tell(
    real: Opener, bucket: SeededBucket
) -> None:
    content = os.urandom(3_000)
    version = await bucket.put("300001/Documenten/2015/a.pdf", content, ContentType="text/csv")
    source = await real()
    (entry,) = await listed(source)
    assert entry.folder == ("Documenten", "2015")
    assert (entry.name, entry.size, entry.version) == ("a.pdf", 3_000, version)
    assert abs((datetime.now(UTC) - entry.modified).total_seconds()) < 3_600
    stat = await source.stat(PLACE, entry.id)
    assert stat == entry
    reader = await source.read(PLACE, entry.id, offset=1_000)
    assert (reader.entry, reader.offset, reader.length) == (stat, 1_000, 2_000)
    await reader.aclose()


ODD = [
    "spatie en plus+.pdf",
    "procent%20%.pdf",
    "vraag?x=1&y#z.pdf",
    "caf\u00e9.pdf",
    "cafe\u0301.pdf",
    "<&>\"'.pdf",
    "\U0001f4c4.pdf",
    "~tilde*(1)!.pdf",
    "regel\neinde.pdf",
    "stuur\x01teken.pdf",
    "\u202efdp.exe",
    "...",
    "..verborgen",
    "x" * 200,
]


async def test_odd_names_are_listed_and_read_as_they_are(
    real: Opener, bucket: SeededBucket
) -> None:
    for name in ODD:
        await bucket.put(f"300001/Documenten/{name}", name.encode())
    source = await real()
    entries = await listed(source)
    assert sorted(e.name for e in entries) == sorted(ODD)
    for entry in entries:
        assert await read(source, entry.id) == entry.name.encode()


async def test_placeholders_of_folders_are_no_documents(
    real: Opener, bucket: SeededBucket
) -> None:
    for n in range(5):
        await bucket.put(f"300001/Documenten/map-{n}/")
    await bucket.put("300001/Documenten/zz.pdf")
    source = await real()
    assert [e.id for e in await listed(source, limit=1)] == ["Documenten/zz.pdf"]
    with pytest.raises(NotFound):
        await source.stat(PLACE, "Documenten/map-1/")


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ((), []),
        (("Documenten", "Documenten/2015"), ["Documenten/2015/b.pdf", "Documenten/a.pdf"]),
        (("Documenten/2015",), ["Documenten/2015/b.pdf"]),
        (("", "Documenten"), ["Documenten/2015/b.pdf", "Documenten/a.pdf", "Prive/c.pdf"]),
        (("Nergens",), []),
        ((*(f"Leeg{n}" for n in range(20)), "Prive"), ["Prive/c.pdf"]),
    ],
)
async def test_each_published_folder_is_listed_once(
    real: Opener, bucket: SeededBucket, folders: tuple[str, ...], expected: list[str]
) -> None:
    for id in ("Documenten/a.pdf", "Documenten/2015/b.pdf", "Prive/c.pdf"):
        await bucket.put(f"klanten/300001/{id}", b"1")
    source = await real(prefix="/klanten/")
    for limit in (1, 2, 1000):
        found = await listed(source, Place("300001", "300001", folders), limit)
        assert sorted(e.id for e in found) == expected


@pytest.mark.parametrize("page", ["x", "", ":", "2:", "-1:", "1e3:", "99999:", "1:x\n", "²:"])
async def test_a_page_that_was_not_ours_shows_nothing_of_others(
    real: Opener, bucket: SeededBucket, page: str
) -> None:
    await bucket.put("300001/Prive/x.pdf")
    source = await real()
    try:
        found = await source.list(PLACE, page=page)
    except ConditionFailed:
        return
    assert found.entries == []


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (c + 1, b"&%c;" % c * 10) for c in range(ord("a"), ord("j")))
    + b"]><ListBucketResult><Name>&j;</Name></ListBucketResult>"
)
EXTERNAL = (
    '<?xml version="1.0"?><!DOCTYPE l SYSTEM "{url}/dtd" [<!ENTITY x SYSTEM "{url}/entity">'
    '<!ENTITY f SYSTEM "file:///etc/hostname">]>'
    "<ListBucketResult><Name>&x;&f;</Name></ListBucketResult>"
)
ROW = "<Contents><Key>300001/Documenten/a</Key><LastModified>{}</LastModified>{}</Contents>"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><body>Log in to the hotel</body></html>",
        b"<ListBucketResult><Contents>",
        b"\x00\xff",
        b'{"a": 1}',
        BOMB,
        contents("300001/Prive/a.pdf"),
        contents("300002/Documenten/a.pdf"),
        contents("300001/Documenten/../../300002/a.pdf", "300002/a.pdf"),
        contents(*(f"300001/Documenten/{n}" for n in range(1_001))),
        contents(more="<IsTruncated>true</IsTruncated>"),
        contents(more=ROW.format("2026-11-24T09:30:28Z", "<Size>1</Size>")),
        contents(more=ROW.format("2026-11-24T09:30:28Z", "<ETag>1</ETag><Size>x</Size>")),
        contents(more=ROW.format("yesterday", "<ETag>1</ETag><Size>1</Size>")),
        contents(more=ROW.format("", "<ETag/><Size/>")),
        contents("300001/Documenten/%ff", more="<EncodingType>url</EncodingType>"),
        contents(more="<Name>" + "x" * 5_000_000 + "</Name>"),
    ],
    ids=lambda content: content[:24].decode("latin-1"),
)
async def test_a_listing_that_is_none_is_a_fault_of_the_protocol(
    liar: Liar, fooled: S3, content: bytes
) -> None:
    liar.answer = lambda _: http(200, content)
    with pytest.raises(ProtocolError):
        await fooled.list(Place("300001", "300001", ("Documenten",)))


async def test_no_entity_of_an_answer_is_fetched(liar: Liar, trap: Liar, fooled: S3) -> None:
    external = EXTERNAL.format(url=trap.url).encode()
    for status in (200, 400):
        liar.answer = lambda _, status=status: http(status, external)  # type: ignore[misc]
        with pytest.raises(ProtocolError) as caught:
            await fooled.list(PLACE)
        assert Path("/etc/hostname").read_text().strip() not in str(caught.value)
    assert trap.asked == []


async def test_keys_that_some_servers_take_for_others_are_left_out(liar: Liar, fooled: S3) -> None:
    keys = ["a/../../x", "a//b", "./a", "a\\..\\..\\x", "map/", "..", "goed.pdf"]
    liar.answer = lambda _: http(200, contents(*(f"300001/Documenten/{key}" for key in keys)))
    found = await fooled.list(Place("300001", "300001", ("Documenten",)))
    assert [e.id for e in found.entries] == ["Documenten/goed.pdf"]


# --- the border


TRAVERSALS = [
    "..", ".", "...", "", "%2e%2e", "%2E.", "..%2f", "%2f", "..\\", "\\", "\\..", "%5c", "%00",
    "\0", "..;", "\uff0e\uff0e", "\u2024\u2024", "\u2215", "\uff0f", "..\u202e", " ..", ".. ",
    "..\n", "..\t", "300002", "Prive", "Documenten", "Documenten\\", "~", "C:", "\\\\server",
    "\ud800", "?versionId=1", "#", "?prefix=", "..%c0%af", "..%252f", "é", "e\u0301",
]  # fmt: skip


async def test_five_thousand_hostile_names_lead_nowhere(
    real: Opener, bucket: SeededBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = b"of another klant"
    for key in ("geheim.pdf", "300002/Documenten/geheim.pdf", "300001/Prive/geheim.pdf"):
        await bucket.put(key, canary)
    await bucket.put("300001/Documenten/geheim.pdf", b"published")
    source = await real()
    asked = _asked_of(source, monkeypatch)
    shapes = itertools.product(TRAVERSALS, TRAVERSALS, ("Documenten/{}/{}/{}", "{}/{}/{}"))
    ends = ("geheim.pdf", "Prive/geheim.pdf", "300002/Documenten/geheim.pdf")
    names = [s.format(a, b, end) for (a, b, s), end in itertools.product(shapes, ends)]
    names = sorted(
        set(names), key=lambda name: hashlib.md5(name.encode("utf-8", "replace")).digest()
    )
    assert len(names) > 5_000
    outside = 0
    for name in names[:5_000]:
        try:
            outside += canary in await read(source, name)
        except NotFound:
            continue
    assert outside == 0
    assert asked
    assert all(key.startswith(("300001/Documenten/", "300001/Jaarstukken/")) for key in asked)
    assert not any({"..", ".", ""} & set(key.replace("\\", "/").split("/")) for key in asked)


def _asked_of(source: S3, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that leave the machine, from now on."""
    keys: list[str] = []
    send = source._bucket.send

    async def told(method: str, key: str = "", *rest: Any, **more: Any) -> Any:
        keys.append(key)
        return await send(method, key, *rest, **more)

    monkeypatch.setattr(source._bucket, "send", told)
    return keys


@pytest.mark.parametrize("id", ["Documenten/" + "é" * 510, "Documenten/" + "x" * 1_100])
async def test_a_key_that_is_too_long_is_not_asked_for(liar: Liar, fooled: S3, id: str) -> None:
    with pytest.raises(NotFound):
        await fooled.stat(PLACE, id)
    assert liar.asked == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(liar: Liar, trap: Liar, fooled: S3, status: int) -> None:
    liar.answer = lambda _: http(
        status,
        error("PermanentRedirect", f"<Endpoint>{trap.url}</Endpoint>"),
        Location=f"{trap.url}/dossiers/x",
        x_amz_bucket_region="eu-west-3",
    )
    for call in (
        lambda: fooled.list(PLACE),
        lambda: fooled.stat(PLACE, ID),
        lambda: fooled.read(PLACE, ID),
        lambda: fooled.put(PLACE, "Documenten", "x.pdf", body(b"1")),
        lambda: fooled.put(PLACE, "Documenten", "x.pdf", body(bytes(PART), b"1")),
    ):
        with pytest.raises(ConfigInvalid, match="eu-west-3") as caught:
            await call()
        assert caught.value.field == "region"
    assert trap.asked == []


# --- answers to a read that are not what was asked for


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (object_(b"0123456789"), ProtocolError),
        (object_(b"2345", 206, Content_Range="bytes 3-6/10"), ProtocolError),
        (object_(b"23456789", 206, Content_Range="bytes 2-9/10"), ProtocolError),
        (object_(b"2345", 206), ProtocolError),
        (object_(b"2345", 206, Content_Range="bytes */10"), ProtocolError),
        (object_(b"23", 206, Content_Range="bytes 2-5/10", Content_Length="2"), IntegrityError),
        (object_(b"234567", 206, Content_Range="bytes 2-5/10"), IntegrityError),
        (object_(b"23", 206, Content_Range="bytes 2-5/10", Content_Length="4"), IntegrityError),
        (http(206, b"2345", Content_Range="bytes 2-5/10"), ProtocolError),
        (http(200, b"<html>Log in to the hotel</html>"), ProtocolError),
        (object_(b"2345", 206, ETag='"2"', Content_Range="bytes 2-5/10"), ConditionFailed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 9\r\n\r\n1234", ProtocolError),
        (b"220 mail.example.nl ESMTP\r\n\r\n", ProtocolError),
    ],
)
async def test_wrong_bytes_are_never_given(
    liar: Liar, fooled: S3, answer: bytes, error: type[SourceError]
) -> None:
    liar.answer = lambda _: answer
    liar.hang_up = True
    with pytest.raises(error):
        await read(fooled, ID, offset=2, length=4, version="1")


async def test_a_service_without_ranges_may_give_the_whole_that_was_asked_for(
    liar: Liar, fooled: S3
) -> None:
    liar.answer = lambda _: object_(b"0123456789")
    assert await read(fooled, ID, length=20) == b"0123456789"


@pytest.mark.parametrize(
    "answer",
    [
        object_(b"0123456789", Content_Length="20"),
        object_(b"a\r\n0123456789\r\n", Transfer_Encoding="chunked").replace(
            b"Content-Length: 15\r\n", b""
        ),
    ],
)
async def test_a_document_that_is_cut_off_is_told(liar: Liar, fooled: S3, answer: bytes) -> None:
    liar.answer = lambda _: answer
    liar.hang_up = True
    with pytest.raises(IntegrityError):
        await read(fooled, ID)


async def test_a_connection_that_was_closed_meanwhile_may_be_tried_again(
    liar: Liar, fooled: S3
) -> None:
    liar.answer = lambda _: object_(b"1")
    assert await read(fooled, ID) == b"1"
    liar.answer = lambda _: b""
    liar.hang_up = True
    with pytest.raises(Unavailable) as caught:
        await fooled.read(PLACE, ID)
    assert caught.value.retryable


async def test_closing_a_reader_leaves_the_rest_where_it_is(liar: Liar, fooled: S3) -> None:
    liar.answer = lambda _: object_(bytes(CHUNK), Content_Length=str(1 << 40))
    reader = await fooled.read(PLACE, ID)
    assert len(await anext(aiter(reader))) <= CHUNK
    await reader.aclose()
    await reader.aclose()
    assert reader.response.closed


@pytest.mark.parametrize("version", ['1"\r\nX: y', "", 'a"b', "é", "a b"])
async def test_a_version_that_was_not_ours_is_not_sent(
    liar: Liar, fooled: S3, version: str
) -> None:
    with pytest.raises(ConditionFailed):
        await fooled.read(PLACE, ID, version=version)
    assert liar.asked == []


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (400, error("RequestTimeTooSkewed"), ConfigInvalid),
        (403, error("RequestTimeTooSkewed"), ConfigInvalid),
        (400, error("AuthorizationHeaderMalformed", "<Region>x-1</Region>"), ConfigInvalid),
        (400, error("ExpiredToken"), AuthFailed),
        (403, error("AccessDenied"), PermissionDenied),
        (403, error("InvalidObjectState"), Unsupported),
        (403, b"", PermissionDenied),
        (401, b"<html/>", AuthFailed),
        (404, b"", NotFound),
        (405, error("MethodNotAllowed"), NotFound),
        (412, b"", ConditionFailed),
        (413, error("EntityTooLarge"), TooLarge),
        (429, b"", RateLimited),
        (500, error("InternalError"), Unavailable),
        (502, b"<html/>", Unavailable),
        (503, error("SlowDown"), RateLimited),
        (503, b"<html>no server is up</html>", Unavailable),
        (418, b"<Error><Code>Teapot</Code></Error>", ProtocolError),
        (400, b"x" * 1_000_000, ProtocolError),
        (204, b"", ProtocolError),
    ],
)
async def test_what_each_error_means(
    liar: Liar, fooled: S3, status: int, content: bytes, error: type[SourceError]
) -> None:
    liar.answer = lambda head: http(status, b"" if head.startswith("HEAD") else content)
    with pytest.raises(error) as caught:
        await fooled.read(PLACE, ID)
    assert type(caught.value) is error
    assert caught.value.native
    with pytest.raises(SourceError) as told:
        await fooled.stat(PLACE, ID)
    # A service that is too busy is not asked a second time for what its HEAD could not say.
    assert type(told.value) is error or (status == 503 and told.value.retryable)


async def test_how_long_to_wait_is_passed_on(liar: Liar, fooled: S3) -> None:
    liar.answer = lambda _: http(503, Retry_After="7")
    with pytest.raises(RateLimited) as caught:
        await fooled.list(PLACE)
    assert caught.value.retry_after == 7


async def test_a_service_that_is_no_bucket_is_told_when_listing(liar: Liar, fooled: S3) -> None:
    liar.answer = lambda _: http(404, b"<html>Not here</html>")
    with pytest.raises(ConfigInvalid) as caught:
        await fooled.list(PLACE)
    assert caught.value.field == "endpoint"


async def test_nobody_listening_is_unavailable(opener: Opener) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        source = await opener(f"http://127.0.0.1:{held.getsockname()[1]}", writable=True)
        for call in (
            lambda: source.list(PLACE),
            lambda: source.put(PLACE, "Documenten", "x", body(b"1")),
        ):
            with pytest.raises(Unavailable):
                await call()


async def test_a_token_is_sent_with_every_request(
    liar: Liar, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_TOKEN", "FwoGZXIvYXdzEJr")
    source = await opener(liar.url, session_token="env:S3_TOKEN")
    liar.answer = lambda _: object_(b"1")
    await read(source, ID)
    assert "x-amz-security-token: FwoGZXIvYXdzEJr\r\n" in liar.asked[0]
    assert "host;x-amz-content-sha256;x-amz-date;x-amz-security-token" in liar.asked[0]


async def test_keys_are_sent_as_they_are_signed(liar: Liar, fooled: S3) -> None:
    liar.answer = lambda _: object_(b"1")
    for name in ODD:
        await read(fooled, f"Documenten/{name}")
        path = liar.asked[-1].split(" ")[1]
        assert unquote(path) == f"/dossiers/300001/Documenten/{name}"
        assert path == encode_path(unquote(path))


async def test_the_bucket_may_stand_in_the_host_name(
    real: Opener, opener: Opener, bucket: SeededBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = EgressPolicy(("localhost:*", "*.localhost:*"), LOOPBACK.networks)
    found = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: found(
            "127.0.0.1" if str(host).endswith(".localhost") else host, *rest, **more
        ),
    )
    await bucket.put("300001/Documenten/é.pdf", b"1234")
    port = bucket.server.ports["s3"]
    source = await opener(
        f"http://localhost:{port}", policy, bucket=bucket.name, path_style=False, writable=True
    )
    assert [e.name for e in await listed(source)] == ["é.pdf"]
    assert await read(source, "Documenten/é.pdf", offset=2) == b"34"
    await source.put(PLACE, "Documenten", "groot", body(bytes(PART), b"1"))
    assert len(await bucket.keys()) == 2


# --- writing


def _pieces(size: int) -> list[bytes]:
    content = os.urandom(size)
    return [content[at : at + CHUNK] for at in range(0, size, CHUNK)]


@pytest.mark.parametrize("size", [0, 1, CHUNK, PART - 1, PART, PART + 1, 2 * PART + 7])
async def test_what_is_put_is_what_is_there(real: Opener, bucket: SeededBucket, size: int) -> None:
    source = await real(writable=True)
    pieces = _pieces(size)
    whole = b"".join(pieces)
    entry = await source.put(
        PLACE,
        "Documenten/2026",
        "ü.pdf",
        body(*pieces),
        size=size,
        media_type="text/csv",
        sha256=hashlib.sha256(whole).digest(),
    )
    assert (entry.id, entry.size) == ("Documenten/2026/ü.pdf", size)
    assert entry == await source.stat(PLACE, entry.id)
    assert await bucket.get("300001/Documenten/2026/ü.pdf") == whole
    assert await bucket.unfinished() == 0


@pytest.mark.parametrize("size", [10, PART + 10])
@pytest.mark.parametrize(
    ("promise", "fail"),
    [
        ({"size": 11}, None),
        ({"sha256": bytes(32)}, None),
        ({}, RuntimeError("virus")),
    ],
)
async def test_nothing_is_left_of_a_document_that_is_not_clean_and_whole(
    real: Opener,
    bucket: SeededBucket,
    size: int,
    promise: dict[str, Any],
    fail: Exception | None,
) -> None:
    source = await real(writable=True)
    content = body(*_pieces(size), fail=fail)
    with pytest.raises(type(fail) if fail else IntegrityError):
        await source.put(PLACE, "Documenten", "a.pdf", content, **promise)
    assert await bucket.keys() == set()
    assert await bucket.unfinished() == 0


async def test_nothing_is_left_of_a_document_whose_sender_went_away(
    real: Opener, bucket: SeededBucket
) -> None:
    source = await real(writable=True)
    under_way = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for piece in _pieces(2 * PART):
            yield piece
        under_way.set()
        await asyncio.Event().wait()

    async with aclosing(endless()) as content:
        task = asyncio.create_task(source.put(PLACE, "Documenten", "a.pdf", content))
        await under_way.wait()
        assert await bucket.unfinished() == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await bucket.keys() == set()
    assert await bucket.unfinished() == 0


async def test_a_part_that_is_refused_is_told_while_the_sender_rests(
    real: Opener, bucket: SeededBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await real(writable=True)
    client = await source._uploader._ready()

    async def refused(**_: object) -> str:
        raise EndpointConnectionError(endpoint_url="x")

    async def endless() -> AsyncIterator[bytes]:
        for piece in _pieces(2 * PART):
            yield piece
        await asyncio.Event().wait()

    monkeypatch.setattr(client, "upload_part", refused)
    with pytest.raises(Unavailable):
        async with asyncio.timeout(20):
            await source.put(PLACE, "Documenten", "a.pdf", endless())
    assert await bucket.keys() == set()
    assert await bucket.unfinished() == 0


@pytest.mark.parametrize("size", [10, PART + 10])
async def test_of_many_writers_one_wins(real: Opener, bucket: SeededBucket, size: int) -> None:
    source = await real(writable=True)
    bodies = [_pieces(size) for _ in range(5)]
    told = await asyncio.gather(
        *(source.put(PLACE, "Documenten", "a.pdf", body(*pieces)) for pieces in bodies),
        return_exceptions=True,
    )
    winners = [n for n, outcome in enumerate(told) if isinstance(outcome, Entry)]
    assert len(winners) == 1
    assert all(isinstance(o, Entry | AlreadyExists) for o in told)
    assert await bucket.get("300001/Documenten/a.pdf") == b"".join(bodies[winners[0]])
    await source.put(PLACE, "Documenten", "a.pdf", body(b"new"), if_absent=False)
    assert await bucket.get("300001/Documenten/a.pdf") == b"new"
    assert await bucket.unfinished() == 0


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Prive", "x"), ("Documenten", "../Prive/x"), ("Documenten/../Prive", "x"), ("", "x"),
     ("Documenten", ""), ("Documenten", "2026/x"), ("Documenten", "a\\b"), ("Documenten", ".."),
     ("../300002/D", "x")],
)  # fmt: skip
async def test_nothing_is_put_outside_the_published_folders(
    real: Opener, bucket: SeededBucket, folder: str, name: str
) -> None:
    source = await real(writable=True)
    with pytest.raises(NotFound):
        await source.put(PLACE, folder, name, body(b"1"))
    assert await bucket.keys() == set()


async def test_a_source_is_read_only_unless_told(real: Opener) -> None:
    source = await real()
    with pytest.raises(Unsupported):
        await source.put(PLACE, "Documenten", "x", body(b"1"))


async def test_ranges_of_an_empty_document(real: Opener, bucket: SeededBucket) -> None:
    await bucket.put("300001/Documenten/leeg.txt")
    source = await real()
    assert await read(source, "Documenten/leeg.txt", length=10) == b""
    for offset in (1, -1):
        with pytest.raises(RangeNotSatisfiable):
            await source.read(PLACE, "Documenten/leeg.txt", offset=offset)


async def test_nothing_of_the_machine_changes_how_it_writes(
    real: Opener, bucket: SeededBucket, trap: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, trap.url)
    monkeypatch.setenv("AWS_PROFILE", "of-somebody-else")
    source = await real(writable=True)
    with blockbuster_ctx():
        await source.put(PLACE, "Documenten", "a.pdf", body(b"1"))
        assert len(await listed(source)) == 1
        assert await read(source, ID) == b"1"
    assert trap.asked == []


# --- the server that the demonstration runs too


async def test_a_second_start_finds_the_documents_of_the_first(
    tmp_path: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path / "seaweed") as first:
        async with fresh(first, keep=True) as bucket:
            await bucket.put(f"300001/{ID}", b"still here")
            name = bucket.name
    monkeypatch.setenv("S3_ACCESS", first.access_key)
    monkeypatch.setenv("S3_SECRET", first.secret_key)
    source = await opener(first.endpoint, bucket=name)
    with pytest.raises(Unavailable):
        await source.list(PLACE)
    with serve(tmp_path / "seaweed") as second:
        assert (second.endpoint, second.access_key) == (first.endpoint, first.access_key)
        assert await read(source, ID) == b"still here"
        await asyncio.to_thread(second.restart)
        assert await read(source, ID) == b"still here"
    assert not second.running


def test_a_server_that_cannot_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path / "a") as running:
        other = Seaweed(tmp_path / "b")
        other.ports = dict(running.ports)
        with pytest.raises(SeaweedError, match="is taken"):
            other.start()
        assert not other.running
    monkeypatch.setattr(seaweed_module, "binary", lambda: "/bin/false")
    with pytest.raises(SeaweedError, match="ended by itself"):
        Seaweed(tmp_path / "c").start()
