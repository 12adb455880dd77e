"""All that the page of one stuk tells: its parts, who approved, what happened, what to pay."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from gateway.domain.firm import Firm
from gateway.domain.payment import Payment, Receiver
from gateway.domain.sbr import Statusmelding
from gateway.domain.stuk import Role, State
from gateway.flows.accordering.tasks import Task, find, task_of
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor
from gateway.store import deliveries, persons, stukken
from gateway.store.deliveries import Delivery
from gateway.store.stukken import Akkoord, PartRow, Stuk

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PartShown:
    """A part as the page shows it. seen: this visitor has got it to its last byte."""

    row: PartRow
    name: str
    seen: bool


@dataclass(frozen=True, slots=True)
class Detail:
    """All that the page of one stuk tells."""

    task: Task
    parts: tuple[PartShown, ...]
    akkoorden: tuple[Akkoord, ...]
    names: Mapping[UUID, str]
    opmerking: str
    deliveries: tuple[Delivery, ...]
    banks: tuple[str, ...] = field(default=())

    @property
    def may_act(self) -> bool:
        """Whether the buttons "goedkeuren" and "afkeuren" do something."""
        return self.task.mine and all(p.seen for p in self.parts)


async def detail(portal: Portal, visitor: Visitor, id: UUID) -> Detail:
    """One stuk. Raises Denied."""
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await find(c, visitor, id)
        task = await task_of(c, visitor, stuk)
        rows = await stukken.parts(c, id)
        seen = await stukken.seen(c, id, visitor.person_id)
        given = await stukken.akkoorden(c, id)
        people = {a.person: await persons.by_id(c, a.person) for a in given}
        found = await deliveries.of_stuk(c, id)
        chosen = await stukken.banks(c, id)
    return Detail(
        task,
        tuple(
            PartShown(r, portal.keys.open("name", r.name_sealed), (r.number, r.sha256) in seen)
            for r in rows
        ),
        tuple(given),
        {id: p.name for id, p in people.items() if p is not None},
        portal.keys.open("opmerking", stuk.opmerking_sealed) if stuk.opmerking_sealed else "",
        tuple(found),
        tuple(chosen),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the Geschiedenis. who: the name, or "" for the portal itself."""

    at: datetime
    event: str
    who: str


async def history(portal: Portal, visitor: Visitor, id: UUID) -> list[Event]:
    """The Geschiedenis of a stuk, the newest first. Raises Denied."""
    async with portal.db.tenant(visitor.firm.id) as c:
        await find(c, visitor, id)
        rows = await stukken.history(c, id)
    return [Event(r["at"], r["event"], r["name"] or "") for r in reversed(rows)]


async def statuses(portal: Portal, visitor: Visitor, found: Detail) -> list[Statusmelding]:
    """What the receivers told, by their clocks."""
    async with portal.db.tenant(visitor.firm.id) as c:
        told = [await deliveries.statuses(c, d.id) for d in found.deliveries]
    return sorted((s for some in told for s in some), key=lambda s: s.tijdstempel)


def figures(portal: Portal, stuk: Stuk) -> list[tuple[str, str, Decimal]]:
    """The figures that matter: Dutch label, English label, amount. None of what was taken back: it
    may be another klant's."""
    if stuk.summary_sealed is None or stuk.state is State.WITHDRAWN:
        return []
    rows = json.loads(portal.keys.open("summary", stuk.summary_sealed))
    return [(nl, en, Decimal(amount)) for nl, en, amount in rows]


def to_pay(portal: Portal, firm: Firm, stuk: Stuk) -> Payment | None:
    """What the client is to pay, once the stuk is on its way; None when nothing is."""
    soort = firm.soorten.get(stuk.soort)
    on_its_way = stuk.state in (State.APPROVED, State.FILED, State.ACCEPTED, State.DONE)
    if stuk.payment_sealed is None or soort is None or soort.payee is None or not on_its_way:
        return None
    amount, kenmerk, day = json.loads(portal.keys.open("payment", stuk.payment_sealed))
    payee = Receiver(soort.payee.name, soort.payee.iban, soort.payee.bic)
    return Payment(Decimal(amount), kenmerk, payee, date.fromisoformat(day) if day else None)


def instance_of(rows: Sequence[PartShown]) -> PartShown | None:
    """The XBRL instance among the parts."""
    return next((p for p in rows if p.row.role is Role.INSTANCE), None)


async def in_thread(work: Callable[[], T]) -> T:
    """Reading a large instance is not for the event loop."""
    return await asyncio.to_thread(work)
