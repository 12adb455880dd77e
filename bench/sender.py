"""A package that sends, from a process of its own: it speaks as little HTTP as will do, and has
made every request before the clock starts.

``python -m bench.sender`` reads a `Load` or a `Large` as JSON and prints seconds and percentiles.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from bench.office import instance

#: Seconds after which a load is given up.
MOST = 450.0
_PIECE = 1024 * 1024
_LINE = "\r\n"
PDF = b"%PDF-1.4\n" + bytes(10_000)


@dataclass(frozen=True, slots=True)
class Load:
    """Small stukken. way: content, reference or plain (bench.plain). klanten: number and number
    for the tax, in turn. first: of the first stuk; no two have the same. keys: each for so many
    requests, for their rate is limited."""

    url: str
    way: str
    at_once: int
    first: int
    count: int
    klanten: Sequence[Sequence[str]]
    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class Large:
    """One document. head: of the request, before its length. before, after: around its bytes."""

    url: str
    head: str
    before: str
    after: str
    size: int


def main(told: dict[str, object]) -> dict[str, float]:
    """Send it. Raises RuntimeError, TimeoutError."""
    if "size" in told:
        return _large(Large(**told))  # type: ignore[arg-type]
    return asyncio.run(_small(Load(**told)))  # type: ignore[arg-type]


def text(load: Load | Large) -> bytes:
    """For the process's standard input."""
    return json.dumps(asdict(load)).encode()


# --- small


async def _small(load: Load) -> dict[str, float]:
    parts = urlsplit(load.url)
    requests = [_request(load, n) for n in range(load.count)]
    times: list[float] = []

    async def lane() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while requests:
            request, start = requests.pop(), time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(head))
            times.append(time.perf_counter() - start)
            _good(head, body)
        writer.close()

    start = time.perf_counter()
    async with asyncio.timeout(MOST), asyncio.TaskGroup() as tasks:
        for _ in range(load.at_once):
            tasks.create_task(lane())
    seconds = time.perf_counter() - start
    times.sort()
    return {
        "seconds": seconds,
        "p50": times[len(times) // 2],
        "p99": times[int(len(times) * 0.99)],
    }


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])


def _good(head: bytes, body: bytes) -> None:
    status = head.split(b" ", 2)[1]
    if status not in (b"200", b"201"):
        raise RuntimeError(f"answered {status.decode()}: {body[:300].decode(errors='replace')}")


def document(klant: str, number: int, ending: str) -> str:
    """Where the peer puts a document: a key of the bucket, in the klant's place."""
    return f"{klant}/Stukken/p{number}.{ending}"


def _request(load: Load, place: int) -> bytes:
    number = load.first + place
    klant, tax = load.klanten[number % len(load.klanten)]
    lines = [f"Host: {urlsplit(load.url).netloc}"]
    if load.way == "plain":
        body = _multipart(
            (document(klant, number, "xbrl"), "", "application/octet-stream",
             instance(tax, number)),
            (document(klant, number, "pdf"), "", "application/octet-stream", PDF),
        )  # fmt: skip
    else:
        key = load.keys[place * len(load.keys) // load.count]
        lines += [f"Authorization: Bearer {key}", f"Idempotency-Key: {load.way}-{number}"]
        body = _stuk(load.way, klant, tax, number)
    kind = "application/json" if load.way == "reference" else "multipart/form-data; boundary=grens"
    lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    path = urlsplit(load.url).path
    return _LINE.join([f"POST {path} HTTP/1.1", *lines, "", ""]).encode() + body


def _stuk(way: str, klant: str, tax: str, number: int) -> bytes:
    """By reference to what the peer put there, or with its documents."""
    if way == "reference":
        where = {
            ending: {"bron": "stukken", "id": document(klant, number, ending).partition("/")[2]}
            for ending in ("xbrl", "pdf")
        }
    else:
        where = {ending: {"inhoud": ending} for ending in ("xbrl", "pdf")}
    stuk = {
        "klant": klant, "soort": "ob", "jaar": 2026, "periode": f"{number}e",
        "onderdelen": [{"rol": "instance", **where["xbrl"]},
                       {"rol": "akkoorddocument", **where["pdf"]}],
    }  # fmt: skip
    told = json.dumps(stuk).encode()
    if way == "reference":
        return told
    octets = "application/octet-stream"
    return _multipart(
        ("stuk", "", "application/json", told),
        ("xbrl", f"ob-{number}.xbrl", octets, instance(tax, number)),
        ("pdf", f"ob-{number}.pdf", octets, PDF),
    )


def _multipart(*parts: tuple[str, str, str, bytes]) -> bytes:
    body = b""
    for name, file, kind, data in parts:
        named = f'; filename="{file}"' if file else ""
        body += (
            f'--grens\r\nContent-Disposition: form-data; name="{name}"{named}\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        ).encode()
        body += data + b"\r\n"
    return body + b"--grens--\r\n"


# --- large


def _large(large: Large) -> dict[str, float]:
    parts, piece = urlsplit(large.url), memoryview(bytes(_PIECE))
    first = b"%PDF-1.7 "
    before, after = large.before.encode() + first, large.after.encode()
    left = large.size - len(first)
    length = len(before) + left + len(after)
    head = f"{large.head}Host: {parts.netloc}\r\nContent-Length: {length}\r\n\r\n"
    start = time.perf_counter()
    with socket.create_connection((parts.hostname or "", parts.port or 80), MOST) as line:
        line.sendall(head.encode() + before)
        while left:
            left -= line.send(piece[: min(left, _PIECE)])
        line.sendall(after)
        answer = b""
        while b"\r\n\r\n" not in answer:
            some = line.recv(65536)
            if not some:
                raise RuntimeError(f"no answer: {answer[:200]!r}")
            answer += some
    seconds = time.perf_counter() - start
    _good(*answer.split(b"\r\n\r\n", 1))
    return {"seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
