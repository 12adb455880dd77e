"""Rejecting, with a reason and a code; the firm is told at once."""

import hashlib
from uuid import UUID

from gateway.domain.code import SENDS, Purpose
from gateway.domain.stuk import State
from gateway.errors import Invalid
from gateway.flows import codes, filing, notices
from gateway.flows.accordering.approving import ready
from gateway.flows.accordering.tasks import record, soort_of
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor, now
from gateway.store import audit, persons, stukken
from gateway.store.stukken import Stuk

#: Letters that a reason for rejecting has at the least and at the most.
REASON = (10, 2000)
NO_REASON = "Geef een reden van ten minste 10 tekens. Uw accountant leest die."


def _rejection(stuk: Stuk, reason: str) -> str:
    """What the code of a rejection is bound to: the stuk, and the words of the reason."""
    return hashlib.sha256(f"afkeuren|{stuk.id}|{stuk.manifest}|{reason}".encode()).hexdigest()


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not REASON[0] <= len(reason) <= REASON[1]:
        raise Invalid({"reden": NO_REASON})
    return reason


async def ask_rejection(
    portal: Portal, visitor: Visitor, id: UUID, manifest: str, reason: str, *, again: bool = False
) -> None:
    """ "afkeuren": send the code that confirms it. again: also when one was sent already.

    Raises Denied, Stale, Invalid, TooMany.
    """
    words = _reason(reason)
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await ready(c, visitor, id, manifest)
    subject = _rejection(stuk, words)
    state = await codes.resend_state(portal, visitor, Purpose.REJECTING, subject)
    if again or state.left == SENDS:
        soort = soort_of(visitor.firm, stuk)
        await codes.send(
            portal,
            visitor,
            Purpose.REJECTING,
            lambda code, language: filing.rejection(
                visitor.firm, code, language, f"{soort.short.in_(language)} {stuk.tijdvak}"
            ),
            subject,
        )


async def reject(
    portal: Portal, visitor: Visitor, id: UUID, manifest: str, reason: str, *boxes: str
) -> Stuk:
    """Reject it for good: the firm is told the reason at once. Raises Denied, Stale, Invalid."""
    words = _reason(reason)
    given = codes.entered(*boxes)
    moment = now()
    async with portal.db.tenant(visitor.firm.id) as c:
        person = await persons.by_id(c, visitor.person_id, lock=True)
        stuk = await ready(c, visitor, id, manifest)
        tried = await codes.try_one(
            portal, c, visitor, Purpose.REJECTING, _rejection(stuk, words), given, moment
        )
        if person is not None and tried.good and await codes.use(c, tried, moment):
            await stukken.approve(
                c, visitor.firm.id, stuk, visitor.person_id, act="rejected", code=tried.id,
                reason_sealed=portal.keys.seal("reason", words), confirmed=True,
            )  # fmt: skip
            await stukken.move(c, stuk, State.REJECTED)
            await record(c, visitor, stuk, "stuk_rejected", manifest=manifest)
            await notices.to_office(
                portal, c, visitor.firm, stuk, "stuk_rejected_office",
                person=person.name, reason=words,
            )  # fmt: skip
            return stuk
        await audit.record(c, "code_wrong", firm=visitor.firm.id, person=visitor.person_id)
    raise Invalid({"code1": tried.wrong})
