"""What one package may ask of the portal: how much, how fast and how often at once."""

import asyncio
import zlib
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from gateway.api import calling, multipart, operation, problem
from gateway.flows import submitting, syncing
from tests.filing.conftest import KLANT
from tests.packages.conftest import ob, ob_files

WHERE = {"bron": "map", "map": "Stukken", "naam": "brief.pdf"}
BYTES = {"Content-Type": "application/octet-stream"}


async def document(proef, data, name="brief.pdf", **headers):
    return await proef.ask(
        "POST", f"/klanten/{KLANT}/documenten", params=WHERE | {"naam": name}, data=data,
        headers=BYTES | headers,
    )  # fmt: skip


async def slowly(every=0.02):
    yield b"%PDF-1.7 "
    while True:
        await asyncio.sleep(every)
        yield b"x"


async def test_who_sends_too_slowly_is_turned_away(office, proef, monkeypatch):
    monkeypatch.setattr(multipart, "GRACE", 0.2)
    told = await document(proef, slowly())
    assert (told.status, told.body["detail"]) == (
        408, "Er kwamen minder dan 16 KiB per seconde binnen.",
    )  # fmt: skip
    assert not list(office.folder.parent.rglob("*brief*"))
    monkeypatch.setattr(multipart, "LEAST", 1)
    assert (await document(proef, b"%PDF-1.7 een brief")).status == 201


async def test_a_source_that_is_slow_is_not_the_senders_fault():
    pace, clock = multipart.Pace(), asyncio.get_running_loop().time()
    assert await pace.wait(asyncio.sleep(0, b"x")) == b"x"
    assert pace._waited <= asyncio.get_running_loop().time() - clock
    before = pace._waited
    await asyncio.sleep(0.01)
    pace.took(1)
    assert pace._waited == before


async def test_a_package_leaves_room_for_others(office, proef, package):
    started = asyncio.Event()
    count, free = 0, asyncio.Event()

    async def held():
        nonlocal count
        yield b"%PDF-1.7 "
        count += 1
        if count == calling.AT_ONCE:
            started.set()
        await free.wait()
        yield b"een brief"

    some = [
        asyncio.create_task(document(proef, held(), f"{n}.pdf")) for n in range(calling.AT_ONCE)
    ]
    async with asyncio.timeout(60):
        await started.wait()
        while calling._uploads.total() < calling.AT_ONCE:
            await asyncio.sleep(0)
    told = await document(proef, b"%PDF-1.7 nog een")
    assert (told.status, told.headers["Retry-After"]) == (429, "5")
    assert (await proef.get("/gebeurtenissen")).status == 200
    other = await package(name="Ander")
    assert (await document(other, b"%PDF-1.7 van een ander", "ander.pdf")).status == 201
    free.set()
    assert {(await one).status for one in some} == {201}
    assert not calling._uploads
    assert (await document(proef, b"%PDF-1.7 nog een")).status == 201


async def test_large_bodies_in_json_count_too(proef, monkeypatch):
    """Each may be 4 MiB of memory, and wait a minute for its end."""
    monkeypatch.setattr(calling, "AT_ONCE", 0)
    rows = [{"nummer": f"{n}", "naam": "n" * 200} for n in range(400_000, 401_000)]
    large, small = {"klanten": rows * 2}, {"klanten": rows[:1]}
    assert (await proef.post("/klanten", large)).status == 429
    assert (await proef.post("/klanten", small)).status == 200


async def test_instances_under_way_are_bounded(office, proef, monkeypatch):
    monkeypatch.setattr(submitting, "MOST_HELD", 500)
    told = await proef.put_up(ob(), ob_files())
    assert (told.status, told.headers["Retry-After"]) == (429, "5")
    assert submitting._Held.count == 0
    monkeypatch.undo()
    assert (await proef.put_up(ob(), ob_files())).status == 201
    assert submitting._Held.count == 0


async def test_a_multipart_has_so_many_parts(proef):
    files = {f"deel{n}": (f"{n}.pdf", b"%PDF-1.7") for n in range(multipart.MOST_PARTS)}
    told = await proef.put_up(ob(), files)
    assert (told.status, told.body["detail"]) == (
        400, "Een multipart heeft ten hoogste 64 delen.",
    )  # fmt: skip


async def test_the_first_faults_are_told_and_how_many_more(proef):
    told = await proef.post("/klanten", {"klanten": [{"nummer": "", "naam": ""}] * 1000})
    assert told.status == 422
    faults = told.body["fouten"]
    assert len(faults) == problem.MOST_FAULTS + 1
    assert faults[0]["veld"] == "klanten.0.nummer"
    assert faults[-1]["melding"].startswith("En nog ")


