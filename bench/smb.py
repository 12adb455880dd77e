"""The SMB connector beside Samba's own smbclient, on one smbd: 50 MB, 1,000 documents, 100 KB."""

import asyncio
import ipaddress
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.rows import Row
from connectors.smb import Smb, SmbConfig
from gateway.connector.context import Context
from gateway.connector.contract import Place
from gateway.connector.egress import EgressPolicy
from tests.servers.process import HOST, serve
from tests.servers.samba import Samba

PLACE = Place("300001", "300001", ("Groot",))
MANY = Place("300001", "300001", ("Veel",))
LARGE, SMALL = "Groot/groot.bin", "Groot/klein.pdf"
DOCUMENTS = 1_000
_LARGE_SIZE = 50 * 1024 * 1024
_SMALL_SIZE = 100 * 1024
_LOOPBACK = EgressPolicy((f"{HOST}:*",), (ipaddress.ip_network("127.0.0.0/8"),))
_PEER = "smbclient"


@dataclass(frozen=True, slots=True)
class Pair:
    """Ours, and how the peer is started."""

    ours: Smb
    samba: Samba

    async def peer(self, *commands: str) -> None:
        """One run of smbclient; raises when it fails."""
        user = self.samba.users[0]
        process = await asyncio.create_subprocess_exec(
            *("smbclient", f"//{HOST}/dossiers", "-p", str(self.samba.port)),
            *("-U", f"{user.name}%{user.password}", "-c", "; ".join(commands)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await process.wait() != 0:
            raise RuntimeError(f"smbclient {commands}: {process.returncode}")


async def run(quick: bool) -> list[Row]:
    """All rows. quick: fewer rounds, the same rows."""
    if not Samba.installed() or shutil.which("smbclient") is None:
        return [Row("25", "SMB", 0, _PEER, 0, "", 0, "", "not here: samba and smbclient")]
    rounds = 5 if quick else 15
    with serve(Samba) as samba, tempfile.TemporaryDirectory(prefix="map-bench-smb-") as folder:
        _seed(samba)
        async with _pair(samba, Path(folder)) as pair:
            return [
                await _large(pair, rounds),
                await _listing(pair, rounds),
                await _small(pair, rounds),
            ]


async def _large(pair: Pair, rounds: int) -> Row:
    ours, peer = await _beside(
        pair, rounds, lambda: _read(pair.ours, LARGE), 3, "get 300001\\Groot\\groot.bin /dev/null"
    )
    megabytes = _LARGE_SIZE / 1e6
    return Row(
        *("25", "SMB: read 50 MB", megabytes / ours, _PEER, megabytes / peer, "MB/s"),
        *(peer / ours, "≥0.6x", "smbclient without its start and sign-in"),
    )


async def _listing(pair: Pair, rounds: int) -> Row:
    ours, peer = await _beside(
        pair, rounds, lambda: pair.ours.list(MANY), 10, "ls 300001\\Veel\\*"
    )
    return Row(
        *("25", "SMB: list 1,000", ours * 1e3, _PEER, peer * 1e3, "ms", peer / ours),
        "≤15 ms",
    )


async def _small(pair: Pair, rounds: int) -> Row:
    ours, peer = await _beside(
        pair, rounds, lambda: _read(pair.ours, SMALL), 50, "get 300001\\Groot\\klein.pdf /dev/null"
    )
    return Row(
        *("25", "SMB: read 100 KB", ours * 1e3, _PEER, peer * 1e3, "ms", peer / ours),
        "≥0.5x",
    )


async def _beside(
    pair: Pair, rounds: int, ours: Callable[[], Awaitable[object]], times: int, command: str
) -> tuple[float, float]:
    """Median seconds of one call of ours, and of one command more for a smbclient that runs."""
    await ours()
    mine, theirs = [], []
    for _ in range(rounds):
        mine.append(await _seconds(ours, times) / times)
        one = await _seconds(lambda: pair.peer(command), 1)
        more = await _seconds(lambda: pair.peer(*(times + 1) * [command]), 1)
        theirs.append((more - one) / times)
    return statistics.median(mine), max(statistics.median(theirs), 1e-6)


async def _seconds(call: Callable[[], Awaitable[object]], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        await call()
    return time.perf_counter() - start


async def _read(source: Smb, id: str) -> int:
    reader = await source.read(PLACE, id)
    try:
        return sum([len(piece) async for piece in reader])
    finally:
        await reader.aclose()


def _seed(samba: Samba) -> None:
    root = samba.path / "dossiers" / "300001"
    for name in ("Groot", "Veel"):
        (root / name).mkdir(parents=True)
    (root / LARGE).write_bytes(os.urandom(_LARGE_SIZE))
    (root / SMALL).write_bytes(os.urandom(_SMALL_SIZE))
    for n in range(DOCUMENTS):
        (root / "Veel" / f"jaarrekening-{n:04}.pdf").write_bytes(b"%PDF")


@asynccontextmanager
async def _pair(samba: Samba, folder: Path) -> AsyncIterator[Pair]:
    (folder / "wachtwoord").write_text(samba.users[0].password)
    context = Context("bench/smb", egress=_LOOPBACK, base=folder)
    config = SmbConfig(
        host=HOST,
        port=samba.port,
        share="dossiers",
        username=samba.users[0].name,
        password="file:wachtwoord",
    )
    try:
        ours = await Smb.open(config, context)
        yield Pair(ours, samba)
        await ours.aclose()
    finally:
        await context.aclose()


if __name__ == "__main__":
    for _line in asyncio.run(run(quick=False)):
        print(_line)
