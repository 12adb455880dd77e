"""The interface for packages: what it takes, what it says, and what it never does twice."""

import asyncio
import hashlib
import io
from datetime import timedelta
from uuid import UUID

import pytest

from gateway.api import calling, multipart, operation
from gateway.domain import package as rules
from gateway.domain.delivery import State as D
from gateway.domain.klant import Klant
from gateway.domain.package import Scope
from gateway.errors import Invalid
from gateway.flows import packages, people, uploads
from gateway.flows.accordering import rejecting
from gateway.store.database import DatabaseDown
from tests.domain.xbrl import made
from tests.filing.conftest import INSTANCES, KLANT
from tests.packages.conftest import ob, ob_files

PDF = b"%PDF-1.7 een brief"


# --- who calls


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer x", "Basic abc", "Bearer map_eikenhof_" + "A" * 43]
)
async def test_a_stranger_is_turned_away(proef, header):
    headers = {"Authorization": header} if header is not None else {}
    async with proef.client.get("/api/v1/gebeurtenissen", headers=headers) as r:
        assert r.status == 401
        assert r.headers["WWW-Authenticate"].startswith("Bearer")
        assert r.content_type == "application/problem+json"


async def test_a_key_does_what_it_was_made_for(proef, package):
    reader = await package(Scope.STATUS, name="Lezer")
    assert (await reader.get("/gebeurtenissen")).status == 200
    refused = await reader.post("/klanten", {"klanten": [{"nummer": "1", "naam": "K"}]})
    assert refused.status == 403
    assert "klanten" in refused.body["detail"]


async def test_a_key_opens_one_firm(office, proef, package):
    id = await office.put_up()
    other = office.portal.firms["wilgenhof"]
    key = await packages.make(office.portal, other, "Ander", tuple(Scope))
    stranger = type(proef)(proef.client, key)
    assert (await stranger.get(f"/stukken/{id}")).status == 404
    assert (await stranger.get("/gebeurtenissen")).body["gebeurtenissen"] == []


async def test_a_key_of_another_firm_in_disguise_opens_nothing(office, proef):
    _, firm, secret = proef.key.split("_", 2)
    assert firm == "eikenhof"
    proef.key = f"map_wilgenhof_{secret}"
    assert (await proef.get("/gebeurtenissen")).status == 401


# --- klanten, personen, mandaten


async def test_klanten_personen_and_mandaten_are_kept_in_step(office, proef):
    klanten = [
        {"nummer": "400500", "naam": "Kwekerij Noord", "nummers": {"BTW": made.NUMBER}},
        {"nummer": "400501", "naam": "Kwekerij Zuid"},
    ]
    assert (await proef.post("/klanten", {"klanten": klanten})).body == {"aantal": 2}
    person = {"gebruikersnaam": "Piet@kwekerij.example", "naam": "Piet", "mobiel": "06 87654321",
              "klanten": ["400500", "400501"]}  # fmt: skip
    assert (await proef.post("/personen", {"personen": [person]})).status == 200
    mandate = {"gebruikersnaam": "piet@kwekerij.example", "klant": "400500", "vanaf": "2026-01-01"}
    for _ in range(2):  # the same again changes nothing
        assert (await proef.post("/mandaten", {"mandaten": [mandate]})).status == 200
    person["klanten"] = ["400501"]
    assert (await proef.post("/personen", {"personen": [person]})).status == 200
    async with office.portal.db.tenant(office.firm.id) as c:
        assert await c.fetchval("select count(*) from mandate") == 1
        access = await c.fetch("select klant from access a join person p on p.id = a.person"
                               " where p.username = 'piet@kwekerij.example'")  # fmt: skip
        letters = await c.fetchval("select count(*) from outbox where event = 'invitation'")
    assert [r["klant"] for r in access] == ["400501"]
    assert letters == 1


