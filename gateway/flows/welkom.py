"""What a visitor sees first, and chooses for himself: the organisation and the language."""

from dataclasses import dataclass

from gateway.domain import access
from gateway.domain.firm import Employee
from gateway.domain.klant import Klant
from gateway.errors import Denied
from gateway.flows.accordering import tasks
from gateway.flows.portal import Portal
from gateway.flows.visitor import Visitor
from gateway.store import audit, persons, sessions


@dataclass(frozen=True, slots=True)
class Welcome:
    """contact: whom to ask about the organisation that is looked at. tasks: how many documents
    wait for something that this visitor must do."""

    contact: Employee
    tasks: int


async def welcome(portal: Portal, visitor: Visitor) -> Welcome:
    """What the page "Welkom" tells."""
    klant = access.may_see(visitor.klanten, visitor.klant)
    contact = visitor.firm.employee(klant.relatiebeheerder if klant else None)
    return Welcome(contact, await tasks.count(portal, visitor))


def organisations(visitor: Visitor, search: str) -> list[Klant]:
    """The organisations whose name or number holds every word of `search`."""
    words = search.casefold().split()
    return [
        klant
        for klant in visitor.klanten
        if all(word in f"{klant.name} {klant.number}".casefold() for word in words)
    ]


async def switch(portal: Portal, visitor: Visitor, number: str) -> Klant:
    """Look at another organisation, now and after the next sign-in. Raises Denied."""
    klant = access.may_see(visitor.klanten, number)
    if klant is None:
        raise Denied
    firm = visitor.firm.id
    async with portal.db.tenant(firm) as c:
        await sessions.look_at(c, visitor.digest, klant.number)
        await persons.prefer(c, visitor.person_id, klant.number)
        await audit.record(
            c, "organisation_chosen", firm=firm, person=visitor.person_id, klant=klant.number
        )
    return klant


async def speak(portal: Portal, visitor: Visitor, language: str) -> None:
    """Pages and messages in this language from now on."""
    async with portal.db.tenant(visitor.firm.id) as c:
        await persons.speak(c, visitor.person_id, language)
