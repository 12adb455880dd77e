"""Staff puts up a new version of a stuk, from what stands in the firm's own systems now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from gateway.domain import dossier, media, wire
from gateway.domain.dossier import Order, Row
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.stuk import Role
from gateway.errors import Denied, Invalid, SourceError
from gateway.flows import documents, intake
from gateway.flows.intake import PartWish, Wish
from gateway.flows.portal import Portal
from gateway.flows.stukbeheer import staff_only
from gateway.flows.visitor import Visitor
from gateway.store import klanten, stukken
from gateway.store.stukken import PartRow, Stuk

#: Documents that may take the place of a part: the newest.
MOST = 100


@dataclass(frozen=True, slots=True)
class Choice:
    """A part, and the documents of its kind that stand beside it: the newest first, itself left
    out. complete: whether the source shows all that it has."""

    number: int
    role: Role
    name: str
    found: tuple[Row, ...]
    complete: bool


async def choices(portal: Portal, visitor: Visitor, id: UUID) -> list[Choice]:
    """What may take the place of each part. Raises Denied."""
    firm = staff_only(visitor)
    _, klant, rows = await _standing(portal, firm, id)
    return [await _choice(portal, firm, klant, row) for row in rows]


async def replace(
    portal: Portal,
    visitor: Visitor,
    id: UUID,
    chosen: Mapping[int, str],
    deadline: date | None,
    opmerking: str,
) -> UUID:
    """The new stuk: for the same klant, period and approvers, whatever they approved before.

    chosen: by the number of a part the handle of the document that takes its place; parts that
    are not named are read again as they stand there now. Raises Denied, and what
    intake.put_up raises.
    """
    firm = staff_only(visitor)
    stuk, _, rows = await _standing(portal, firm, id)
    try:
        opmerking = wire.lines(opmerking)
    except ValueError:
        raise Invalid({"opmerking": wire.NOT_LINES}) from None
    wish = Wish(
        klant=stuk.klant,
        soort=stuk.soort,
        jaar=stuk.jaar,
        periode=stuk.periode,
        parts=[_part(portal, row, chosen.get(row.number, "")) for row in rows],
        by=visitor.username,
        deadline=deadline,
        opmerking=opmerking,
        relatiebeheerder=_still_there(firm, stuk.relatiebeheerder),
        rule=stuk.rule,
        replaces=id,
    )
    return await intake.put_up(portal, firm, wish)


async def _standing(portal: Portal, firm: Firm, id: UUID) -> tuple[Stuk, Klant, Sequence[PartRow]]:
    async with portal.db.tenant(firm.id) as c:
        stuk = await stukken.find(c, id)
        if stuk is None:
            raise Denied
        klant = await klanten.find(c, stuk.klant)
        return stuk, klant or Klant(stuk.klant, stuk.klant_name), await stukken.parts(c, id)


async def _choice(portal: Portal, firm: Firm, klant: Klant, row: PartRow) -> Choice:
    name = portal.keys.open("name", row.name_sealed)
    mine = dossier.handle(portal.keys.open("document", row.document_sealed))
    found, complete = await _documents(portal, firm, klant, row.source)
    same = (r for r in found if r.handle != mine and media.of(r.name).type == row.media_type)
    newest = dossier.page(list(same), Order.NEWEST, 1, MOST)
    return Choice(row.number, row.role, name, tuple(newest), complete)


async def _documents(
    portal: Portal, firm: Firm, klant: Klant, source_id: str
) -> tuple[Sequence[Row], bool]:
    """The klant's documents in a source, and whether those are all."""
    source = firm.source(source_id)
    if source is None:
        return (), False
    try:
        guarded, place = documents.at(portal, firm, source, klant)
    except SourceError:
        return (), False
    answer = await portal.listings.get(guarded, source, place, wait=portal.budget, refresh=True)
    return answer.listing.rows if answer.listing else (), answer.complete


def _part(portal: Portal, row: PartRow, handle: str) -> PartWish:
    """A part of the new stuk. Raises Invalid."""
    id = dossier.id_of(handle) if handle else portal.keys.open("document", row.document_sealed)
    if id is None:
        raise Invalid({f"parts.{row.number - 1}": "Kies een document uit de lijst."})
    return PartWish(row.role, row.source, id)


def _still_there(firm: Firm, employee: str | None) -> str | None:
    """The relatiebeheerder, unless the configuration does not know him any more."""
    return employee if employee in {e.id for e in firm.employees} else None
