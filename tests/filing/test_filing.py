"""From put-up to "Akkoord Digipoort", over mutual TLS with the simulator's ledger as judge."""

import hashlib

import pytest

from gateway.domain.delivery import State as D
from gateway.domain.stuk import State
from gateway.errors import Denied, Invalid, Stale
from gateway.flows import filing, intake, stukbeheer
from gateway.flows.accordering import approving, opening, rejecting, sending, showing, tasks
from gateway.flows.visitor import today
from tests.domain.xbrl import made
from tests.filing.conftest import KLANT, rule


async def _events(office, id) -> list[str]:
    async with office.portal.db.tenant(office.firm.id) as c:
        rows = await c.fetch(
            "select event from audit where subject = $1 order by id", f"stuk:{id}"
        )
    return [r["event"] for r in rows]


async def _letters(office) -> list[str]:
    async with office.portal.db.tenant(office.firm.id) as c:
        return [r["event"] for r in await c.fetch("select event from outbox order by created_at")]


async def test_a_return_goes_from_put_up_to_akkoord_digipoort(office, person):
    sanne = await person()
    id = await office.put_up()
    (task,) = await tasks.tasks(office.portal, sanne.visitor)
    assert (task.stuk.id, task.stuk.state, task.mine) == (id, State.TO_APPROVE, True)
    (sent,) = await sanne.approves(id)
    assert sent.state is State.APPROVED
    assert "btw-aangifte 1e kwartaal 2026 Bakkerij" in sanne.phone.messages[-1][2]
    delivery = await office.finish(id)
    assert delivery.state is D.FINAL_OK
    assert (await office.stuk(id)).state is State.ACCEPTED
    (booking,) = office.booked
    assert booking["kenmerk"] == delivery.kenmerk
    assert booking["aanleverkenmerk"] == delivery.aanleverkenmerk
    instance = (office.folder / "Stukken" / "ob-3240.xbrl").read_bytes()
    assert booking["inhoud"]["sha256"] == hashlib.sha256(instance).hexdigest()
    assert {"stuk_accepted", "stuk_to_approve"} <= set(await _letters(office))
    assert await tasks.tasks(office.portal, sanne.visitor) == []


async def test_only_after_opening_and_only_what_was_seen(office, person):
    sanne = await person()
    id = await office.put_up()
    manifest = (await office.stuk(id)).manifest
    with pytest.raises(Invalid, match="Open eerst"):
        await approving.approve(office.portal, sanne.visitor, id, manifest)
    await sanne.opens_part(id, 1)
    with pytest.raises(Invalid, match="Open eerst"):
        await approving.approve(office.portal, sanne.visitor, id, manifest)
    await sanne.opens(id)
    with pytest.raises(Stale):
        await approving.approve(office.portal, sanne.visitor, id, "0" * 64)
    await approving.approve(office.portal, sanne.visitor, id, manifest)
    assert (await office.stuk(id)).state is State.READY


async def test_other_bytes_are_never_given_whole(office, person):
    """Changed before the approval: the client does not get the whole, and cannot approve."""
    sanne = await person()
    id = await office.put_up()
    office.write("ob-3240.pdf", "%PDF-1.4 iets anders")
    with pytest.raises(opening.PartChanged):
        await sanne.opens(id)
    with pytest.raises(Invalid):
        await approving.approve(office.portal, sanne.visitor, id, (await office.stuk(id)).manifest)
    assert "stuk_problem_office" in await _letters(office)


@pytest.mark.parametrize("name", ["ob-3240.pdf", "ob-3240.xbrl"])
async def test_changed_after_approval_is_not_sent(office, person, name):
    """What was seen (the PDF) and what is filed (the instance): neither may differ."""
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    office.write(name, made.xbrl(made.amount("ValueAddedTaxOwedToBePaidBack", 1)))
    delivery = await office.finish(id)
    assert delivery.state is D.HELD_CHANGED
    assert (await office.stuk(id)).state is State.CHANGED
    assert office.booked == []
    assert "stuk_problem_office" in await _letters(office)


async def test_a_removed_document_is_not_sent(office, person):
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    (office.folder / "Stukken" / "ob-3240.xbrl").unlink()
    assert (await office.finish(id)).state is D.HELD_CHANGED


