"""A list asks the database as often for thirty stukken as for one."""

import contextlib
import dataclasses

import pytest

from gateway.domain.klant import Klant
from gateway.domain.stuk import State
from gateway.flows import people, stukbeheer, welkom
from gateway.flows.accordering import approving, tasks
from gateway.flows.visitor import today
from gateway.store.database import Database

OTHER = Klant("400200", "Ander B.V.")


@pytest.fixture
def statements(monkeypatch):
    """Every statement since it was emptied."""
    seen: list[str] = []
    tenant = Database.tenant

    @contextlib.asynccontextmanager
    async def counted(self, firm):
        async with tenant(self, firm) as c:
            with c.query_logger(lambda record: seen.append(record.query)):
                yield c

    monkeypatch.setattr(Database, "tenant", counted)
    return seen


async def _lists(office, visitor) -> dict[str, int]:
    """What each list holds for this visitor."""
    everything = await tasks.overview(office.portal, visitor, state="", jaar=None, soort="")
    return {
        "tasks": len(await tasks.tasks(office.portal, visitor)),
        "overview": len(everything),
        "welkom": (await welkom.welcome(office.portal, visitor)).tasks,
    }


async def test_as_many_statements_for_thirty_as_for_one(office, person, statements):
    sanne = await person(mandate="ob")
    first = await office.put_up()
    await people.put_klanten(office.portal, office.firm, [OTHER])
    await people.grant(office.portal, office.firm, sanne.visitor.username, OTHER.number)
    visitor = dataclasses.replace(sanne.visitor, klanten=(*sanne.visitor.klanten, OTHER))
    statements.clear()
    assert await _lists(office, visitor) == {"tasks": 1, "overview": 1, "welkom": 1}
    one = list(statements)
    ids = [first] + [await office.put_up(tag=n) for n in range(29)]
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update stuk set klant = $1 where id = any ($2)", OTHER.number, ids[20:])
    statements.clear()
    assert await _lists(office, visitor) == {"tasks": 20, "overview": 30, "welkom": 20}
    assert statements == one
    assert any("akkoord" in s for s in one)


async def test_every_stuk_of_a_list_is_judged_for_itself(office, person):
    """Mandates of the right klant and soort, and approvals of the right stuk."""
    sanne = await person(mandate="ob")
    await people.put_klanten(office.portal, office.firm, [OTHER])
    name = sanne.visitor.username
    await people.grant(office.portal, office.firm, name, OTHER.number)
    await stukbeheer.give_mandate(office.portal, office.firm, name, OTHER.number, "icp", today())
    mine, ready, sent, kind, elsewhere = [await office.put_up(tag=n) for n in range(1, 5)] + [
        await office.put_up("icp", tag=5)
    ]
    there = await office.put_up("icp", tag=6)
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute(
            "update stuk set klant = $1 where id = any ($2)", OTHER.number, [kind, there]
        )
    sanne.visitor = dataclasses.replace(sanne.visitor, klanten=(*sanne.visitor.klanten, OTHER))
    await approving.approve(office.portal, sanne.visitor, ready, await sanne.opens(ready))
    await sanne.approves(sent)
    found = await tasks.overview(office.portal, sanne.visitor, state="", jaar=None, soort="")
    told = {t.stuk.id: (t.mine, t.ready) for t in found}
    assert told == {
        mine: (True, False),
        ready: (False, True),
        sent: (False, False),
        kind: (False, False),  # a mandate for icp, and this is ob
        elsewhere: (False, False),  # a mandate for icp of the other klant
        there: (True, False),
    }
    assert {t.stuk.id for t in await tasks.tasks(office.portal, sanne.visitor)} == {
        mine, ready, there,
    }  # fmt: skip
    assert (await office.stuk(sent)).state is State.APPROVED
