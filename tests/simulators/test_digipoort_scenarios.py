"""Every scenario of the simulator of Digipoort, its statuses' clock, and the control page."""

import asyncio
import datetime as dt

import aiohttp
import pytest
import time_machine
from cryptography.exceptions import InvalidSignature
from lxml import etree

from gateway.simulators.digipoort.control import control
from gateway.simulators.digipoort.desk import Desk, Options
from gateway.simulators.digipoort.koppelvlak import Form
from gateway.simulators.digipoort.ledger import Ledger
from gateway.simulators.digipoort.scenarios import SCENARIOS, Chooser, Queued
from gateway.simulators.digipoort.statuses import HAPPY, schedule
from tests.simulators import wus_client as wus
from tests.simulators.conftest import World
from tests.simulators.wus_client import NS, aanlevering, of_kenmerk

OFFERED = ["105", "100", "110", "200", "301", "301", "405"]
GOOD = [*OFFERED, "400", "500"]


async def delivered(world: World, aanleverkenmerk: str) -> wus.Reply:
    return await world.client.send("aanleveren", aanlevering(aanleverkenmerk))


async def statuses(world: World, kenmerk: str, operation: str = "getStatussenProces") -> wus.Reply:
    return await world.client.send(operation, of_kenmerk(operation, kenmerk))


# --- the course of the statuses


@pytest.mark.parametrize(
    ("name", "codes", "fout"),
    [
        ("Happyflow", GOOD, None),
        ("Afleverfout", [*OFFERED, "410"], "AFS400"),
        ("Foutuitvragendepartij", [*OFFERED, "400", "510"], None),
        ("TechnischProbleemAfleveren", [*OFFERED, *["420"] * 18, "400", "500"], None),
        ("MaximaalAantalAfleverpogingen", [*OFFERED, *["420"] * 19], "AFS600"),
        ("NietGemachtigd", ["105", "100", "110", "210"], None),
        ("Validatiefout", ["105", "100", "110", "200", "311"], "VAS500"),
        ("TechnischProbleemValidatie", [*GOOD[:4], *["321"] * 3, *GOOD[4:]], "VAS400"),
        ("iets anders", GOOD, None),
        ("Happyflows", GOOD, None),
    ],
)
@pytest.mark.parametrize("rest", ["", "-2026-0001"])
async def test_the_course_of_a_scenario(world: World, name, codes, fout, rest):
    kenmerk = (await delivered(world, name + rest)).text("kenmerk")
    reply = await statuses(world, kenmerk)
    assert reply.texts("statuscode") == codes
    found = reply.texts("foutcode")
    assert (found[-1] if found else None) == fout
    times = reply.texts("tijdstempelStatus")
    assert times == sorted(times)