async def test_a_rejection_needs_a_reason_and_a_code(office, person):
    sanne = await person()
    id = await office.put_up()
    manifest = await sanne.opens(id)
    reason = "De omzet van maart ontbreekt."
    portal, visitor = office.portal, sanne.visitor
    with pytest.raises(Invalid, match="reden"):
        await rejecting.ask_rejection(portal, visitor, id, manifest, "te kort")
    await rejecting.ask_rejection(portal, visitor, id, manifest, reason)
    code = sanne.phone.code
    with pytest.raises(Invalid):  # another reason is another code
        await rejecting.reject(portal, visitor, id, manifest, reason + " En april.", code)
    await rejecting.reject(portal, visitor, id, manifest, reason, code)
    assert (await office.stuk(id)).state is State.REJECTED
    assert "stuk_rejected_office" in await _letters(office)
    with pytest.raises(Invalid):
        await rejecting.reject(portal, visitor, id, manifest, reason, code)


async def test_a_batch_with_one_code(office, person):
    sanne = await person()
    ids = [await office.put_up(tag=n) for n in (100, 200, 300)]
    for id in ids:
        manifest = await sanne.opens(id)
        await approving.approve(office.portal, sanne.visitor, id, manifest)
    before = len(sanne.phone.messages)
    sent = await sanne.sends(*ids)
    assert [s.state for s in sent] == [State.APPROVED] * 3
    assert len(sanne.phone.messages) == before + 1
    assert "+ 2 andere" in sanne.phone.messages[-1][2]
    for id in ids:
        assert (await office.finish(id)).state is D.FINAL_OK
    assert len(office.booked) == 3


async def test_the_code_of_one_batch_is_nothing_for_another(office, person):
    """Case 8 of trust.md: of return X for Y, of signing in for approving."""
    sanne = await person()
    portal, visitor = office.portal, sanne.visitor
    one, other = [await office.put_up(tag=n) for n in (100, 200)]
    for id in (one, other):
        await approving.approve(portal, visitor, id, await sanne.opens(id))
    with pytest.raises(Invalid):  # the code of signing in, which was used besides
        await sending.send(portal, visitor, [one], sanne.phone.code)
    await sending.send_code(portal, visitor, await sending.batch(portal, visitor, [one]))
    code = sanne.phone.code
    for ids in ([other], [one, other]):
        with pytest.raises(Invalid):
            await sending.send(portal, visitor, ids, code)
    assert office.booked == []
    await sending.send(portal, visitor, [one], code)
    with pytest.raises(Invalid):  # used
        await sending.send(portal, visitor, [one], code)
    assert (await office.stuk(other)).state is State.READY


async def test_two_must_approve_and_nobody_twice(office, person):
    sanne = await person()
    pim = await person("pim@bakkerij.example", mobile="06 12345679")
    id = await office.put_up(
        rule=rule(({sanne.visitor.person_id}, 1), ({pim.visitor.person_id}, 1))
    )
    assert [t.stuk.id for t in await tasks.tasks(office.portal, pim.visitor)] == []
    (sent,) = await sanne.approves(id)
    assert sent.state is State.PARTLY
    assert await tasks.tasks(office.portal, sanne.visitor) == []
    (sent,) = await pim.approves(id)
    assert sent.state is State.APPROVED
    assert (await office.finish(id)).state is D.FINAL_OK


async def test_a_mandate_that_ended_stops_the_sending(office, person):
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    yesterday = today().replace(day=1)
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update mandate set since = $1, until = $1", yesterday.replace(year=2020))
    delivery = await office.finish(id)
    assert delivery.state is D.WITHDRAWN
    assert office.booked == []


async def test_without_a_mandate_nothing_is_a_task(office, person):
    sanne = await person(mandate="ihz")
    id = await office.put_up()
    assert await tasks.tasks(office.portal, sanne.visitor) == []
    manifest = await sanne.opens(id)
    with pytest.raises(Invalid):
        await approving.approve(office.portal, sanne.visitor, id, manifest)


