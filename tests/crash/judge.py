"""The judge: the simulator's ledger against what was approved, and the invariants I1 to I6.

The ledger is another program's, durable and append-only; what the gateway believes of itself
counts for nothing here but to be compared with it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

_DELIVERIES = """
select d.id, d.state, d.kenmerk, d.aanleverkenmerk, d.channel, d.trouble_text, d.ask_from,
       s.id as stuk, s.state as stuk_state, p.sha256,
       (d.manifest = s.manifest) as same
from delivery d join stuk s on s.firm = d.firm and s.id = d.stuk
join stuk_part p on p.firm = d.firm and p.stuk = d.stuk and p.role = 'instance'
"""
_EVENTS = """
select data->>'delivery' as delivery, event, count(*) as count from audit
where data ? 'delivery' group by 1, 2
"""
_ATTEMPTS = "select delivery, channel, outcome from attempt"
#: Rows of the audit that are not in the chain, or whose link is another than it should be.
_CHAIN = """
select (select count(*) from audit) - (select count(*) from chain)
     + (select count(*) from audit a join chain c on c.firm = a.firm and c.audit = a.id
        left join chain b on b.firm = c.firm and b.number = c.number - 1
        where c.digest <> audit_digest(a)
           or c.hash <> encode(sha256(convert_to(coalesce(b.hash, '') || c.digest, 'UTF8')),
                               'hex'))
"""
#: The worker has nothing more to do in these.
OVER = {"final_ok", "final_failed", "held_changed", "uncertain", "withdrawn"}
_STUK = {"final_ok": "akkoord_digipoort", "held_changed": "gewijzigd_na_akkoord"}


@dataclass
class Verdict:
    """What was found; each list has aanleverkenmerken or sentences. waiting: not sent, behind
    one in the same channel that a person has to decide."""

    deliveries: int = 0
    booked: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unapproved: list[str] = field(default_factory=list)
    uncertain: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong. What a person has to decide is not wrong, but is told."""
        return not (self.lost or self.twice or self.unapproved or self.broken)


async def judge(
    c: "asyncpg.Connection[asyncpg.Record]",
    bookings: Sequence[Mapping[str, Any]],
    tampered: Iterable[str] = (),
) -> Verdict:
    """c: as the owner, who sees every firm. tampered: aanleverkenmerken whose document was
    changed after the approval."""
    rows = {r["aanleverkenmerk"]: r for r in await c.fetch(_DELIVERIES)}
    verdict = Verdict(len(rows), len(bookings))
    counts = Counter(b["aanleverkenmerk"] for b in bookings)
    verdict.twice = [k for k, n in counts.items() if n > 1]
    spoiled = set(tampered)
    verdict.unapproved = [*_unapproved(rows, bookings, spoiled)]
    for key, row in rows.items():
        if _asks(row):
            verdict.uncertain.append(key)
        elif row["state"] == "queued" and not counts[key] and waits(row, rows.values()):
            verdict.waiting.append(key)
        elif not _ended_well(row, counts[key], key in spoiled):
            verdict.lost.append(f"{key}: {row['state']}, booked {counts[key]} times")
    verdict.broken = [
        *_kenmerken(rows, bookings),
        *_stukken(rows),
        *_attempts(rows, await c.fetch(_ATTEMPTS)),
        *_audit(rows, await c.fetch(_EVENTS), await c.fetch(_ATTEMPTS)),
    ]
    if wrong := await c.fetchval(_CHAIN):
        verdict.broken.append(f"I6: {wrong} rows of the chain are wrong")
    return verdict


def _unapproved(
    rows: Mapping[str, Any], bookings: Sequence[Mapping[str, Any]], tampered: set[str]
) -> Iterable[str]:
    """I3: each booked instance is the one that was approved."""
    for b in bookings:
        key = b["aanleverkenmerk"]
        row = rows.get(key)
        if row is None or b["inhoud"]["sha256"] != row["sha256"] or not row["same"]:
            yield f"{key}: other bytes than were approved"
        if key in tampered:
            yield f"{key}: changed after the approval, and sent"


def _ended_well(row: Any, booked: int, tampered: bool) -> bool:
    """I1: it ended as it had to."""
    if tampered:
        return bool(row["state"] == "held_changed" and not booked)
    return bool(row["state"] == "final_ok" and booked and row["kenmerk"])


def waits(row: Any, rows: Iterable[Any]) -> bool:
    """Whether its channel is held by a delivery that a person has to decide (I5)."""
    return any(r["channel"] == row["channel"] and r["state"] == "uncertain" for r in rows)


def _kenmerken(rows: Mapping[str, Any], bookings: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """I4: a kenmerk is of a booking of this very delivery.

    A receiver that answers with another's kenmerk is believed while that is not known here; then
    the other delivery finds it taken, and a person is asked.
    """
    owner = {b["kenmerk"]: b["aanleverkenmerk"] for b in bookings}
    for key, row in rows.items():
        of = owner.get(row["kenmerk"], "nobody")
        if row["kenmerk"] and of != key and not _asks(rows.get(of)):
            yield f"I4: {key} has the kenmerk of {of}"


def _asks(row: Any) -> bool:
    """Whether it was left to a person, with a reason."""
    return row is not None and row["state"] == "uncertain" and bool(row["trouble_text"])


def _stukken(rows: Mapping[str, Any]) -> Iterable[str]:
    """The stuk tells what its delivery tells."""
    for key, row in rows.items():
        if (meant := _STUK.get(row["state"])) and row["stuk_state"] != meant:
            yield f"I1: {key} is {row['state']}, its stuk {row['stuk_state']}"


def _attempts(rows: Mapping[str, Any], attempts: Sequence[Any]) -> Iterable[str]:
    """I5: one is open in a channel at the most, and none of what ended."""
    states = {r["id"]: r["state"] for r in rows.values()}
    still = [a for a in attempts if a["outcome"] is None]
    for channel, count in Counter(a["channel"] for a in still).items():
        if count > 1:
            yield f"I5: {count} attempts are open in {channel}"
    for a in still:
        if (state := states[a["delivery"]]) not in ("attempt", "uncertain"):
            yield f"I5: an attempt is open of a delivery that is {state}"


def _audit(
    rows: Mapping[str, Any], events: Sequence[Any], attempts: Sequence[Any]
) -> Iterable[str]:
    """I6: as many rows in the audit as there were changes."""
    told = {(e["delivery"], e["event"]): e["count"] for e in events}
    made = Counter(a["delivery"] for a in attempts)
    for key, row in rows.items():
        id = str(row["id"])
        meant = {
            "delivery_attempt": made[row["id"]],
            "delivery_accepted": int(row["kenmerk"] is not None),
            "delivery_final": int(row["state"] == "final_ok"),
            "delivery_held_changed": int(row["state"] == "held_changed"),
        }
        for event, count in meant.items():
            if told.get((id, event), 0) != count:
                yield f"I6: {key}: {event} {told.get((id, event), 0)} times, not {count}"
