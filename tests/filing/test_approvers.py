"""Who must approve, named when a stuk is put up: alone or jointly, and in which order."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from gateway.cli import cli
from gateway.domain.delivery import State as D
from gateway.domain.stuk import State
from gateway.errors import Invalid
from gateway.flows import people, stukbeheer
from gateway.flows.accordering import tasks
from gateway.flows.intake import GroupWish
from gateway.flows.visitor import today
from tests.filing.conftest import KLANT, rule

SANNE, PIM, BO = "sanne@bakkerij.example", "pim@bakkerij.example", "bo@bakkerij.example"


@pytest.fixture
async def three(person):
    """Three people of one klant, with mandates."""
    return [
        await person(),
        await person(PIM, mobile="06 12345679"),
        await person(BO, mobile="06 12345670"),
    ]


async def test_the_partner_approves_after_her(office, three):
    """In the order of the groups, and nothing is sent before the last."""
    sanne, pim, bo = three
    id = await office.put_up(approvers=[GroupWish([SANNE]), GroupWish([PIM.upper()])])
    assert (await office.stuk(id)).rule == rule(
        ({sanne.visitor.person_id}, 1), ({pim.visitor.person_id}, 1)
    )
    for other in (pim, bo):
        assert await tasks.tasks(office.portal, other.visitor) == []
    (sent,) = await sanne.approves(id)
    assert sent.state is State.PARTLY
    assert await tasks.tasks(office.portal, bo.visitor) == []
    (sent,) = await pim.approves(id)
    assert sent.state is State.APPROVED
    assert (await office.finish(id)).state is D.FINAL_OK


async def test_two_of_three_in_any_order(office, three):
    sanne, _pim, bo = three
    id = await office.put_up(approvers=[GroupWish([SANNE, PIM, BO], 2)])
    (sent,) = await bo.approves(id)
    assert sent.state is State.PARTLY
    assert await tasks.tasks(office.portal, bo.visitor) == []
    (sent,) = await sanne.approves(id)
    assert sent.state is State.APPROVED


async def _faults(office, *groups: GroupWish, **wish: object) -> dict[str, str]:
    with pytest.raises(Invalid) as told:
        await office.put_up(approvers=groups, **wish)
    return told.value.faults


async def test_every_fault_at_once(office, person, register):
    await person()
    await person(PIM, mobile="06 12345679", mandate="ihz")
    await register(BO, mobile="06 12345670")  # no mandate at all
    faults = await _faults(
        office,
        GroupWish([SANNE, "wie@x.example", PIM], 4),
        GroupWish([BO, SANNE.upper()]),
        GroupWish([], 1),
        GroupWish([SANNE], 0),
        periode="",
    )
    none = "heeft geen mandaat of toegang voor deze klant en dit soort."
    assert faults == {
        "approvers.0": f"Er is geen persoon wie@x.example. {PIM} {none} 4 van 3 kan niet.",
        "approvers.1": f"{BO} {none} {SANNE} staat er twee keer in.",
        "approvers.2": "1 van 0 kan niet.",
        "approvers.3": f"{SANNE} staat er twee keer in. 0 van 1 kan niet.",
        "periode": "De periode heeft 1 tot 40 tekens.",
    }
    faults = await _faults(office, GroupWish([PIM, PIM], 2))
    assert faults["approvers.0"] == (
        f"{PIM} {none} {PIM} staat er twee keer in. 2 van 1 kan niet."
    )


async def test_without_the_klant_only_the_names_are_judged(office, person):
    await person()
    faults = await _faults(office, GroupWish([SANNE]), GroupWish(["wie@x.example"]), klant="9")
    assert set(faults) == {"klant", "approvers.1"}


async def test_of_another_klant_disabled_or_invited(office, person):
    """Whoever has yet to choose a password may be named; who may not come in may not."""
    await person()
    portal, firm = office.portal, office.firm
    await people.add(
        portal, firm, username=PIM, name="Pim", mobile="06 12345679", klanten_of=[KLANT]
    )
    await stukbeheer.give_mandate(portal, firm, PIM, KLANT, "*", today())
    await office.put_up(approvers=[GroupWish([SANNE, PIM], 2)])
    await people.disable(portal, firm, PIM)
    assert set(await _faults(office, GroupWish([PIM]), tag=2)) == {"approvers.0"}
    await people.revoke(portal, firm, SANNE, KLANT)
    assert set(await _faults(office, GroupWish([SANNE]), tag=2)) == {"approvers.0"}


async def _run(tmp_path, *words: str) -> tuple[int, str]:
    """`gateway stuk put-up`, in a process's loop of its own; its exit code and what it told."""
    common = ("--firm", "eikenhof", "--config", str(tmp_path / "config"), "--json")
    done = await asyncio.to_thread(CliRunner().invoke, cli, ["stuk", "put-up", *words, *common])
    return done.exit_code, done.output


async def test_on_the_command_line(office, three, tmp_path):
    sanne, pim, bo = (p.visitor.person_id for p in three)
    part = office.write("vpb.pdf", "%PDF-1.4 vpb")
    words = (KLANT, "vpb", "--part", f"{part.role}:{part.source}:{part.id}", "--jaar", "2026",
             "--periode", "2026")  # fmt: skip
    code, text = await _run(tmp_path, *words, "--approver", "3:nee@x.example,nee@y.example",
                            "--approver", f"{SANNE},{SANNE}")  # fmt: skip
    assert code == 1
    told = {f["veld"]: f["melding"] for f in json.loads(text)["fouten"]}
    assert set(told) == {"akkoord_van.0", "akkoord_van.1"}
    assert told["akkoord_van.0"].startswith(
        "Er is geen persoon nee@x.example. Er is geen persoon nee@y.example."
    )
    assert "3 van 2 kan niet." in told["akkoord_van.0"]
    assert told["akkoord_van.1"].startswith(f"{SANNE} staat er twee keer in.")
    code, text = await _run(tmp_path, *words, "--approver", f"2:{SANNE}, {PIM}", "--approver", BO)
    assert code == 0, text
    stuk = await office.stuk(json.loads(text)["stuk"])
    assert stuk.rule == rule(({sanne, pim}, 2), ({bo}, 1))


def test_the_help_has_an_example():
    told = " ".join(CliRunner().invoke(cli, ["stuk", "put-up", "--help"]).output.split())
    assert "--approver noor@x.example --approver jan@x.example" in told
    assert "--approver 1:noor@x.example,jan@x.example" in told
