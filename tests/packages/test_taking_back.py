"""What was only to be read is taken back too; and what is said of a stuk that is not there."""

from uuid import UUID

import pytest

from gateway.domain.stuk import MOVES, REPLACEABLE, Route, State, may_move
from gateway.errors import Denied
from gateway.store import stukken
from tests.filing.conftest import KLANT
from tests.filing.test_desk import at_work  # noqa: F401
from tests.packages.soap import ask, elements
from tests.packages.test_command_line import run

NOBODY = "00000000-0000-0000-0000-000000000000"
WHY = "Deze brief was voor een ander."


def letter(office, **more):
    """A letter by reference."""
    part = office.write("brief.pdf", "%PDF-1.4 een brief")
    return {
        "klant": KLANT, "soort": "brief", "jaar": 2026, "periode": "1e kwartaal",
        "onderdelen": [{"rol": "akkoorddocument", "bron": part.source, "id": part.id}], **more,
    }  # fmt: skip


def test_what_is_done_is_over_but_for_what_was_only_to_be_read():
    for state, after in MOVES.items():
        for new in after:
            for route in Route:
                can = state is not State.DONE or route is Route.INZAGE
                assert may_move(state, new, route) is can
        assert (state in REPLACEABLE) is any(may_move(state, State.REPLACED, r) for r in Route)


async def test_a_letter_to_the_wrong_klant_is_taken_back(office, proef, person, sign_in, browser):
    sanne = await person()
    id = (await proef.post("/stukken", letter(office))).body["id"]
    await sign_in()
    await browser.get(f"/accordering/{id}")
    assert f"/accordering/{id}/onderdeel/1" in browser.page
    assert await sanne.opens_part(UUID(id), 1) == b"%PDF-1.4 een brief"
    told = await proef.post(f"/stukken/{id}/intrekken", {"reden": WHY})
    assert (told.status, told.body["staat"]) == (200, "ingetrokken")
    assert told.body["verzendingen"] == []
    with pytest.raises(Denied):
        await sanne.opens_part(UUID(id), 1)
    await browser.get(f"/accordering/{id}")
    assert f"/accordering/{id}/onderdeel/1" not in browser.page
    assert "Uw accountant heeft het document ingetrokken." in browser.text
    await browser.get(f"/accordering/{id}/onderdeel/1", 404)
    events = (await proef.get("/gebeurtenissen")).body["gebeurtenissen"]
    assert (events[-1]["stuk"], events[-1]["gebeurtenis"]) == (id, "stuk_withdrawn")
    assert (await proef.post(f"/stukken/{id}/intrekken", {"reden": WHY})).status == 422
    assert (await proef.post("/stukken", letter(office))).status == 201  # the same again


async def test_no_figure_of_what_was_taken_back_is_shown(office, proef, person, sign_in, browser):
    await person()
    id = await office.put_up()
    await sign_in()
    await browser.get(f"/accordering/{id}")
    assert "3.240" in browser.text
    assert (await proef.post(f"/stukken/{id}/intrekken", {"reden": WHY})).status == 200
    await browser.get(f"/accordering/{id}")
    assert "3.240" not in browser.text


async def test_a_letter_is_replaced(office, proef):
    id = (await proef.post("/stukken", letter(office))).body["id"]
    told = await proef.post("/stukken", letter(office, vervangt=id))
    assert (told.status, told.body["staat"]) == (201, "afgerond")
    assert (await proef.get(f"/stukken/{id}")).body["staat"] == "vervangen"


async def test_what_was_signed_is_not_taken_back(office, proef, person):
    sanne = await person()
    id = await office.put_up("bevestiging")
    await sanne.approves(id)
    assert (await office.stuk(id)).state is State.DONE
    told = await proef.post(f"/stukken/{id}/intrekken", {"reden": WHY})
    assert told.status == 422
    new = letter(office, soort="bevestiging", vervangt=str(id))
    assert (await proef.post("/stukken", new)).faults.keys() == {"vervangt"}


async def test_the_desk_takes_a_letter_back(at_work, office):  # noqa: F811
    browser, _ = at_work
    id = await office.put_up("brief")
    await browser.get(f"/beheer/stukken/{id}")
    for act in ("intrekken", "vervangen"):
        assert f"/beheer/stukken/{id}/{act}" in browser.page
    await browser.get(f"/beheer/stukken/{id}/intrekken")
    assert "niet meer openen" in browser.text
    await browser.post(f"/beheer/stukken/{id}/intrekken", reden=WHY)
    assert (await office.stuk(id)).state is State.WITHDRAWN
    assert f"/beheer/stukken/{id}/intrekken" not in browser.page


# --- a stuk that is not there


async def test_a_stuk_that_is_not_there(office, proef, at_work, tmp_path):  # noqa: F811
    for path, body in (("intrekken", {"reden": WHY}), ("melden", {"gelukt": True})):
        told = await proef.post(f"/stukken/{NOBODY}/{path}", body)
        assert (told.status, told.body["title"]) == (404, "Dit is er niet")
        assert "detail" not in told.body
    for name, more in (("Withdraw", {"reden": WHY}), ("Report", {"gelukt": "true"})):
        refused = await ask(proef, name, elements({"id": NOBODY, **more}))
        assert (refused.code, refused.words) == (404, "Dit is er niet")
    for words in (("withdraw", "--reason", WHY), ("report",), ("remind",)):
        code, said = await run(tmp_path, "stuk", words[0], NOBODY, *words[1:])
        assert (code, said) == (2, "Er is geen stuk met dit nummer.\n")
    browser, _ = at_work
    await browser.post(f"/beheer/stukken/{NOBODY}/intrekken", 404, reden=WHY)


async def test_a_webhook_that_is_not_there(office, proef, tmp_path):
    for act in ("replay", "dead"):
        code, said = await run(tmp_path, "package", act, NOBODY)
        assert (code, said) == (2, "Er is geen webhook met dit nummer.\n")
    assert (await proef.post(f"/webhooks/{NOBODY}/stoppen")).status == 404


@pytest.mark.parametrize("reason", ["tien\0tekens lang", "links \u202eom en rechts"])
async def test_a_reason_is_seen(office, proef, tmp_path, reason):
    id = await office.put_up()
    said = "Hierin staan stuurtekens of onzichtbare tekens; een nieuwe regel kan wel."
    told = await proef.post(f"/stukken/{id}/intrekken", {"reden": reason})
    assert (told.status, told.faults) == (422, {"reden": said})
    code, typed = await run(tmp_path, "stuk", "withdraw", str(id), "--reason", reason)
    assert (code, typed) == (1, f"reden: {said}\n")
    async with office.portal.db.tenant(office.firm.id) as c:
        assert "stuk_withdrawn" not in (await stukken.lights(c, [id]))[f"stuk:{id}"]