async def test_of_a_stuk_that_is_there_no_document_is_written(office, proef):
    assert (await proef.put_up(ob(), ob_files())).status == 201
    before = {p for p in office.folder.rglob("*") if p.is_file()}
    assert (await proef.put_up(ob(), ob_files())).status == 409
    assert {p for p in office.folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("path", ["/klanten/%00/documenten", "/stukken/%00", "/webhooks/a%00"])
async def test_no_such_thing_has_a_nul_in_its_name(proef, path):
    told = await proef.ask(
        "GET" if path.startswith("/stukken") else "POST", path, data=b"x", params=WHERE,
        headers=BYTES,
    ) if "doc" in path else await proef.get(path)  # fmt: skip
    assert told.status in (404, 405)


async def test_an_encoding_that_is_none(proef):
    """aiohttp answers by itself when it sees it at once."""
    body = zlib.compress(b'{"klanten": [{"nummer": "400900", "naam": "K"}]}')
    for data, status in ((body, 200), (body[:-9], 400), (b"geen deflate", 400)):
        headers = {
            "Authorization": f"Bearer {proef.key}", "Idempotency-Key": f"k{len(data)}",
            "Content-Type": "application/json", "Content-Encoding": "deflate",
        }  # fmt: skip
        with capture_logs() as logs:
            async with proef.client.post("/api/v1/klanten", data=data, headers=headers) as r:
                assert r.status == status
        assert not [one for one in logs if one["log_level"] == "error"]


async def test_who_hangs_up_is_no_fault_of_ours(office, proef):
    with capture_logs() as logs:
        for kind in (document(proef, slowly()), proef.put_up(ob(), ob_files())):
            task = asyncio.create_task(kind)
            await asyncio.sleep(0.05)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        async with asyncio.timeout(60):
            while calling._uploads:
                await asyncio.sleep(0)
    assert not [one for one in logs if one["log_level"] == "error"]


class Leaving:
    """A sender that hangs up after a piece: a body, and a part of one."""

    content_length, content = None, property(lambda self: self)

    async def iter_any(self):
        yield b" " * 100_000
        raise ConnectionResetError

    def read_chunk(self, _=0):
        self.pieces = getattr(self, "pieces", self.iter_any())
        return anext(self.pieces)


class Part(multipart.Body):
    """A multipart of which the first part is never whole."""

    async def next(self):
        self.name = "stuk"
        return Leaving()


async def _held(leaving):
    async with submitting._held(leaving.iter_any()):
        pass


@pytest.mark.parametrize(
    "read",
    [operation._data, _held, lambda _: Part(None).json("stuk")],
    ids=["json", "instance", "part"],
)
async def test_who_hangs_up_leaves_no_bytes_behind(read):
    """What was raised knows the frames that held them, and aiohttp keeps it for a while."""
    with pytest.raises(ConnectionResetError) as told:
        await read(Leaving())
    held = [one.frame.f_locals["data"] for one in told.traceback if "data" in one.frame.f_locals]
    assert held == [b""]


async def test_batches_that_wait_leave_the_database_to_others(proef, monkeypatch):
    """One connection waits for its turn at PostgreSQL, not all of the pool."""
    real, free, count = syncing.klanten.one_batch, asyncio.Event(), 0

    async def held(c, firm):
        nonlocal count
        count += 1
        await free.wait()
        await real(c, firm)

    monkeypatch.setattr(syncing.klanten, "one_batch", held)
    batch = {"klanten": [{"nummer": "400900", "naam": "Kwekerij"}]}
    some = [asyncio.create_task(proef.post("/klanten", batch)) for _ in range(40)]
    async with asyncio.timeout(60):
        while not count:
            await asyncio.sleep(0.01)
        for _ in range(20):
            assert (await proef.get("/gebeurtenissen?vanaf=-1")).status == 200
        assert count == 1
        free.set()
        assert {(await one).status for one in some} == {200}


async def test_a_cursor_of_elsewhere_is_refused(office, proef):
    """It would hear nothing for ever."""
    await proef.put_up(ob(), ob_files())
    newest = (await proef.get("/gebeurtenissen?vanaf=-1")).body["vanaf"]
    assert (await proef.get(f"/gebeurtenissen?vanaf={newest}")).status == 200
    told = await proef.get(f"/gebeurtenissen?vanaf={newest + 1}")
    assert told.status == 422
    assert told.faults == {"vanaf": f"Zo ver is het nog niet: de laatste is {newest}."}
