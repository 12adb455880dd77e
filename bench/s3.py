"""The S3 connector beside aiobotocore, on one SeaweedFS: signing, listing, streaming, stalls."""

import asyncio
import ipaddress
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.rows import Cost, Row, interleaved
from connectors.s3 import S3, S3Config
from gateway.connector.context import Context
from gateway.connector.contract import CHUNK, Place
from gateway.connector.egress import EgressPolicy
from gateway.connector.s3.sigv4 import Signer, encode_path
from gateway.demo.seaweed import Seaweed

BUCKET = "bench"
PLACE = Place("300001", "300001", ("Documenten",))
KEYS = 1_000
LARGE = "Documenten/groot.bin"
SMALL = "Documenten/jaarrekening-0000.pdf"
_LARGE_SIZE = 10 * 1024 * 1024
_PEER = "aiobotocore"


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours and the peer's client, opened on the same bucket."""

    ours: S3
    peer: Any


async def run(quick: bool) -> list[Row]:
    """All rows. quick: fewer rounds, the same rows."""
    rounds = 5 if quick else 21
    with tempfile.TemporaryDirectory(prefix="map-bench-s3-") as folder:
        async with _pair(Path(folder)) as pair:
            rows = [_signing(2_000 if quick else 20_000)]
            rows += _told("14", "list 1,000", await _listing(pair, rounds), "≤12 ms")
            rows.append(await _stall(pair, rounds))
            rows += _told("6", "GET 10 MB", await _stream(pair, LARGE, 1, rounds), "≥1x")
            rows += _told("6", "64 × GET 10 KB", await _stream(pair, SMALL, 64, rounds), "≥4x CPU")
            return rows


def _told(number: str, measured: str, costs: dict[str, Cost], goal: str) -> list[Row]:
    ours, peer = costs["ours"], costs["peer"]
    return [
        _row(number, f"{measured}, CPU", ours.cpu * 1e3, peer.cpu * 1e3, "ms", goal),
        _row(number, f"{measured}, wall", ours.wall * 1e3, peer.wall * 1e3, "ms", ""),
    ]


def _row(number: str, measured: str, ours: float, peer: float, unit: str, goal: str) -> Row:
    return Row(number, f"S3: {measured}", ours, _PEER, peer, unit, peer / ours, goal)


def _signing(times: int) -> Row:
    """A GET signed by us, and by the signer inside aiobotocore."""
    path, url = "/bench/" + encode_path(SMALL), "http://127.0.0.1/bench/" + encode_path(SMALL)
    signer = Signer("127.0.0.1", "key", "secret", region="us-east-1")
    theirs = S3SigV4Auth(Credentials("key", "secret"), "s3", "us-east-1")
    ours = _microseconds(lambda: signer.headers("GET", path), times)
    peer = _microseconds(lambda: theirs.add_auth(AWSRequest("GET", url)), times)
    return _row("6", "one signature", ours, peer, "µs", "≤60 µs")


def _microseconds(call: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times * 1e6


async def _listing(pair: Pair, rounds: int) -> dict[str, Cost]:
    return await interleaved(
        {"ours": lambda: pair.ours.list(PLACE), "peer": lambda: _listed(pair.peer)}, rounds
    )


async def _listed(client: Any) -> Any:
    return await client.list_objects_v2(Bucket=BUCKET, Prefix="300001/Documenten/")


async def _stall(pair: Pair, rounds: int) -> Row:
    """The longest time that a listing keeps everybody else waiting."""
    ours = [await _longest(lambda: pair.ours.list(PLACE)) for _ in range(rounds)]
    peer = [await _longest(lambda: _listed(pair.peer)) for _ in range(rounds)]
    middle = rounds // 2
    return _row(
        "14", "list 1,000, loop stall", sorted(ours)[middle], sorted(peer)[middle], "ms", "≤20 ms"
    )


async def _longest(call: Callable[[], Any]) -> float:
    """Milliseconds of the longest pause of a heart that beats as often as it may."""
    task = asyncio.ensure_future(call())
    longest, last = 0.0, time.perf_counter()
    while not task.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await task
    return longest * 1e3


async def _stream(pair: Pair, id: str, times: int, rounds: int) -> dict[str, Cost]:
    async def ours() -> None:
        await asyncio.gather(*(_read(pair.ours, id) for _ in range(times)))

    async def peer() -> None:
        await asyncio.gather(*(_got(pair.peer, id) for _ in range(times)))

    return await interleaved({"ours": ours, "peer": peer}, rounds)


async def _read(source: S3, id: str) -> int:
    reader = await source.read(PLACE, id)
    try:
        return sum([len(piece) async for piece in reader])
    finally:
        await reader.aclose()


async def _got(client: Any, id: str) -> int:
    answer = await client.get_object(Bucket=BUCKET, Key=f"300001/{id}")
    async with answer["Body"] as body:
        return sum([len(piece) async for piece in body.iter_chunks(CHUNK)])


@asynccontextmanager
async def _pair(folder: Path) -> AsyncIterator[Pair]:
    server = Seaweed(folder / "seaweed")
    await asyncio.to_thread(server.start)
    context = Context("bench/s3", egress=_LOOPBACK, base=folder)
    try:
        async with _client(server) as client:
            await _seed(client)
            ours = await S3.open(_config(server, folder), context)
            yield Pair(ours, client)
            await ours.aclose()
    finally:
        await context.aclose()
        await asyncio.to_thread(server.stop)


_LOOPBACK = EgressPolicy(("127.0.0.1:*",), (ipaddress.ip_network("127.0.0.0/8"),))


def _config(server: Seaweed, folder: Path) -> S3Config:
    (folder / "key").write_text(server.access_key)
    (folder / "secret").write_text(server.secret_key)
    return S3Config(
        endpoint=server.endpoint, bucket=BUCKET, access_key="file:key", secret_key="file:secret"
    )


def _client(server: Seaweed) -> Any:
    return AioSession().create_client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=AioConfig(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            max_pool_connections=64,
        ),
    )


async def _seed(client: Any) -> None:
    """1,000 documents of 10 KB, and a large one that sorts before them all."""
    await client.create_bucket(Bucket=BUCKET)
    names = [f"Documenten/jaarrekening-{n:04}.pdf" for n in range(KEYS - 1)]
    content = os.urandom(10 * 1024)

    async def put(name: str, body: bytes) -> None:
        await client.put_object(Bucket=BUCKET, Key=f"300001/{name}", Body=body)

    await put(LARGE, os.urandom(_LARGE_SIZE))
    for start in range(0, len(names), 50):
        await asyncio.gather(*(put(name, content) for name in names[start : start + 50]))


if __name__ == "__main__":
    for _line in asyncio.run(run(quick=False)):
        print(_line)
