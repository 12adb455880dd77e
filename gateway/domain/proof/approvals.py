"""Whether those approved who had to: over this manifest, with a code or on paper, and mandated."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from gateway.domain.accordering import ALL, Rule
from gateway.domain.proof.contents import ApprovalSaid, EventSaid, Proof
from gateway.domain.proof.findings import Finding
from gateway.domain.stuk import State

_AMSTERDAM = ZoneInfo("Europe/Amsterdam")
#: Of these it is said that everybody who had to approve did.
_COMPLETE = {State.APPROVED, State.FILED, State.ACCEPTED, State.DONE, State.CHANGED, State.FAILED}
_CONFIRMS = {"approved": "stuk_confirmed", "rejected": "stuk_rejected",
             "paper": "stuk_approved_on_paper"}  # fmt: skip
#: A moment of the database's transaction and that of its audit row; seconds.
_TOGETHER = 120.0


def check(proof: Proof) -> Iterator[Finding]:
    """Each approval, and the rule over all of them."""
    yield from _approvals(proof)
    yield from _rule(proof)


def _approvals(proof: Proof) -> Iterator[Finding]:
    for number, approval in enumerate(proof.approvals):
        name = f"approvals.{number}"
        fault = _approval_fault(proof, approval)
        what = f"{approval.act} by {approval.username}"
        if fault:
            yield Finding(False, name, f"{what}: {fault}")
        elif approval.confirmed_at is None:
            yield Finding(True, name, f"{what}: not confirmed, so it does not count")
        else:
            yield Finding(True, name, f"{what} on {approval.confirmed_at}, over this manifest")


def _approval_fault(proof: Proof, approval: ApprovalSaid) -> str:
    """Why it is not an approval of this stuk; "" when it is."""
    if approval.manifest != proof.manifest.sha256:
        return "it is over another manifest"
    if (approval.code is None) != (approval.act == "paper" or approval.confirmed_at is None):
        return "it has no code, or one that does not belong there"
    purpose = "rejecting" if approval.act == "rejected" else "approving"
    if approval.code is not None and approval.code.purpose != purpose:
        return "the code was for something else"
    if (approval.recorded_by != "") != (approval.act == "paper"):
        return "it is not clear who recorded it"
    if not any(_tells(e, approval) for e in proof.events):
        return "no event in the chain tells of it"
    return _mandate_fault(proof, approval)


def _tells(event: EventSaid, approval: ApprovalSaid) -> bool:
    """Whether an event in the chain is this approval's."""
    person, told = event.person == approval.person, event.told
    if approval.confirmed_at is None:
        return event.event == "stuk_approved" and person
    if event.event != _CONFIRMS[approval.act] or not _together(event.at, approval.confirmed_at):
        return False
    if approval.act == "paper":  # the firm recorded it; older events name only who did that
        return event.person in (None, approval.person) and told.get("by") == approval.recorded_by
    code = told.get("code", None if approval.code is None else approval.code.id)
    return person and (told.get("manifest"), code) == (
        approval.manifest,
        None if approval.code is None else approval.code.id,
    )


def _together(event: str, written: str) -> bool:
    """Whether an event tells of what was written at a moment."""
    apart = datetime.fromisoformat(event) - datetime.fromisoformat(written)
    return abs(apart.total_seconds()) <= _TOGETHER


def _mandate_fault(proof: Proof, approval: ApprovalSaid) -> str:
    """A paper consent needs none: the firm answers for it."""
    held = approval.mandate
    if approval.act == "paper":
        return ""
    if held is None:
        return "without a mandate"
    begin, end = held.since, held.until or "9999-12-31"
    at = datetime.fromisoformat(approval.confirmed_at or approval.at)
    on = at.astimezone(_AMSTERDAM).date().isoformat()
    if held.soort not in (ALL, proof.stuk.soort) or not begin <= on <= end:
        return "the mandate does not hold for this soort and day"
    return ""


def _rule(proof: Proof) -> Iterator[Finding]:
    """Whether those who had to approve did, in the order of the rule."""
    if proof.stuk.route == "inzage":
        return
    try:
        rule = Rule.from_json([g.model_dump() for g in proof.rule])
        given = [a for a in proof.approvals if a.act != "rejected" and a.confirmed_at]
        complete = not rule.faults() and rule.complete([UUID(a.person) for a in given])
    except ValueError:
        yield Finding(False, "rule", "a person in it is not a person")
        return
    if complete:
        yield Finding(True, "rule", "everybody who had to approve did")
    elif proof.deliveries or proof.stuk.state in _COMPLETE:
        yield Finding(False, "rule", "the approvals do not satisfy it")
    else:
        yield Finding(True, "rule", "not everybody who has to approve did, and nothing was sent")
