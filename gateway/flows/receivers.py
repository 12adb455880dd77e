"""The clients of Digipoort and the banks, one for each destination and certificate."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from fcntl import LOCK_EX, flock
from os import fsync
from pathlib import Path

from gateway.delivery.certificates import Credentials, Trust, certificates, expiry
from gateway.delivery.client import Client, Limits
from gateway.delivery.client import Destination as Opened
from gateway.domain.destination import Destination
from gateway.domain.firm import Firm
from gateway.errors import ConfigInvalid
from gateway.flows.visitor import now


class Receivers:
    """Clients, opened when they are first needed. A firm's own certificate goes before the
    destination's shared one. Keys come by reference and are in no database and no log."""

    def __init__(
        self, destinations: Mapping[str, Destination], secret: Callable[[str], str]
    ) -> None:
        """secret: the value of a reference (gateway.settings)."""
        self._destinations, self._secret = destinations, secret
        self._opened: dict[tuple[str, str], Client] = {}
        self._lock = asyncio.Lock()

    async def get(self, firm: Firm, name: str) -> Client:
        """The client for a firm's deliveries. Raises ConfigInvalid; operations must act."""
        destination = self._destinations.get(name)
        if destination is None:
            raise ConfigInvalid(f"no destination {name!r} is configured", field="destinations")
        own = bool(firm.certificate and firm.private_key)
        key = name, firm.id if own else ""
        async with self._lock:
            if key not in self._opened:
                self._opened[key] = await Client.open(self._made(firm, name, destination))
            opened = self._opened[key]
        if expiry(opened.destination.credentials) <= now():
            raise ConfigInvalid("our certificate has ended", field="certificate")
        return opened

    def _made(self, firm: Firm, name: str, one: Destination) -> Opened:
        times = one.times.timing()
        return Opened(
            name=name,
            aanleveren=one.aanleveren,
            statusinformatie=one.statusinformatie,
            ophalen=one.ophalen,
            credentials=self.credentials(firm, one),
            trust=self._trust(one),
            tls_ca=self._secret(one.tls_ca) if one.tls_ca else None,
            algorithm=one.algorithm,
            mtom=one.mtom,
            limits=Limits(total=times.total, skew=timedelta(seconds=times.skew)),
        )

    def credentials(self, firm: Firm, one: Destination) -> Credentials:
        """The certificate and key that speak for a firm. Raises ConfigInvalid."""
        own = firm.certificate, firm.private_key
        certificate, key = own if all(own) else (one.certificate, one.private_key)
        if not (certificate and key):
            raise ConfigInvalid(f"no certificate for firm {firm.id}", field="certificate")
        return Credentials(self._secret(certificate), self._secret(key))

    def _trust(self, one: Destination) -> Trust:
        pinned = "\n".join(self._secret(r) for r in one.reply_certificates)
        ca = self._secret(one.reply_ca) if one.reply_ca else ""
        return Trust(
            tuple(certificates(pinned, "reply_certificates")) if pinned else (),
            tuple(certificates(ca, "reply_ca")) if ca else (),
            one.reply_oin,
        )

    async def aclose(self) -> None:
        """Close them all."""
        for client in self._opened.values():
            await client.close()


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
