"""Approving, provisionally: until a code confirms it, it can be taken back."""

from collections.abc import Sequence
from uuid import UUID

from gateway.domain.stuk import OPEN, State
from gateway.errors import Invalid, Stale
from gateway.flows import filing
from gateway.flows.accordering.tasks import find, record, task_of
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor
from gateway.store import stukken
from gateway.store.database import Connection
from gateway.store.stukken import Stuk

NOT_SEEN = "Open eerst alle onderdelen van het document. Daarna kunt u goedkeuren of afkeuren."
CHANGED = "Het document is veranderd sinds u het opende. Bekijk het opnieuw."
NOT_OPEN = "Dit document wacht niet meer op uw akkoord."
NO_BANK = "Kies ten minste één bank die de rapportage mag krijgen."


async def approve(
    portal: Portal, visitor: Visitor, id: UUID, manifest: str, banks: Sequence[str] = ()
) -> None:
    """ "goedkeuren": from now on it is "klaar om te verzenden". manifest: of the page that was
    seen. banks: those that may get a kredietrapportage.

    Raises Denied, Stale when the page was another version, Invalid when it may not be yet.
    """
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await ready(c, visitor, id, manifest)
        await _choose_banks(portal, c, visitor, stuk, banks)
        await stukken.approve(c, visitor.firm.id, stuk, visitor.person_id, confirmed=False)
        await settle(c, stuk)
        await record(c, visitor, stuk, "stuk_approved", manifest=manifest)


async def ready(c: Connection, visitor: Visitor, id: UUID, manifest: str) -> Stuk:
    """The stuk, locked, which this visitor may approve or reject now."""
    stuk = await find(c, visitor, id, lock=True)
    task = await task_of(c, visitor, stuk)
    if stuk.state not in OPEN or not task.mine:
        raise Invalid({"akkoord": NOT_OPEN})
    if manifest != stuk.manifest:
        raise Stale(CHANGED)
    rows = await stukken.parts(c, id)
    if not {(r.number, r.sha256) for r in rows} <= await stukken.seen(c, id, visitor.person_id):
        raise Invalid({"akkoord": NOT_SEEN})
    return stuk


async def _choose_banks(
    portal: Portal, c: Connection, visitor: Visitor, stuk: Stuk, banks: Sequence[str]
) -> None:
    soort = visitor.firm.soorten.get(stuk.soort)
    if soort is None or not (soort.bank and soort.files):
        return
    chosen = [b for b in banks if b in filing.banks(portal)]
    if not chosen:
        raise Invalid({"bank": NO_BANK})
    await stukken.consent(c, visitor.firm.id, stuk.id, visitor.person_id, chosen)
    await record(c, visitor, stuk, "bank_consent", banks=chosen)


async def settle(c: Connection, stuk: Stuk) -> State:
    """The state that the approvals give, written when it is another."""
    given = [a for a in await stukken.akkoorden(c, stuk.id) if a.act != "rejected"]
    confirmed = [a.person for a in given if a.confirmed_at]
    if stuk.rule.complete(confirmed):
        new = State.APPROVED
    elif stuk.rule.complete([a.person for a in given]):
        new = State.READY
    else:
        new = State.PARTLY if confirmed else State.TO_APPROVE
    if new is not stuk.state and not await stukken.move(c, stuk, new):
        raise Invalid({"akkoord": NOT_OPEN})
    return new


async def take_back(portal: Portal, visitor: Visitor, id: UUID) -> None:
    """Off the list "klaar om te verzenden" again. Raises Denied."""
    async with portal.db.tenant(visitor.firm.id) as c:
        stuk = await find(c, visitor, id, lock=True)
        if stuk.state in OPEN and await stukken.void(c, id, visitor.person_id):
            await settle(c, stuk)
            await record(c, visitor, stuk, "stuk_taken_back")