async def test_a_stuk_of_another_klant_is_not_there(office, person, register):
    from gateway.domain.klant import Klant

    sanne = await person()
    await register("ander@x.example", klanten=(Klant("400200", "Ander"),), mobile="06 12345670")
    id = await office.put_up()
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update stuk set klant = '400200' where id = $1", id)
    for call in (
        showing.detail(office.portal, sanne.visitor, id),
        approving.approve(office.portal, sanne.visitor, id, ""),
        showing.history(office.portal, sanne.visitor, id),
        approving.take_back(office.portal, sanne.visitor, id),
        sanne.opens_part(id, 1),
    ):
        with pytest.raises(Denied):
            await call


async def test_the_backoffice_route_hands_the_approval_back(office, person):
    sanne = await person()
    id = await office.put_up("vpb")
    (sent,) = await sanne.approves(id)
    assert sent.state is State.APPROVED

    async def handed() -> bool:
        return (await office.delivery(id)).state is D.ACCEPTED

    await office.work(handed)
    assert (await office.stuk(id)).state is State.APPROVED  # not "Afgerond": nobody filed it yet
    await stukbeheer.report(office.portal, office.firm, id, True, "pakket")
    assert (await office.stuk(id)).state is State.DONE
    assert office.booked == []


# --- intake


async def test_the_verdict_of_intake_is_whole(office, person):
    await person()
    bad = made.xbrl(made.amount("X", 1), report="icp-opgaaf-2026").replace(
        b"123456782B01", b"111111110B01"
    )
    part = office.write("fout naam.xbrl", bad)
    missing = intake.PartWish(intake.Role.AKKOORD, "map", "Stukken/weg.pdf")
    with pytest.raises(Invalid) as told:
        await intake.put_up(
            office.portal,
            office.firm,
            intake.Wish(KLANT, "ob", 1999, "", [part, missing], "proef"),
        )
    keys = set(told.value.faults)
    assert {"jaar", "periode", "parts.1"} <= keys
    assert any("FR-NL-1.06" in k for k in keys)


async def test_a_number_that_is_not_the_klants_and_a_duplicate(office, person):
    await person(identity=False)
    await stukbeheer.identify(office.portal, office.firm, KLANT, "BTW", "001000044B37")
    with pytest.raises(Invalid) as told:
        await office.put_up()
    assert told.value.faults == {"klant": "Het nummer in de aangifte is niet dat van deze klant."}
    await stukbeheer.identify(office.portal, office.firm, KLANT, "BTW", made.NUMBER)
    id = await office.put_up()
    with pytest.raises(Invalid) as told:
        await office.put_up()
    assert str(id) in told.value.faults["content"]
    await stukbeheer.withdraw(office.portal, office.firm, id, "eva", "Verkeerd klaargezet.")
    assert await office.put_up() != id


async def test_a_new_version_takes_the_place(office, person):
    sanne = await person()
    old = await office.put_up()
    await approving.approve(office.portal, sanne.visitor, old, await sanne.opens(old))
    new = await office.put_up(tag=99, replaces=old)
    assert (await office.stuk(old)).state is State.REPLACED
    assert [t.stuk.id for t in await tasks.tasks(office.portal, sanne.visitor)] == [new]


async def test_on_paper_with_a_reason(office, person):
    await person()
    id = await office.put_up()
    with pytest.raises(Invalid):
        await stukbeheer.paper(
            office.portal, office.firm, id, "sanne@bakkerij.example", "eva", "kort"
        )
    state = await stukbeheer.paper(
        office.portal, office.firm, id, "sanne@bakkerij.example", "eva",
        "Getekende brief van 3 november in het dossier.",
    )  # fmt: skip
    assert state is State.APPROVED
    assert (await office.finish(id)).state is D.FINAL_OK
    assert "stuk_approved_on_paper" in await _events(office, id)


async def test_on_paper_of_a_soort_that_the_firm_took_out_of_its_file(office, person):
    await person()
    id = await office.put_up()
    firm = office.firm.model_copy(
        update={"soorten": {k: v for k, v in office.firm.soorten.items() if k != "ob"}}
    )
    with pytest.raises(Invalid) as told:
        await stukbeheer.paper(
            office.portal, firm, id, "sanne@bakkerij.example", "eva", "Brief in het dossier."
        )
    assert told.value.faults == {"stuk": filing.NO_DESTINATION}
    assert (await office.stuk(id)).state is State.TO_APPROVE
