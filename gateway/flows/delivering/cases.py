"""What a step of delivering works with, and what it reads first."""

import json
from dataclasses import dataclass
from uuid import UUID

from gateway.domain import delivery as rules
from gateway.domain.delivery import Timing
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.sbr import Identiteit
from gateway.domain.soort import Soort
from gateway.flows.portal import Portal
from gateway.flows.receivers import Guard, Receivers
from gateway.store import deliveries, klanten, stukken
from gateway.store.deliveries import Delivery
from gateway.store.stukken import PartRow, Stuk


@dataclass(frozen=True, slots=True)
class Works:
    """What the worker delivers with. operations: address that hears of shared certificates."""

    portal: Portal
    receivers: Receivers
    guard: Guard
    operations: str = ""

    def timing(self, delivery: Delivery) -> Timing:
        """The times of its destination."""
        one = self.portal.destinations.get(delivery.destination)
        return one.times.timing() if one else Timing()


@dataclass(frozen=True, slots=True)
class Case:
    """A delivery with all that belongs to it, as read at the beginning of a step. watch: it is
    time to look whether an attempt that seemed lost came late."""

    firm: Firm
    delivery: Delivery
    stuk: Stuk
    soort: Soort
    klant: Klant
    rows: tuple[PartRow, ...]
    identity: Identiteit
    timing: Timing
    watch: bool


async def read(works: Works, firm: Firm, id: UUID) -> Case | None:
    """What is known of it now; None when nothing is due any more."""
    portal = works.portal
    async with portal.db.tenant(firm.id) as c:
        delivery = await deliveries.find(c, id)
        if delivery is None:
            return None
        now = await deliveries.now(c)
        watch = delivery.watch_at is not None and delivery.watch_at <= now
        if not watch and (delivery.state not in rules.WORKING or delivery.due_at > now):
            return None
        stuk = await stukken.find(c, delivery.stuk)
        klant = await klanten.find(c, stuk.klant) if stuk else None
        soort = firm.soorten.get(stuk.soort) if stuk else None
        if stuk is None or klant is None or soort is None:
            return None
        rows = await stukken.parts(c, stuk.id)
    type, number = ("", "")
    if stuk.identity_sealed is not None:
        type, number = json.loads(portal.keys.open("identity", stuk.identity_sealed))
    return Case(
        firm, delivery, stuk, soort, klant, tuple(rows), Identiteit(number, type),
        works.timing(delivery), watch,
    )  # fmt: skip
