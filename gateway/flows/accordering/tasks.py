"""What waits for a visitor, and every stuk that he may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from gateway.domain.accordering import Mandate, mandated
from gateway.domain.firm import Firm
from gateway.domain.soort import Soort
from gateway.domain.stuk import OPEN, State
from gateway.errors import Denied
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor, today
from gateway.store import audit, mandates, stukken
from gateway.store.database import Connection
from gateway.store.stukken import Akkoord, Stuk


@dataclass(frozen=True, slots=True)
class Task:
    """One stuk in a list. ready: this visitor approved it and must still send it."""

    stuk: Stuk
    soort: Soort
    mine: bool
    ready: bool
    overdue: bool


async def tasks(portal: Portal, visitor: Visitor) -> list[Task]:
    """What waits for this visitor, of all his organisations, by deadline."""
    async with portal.db.tenant(visitor.firm.id) as c:
        numbers = [k.number for k in visitor.klanten]
        found = await stukken.of_klanten(c, numbers, states=OPEN)
        made = await tasks_of(c, visitor, found)
    return [t for t in made if t.mine or t.ready]


async def count(portal: Portal, visitor: Visitor) -> int:
    """How many."""
    return len(await tasks(portal, visitor))


async def overview(
    portal: Portal,
    visitor: Visitor,
    *,
    state: str,
    jaar: int | None,
    soort: str,
    search: str = "",
    limit: int | None = None,
) -> list[Task]:
    """Every stuk of the visitor's organisations, filtered; the empty filter is [Alle]. search:
    words that all stand in its klant, type, periode or year, as the visitor reads them. limit:
    None: all."""
    known = {s.value for s in State}
    states = [State(state)] if state in known else None
    async with portal.db.tenant(visitor.firm.id) as c:
        found = await stukken.of_klanten(
            c,
            [k.number for k in visitor.klanten],
            states=states,
            jaar=jaar,
            soort=soort or None,
            words=search.split(),
            titles=titles(visitor),
            limit=limit,
        )
        return await tasks_of(c, visitor, [s for s in found if s.state is not State.CONCEPT])


def titles(visitor: Visitor) -> dict[str, str]:
    """What each soort is called, as this visitor reads it: where a search looks."""
    language = visitor.language
    return {
        key: f"{one.title.in_(language)} {one.short.in_(language)}"
        for key, one in visitor.firm.soorten.items()
    }


async def tasks_of(c: Connection, visitor: Visitor, found: Sequence[Stuk]) -> list[Task]:
    """Each as this visitor has it; two statements, however many there are."""
    waiting = [s for s in found if s.state in OPEN]
    given = await stukken.akkoorden_of(c, [s.id for s in waiting])
    held = await mandates.of_klanten(
        c, sorted({s.klant for s in waiting}), person=visitor.person_id
    )
    of_klant: dict[str, list[Mandate]] = {}
    for one in held:
        of_klant.setdefault(one.klant, []).append(one)
    day = today()
    return [
        _as_task(
            visitor,
            s,
            given.get(s.id, []),
            bool(mandated(of_klant.get(s.klant, []), s.klant, s.soort, day)),
            day,
        )
        for s in found
    ]


async def task_of(c: Connection, visitor: Visitor, stuk: Stuk) -> Task:
    """One, as this visitor has it."""
    (task,) = await tasks_of(c, visitor, [stuk])
    return task


def _as_task(
    visitor: Visitor, stuk: Stuk, given: Sequence[Akkoord], has_mandate: bool, day: date
) -> Task:
    """given: what counts of a stuk that waits."""
    confirmed = [a.person for a in given if a.confirmed_at]
    mine = [a for a in given if a.person == visitor.person_id and a.act == "approved"]
    able = stuk.state in OPEN and has_mandate
    ready = able and any(a.confirmed_at is None for a in mine)
    return Task(
        stuk,
        soort_of(visitor.firm, stuk),
        mine=able and not mine and stuk.rule.may(visitor.person_id, confirmed),
        ready=ready,
        overdue=stuk.deadline is not None and stuk.state in OPEN and stuk.deadline < day,
    )


def soort_of(firm: Firm, stuk: Stuk) -> Soort:
    """What the stuk is; in its own word when the firm took the soort out of its file."""
    if found := firm.soorten.get(stuk.soort):
        return found
    text = {"nl": stuk.soort, "en": stuk.soort}
    return Soort.model_validate({"title": text, "short": text, "route": stuk.route})


async def find(c: Connection, visitor: Visitor, id: UUID, *, lock: bool = False) -> Stuk:
    """A stuk of one of the visitor's klanten. Raises Denied for any other."""
    stuk = await stukken.find(c, id, lock=lock)
    if (
        stuk is None
        or stuk.state is State.CONCEPT
        or all(k.number != stuk.klant for k in visitor.klanten)
    ):
        raise Denied
    return stuk


async def record(c: Connection, visitor: Visitor, stuk: Stuk, event: str, **data: object) -> None:
    """In the audit: what this visitor did with a stuk."""
    await audit.record(
        c,
        event,
        firm=visitor.firm.id,
        person=visitor.person_id,
        klant=stuk.klant,
        subject=f"stuk:{stuk.id}",
        data=data,
    )