async def test_every_fault_of_a_batch_is_told_and_nothing_is_kept(office, proef):
    klanten = [
        {"nummer": "400600", "naam": "Goed"},
        {"nummer": "40 0601", "naam": " "},
        {"nummer": "400602", "naam": "X", "relatiebeheerder": "niemand",
         "nummers": {"BTW": "123"}},
    ]  # fmt: skip
    told = await proef.post("/klanten", {"klanten": klanten})
    assert told.status == 422
    assert set(told.faults) == {
        "klanten.1.nummer", "klanten.1.naam", "klanten.2.relatiebeheerder",
        "klanten.2.nummers.BTW",
    }  # fmt: skip
    async with office.portal.db.tenant(office.firm.id) as c:
        assert await c.fetchval("select count(*) from klant where number = '400600'") == 0


async def test_a_package_cannot_lead_codes_to_another_telephone(office, proef, person):
    sanne = await person()
    wish = {"gebruikersnaam": "sanne@bakkerij.example", "naam": "Sanne Meulenbelt",
            "mobiel": "06 99999999", "klanten": [KLANT]}  # fmt: skip
    told = await proef.post("/personen", {"personen": [wish]})
    assert told.status == 422
    assert set(told.faults) == {"personen.0.mobiel"}
    wish["mobiel"] = "06 12345678"
    assert (await proef.post("/personen", {"personen": [wish]})).status == 200
    assert sanne


async def test_a_member_of_staff_gets_no_mandate(office, proef):
    await people.add(
        office.portal, office.firm, username="eva@eikenhof.example", name="Eva",
        mobile="06 11111111", role=people.Role.STAFF,
    )  # fmt: skip
    mandate = {"gebruikersnaam": "eva@eikenhof.example", "klant": KLANT, "vanaf": "2026-01-01"}
    told = await proef.post("/mandaten", {"mandaten": [mandate]})
    assert set(told.faults) == {"mandaten.0.gebruikersnaam"}


# --- stukken


async def test_a_stuk_by_content_is_approved_filed_and_followed(office, proef, person):
    sanne = await person()
    told = await proef.put_up(
        ob(deadline="2027-01-31", opmerking="Graag voor vrijdag."), ob_files()
    )
    assert told.status == 201, told.body
    id = told.body["id"]
    assert told.headers["Location"].endswith(f"/api/v1/stukken/{id}")
    assert told.body["staat"] == "te_accorderen"
    sums = [hashlib.sha256(data).hexdigest() for _, data in ob_files().values()]
    assert [p["sha256"] for p in told.body["onderdelen"]] == sums
    await sanne.approves(UUID(id))
    assert (await office.finish(UUID(id))).state is D.FINAL_OK
    followed = (await proef.get(f"/stukken/{id}")).body
    assert followed["staat"] == "akkoord_digipoort"
    (booking,) = office.booked
    (sent,) = followed["verzendingen"]
    assert sent["kenmerk"] == booking["kenmerk"]
    assert "500" in {s["code"] for s in sent["statussen"]}
    (given,) = followed["akkoorden"]
    assert given["gebruikersnaam"] == "sanne@bakkerij.example"
    events = (await proef.get("/gebeurtenissen")).body["gebeurtenissen"]
    names = [e["gebeurtenis"] for e in events]
    assert names[0] == "stuk_put_up"
    assert {"stuk_opened", "stuk_confirmed", "delivery_accepted", "delivery_final"} <= set(names)
    assert [e["nummer"] for e in events] == sorted(e["nummer"] for e in events)


async def test_a_stuk_by_reference(office, proef):
    parts = [office.write("ob-1.pdf", "%PDF-1.4 1"), office.write("ob-1.xbrl", INSTANCES["ob"](1))]
    wish = ob(onderdelen=[{"rol": p.role, "bron": p.source, "id": p.id} for p in parts])
    told = await proef.post("/stukken", wish)
    assert told.status == 201, told.body