async def test_a_validatiefout_tells_what_is_wrong(world: World):
    kenmerk = (await delivered(world, "Validatiefout")).text("kenmerk")
    details = etree.fromstring((await statuses(world, kenmerk)).texts("statusdetails")[-1])
    assert details.tag == "{http://nlvalidatie.nl/batavia}results"
    levels = [m.get("level") for m in details.iter("{*}msg")]
    assert levels == ["error", "warning"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_technical_problems_last_72_hours_of_the_scaled_clock(name):
    steps = SCENARIOS[name].steps
    begun = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
    slow, fast = (schedule(steps, begun, speed) for speed in (1, 3600))
    for one, other in zip(slow, fast, strict=True):
        assert abs((one.at - begun) / 3600 - (other.at - begun)) < dt.timedelta(milliseconds=1)
    assert [s.at for s in slow] == sorted(s.at for s in slow)
    last = (slow[-1].at - begun).total_seconds() / 3600
    assert (last > 72) == (name in ("TechnischProbleemAfleveren", "MaximaalAantalAfleverpogingen"))


@pytest.fixture
def desk(pki, tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield Desk(pki, ledger, options=Options(speed=60))
    ledger.close()


def form(aanleverkenmerk: str = "Ref") -> Form:
    return {
        "berichtsoort": "Omzetbelasting",
        "aanleverkenmerk": aanleverkenmerk,
        "identiteitBelanghebbende": {"nummer": "1", "type": "Fi"},
        "rolBelanghebbende": "Bedrijf",
        "berichtInhoud": {"bestandsnaam": "a.xbrl", "mimeType": "x", "length": 1, "sha256": "00"},
    }


def told(desk: Desk, operation: str, kenmerk: str) -> list[str]:
    content = desk.told(operation, {"kenmerk": kenmerk}, "oin")
    return [e.text for e in content.iter("{*}statuscode")]


def test_statuses_come_to_light_by_the_scaled_clock(desk):
    """At 60 times the speed: 405 after one second, 500 after ten."""
    with time_machine.travel(dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC), tick=False) as clock:
        kenmerk = desk.book(form(), "urn:1", "oin", "Happyflow")["kenmerk"]
        seen, new = [], []
        for _ in range(4):
            seen.append(told(desk, "getStatussenProces", kenmerk))
            new.append(told(desk, "getNieuweStatussenProces", kenmerk))
            clock.shift(1)
        clock.shift(7)
        assert told(desk, "getNieuweStatussenProces", kenmerk) == ["500"]
        assert told(desk, "getStatussenProces", kenmerk) == GOOD
    assert seen == [[], OFFERED, GOOD[:-1], GOOD[:-1]]
    assert new == [[], OFFERED, ["400"], []]


def test_out_of_order_an_older_status_comes_to_light_after_the_end(desk):
    with time_machine.travel(dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC), tick=False) as clock:
        kenmerk = desk.book(form(), "urn:1", "oin", "OutOfOrder")["kenmerk"]
        clock.shift(10)
        at_the_end = told(desk, "getStatussenProces", kenmerk)
        clock.shift(1)
        later = told(desk, "getStatussenProces", kenmerk)
    assert at_the_end[0] == "500"
    assert "400" not in at_the_end
    assert later == GOOD[::-1]


def test_a_late_status_is_never_shown_before_its_time():
    begun = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
    for status in schedule(HAPPY, begun, 60, late=True):
        assert status.shown >= status.at


async def test_repeated_statuses(world: World):
    kenmerk = (await delivered(world, "RepeatedStatuses")).text("kenmerk")
    reply = await statuses(world, kenmerk)
    assert reply.texts("statuscode") == [c for c in GOOD for _ in range(2)]
    assert len(set(reply.texts("tijdstempelStatus"))) <= len(GOOD)


# --- what happens to a delivery


@pytest.mark.parametrize(
    ("name", "status", "booked"),
    [
        ("AanleverFault", 500, 0),
        ("OverbelastAanleveren", 503, 0),
        ("ErrorAfter", 500, 1),
        ("ZwaarbelastAanleveren", 200, 1),
        ("Slow", 200, 1),
    ],
)
async def test_what_a_delivery_gets(world: World, name, status, booked):
    reply = await delivered(world, name)
    assert reply.status == status
    assert len(world.desk.ledger.all()) == booked
    if name == "AanleverFault":
        assert reply.fault[0] == "ALS100"


@pytest.mark.parametrize(("name", "booked"), [("ResetBefore", 0), ("ResetAfter", 1)])
async def test_a_reset(world: World, name, booked):
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await delivered(world, name)
    assert len(world.desk.ledger.all()) == booked


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.01)


