"""The clients of Digipoort and the banks, one for each destination and certificate."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fcntl import LOCK_EX, flock
from os import fsync
from pathlib import Path
from typing import TypeVar

from cryptography.x509 import Certificate

from gateway.delivery.certificates import Credentials, Trust, certificates, life
from gateway.delivery.client import Client, Limits
from gateway.delivery.client import Destination as Opened
from gateway.domain.destination import Destination
from gateway.domain.expiry import Life, lasting
from gateway.domain.firm import Firm
from gateway.domain.model import Certified
from gateway.errors import ConfigInvalid
from gateway.flows.visitor import now

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Held:
    """What a destination cannot do without, and how long it lasts. firm: whose own it is; "": it
    is shared. what: the field of the configuration. life: None: it cannot be read, see `fault`."""

    firm: str
    destination: str
    what: str
    life: Life | None
    fault: str = ""


class Receivers:
    """Clients, opened when they are first needed. A firm's own certificate goes before the
    destination's shared one, and the next takes over from one that has ended. Keys come by
    reference and are in no database and no log."""

    def __init__(
        self, destinations: Mapping[str, Destination], secret: Callable[[str], str]
    ) -> None:
        """secret: the value of a reference (gateway.settings)."""
        self._destinations, self._secret = destinations, secret
        self._read: dict[tuple[str, str], list[Credentials]] = {}
        self._opened: dict[tuple[str, str], Client] = {}
        self._lock = asyncio.Lock()

    async def get(self, firm: Firm, name: str) -> Client:
        """The client for a firm's deliveries. Raises ConfigInvalid; operations must act."""
        destination = self._destinations.get(name)
        if destination is None:
            raise ConfigInvalid(f"no destination {name!r} is configured", field="destinations")
        async with self._lock:
            mine = self._valid(firm, name, destination)
            key = name, life(mine.certificate).mark
            if key not in self._opened:
                self._opened[key] = await Client.open(self._made(name, destination, mine))
            return self._opened[key]

    def _valid(self, firm: Firm, name: str, one: Destination) -> Credentials:
        """What speaks for a firm today. Raises ConfigInvalid."""
        of: Certified = firm if firm.pairs else one
        key = (firm.id, "") if firm.pairs else ("", name)
        if key not in self._read:
            self._read[key] = self._credentials(of)
        found = self._read[key]
        if not found:
            raise ConfigInvalid(f"no certificate for firm {firm.id}", field="certificate")
        at = now()
        valid = next((c for c in found if life(c.certificate).holds(at)), None)
        if valid is None:
            ended = all(life(c.certificate).end <= at for c in found)
            raise ConfigInvalid(
                f"our certificate {'has ended' if ended else 'is not valid yet'}",
                field="certificate",
            )
        return valid

    def _credentials(self, of: Certified) -> list[Credentials]:
        return [Credentials(self._secret(c), self._secret(k)) for c, k in of.pairs]

    def _made(self, name: str, one: Destination, credentials: Credentials) -> Opened:
        times = one.times.timing()
        return Opened(
            name=name,
            aanleveren=one.aanleveren,
            statusinformatie=one.statusinformatie,
            ophalen=one.ophalen,
            credentials=credentials,
            trust=self._trust(one),
            tls_ca=self._secret(one.tls_ca) if one.tls_ca else None,
            algorithm=one.algorithm,
            mtom=one.mtom,
            limits=Limits(total=times.total, skew=timedelta(seconds=times.skew)),
        )

    def _trust(self, one: Destination) -> Trust:
        return Trust(
            tuple(self._pinned(one)),
            tuple(self._reply_ca(one)),
            one.reply_oin,
        )

    def _pinned(self, one: Destination) -> list[Certificate]:
        return [
            c for r in one.reply_certificates for c in self._certificates(r, "reply_certificates")
        ]

    def _certificates(self, reference: str, field: str) -> list[Certificate]:
        return certificates(self._secret(reference), field) if reference else []

    def held(self, firms: Iterable[Firm]) -> Iterator[Held]:
        """Every certificate that filing leans on, read anew. Blocking."""
        for name, one in self._destinations.items():
            yield from _held("", name, "certificate", self._ours, one)
            yield from _held("", name, "reply_certificates", self._pinned, one)
            yield from _held("", name, "reply_ca", self._reply_ca, one, follow=False)
            yield from _held("", name, "tls_ca", self._tls_ca, one, follow=False)
        for firm in firms:
            yield from _held(firm.id, "", "certificate", self._ours, firm)

    def _ours(self, of: Certified) -> list[Certificate]:
        return [c.certificate for c in self._credentials(of)]

    def _reply_ca(self, one: Destination) -> list[Certificate]:
        return self._certificates(one.reply_ca, "reply_ca")

    def _tls_ca(self, one: Destination) -> list[Certificate]:
        return self._certificates(one.tls_ca, "tls_ca")

    async def aclose(self) -> None:
        """Close them all."""
        for client in self._opened.values():
            await client.close()


def _held(
    firm: str, name: str, what: str, read: Callable[[C], list[Certificate]], of: C, *,
    follow: bool = True,
) -> Iterator[Held]:  # fmt: skip
    """follow: they take over from one another, and the last one counts; else each does, because
    nobody knows which of the CAs is the one that matters."""
    try:
        lives = [life(c) for c in read(of)]
    except ConfigInvalid as e:
        yield Held(firm, name, what, None, str(e))
        return
    if lives and follow:
        lives = [lasting(lives, now())]
    for one in lives:
        yield Held(firm, name, what, one)


class Guard:
    """Remembers outside the database how far the attempts had come: when the database knows
    fewer, an old backup was put back (trust.md case 26). file: None keeps no watch."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def remembered(self) -> int:
        """Number of the last attempt that was noted; 0 when none was."""
        if self._file is None or not self._file.exists():
            return 0
        text = self._file.read_text().strip()
        return int(text) if text.isdigit() else 0

    def note(self, number: int) -> None:
        """Note an attempt, durably, before its first byte leaves. Lanes and workers may note at
        once: the highest stays."""
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_suffix(".lock").open("w") as lock:
            flock(lock, LOCK_EX)
            if number <= self.remembered():
                return
            new = self._file.with_suffix(".new")
            with new.open("w") as out:
                out.write(str(number))
                out.flush()
                fsync(out.fileno())
            new.replace(self._file)