async def test_the_reason_of_a_rejection_reaches_the_package(office, proef, person):
    sanne = await person()
    id = await office.put_up()
    manifest = await sanne.opens(id)
    why = "De omzet klopt niet."
    await rejecting.ask_rejection(office.portal, sanne.visitor, id, manifest, why)
    await rejecting.reject(office.portal, sanne.visitor, id, manifest, why, sanne.phone.code)
    told = (await proef.get(f"/stukken/{id}")).body
    assert told["staat"] == "afgekeurd"
    assert told["akkoorden"][0]["reden"] == "De omzet klopt niet."


async def test_every_fault_of_a_stuk_is_told(proef):
    told = await proef.put_up(
        ob(klant="999", soort="xyz", jaar=1900, periode=" ", relatiebeheerder="niemand"),
        ob_files(),
    )
    assert told.status == 422
    assert {"klant", "soort", "jaar", "periode", "relatiebeheerder"} <= set(told.faults)


async def test_faults_in_an_instance_are_told_and_nothing_is_written(office, proef):
    files = ob_files() | {
        "aangifte": ("ob.xbrl", INSTANCES["ob"](1).replace(b"xbrli:xbrl", b"xbrli:zbrl"))
    }
    told = await proef.put_up(ob(), files)
    assert told.status == 422
    assert any(k.startswith("onderdelen.0") for k in told.faults), told.faults
    assert not [p for p in office.folder.rglob("*") if p.suffix == ".xbrl"]


async def test_the_same_twice_is_a_conflict_that_names_the_first(proef):
    first = await proef.put_up(ob(), ob_files())
    second = await proef.put_up(ob(), ob_files())
    assert second.status == 409
    assert second.body["stuk"] == first.body["id"]


async def test_parts_and_their_contents_must_fit(proef):
    files = ob_files()
    del files["pdf"]
    told = await proef.put_up(ob(), {**files, "over": ("x.pdf", PDF)})
    assert told.status == 422
    assert set(told.faults) == {"multipart.over"}
    assert (await proef.put_up(ob(), files)).faults.keys() == {"onderdelen.1"}


async def test_withdrawing_and_reporting(office, proef, person):
    told = await proef.put_up(ob(), ob_files())
    path = f"/stukken/{told.body['id']}"
    back = await proef.post(path + "/intrekken", {"reden": "Verkeerde periode gekozen."})
    assert back.body["staat"] == "ingetrokken"
    again = await proef.post(path + "/intrekken", {"reden": "Verkeerde periode gekozen."})
    assert again.status == 422
    assert (await proef.post(path + "/melden", {"gelukt": True})).status == 422


async def test_replacing(proef):
    first = await proef.put_up(ob(), ob_files())
    second = await proef.put_up(ob(vervangt=first.body["id"]), ob_files(77))
    assert second.status == 201
    assert (await proef.get(f"/stukken/{first.body['id']}")).body["staat"] == "vervangen"
    told = (await proef.get("/gebeurtenissen")).body["gebeurtenissen"]
    assert (first.body["id"], "stuk_replaced") in {(e["stuk"], e["gebeurtenis"]) for e in told}


@pytest.mark.parametrize(
    ("rule", "status", "fields"),
    [
        ([{"personen": ["sanne@bakkerij.example"]}], 201, set()),
        ([{"personen": ["nobody@x.example"]}], 422, {"akkoord_van.0"}),
        ([{"personen": ["sanne@bakkerij.example"], "nodig": 2}], 422, {"akkoord_van.0"}),
    ],
)
async def test_who_must_approve(proef, person, rule, status, fields):
    await person()
    told = await proef.put_up(ob(akkoord_van=rule), ob_files())
    assert told.status == status, told.body
    assert set(told.faults) == fields


# --- documenten


async def test_a_document_stands_in_the_firms_own_source(office, proef):
    where = {"bron": "map", "map": "Stukken/2026", "naam": "Brief é.pdf"}
    told = await proef.ask(
        "POST", f"/klanten/{KLANT}/documenten", params=where, data=PDF,
        headers={"Content-Type": "application/octet-stream"},
    )  # fmt: skip
    assert told.status == 201, told.body
    assert told.body["sha256"] == hashlib.sha256(PDF).hexdigest()
    assert (office.folder / "Stukken" / "2026" / "Brief é.pdf").read_bytes() == PDF


