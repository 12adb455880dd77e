"""Gathering a proof: what was approved, by whom, and what became of it; sealed."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway import __version__
from gateway.delivery import names
from gateway.delivery import verify as envelopes
from gateway.domain import chain as links
from gateway.domain.accordering import Mandate
from gateway.domain.chain import Row
from gateway.domain.code import Purpose
from gateway.domain.delivery import ENDED
from gateway.domain.firm import Firm
from gateway.domain.person import Person
from gateway.domain.proof import contents, seal
from gateway.domain.stuk import State
from gateway.errors import Denied, PortalError
from gateway.flows import auditing
from gateway.flows.portal import Portal
from gateway.flows.proof import replies
from gateway.flows.visitor import AMSTERDAM, Visitor, now
from gateway.store import chain, deliveries, persons, stukken
from gateway.store.database import Connection, Record
from gateway.store.deliveries import Delivery
from gateway.store.stukken import Akkoord, Stuk


class ChainBroken(PortalError):
    """An event of the stuk does not stand in the chain; look with `gateway audit verify`."""


async def bundle(portal: Portal, who: Visitor | Firm, id: UUID) -> dict[str, Any]:
    """The proof of a stuk as JSON, sealed. who: a visitor, for stukken of his klanten; or the
    firm. Raises Denied, ChainBroken."""
    firm = who.firm if isinstance(who, Visitor) else who
    async with chain.snapshot(portal.db, firm.id) as c:
        stuk = await stukken.find(c, id)
        if stuk is None or not _may(who, stuk):
            raise Denied
        found = await chain.of_subject(c, f"stuk:{id}")
        events = [(number, row) for number, row in found if number is not None]
        if len(events) != len(found):
            raise ChainBroken
        content = {
            **_head(portal, firm, stuk),
            "parts": [_part(portal, p) for p in await stukken.parts(c, id)],
            "approvals": await _approvals(portal, c, stuk, [row for _, row in events]),
            "banks": await stukken.banks(c, id),
            "deliveries": [await _delivery(c, d) for d in await deliveries.of_stuk(c, id)],
            "events": [_event(number, row) for number, row in events],
        }
    content["chain"] = await _chain(portal, firm, [number for number, _ in events])
    return seal.sealed(content, links.private_key(portal.keys))


def _may(who: Visitor | Firm, stuk: Stuk) -> bool:
    if isinstance(who, Firm):
        return True
    return stuk.state is not State.CONCEPT and any(k.number == stuk.klant for k in who.klanten)


def _head(portal: Portal, firm: Firm, stuk: Stuk) -> dict[str, Any]:
    soort = firm.soorten.get(stuk.soort)
    return {
        "format": contents.FORMAT,
        "version": contents.VERSION,
        "made_at": links.moment(now()),
        "product": {"name": portal.product, "version": __version__},
        "firm": {"id": firm.id, "name": firm.name},
        "klant": {"number": stuk.klant, "name": stuk.klant_name},
        "stuk": {
            "id": str(stuk.id),
            "soort": stuk.soort,
            "titel": soort.title.nl if soort else stuk.soort,
            "jaar": stuk.jaar,
            "periode": stuk.periode,
            "deadline": stuk.deadline and stuk.deadline.isoformat(),
            "route": str(stuk.route),
            "state": str(stuk.state),
            "put_up_by": stuk.put_up_by,
            "created_at": links.moment(stuk.created_at),
            "replaces": stuk.replaces and str(stuk.replaces),
        },
        "rule": stuk.rule.to_json(),
        "manifest": {"sha256": stuk.manifest, "how": contents.HOW},
    }


def _part(portal: Portal, row: stukken.PartRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "role": str(row.role),
        "name": portal.keys.open("name", row.name_sealed),
        "media_type": row.media_type,
        "length": row.length,
        "sha256": row.sha256,
    }


def _event(number: int, row: Row) -> dict[str, Any]:
    return {
        "number": number,
        "id": row.id,
        "at": row.at,
        "event": row.event,
        "person": row.person,
        "klant": row.klant,
        "subject": row.subject,
        "request": row.request,
        "data": row.data,
        "digest": links.digest(row),
    }


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else links.moment(moment)


# --- who approved


async def _approvals(
    portal: Portal, c: Connection, stuk: Stuk, events: Sequence[Row]
) -> list[dict[str, Any]]:
    given = await stukken.akkoorden(c, stuk.id)
    held = await chain.mandates(c, stuk.klant, [a.person for a in given])
    return [
        {
            **_approval(portal, a, await persons.by_id(c, a.person)),
            "mandate": _mandate(held, stuk, a),
            "recorded_by": _recorded_by(events, a),
        }
        for a in given
    ]


def _approval(portal: Portal, a: Akkoord, person: Person | None) -> dict[str, Any]:
    purpose = Purpose.REJECTING if a.act == "rejected" else Purpose.APPROVING
    return {
        "id": str(a.id),
        "person": str(a.person),
        "name": person.name if person else "",
        "username": person.username if person else "",
        "act": a.act,
        "manifest": a.manifest,
        "at": links.moment(a.at),
        "confirmed_at": _at(a.confirmed_at),
        "code": None if a.code is None else {"id": str(a.code), "purpose": str(purpose)},
        "reason": portal.keys.open("reason", a.reason_sealed) if a.reason_sealed else "",
    }


def _mandate(
    held: Iterable[tuple[Mandate, datetime]], stuk: Stuk, a: Akkoord
) -> dict[str, Any] | None:
    """The first that held that day and was recorded by then; none is needed on paper."""
    at = a.confirmed_at or a.at
    day = at.astimezone(AMSTERDAM).date()
    mine = (m for m, recorded in held if m.person == a.person and recorded <= at)
    m = next((m for m in mine if m.holds(stuk.klant, stuk.soort, day)), None)
    if m is None or a.act == "paper":
        return None
    until = m.until and m.until.isoformat()
    return {"id": str(m.id), "soort": m.soort, "since": m.since.isoformat(), "until": until}


def _recorded_by(events: Iterable[Row], a: Akkoord) -> str:
    """Who recorded a paper consent, by the event nearest to it; older ones name no person."""
    if a.act != "paper":
        return ""
    recorded = [
        e
        for e in events
        if e.event == "stuk_approved_on_paper" and e.person in (None, str(a.person))
    ]
    at = a.confirmed_at or a.at
    nearest = min(recorded, key=lambda e: abs(datetime.fromisoformat(e.at) - at), default=None)
    return str(contents.told(nearest.data).get("by", "")) if nearest else ""


# --- what became of it


async def _delivery(c: Connection, d: Delivery) -> dict[str, Any]:
    return {
        "id": str(d.id),
        "kind": d.kind,
        "destination": d.destination,
        "receiver": d.receiver,
        "berichtsoort": d.berichtsoort,
        "aanleverkenmerk": d.aanleverkenmerk,
        "manifest": d.manifest,
        "state": str(d.state),
        "trouble": d.trouble_text or d.trouble,
        "kenmerk": d.kenmerk,
        "created_at": links.moment(d.created_at),
        "accepted_at": _at(d.accepted_at),
        "ended_at": _at(d.ended_at if d.state in ENDED else None),
        "attempts": [_attempt(r) for r in await deliveries.attempts(c, d.id)],
        "statuses": [replies.status(s).model_dump() for s in await deliveries.statuses(c, d.id)],
        "replies": [_reply(r) for r in await deliveries.replies(c, d.id)],
    }


def _attempt(row: Record) -> dict[str, Any]:
    return {
        "message_id": row["message_id"],
        "opened_at": links.moment(row["opened_at"]),
        "outcome": row["outcome"],
        "why": row["why"],
        "ended_at": _at(row["ended_at"]),
    }


def _reply(row: Record) -> dict[str, Any]:
    """A kept reply. It was kept because its certificate was trusted when it came."""
    root = envelopes.parse(row["envelope"].encode())
    token = root.find(f".//{{{names.WSSE}}}BinarySecurityToken")
    return {
        "kind": row["kind"],
        "message_id": row["message_id"],
        "received_at": links.moment(row["received_at"]),
        "envelope": row["envelope"],
        "certificate": "" if token is None else "".join((token.text or "").split()),
    }


async def _chain(portal: Portal, firm: Firm, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Pieces of the chain that hold these links, each up to the first checkpoint after it.

    Not one piece from the first event to the last: between putting up and the last status lie
    months, and a firm has many events. The numbers in the checkpoints give the order.
    """
    newest = await auditing.checkpoint(portal, firm)
    found: list[dict[str, Any]] = []
    async with portal.db.tenant(firm.id) as c:
        for number in numbers:
            if found and number <= found[-1]["checkpoint"]["number"]:
                continue
            made = newest and await chain.checkpoint_at(c, number, newest.key)
            if not made:
                raise ChainBroken
            before, digests = await chain.piece(c, number, made.number)
            said = {"number": made.number, "hash": made.hash, "at": made.at, "key": made.key,
                    "signature": made.signature}  # fmt: skip
            found.append(
                {"first": number, "before": before, "digests": digests, "checkpoint": said}
            )
    return found
