"""Keys of back-office packages: made, shown once, rotated with overlap, ended; and who calls."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from gateway.domain import keys, package
from gateway.domain.firm import Firm
from gateway.domain.package import Scope
from gateway.domain.wire import NOT_ONE_LINE, one_line
from gateway.errors import Denied, Invalid
from gateway.flows.portal import Portal
from gateway.flows.visitor import now
from gateway.store import audit, packages
from gateway.store.packages import Key

#: How long the old keys of a package go on after a new one was made.
OVERLAP = timedelta(days=14)
#: How often it is written down that a key is used (store.packages.used).
NOTED = timedelta(minutes=1)
NO_SHA256 = "Dit is geen SHA-256: 64 hexadecimale cijfers, met of zonder dubbele punten."
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Caller:
    """A package that was recognised. by: how its acts are recorded."""

    firm: Firm
    package: UUID
    name: str
    key: UUID
    scopes: frozenset[Scope]

    @property
    def by(self) -> str:
        """As it stands in the audit."""
        return f"pakket:{self.name}"

    def needs(self, scope: Scope) -> None:
        """Raises Denied when its key does not allow that."""
        if scope not in self.scopes:
            raise Denied(f"this key does not have the scope {scope}")


async def make(
    portal: Portal,
    firm: Firm,
    name: str,
    scopes: Iterable[Scope],
    *,
    lifetime: timedelta | None = None,
    overlap: timedelta | None = None,
    certificate: str = "",
) -> str:
    """A new key for a package, in clear: it is shown once. Raises Invalid.

    overlap: how long the package's other keys go on; None: they are left as they are, 0: they end.
    certificate: SHA-256 (hex) of the client certificate that has to come with it.
    """
    scopes, name = frozenset(scopes), " ".join(name.split())
    faults = {} if scopes else {"scopes": f"Kies ten minste één van {', '.join(Scope)}."}
    if not 0 < len(name) <= 80:
        faults["name"] = "Een naam heeft 1 tot 80 tekens."
    elif not one_line(name):
        faults["name"] = NOT_ONE_LINE
    digits = certificate.replace(":", "")
    if certificate and not _SHA256.fullmatch(digits):
        faults["certificate"] = NO_SHA256
    if faults:
        raise Invalid(faults)
    text = package.new_key(firm.id)
    async with portal.db.tenant(firm.id) as c:
        of = await packages.put(c, firm.id, name)
        ends = now() + lifetime if lifetime else None
        digest = keys.fingerprint(text)
        id = await packages.add_key(c, firm.id, of, digest, sorted(scopes), ends, digits.lower())
        if overlap is not None:
            await packages.end_keys(c, of, now() + overlap, but=id)
        await audit.record(
            c, "package_key_made", firm=firm.id, subject=f"package:{of}",
            data={"key": str(id), "scopes": sorted(scopes)},
        )  # fmt: skip
    return text


async def known(portal: Portal, firm: Firm) -> list[Key]:
    """Every key of a firm: what it allows, and when it was used last."""
    async with portal.db.tenant(firm.id) as c:
        return await packages.keys(c)


async def end(portal: Portal, firm: Firm, key: UUID) -> None:
    """A key opens nothing any more, from now on. Raises Invalid."""
    async with portal.db.tenant(firm.id) as c:
        if not await packages.end_key(c, key):
            raise Invalid({"key": "Er is geen sleutel met dat nummer."})
        await audit.record(c, "package_key_ended", firm=firm.id, data={"key": str(key)})


async def recognise(portal: Portal, text: str, certificate: str = "") -> Caller | None:
    """Who calls with this key; None: nobody that we know.

    certificate: SHA-256 (hex) of the client certificate that came with the connection.
    """
    firm = portal.firms.get(package.firm_of(text) or "")
    if firm is None:
        return None
    async with portal.db.tenant(firm.id) as c:
        key = await packages.key(c, keys.fingerprint(text))
        if key is None or (key.certificate and key.certificate != certificate):
            return None
        if key.used_at is None or now() - key.used_at > NOTED:
            await packages.used(c, key.id)
    return Caller(firm, key.package, key.name, key.id, key.scopes)
