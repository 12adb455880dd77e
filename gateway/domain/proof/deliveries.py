"""Whether a delivery is what the chain and the receiver's signed replies tell."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from gateway.domain.proof.contents import DeliverySaid, EventSaid, Proof
from gateway.domain.proof.findings import Finding, Signed

#: Events that end a delivery, and its state then.
_ENDS = {"delivery_final": "final_ok", "package_done": "final_ok",
         "delivery_failed": "final_failed", "package_failed": "final_failed"}  # fmt: skip


def check(
    proof: Proof, name: str, delivery: DeliverySaid, replies: Sequence[Signed] | None
) -> Iterator[Finding]:
    """One delivery. replies: what its good replies tell; None: they were not opened."""
    faults = list(_delivery_faults(proof, delivery))
    if replies is not None:
        faults += _reply_faults(delivery, replies)
    yield from (Finding(False, name, fault) for fault in faults)
    if not faults:
        yield Finding(True, name, f"aanleverkenmerk {delivery.aanleverkenmerk}, kenmerk"
                      f" {delivery.kenmerk or '-'}: {delivery.state}")  # fmt: skip


def _delivery_faults(proof: Proof, delivery: DeliverySaid) -> Iterator[str]:
    if delivery.manifest != proof.manifest.sha256:
        yield "it is of another manifest"
    mine = [e for e in proof.events if e.told.get("delivery") == delivery.id]
    sent = [e.told.get("message_id") for e in mine if e.event == "delivery_attempt"]
    if sent != [a.message_id for a in delivery.attempts]:
        yield "the attempts are not those that the chain tells"
    answered = {r.message_id for r in delivery.replies if r.kind == "aanleveren"}
    if not {a.message_id for a in delivery.attempts if a.outcome == "accepted"} <= answered:
        yield "the receiver's reply to an attempt is missing"
    if not answered <= set(sent):
        yield "there is a reply to what the chain does not tell was sent"
    kenmerken = [e.told.get("kenmerk") for e in mine if e.event == "delivery_accepted"]
    by_hand = any(e.event == "delivery_decided" for e in proof.events)
    if delivery.kenmerk not in (kenmerken or [None]) and not by_hand:
        yield "the chain tells another kenmerk"
    if any(s.kenmerk != delivery.kenmerk for s in delivery.statuses):
        yield "a status is of another kenmerk"
    if len({(s.code, s.at) for s in delivery.statuses}) < len(delivery.statuses):
        yield "a status stands there twice"
    missing = _told_statuses(mine) - Counter((s.code, s.fault) for s in delivery.statuses)
    if missing:
        yield f"status {', '.join(sorted(code for code, _ in missing))} is missing"
    ends = {_ENDS[e.event] for e in (*mine, *_packages(proof)) if e.event in _ENDS}
    if delivery.state not in ends and (ends or delivery.state in _ENDS.values()):
        yield f"the chain tells that it ended as {', '.join(ends) or 'nothing'}"


def _packages(proof: Proof) -> list[EventSaid]:
    """What a fiscal package told; these events name the stuk and not the delivery."""
    return [e for e in proof.events if e.event.startswith("package_")]


def _told_statuses(events: Iterable[EventSaid]) -> Counter[tuple[str, str]]:
    """Code and fault of the statuses that the events tell, and how many times."""
    found = (e.told for e in events if e.event == "delivery_status")
    return Counter((str(t.get("code")), str(t.get("fault"))) for t in found)


def _reply_faults(delivery: DeliverySaid, replies: Sequence[Signed]) -> Iterator[str]:
    """replies: what is in those that are good."""
    for reply in replies:
        if reply.kenmerk not in ("", delivery.kenmerk):  # no status told: no kenmerk
            yield f"the receiver signed kenmerk {reply.kenmerk}"
        if reply.aanleverkenmerk not in ("", delivery.aanleverkenmerk):
            yield f"the receiver signed aanleverkenmerk {reply.aanleverkenmerk}"
        if reply.berichtsoort not in ("", delivery.berichtsoort):
            yield f"the receiver signed berichtsoort {reply.berichtsoort}"
        for status in reply.statuses:
            if status not in delivery.statuses:
                yield f"the receiver signed status {status.code}, which is not in the file"
    signed = {s for r in replies for s in r.statuses}
    for status in delivery.statuses:
        if status not in signed:
            yield f"the receiver signed no such status {status.code}"