@pytest.mark.parametrize(
    ("change", "data", "field"),
    [
        ({"naam": "brief.exe"}, PDF, "naam"),
        ({"naam": "../brief.pdf"}, PDF, "naam"),
        ({"naam": "brief.pdf"}, b"MZ geen pdf", "inhoud"),
        ({"naam": "brief.pdf"}, b"geen pdf", "inhoud"),
        ({"naam": "brief.pdf"}, b"", "inhoud"),
        ({"sha256": "0" * 64}, PDF, "inhoud"),
        ({"bron": "geen"}, PDF, "bron"),
        ({"bron": "klaar", "map": "Klaargezet"}, PDF, "bron"),
        ({"map": "Prive"}, PDF, "map"),
        ({"map": "Stukken/../Prive"}, PDF, "map"),
        ({"naam": "x.zip"}, b"PK\x03\x04\x14\0\x01\0\x08\0abcdefgh", "inhoud"),
    ],
)
async def test_what_is_wrong_with_a_document(office, proef, change, data, field):
    where = {"bron": "map", "map": "Stukken", "naam": "brief.pdf"} | change
    told = await proef.ask(
        "POST", f"/klanten/{KLANT}/documenten", params=where, data=data,
        headers={"Content-Type": "application/octet-stream"},
    )  # fmt: skip
    assert told.status == 422, told.body
    assert set(told.faults) == {field}
    assert not [p for p in office.folder.parent.rglob("*") if p.is_file()]


async def test_the_same_document_again_is_no_fault(office, proef):
    """A package that lost the answer, or its key, sends it once more."""
    where = {"bron": "map", "map": "Stukken", "naam": "brief.pdf"}
    headers = {"Content-Type": "application/octet-stream"}
    first, again = [
        await proef.ask("POST", f"/klanten/{KLANT}/documenten", params=where, data=PDF * 5000,
                        headers=headers)
        for _ in range(2)
    ]  # fmt: skip
    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body
    other = await proef.ask(
        "POST", f"/klanten/{KLANT}/documenten", params=where, data=PDF, headers=headers
    )
    assert (other.status, other.faults) == (422, {"naam": uploads.TAKEN})
    assert (office.folder / "Stukken" / "brief.pdf").read_bytes() == PDF * 5000


async def test_a_document_has_a_limit_whether_its_name_is_taken_or_not(office):
    small = office.firm.intake.model_copy(update={"most_mib": 1})
    firm = office.firm.model_copy(update={"intake": small})
    await people.put_klanten(office.portal, firm, [Klant(KLANT, "Bakkerij Het Brood B.V.")])
    klant, source = await uploads.where(office.portal, firm, KLANT, "map")
    for name in ("leeg.pdf", "brief.pdf"):
        body = uploads.Hashed(endless())
        with pytest.raises(Invalid) as told:
            await uploads.put_once(office.portal, firm, klant, source, "Stukken", name, body)
        assert set(told.value.faults) == {"content"}
        assert 2**20 < body.length < 2 * 2**20
        (office.folder / "Stukken").mkdir(exist_ok=True)
        (office.folder / "Stukken" / "brief.pdf").write_bytes(PDF)


async def endless():
    """A document that goes on until nobody listens, or for 64 MiB."""
    yield PDF
    for _ in range(1024):
        yield bytes(65536)


async def test_the_documents_of_a_stuk_stand_in_a_folder_of_its_name(office, proef):
    """So that operations can tell what was refused from what was not."""
    told = await proef.put_up(ob(), ob_files())
    folder = office.folder / "Klaargezet" / told.body["id"]
    assert sorted(p.name for p in folder.iterdir()) == ["ob-3240.pdf", "ob-3240.xbrl"]