async def leave(task: "asyncio.Task[object]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_accepted_without_an_answer(world: World):
    sending = asyncio.create_task(delivered(world, "AcceptedNoAnswer"))
    await until(world.desk.ledger.all)
    assert not sending.done()
    await leave(sending)
    assert len(world.desk.ledger.all()) == 1


async def test_a_late_booking_is_made_when_the_client_has_left(world: World, aiohttp_client):
    page = await aiohttp_client(control(world.desk))
    assert await (await page.get("/under-way")).json() == 0
    world.desk.chooser.queue(Queued("LateBooking"))
    sending = asyncio.create_task(delivered(world, "ref"))
    await until(lambda: not world.desk.chooser.unused())
    assert not world.desk.ledger.all()
    await leave(sending)
    assert await (await page.get("/under-way")).json() == 1
    await until(lambda: not world.desk.under_way)
    assert len(world.desk.ledger.all()) == 1


@pytest.mark.parametrize("name", ["AcceptedNoAnswer", "LateBooking", "Slow"])
async def test_the_end_of_the_server_ends_all_waiting(serve, name):
    world = await serve(slow=1e6, late=1e6)
    world.desk.chooser.queue(Queued(name))
    sending = asyncio.create_task(delivered(world, "ref"))
    await until(lambda: not world.desk.chooser.unused())
    await leave(sending)  # the fixture closes the server; with LateBooking nothing is booked


async def test_a_duplicate_reply_has_the_kenmerk_before(world: World, pki):
    alone = await delivered(world, "DuplicateReply")
    first = await delivered(world, "Happyflow")
    await world.other.send("aanleveren", aanlevering())
    again = await delivered(world, "DuplicateReply")
    assert again.text("kenmerk") == first.text("kenmerk") != alone.text("kenmerk")
    assert again.text("aanleverkenmerk") == "DuplicateReply"
    assert "Body" in wus.verified(again.root, pki.signing.load()[0])
    assert len({b["kenmerk"] for b in world.desk.ledger.all()}) == 4


async def test_replies_that_must_not_be_believed(world: World, pki):
    signing = pki.signing.load()[0]
    other = await delivered(world, "OtherRelatesTo")
    assert "RelatesTo" in wus.verified(other.root, signing)
    assert other.root.findtext(".//a:RelatesTo", None, NS) != other.request.message_id
    forged = await delivered(world, "ForgedReply")
    with pytest.raises(InvalidSignature):
        wus.verified(forged.root, signing)
    plain = await delivered(world, "UnsignedReply")
    assert plain.text("kenmerk")
    assert not plain.root.xpath("//o:Security", namespaces=NS)
    tampered = await delivered(world, "TamperedReply")
    with pytest.raises(AssertionError):
        wus.verified(tampered.root, signing)
    wrapped = await delivered(world, "WrappedReply")
    assert "Body" in wus.verified(wrapped.root, signing)  # the cryptography alone sees nothing
    booked = {b["kenmerk"] for b in world.desk.ledger.all()}
    assert len(booked) == 5
    assert {tampered.text("kenmerk"), wrapped.text("kenmerk")}.isdisjoint(booked)


# --- what happens to a question


@pytest.mark.parametrize("operation", ["getStatussenProces", "getNieuweStatussenProces"])
async def test_a_status_fault(world: World, operation):
    kenmerk = (await delivered(world, "StatusInformatieFault")).text("kenmerk")
    reply = await statuses(world, kenmerk, operation)
    assert (reply.status, reply.fault[0]) == (500, "STS100")
    assert (await statuses(world, kenmerk, "getBerichtenKenmerk")).status == 200


async def test_status_slow(world: World):
    kenmerk = (await delivered(world, "ZwaarbelastStatusInformatie")).text("kenmerk")
    assert (await statuses(world, kenmerk)).texts("statuscode") == GOOD


@pytest.mark.parametrize(("speed", "status"), [(1, 503), (1e9, 200)])
async def test_status_unavailable_for_an_hour_of_the_scaled_clock(serve, speed, status):
    world = await serve(speed=speed)
    kenmerk = (await delivered(world, "OverbelastStatusInformatie")).text("kenmerk")
    assert (await statuses(world, kenmerk)).status == status


# --- who meets what


def test_what_is_queued_is_met_in_order_by_those_it_suits():
    chooser = Chooser()
    chooser.queue(Queued("Slow", 2, berichtsoort="ICP"))
    chooser.queue(Queued("ErrorAfter", nummer="2"))
    assert chooser.choose("Afleverfout-1", "ICP", "2") == "Afleverfout"
    assert [
        chooser.choose("ref", berichtsoort, nummer)
        for berichtsoort, nummer in
        (("ICP", "1"), ("OB", "1"), ("OB", "2"), ("ICP", "2"), ("ICP", "2"))
    ] == ["Slow", "Happyflow", "ErrorAfter", "Slow", "Happyflow"]  # fmt: skip
    assert chooser.unused() == []


def test_chance_is_the_same_for_the_same_seed():
    def drawn(seed: int) -> list[str]:
        chooser = Chooser()
        chooser.chaos(seed, {"Slow": 0.3, "ResetAfter": 0.3})
        return [chooser.choose(None, "OB", "1") for _ in range(200)]

    assert drawn(7) == drawn(7) != drawn(8)
    counts = {name: drawn(7).count(name) for name in ("Slow", "ResetAfter", "Happyflow")}
    assert sum(counts.values()) == 200
    assert min(counts.values()) > 30


async def test_the_control_page(world: World, aiohttp_client):
    page = await aiohttp_client(control(world.desk))
    assert "LateBooking" in await (await page.get("/scenarios")).json()
    asked = {"name": "ErrorAfter", "count": 2, "berichtsoort": "Omzetbelasting"}
    assert (await page.post("/scenario", json=asked)).status == 201
    assert (await delivered(world, "&lt;b&gt;eerste")).status == 500
    assert await (await page.get("/unused")).json() == [{**asked, "count": 1, "nummer": None}]
    assert (await page.delete("/scenarios")).status == 204
    assert await (await page.get("/unused")).json() == []
    good = await delivered(world, "tweede")
    bookings = await (await page.get("/ledger")).json()
    assert bookings == await (await page.get("/")).json()
    assert [b["scenario"] for b in bookings] == ["ErrorAfter", "Happyflow"]
    assert bookings[1]["kenmerk"] == good.text("kenmerk")
    html = await page.get("/", headers={"Accept": "text/html"})
    text = await html.text()
    assert text.index("tweede") < text.index("&lt;b&gt;eerste")
    assert "default-src 'none'" in html.headers["Content-Security-Policy"]


async def test_chaos_from_the_control_page(world: World, aiohttp_client):
    page = await aiohttp_client(control(world.desk))
    rates = {"OverbelastAanleveren": 1}
    assert (await page.post("/chaos", json={"seed": 3, "rates": rates})).status == 201
    assert (await delivered(world, "ref")).status == 503
    assert (await delivered(world, "Happyflow")).status == 200
    assert (await page.post("/chaos", json={"seed": 3, "rates": {}})).status == 201
    assert (await delivered(world, "ref")).status == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/scenario", []),
        ("/scenario", {}),
        ("/scenario", {"name": "Onzin"}),
        ("/scenario", {"name": ["Slow"]}),
        ("/scenario", {"name": "Slow", "count": 0}),
        ("/scenario", {"name": "Slow", "count": "2"}),
        ("/scenario", {"name": "Slow", "nummer": 2}),
        ("/scenario", {"name": "Slow", "kleur": "rood"}),
        ("/chaos", {"seed": "x"}),
        ("/chaos", {"rates": []}),
        ("/chaos", {"rates": {"Onzin": 0.1}}),
        ("/chaos", {"rates": {"Slow": 2}}),
        ("/chaos", {"rates": {"Slow": 0.6, "ResetAfter": 0.6}}),
    ],
)
async def test_what_the_control_page_does_not_understand(desk, aiohttp_client, path, body):
    page = await aiohttp_client(control(desk))
    assert (await page.post(path, json=body)).status == 400
    assert (await page.post(path, data="geen json")).status == 400
    assert desk.chooser.unused() == []
