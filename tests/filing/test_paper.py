"""A consent on paper: who gave it, and who of the firm recorded it."""

import json

import pytest

from gateway.domain import chain as links
from gateway.domain.stuk import State
from gateway.flows import stukbeheer
from gateway.flows.accordering import showing
from gateway.flows.intake import GroupWish
from gateway.flows.proof import gathering
from tests.filing.test_proof import put, resealed, wrong

SANNE, PIM = "sanne@bakkerij.example", "pim@bakkerij.example"
EVA, KARIM = "eva@eikenhof.example", "karim@eikenhof.example"
REASON = "Getekende brief in het dossier."


@pytest.fixture
async def staff(office, register):
    """Two people who work at the firm; their ids."""
    await register(EVA, name="Eva van Loon", mobile="06 12345698")
    await register(KARIM, name="Karim Azzouz", mobile="06 12345699")
    async with office.portal.db.tenant(office.firm.id) as c:
        rows = await c.fetch(
            "update person set role = case username when $1 then 'staff' else 'admin' end"
            " where username = any ($2) returning username, id",
            EVA,
            [EVA, KARIM],
        )
    return {r["username"]: r["id"] for r in rows}


async def _recorded(office, id) -> list[tuple[object, ...]]:
    """Of each paper consent: person and staff of the row, person, staff and by of the event."""
    async with office.portal.db.tenant(office.firm.id) as c:
        given = await c.fetch(
            "select person, staff from akkoord where stuk = $1 and act = 'paper' order by at", id
        )
        events = await c.fetch(
            "select person, data from audit where subject = $1"
            " and event = 'stuk_approved_on_paper' order by id",
            f"stuk:{id}",
        )
    told = [(e["person"], json.loads(e["data"])) for e in events]
    return [
        (g["person"], g["staff"], person, data["staff"], data["by"])
        for g, (person, data) in zip(given, told, strict=True)
    ]


async def test_the_desk_names_both(office, person, staff, sign_in, browser):
    sanne = await person()
    id = await office.put_up()
    await sign_in(EVA)
    await browser.get(f"/beheer/stukken/{id}")
    await browser.post(f"/beheer/stukken/{id}/papier", wie=SANNE, reden=REASON)
    assert (await office.stuk(id)).state is State.APPROVED
    mine = sanne.visitor.person_id
    assert await _recorded(office, id) == [(mine, staff[EVA], mine, str(staff[EVA]), EVA)]
    found = await showing.history(office.portal, sanne.visitor, id)
    (told,) = [e for e in found if e.event == "stuk_approved_on_paper"]
    assert told.who == "Sanne Meulenbelt"


@pytest.mark.parametrize("by", ["beheer", SANNE])
async def test_nobody_of_the_firm_is_made_up(office, person, by):
    """Operations and packages have no account; a client is no staff."""
    sanne = await person()
    id = await office.put_up()
    await stukbeheer.paper(office.portal, office.firm, id, SANNE, by, REASON)
    mine = sanne.visitor.person_id
    assert await _recorded(office, id) == [(mine, None, mine, None, by)]


async def test_the_proof_holds_each_to_his_own(office, person, staff):
    """Two consents within a second, recorded by two people."""
    sanne, pim = await person(), await person(PIM, mobile="06 12345679")
    id = await office.put_up(approvers=[GroupWish([SANNE, PIM], 2)])
    for who, by in ((SANNE, EVA), (PIM, KARIM.upper())):
        await stukbeheer.paper(office.portal, office.firm, id, who, by, REASON)
    ids = [p.visitor.person_id for p in (sanne, pim)]
    assert [r[:2] for r in await _recorded(office, id)] == [
        (ids[0], staff[EVA]), (ids[1], staff[KARIM]),
    ]  # fmt: skip
    data = await gathering.bundle(office.portal, office.firm, id)
    assert wrong(data) == {}
    assert [a["recorded_by"] for a in data["approvals"]] == [EVA, KARIM.upper()]
    key = links.private_key(office.portal.keys)
    for path, value in (
        (("approvals", 0, "person"), str(staff[EVA])),
        (("approvals", 0, "recorded_by"), KARIM.upper()),
    ):
        assert "approvals.0" in wrong(resealed(put(data, path, value), key))