@pytest.mark.parametrize("whose", ["another's", "twice"])
async def test_an_instance_that_is_refused_is_never_written(office, proef, whose):
    """It may be another klant's: not a byte of it comes into this one's place."""
    files = ob_files()
    if whose == "twice":
        assert (await proef.put_up(ob(), ob_files())).status == 201
    else:
        name, data = files["aangifte"]
        files["aangifte"] = name, data.replace(made.NUMBER.encode(), b"000000012B01")
    before = {p for p in office.folder.parent.rglob("*") if p.suffix == ".xbrl"}
    told = await proef.put_up(ob(), files)
    assert told.status == (409 if whose == "twice" else 422)
    assert {p for p in office.folder.parent.rglob("*") if p.suffix == ".xbrl"} == before


# --- Idempotency-Key


async def test_a_post_needs_a_key_of_its_own(proef):
    async with proef.client.post(
        "/api/v1/klanten", json={"klanten": [{"nummer": "1", "naam": "K"}]},
        headers={"Authorization": f"Bearer {proef.key}"},
    ) as r:  # fmt: skip
        assert r.status == 400
        assert "Idempotency-Key" in (await r.json(content_type=None))["detail"]


@pytest.mark.parametrize("way", ["content", "reference"])
async def test_what_was_done_but_not_answered_is_answered_the_next_time(
    office, proef, monkeypatch, way
):
    """The database goes away between the two; the package asks again with the same key."""
    wish = ob()
    if way == "reference":
        parts = [office.write("ob-9.xbrl", INSTANCES["ob"](9)), office.write("ob-9.pdf", "%PDF-1")]
        wish["onderdelen"] = [{"rol": p.role, "bron": p.source, "id": p.id} for p in parts]

    async def ask():
        if way == "content":
            return await proef.put_up(wish, ob_files(), once="k")
        return await proef.post("/stukken", wish, once="k")

    async def away(*_):
        raise DatabaseDown("gone")

    with monkeypatch.context() as patched:
        patched.setattr(calling.store, "answered", away)
        first = await ask()
    assert (first.status, first.headers["Retry-After"]) == (503, "30")
    busy = await ask()
    assert (busy.status, busy.headers["Retry-After"]) == (409, "5")
    monkeypatch.setattr(calling, "STALE", timedelta(0))
    again = await ask()
    assert again.status == 201, again.body
    async with office.portal.db.tenant(office.firm.id) as c:
        assert [str(r["id"]) for r in await c.fetch("select id from stuk")] == [again.body["id"]]
    assert (await ask()).headers["Idempotency-Replayed"] == "true"


async def test_the_same_key_gives_the_same_answer(proef):
    first = await proef.put_up(ob(), ob_files(), once="een")
    second = await proef.put_up(ob(), ob_files(), once="een")
    assert (second.status, second.body) == (201, first.body)
    assert second.headers["Idempotency-Replayed"] == "true"
    other = await proef.put_up(ob(), ob_files(5), once="een")
    assert other.status == 409
    assert (await proef.put_up(ob(jaar=2025), ob_files(), once="een")).status == 409


async def test_a_refused_request_frees_its_key(proef):
    assert (await proef.put_up(ob(jaar=1900), ob_files(), once="twee")).status == 422
    assert (await proef.put_up(ob(), ob_files(), once="twee")).status == 201


async def test_at_once_only_one_is_taken(proef):
    told = await asyncio.gather(
        *(proef.put_up(ob(), ob_files(), once="drie") for _ in range(5)),
    )
    good = [t for t in told if t.status == 201]
    assert len({t.body["id"] for t in good}) == 1
    assert {t.status for t in told} <= {201, 409}


async def test_the_key_of_one_package_is_nothing_to_another(proef, package):
    other = await package(name="Tweede")
    klanten = {"klanten": [{"nummer": "1", "naam": "K"}]}
    assert (await proef.post("/klanten", klanten, once="vier")).status == 200
    answer = await other.post("/klanten", {"klanten": [{"nummer": "2", "naam": "L"}]}, once="vier")
    assert answer.status == 200


# --- what is no good at all


