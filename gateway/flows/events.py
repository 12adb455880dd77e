"""What packages hear: how a stuk stands, and what happened since they last asked."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from gateway.domain.firm import Firm
from gateway.domain.package import EVENTS
from gateway.domain.sbr import Statusmelding
from gateway.domain.stuk import LABELS
from gateway.flows.portal import Portal
from gateway.store import deliveries, events, persons, stukken
from gateway.store.database import Connection
from gateway.store.deliveries import Delivery
from gateway.store.events import Event
from gateway.store.stukken import Akkoord, PartRow, Stuk

#: Events of one answer, and seconds between two looks of a long poll.
MOST, LOOK = 500, 0.5
#: Seconds that a long poll may take.
LONGEST = 25.0
#: Members of an event's data that a package may read; the rest is sealed or our own.
_SHOWN = frozenset(
    {"manifest", "soort", "by", "replaces", "kenmerk", "code", "fault", "outcome", "why"}
)


@dataclass(frozen=True, slots=True)
class Given:
    """An approval or rejection that counts. username: whose. reason: of a rejection."""

    akkoord: Akkoord
    username: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sent:
    """One delivery with the statuses of its receiver."""

    delivery: Delivery
    statuses: Sequence[Statusmelding]


@dataclass(frozen=True, slots=True)
class Told:
    """A stuk as a package hears of it. names: of the parts, in their order."""

    stuk: Stuk
    parts: Sequence[PartRow]
    names: Sequence[str]
    given: Sequence[Given]
    sent: Sequence[Sent]


async def status(portal: Portal, firm: Firm, id: UUID) -> Told | None:
    """How a stuk stands; None when there is none."""
    async with portal.db.tenant(firm.id) as c:
        stuk = await stukken.find(c, id)
        if stuk is None:
            return None
        parts = await stukken.parts(c, id)
        given = [await _given(portal, c, a) for a in await stukken.akkoorden(c, id)]
        sent = [
            Sent(d, await deliveries.statuses(c, d.id)) for d in await deliveries.of_stuk(c, id)
        ]
    names = [portal.keys.open("name", p.name_sealed) for p in parts]
    return Told(stuk, parts, names, given, sent)


async def _given(portal: Portal, c: Connection, akkoord: Akkoord) -> Given:
    person = await persons.by_id(c, akkoord.person)
    sealed = akkoord.reason_sealed
    reason = portal.keys.open("reason", sealed) if sealed else ""
    return Given(akkoord, person.username if person else "", reason)


def standing(told: Told) -> dict[str, Any]:
    """A stuk as it goes over the wire and into a return message (api.models.StukUit)."""
    stuk, shown = told.stuk, LABELS[told.stuk.state]
    return {
        "id": str(stuk.id),
        "klant": stuk.klant,
        "soort": stuk.soort,
        "jaar": stuk.jaar,
        "periode": stuk.periode,
        "deadline": _at(stuk.deadline),
        "staat": str(stuk.state),
        "omschrijving": shown.label,
        "aan_zet": str(shown.actor),
        "manifest": stuk.manifest,
        "vervangt": str(stuk.replaces) if stuk.replaces else None,
        "klaargezet_door": stuk.put_up_by,
        "klaargezet": _at(stuk.created_at),
        "gewijzigd": _at(stuk.changed_at),
        "onderdelen": [
            {"nummer": p.number, "rol": str(p.role), "naam": n, "lengte": p.length,
             "sha256": p.sha256}
            for p, n in zip(told.parts, told.names, strict=True)
        ],
        "akkoorden": [
            {"gebruikersnaam": g.username, "handeling": g.akkoord.act, "op": _at(g.akkoord.at),
             "bevestigd": _at(g.akkoord.confirmed_at), "manifest": g.akkoord.manifest,
             "reden": g.reason}
            for g in told.given
        ],
        "verzendingen": [
            {"bestemming": s.delivery.destination, "ontvanger": s.delivery.receiver,
             "staat": str(s.delivery.state), "kenmerk": s.delivery.kenmerk,
             "aanleverkenmerk": s.delivery.aanleverkenmerk,
             "statussen": [_status(m) for m in s.statuses]}
            for s in told.sent
        ],
    }  # fmt: skip


def _status(melding: Statusmelding) -> dict[str, Any]:
    return {
        "code": melding.statuscode,
        "op": _at(melding.tijdstempel),
        "omschrijving": melding.omschrijving,
        "foutcode": melding.foutcode or "",
        "foutbeschrijving": melding.foutbeschrijving or "",
    }


def _at(moment: date | datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


async def since(
    portal: Portal, firm: Firm, number: int, *, most: int = MOST, wait: float = 0.0
) -> list[Event]:
    """The next events after a number, oldest first. wait: seconds to wait for the first one,
    `LONGEST` at the most."""
    clock = asyncio.get_running_loop().time
    end = clock() + min(wait, LONGEST)
    while True:
        async with portal.db.tenant(firm.id) as c:
            found = await events.since(c, number, sorted(EVENTS), min(most, MOST))
        left = end - clock()
        if found or left <= 0:
            return found
        await asyncio.sleep(min(LOOK, left))


async def newest(portal: Portal, firm: Firm) -> int:
    """The number to ask from for what happens from now on."""
    async with portal.db.tenant(firm.id) as c:
        return await events.last(c)


def told(event: Event) -> dict[str, Any]:
    """An event as it goes over the wire, asked for or sent (api.models.GebeurtenisUit)."""
    return {
        "nummer": event.number,
        "gebeurtenis": event.event,
        "stuk": str(event.stuk),
        "klant": event.klant,
        "op": event.at.isoformat(),
        "staat": event.state,
        "gegevens": {k: v for k, v in event.data.items() if k in _SHOWN},
    }
