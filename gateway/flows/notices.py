"""Who is told what about a stuk: letters in the transaction of the change."""

from collections.abc import Iterable
from uuid import UUID

from gateway.domain.accordering import mandated
from gateway.domain.firm import Firm
from gateway.domain.person import Person
from gateway.flows import letters
from gateway.flows.portal import Portal
from gateway.flows.visitor import today
from gateway.store import audit, mandates, persons, stukken
from gateway.store.database import Connection
from gateway.store.stukken import Stuk


def link(portal: Portal, stuk: UUID | None = None) -> str:
    """The address of a stuk, or of all that waits."""
    return f"{portal.base_url}/accordering" + (f"/{stuk}" if stuk else "")


async def approvers(c: Connection, stuk: Stuk) -> frozenset[UUID]:
    """Whose turn it is: the people named, or everybody with a mandate; all with a mandate."""
    given = [a.person for a in await stukken.akkoorden(c, stuk.id) if a.confirmed_at]
    turn = stuk.rule.waiting(given)
    if turn is None:
        return frozenset()
    able = mandated(await mandates.of_klanten(c, [stuk.klant]), stuk.klant, stuk.soort, today())
    return (turn & able if turn else able) - set(given)


async def to_approve(portal: Portal, c: Connection, firm: Firm, stuk: Stuk) -> int:
    """Tell whose turn it is; letters to one person within minutes are one. How many people."""
    people = await _people(c, await approvers(c, stuk))
    for person in people:
        await _invite(portal, c, firm, stuk, person)
    return len(people)


async def _invite(portal: Portal, c: Connection, firm: Firm, stuk: Stuk, person: Person) -> None:
    language = person.language
    contact = firm.employee(stuk.relatiebeheerder)
    known = {
        "name": person.name,
        "contact": contact.name,
        "phone": contact.phone,
        "day": stuk.deadline.strftime("%d-%m-%Y") if stuk.deadline else "",
        **told(firm, stuk, language),
    }
    await letters.put_bundled(
        portal,
        c,
        firm,
        "stuk_to_approve",
        person.username,
        language,
        about="",
        alone={**known, "many": "", "link": link(portal, stuk.id)},
        together={**known, "many": "1", "link": link(portal)},
    )
    await audit.record(
        c, "stuk_notified", firm=firm.id, person=person.id, klant=stuk.klant,
        subject=f"stuk:{stuk.id}",
    )  # fmt: skip


def told(firm: Firm, stuk: Stuk, language: str) -> dict[str, str]:
    """What letters call a stuk: what, periode, klant."""
    soort = firm.soorten.get(stuk.soort)
    title = soort.title.in_(language) if soort else stuk.soort
    return {"what": title, "periode": stuk.tijdvak, "klant": stuk.klant_name}


async def _people(c: Connection, ids: Iterable[UUID]) -> list[Person]:
    found = [await persons.by_id(c, id) for id in sorted(ids)]
    return [p for p in found if p is not None and p.may_sign_in]


async def to_clients(
    portal: Portal, c: Connection, firm: Firm, stuk: Stuk, event: str, **values: str
) -> None:
    """Tell everybody who approved it, or who was asked to."""
    given = {a.person for a in await stukken.akkoorden(c, stuk.id)}
    for person in await _people(c, given or await approvers(c, stuk)):
        words = told(firm, stuk, person.language)
        await letters.put(
            portal,
            c,
            firm,
            event,
            person.username,
            person.language,
            name=person.name,
            link=link(portal, stuk.id),
            **words,
            **values,
        )


async def to_office(
    portal: Portal, c: Connection, firm: Firm, stuk: Stuk, event: str, **values: str
) -> None:
    """Tell the relatiebeheerder of a stuk, with its page at the firm's desk."""
    employee = firm.employee(stuk.relatiebeheerder)
    words = told(firm, stuk, "nl")
    await letters.put(
        portal,
        c,
        firm,
        event,
        employee.mail,
        "nl",
        name=employee.name,
        link=f"{portal.base_url}/beheer/stukken/{stuk.id}",
        **words,
        **values,
    )


async def problem(
    portal: Portal, c: Connection, firm: Firm, stuk: Stuk, what: str, after: str
) -> None:
    """Tell the relatiebeheerder that a stuk does not go on, and what to do."""
    await to_office(portal, c, firm, stuk, "stuk_problem_office", problem=what, next=after)