@pytest.mark.parametrize(
    ("data", "type", "status"),
    [
        (b"{", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"klanten": []}', "application/json", 422),
        (b'{"klanten": [{"nummer": "1", "naam": "K", "x": 1}]}', "application/json", 422),
        (b'{"klanten": [{"nummer": "1\\u0000", "naam": "K"}]}', "application/json", 422),
        (b"x=1", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
        (b" " * (4 * 1024 * 1024 + 1), "application/json", 413),
    ],
)
async def test_bodies_that_cannot_be_read(proef, data, type, status):
    told = await proef.ask(
        "POST", "/klanten", data=io.BytesIO(data), headers={"Content-Type": type}
    )
    assert told.status == status


async def test_the_rate_is_told_and_kept(proef, monkeypatch):
    monkeypatch.setattr(calling, "_LIMIT", rules.per_key(3))
    told = [await proef.get("/gebeurtenissen") for _ in range(5)]
    assert [t.status for t in told] == [200, 200, 200, 429, 429]
    assert int(told[-1].headers["Retry-After"]) >= 1
    assert "RateLimit-Policy" in told[0].headers


async def test_events_wait_for_the_next(office, proef):
    start = (await proef.get("/gebeurtenissen?vanaf=-1")).body["vanaf"]
    waiting = asyncio.create_task(proef.get(f"/gebeurtenissen?vanaf={start}&wacht=20"))
    id = await office.put_up()
    told = (await waiting).body
    assert [e["stuk"] for e in told["gebeurtenissen"]] == [str(id)]
    assert told["vanaf"] > start


async def test_unknown_addresses_and_methods(proef):
    assert (await proef.get("/bestaat/niet")).status == 404
    assert (await proef.get("/stukken/geen-uuid")).status == 404
    assert (await proef.get("/klanten")).status in (404, 405)


# --- a process that died


async def _stale(office) -> None:
    """The process that worked on it gave no sign of life for a minute."""
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update idempotency set at = now() - interval '1 minute', status = null")


async def test_what_a_dead_process_left_is_taken_over_and_not_doubled(office, proef):
    first = await proef.put_up(ob(), ob_files(), once="dood")
    await _stale(office)  # it put the stuk up, and died before it could say so
    second = await proef.put_up(ob(), ob_files(), once="dood")
    assert (second.status, second.body["id"]) == (201, first.body["id"])
    async with office.portal.db.tenant(office.firm.id) as c:
        assert await c.fetchval("select count(*) from stuk") == 1


async def test_what_is_being_worked_on_is_left_to_it(office, proef):
    await proef.post("/klanten", {"klanten": [{"nummer": "1", "naam": "K"}]}, once="bezig")
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("update idempotency set status = null")
    told = await proef.post("/klanten", {"klanten": [{"nummer": "1", "naam": "K"}]}, once="bezig")
    assert told.status == 409
    assert int(told.headers["Retry-After"]) > 0


async def test_another_packages_stuk_is_a_conflict_after_a_death_too(office, proef, package):
    other = await package(name="Tweede")
    await other.put_up(ob(), ob_files())
    assert (await proef.put_up(ob(jaar=2025), ob_files(9), once="x")).status == 201
    async with office.portal.db.tenant(office.firm.id) as c:
        await c.execute("delete from idempotency where key = 'y'")
    told = await proef.put_up(ob(), ob_files(), once="y")
    assert told.status == 409


async def test_a_body_that_does_not_come_is_not_waited_for(proef, monkeypatch):
    monkeypatch.setattr(operation, "JSON_SECONDS", 0.05)
    monkeypatch.setattr(multipart, "IDLE", 0.05)

    async def slow():
        yield b"{"
        await asyncio.sleep(30)

    for path, kind in (("/klanten", "application/json"),
                       (f"/klanten/{KLANT}/documenten?bron=map&map=Stukken&naam=a.pdf",
                        "application/octet-stream")):  # fmt: skip
        told = await proef.ask("POST", path, data=slow(), headers={"Content-Type": kind})
        assert told.status == 408
