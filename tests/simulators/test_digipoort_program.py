"""The simulator as a program: its certificates, its ledger, a bank, and the whole of it."""

import asyncio
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from cryptography.x509.oid import NameOID

from gateway.simulators.digipoort import ledger as ledgers
from gateway.simulators.digipoort import pki as authority
from gateway.simulators.digipoort.desk import Options
from gateway.simulators.digipoort.flavour import BANK
from gateway.simulators.digipoort.ledger import Ledger
from gateway.simulators.digipoort.server import run
from tests.simulators import wus_client as wus
from tests.simulators.wus_client import KS, Identity, aanlevering, of_kenmerk

BANK_AANLEVER = "/biv-wus20v12/AanleverService"
BANK_STATUS = "/biv-wus20v12/StatusInformatieService"
RECEIVER = "00000000123456780000"
ONTVANGER = (
    f"<identiteitOntvanger><nummer>{RECEIVER}</nummer><type>ID-ontvanger</type>"
    "</identiteitOntvanger>"
)

# --- certificates


def test_certificates_are_made_once_and_for_the_owner_alone(tmp_path):
    folder = tmp_path / "pki"
    first = authority.make(folder, {"een": "12345678"})
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    second = authority.make(folder, {"een": "12345678", "twee": "1234567"})
    after = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert {k: after[k] for k in before} == before
    assert set(after) - set(before) == {"client-twee.pem", "client-twee.key"}
    assert first.ca == second.ca
    assert {p.stat().st_mode & 0o777 for p in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    oins = {n: authority.oin_of(c.load()[0]) for n, c in second.clients.items()}
    assert oins == {"een": "00000003123456780000", "twee": "00000003012345670000"}


def test_what_a_kill_left_half_is_made_anew(tmp_path):
    made = authority.make(tmp_path, {"een": "12345678"})
    made.clients["een"].certificate.unlink()
    (tmp_path / "client-een.key.new").write_bytes(b"half")
    pair = authority.make(tmp_path, {"een": "12345678"}).clients["een"]
    certificate, key = pair.load()
    assert certificate.public_key() == key.public_key()
    assert {p.suffix for p in tmp_path.iterdir()} == {".pem", ".key"}


def test_openssl_verifies_the_chain(pki):
    ca = ["-CAfile", pki.ca.certificate, "-x509_strict"]
    for purpose, pair in (
        ("sslserver", pki.server),
        ("sslclient", pki.clients["kantoor"]),
        ("smimesign", pki.signing),
    ):
        command = ["openssl", "verify", *ca, "-purpose", purpose, pair.certificate]
        subprocess.run(command, check=True, capture_output=True)
    names = {c.load()[0].serial_number for c in (pki.server, pki.signing, pki.ca)}
    assert len(names) == 3
    subject = pki.clients["kantoor"].load()[0].subject
    (serial,) = subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    assert serial.value == "00000003123456780000"


def test_an_oin_has_twenty_digits():
    assert authority.oin("12345678") == "00000003123456780000"
    assert authority.oin_of(authority.stranger()[0]) == "00000003000000010000"


# --- the ledger

BOOKING = {"oin": "o", "berichtsoort": "OB", "nummer": "1", "type": "Fi", "scenario": "Happyflow",
           "speed": 1.0, "at": "2026-11-24T12:00:00.000+00:00"}  # fmt: skip
FORM = {"berichtInhoud": {"bestandsnaam": "a", "mimeType": "b", "length": 1, "sha256": "00"}}


def test_a_booking_is_never_changed_nor_made_twice(tmp_path):
    file = tmp_path / "ledger.sqlite"
    ledger = Ledger(file)
    ledger.book({**BOOKING, "kenmerk": "k", "message_id": "m"}, FORM)
    for again in ({"kenmerk": "k", "message_id": "x"}, {"kenmerk": "x", "message_id": "m"}):
        with pytest.raises(sqlite3.IntegrityError):
            ledger.book({**BOOKING, **again}, FORM)
    ledger.close()
    other = sqlite3.connect(file)
    for sql in ("update booking set nummer = '2'", "delete from booking"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            other.execute(sql)
    other.close()
    assert [b["kenmerk"] for b in ledgers.read(file)] == ["k"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_nothing_to_read_yet(tmp_path):
    assert ledgers.read(tmp_path / "none.sqlite") == []
    (tmp_path / "empty.sqlite").touch()
    assert ledgers.read(tmp_path / "empty.sqlite") == []


def test_what_was_booked_survives_a_kill_and_can_be_read_meanwhile(tmp_path):
    file = tmp_path / "ledger.sqlite"
    code = f"""
import sys, time
from pathlib import Path
from gateway.simulators.digipoort.ledger import Ledger
ledger = Ledger(Path({str(file)!r}))
for n in range(5):
    ledger.book({{**{BOOKING!r}, "kenmerk": f"k{{n}}", "message_id": f"m{{n}}"}}, {FORM!r})
    print(n, flush=True)
time.sleep(3600)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        for n in range(5):
            assert child.stdout.readline() == f"{n}\n"
            assert f"k{n}" in [b["kenmerk"] for b in ledgers.read(file)]
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    assert [b["kenmerk"] for b in ledgers.read(file)] == [f"k{n}" for n in range(5)]
    again = Ledger(file)
    again.book({**BOOKING, "kenmerk": "k5", "message_id": "m5"}, FORM)
    assert [b["volgnummer"] for b in again.all()] == [1, 2, 3, 4, 5, 6]
    again.close()


def test_what_was_told_counts_for_each_certificate(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.tell_once("a", "statussen", {"k": 3, "l": 1}) == {"k": 0, "l": 0}
    assert ledger.tell_once("a", "statussen", {"k": 5}) == {"k": 3}
    assert ledger.tell_once("a", "berichten", {"k": 1}) == {"k": 0}
    assert ledger.tell_once("b", "statussen", {"k": 5}) == {"k": 0}
    ledger.close()


# --- a bank


async def to_bank(world, payload: str, path: str = BANK_AANLEVER, operation: str = "aanleveren"):
    request = world.client.make(operation, payload, to=world.url + path)
    return await world.client.post(request, path)


def jaarrekening(**changes: str) -> str:
    return aanlevering(
        **{"berichtsoort": "Jaarrekening_AV", "nummer": "12345678", "soort": "kvk",
           "ontvanger": ONTVANGER, "rol": "", **changes}
    )  # fmt: skip


async def test_a_bank_takes_what_is_for_it(serve):
    world = await serve(BANK, receivers=(RECEIVER,))
    reply = await to_bank(world, jaarrekening())
    assert reply.status == 200, reply.data
    kenmerk = reply.text("kenmerk")
    assert kenmerk.startswith("BTP-210")
    assert len(kenmerk) <= 40
    assert reply.text("statuscode") is None
    (booking,) = world.desk.ledger.all()
    assert booking["ontvanger"] == {"nummer": RECEIVER, "type": "ID-ontvanger"}
    statuses = await to_bank(
        world, of_kenmerk("getStatussenProces", kenmerk), BANK_STATUS, "getStatussenProces"
    )
    assert statuses.texts("statuscode")[-1] == "500"
    soorten = f'<getBerichtsoortenRequest xmlns="{KS}">{{}}</getBerichtsoortenRequest>'.format(
        "<identiteitBelanghebbende><nummer>1</nummer><type>kvk</type></identiteitBelanghebbende>"
    )
    told = await to_bank(world, soorten, BANK_STATUS, "getBerichtsoorten")
    assert "Jaarrekening_AV" in told.texts("berichtsoort")


@pytest.mark.parametrize(("name", "code"), [("Happyflow", "500"), ("Validatiefout", "311")])
async def test_a_synchronous_bank_tells_the_end_at_once(serve, shared, name, code):
    world = await serve(BANK, receivers=(RECEIVER,), synchronous=True, speed=1)
    reply = await to_bank(world, jaarrekening(aanleverkenmerk=name))
    assert reply.text("statuscode") == code
    assert reply.text("tijdstempelStatus") == reply.text("tijdstempelAangeleverd")
    kenmerk = reply.text("kenmerk")
    statuses = await to_bank(
        world, of_kenmerk("getStatussenProces", kenmerk), BANK_STATUS, "getStatussenProces"
    )
    assert statuses.texts("statuscode")[-1] == code
    schema = wus.etree.XMLSchema(
        wus.etree.parse(shared / "digipoort/biv-sbrbanken/digipoort-koppelvlak-1.2.xsd")
    )
    for content in (reply.content, statuses.content):
        schema.assertValid(wus.etree.fromstring(wus.etree.tostring(content)))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ontvanger": ""}, "identiteitOntvanger ontbreekt"),
        ({"ontvanger": ONTVANGER.replace("1234567", "7654321")}, "ontvanger 00000000765432180000"),
        ({"berichtsoort": "Omzetbelasting"}, "berichtsoort Omzetbelasting is onbekend"),
    ],
)
async def test_a_bank_refuses_what_is_not_for_it(serve, changes, why):
    world = await serve(BANK, receivers=(RECEIVER,), berichtsoorten=("Jaarrekening_AV",))
    reply = await to_bank(world, jaarrekening(**changes))
    assert reply.fault[0] == "ALS100"
    assert reply.fault[1].startswith(why)
    assert world.desk.ledger.all() == []


# --- the whole


async def test_the_program(tmp_path):
    told: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        run(
            tmp_path,
            clients={"kantoor": "12345678"},
            options=Options(speed=1e9),
            ready=lambda *urls: told.set_result(urls),
        )
    )
    url, control = await told
    pair = authority.make(tmp_path / "pki", {"kantoor": "12345678"}).clients["kantoor"]
    client = wus.Client(url, Identity(pair.certificate, pair.key), tmp_path / "pki" / "ca.pem")
    async with client.session as session:
        reply = await client.send("aanleveren", aanlevering("Ref-1"))
        assert reply.status == 200, reply.data
        async with session.get(control + "/ledger") as answer:
            assert [b["kenmerk"] for b in await answer.json()] == [reply.text("kenmerk")]
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await session.get(control.replace("http:", "https:"))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [b["aanleverkenmerk"] for b in ledgers.read(tmp_path / "ledger.sqlite")] == ["Ref-1"]
    secret = [p for p in Path(tmp_path).rglob("*") if p.is_file() and p.stat().st_mode & 0o077]
    assert secret == []


@pytest.mark.parametrize(("name", "booked"), [("AcceptedNoAnswer", 1), ("LateBooking", 0)])
async def test_the_end_of_the_program_answers_nobody(tmp_path, name, booked):
    told: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(
        run(tmp_path, clients={"k": "1"}, ready=lambda *urls: told.set_result(urls))
    )
    url, control = await told
    pair = authority.make(tmp_path / "pki", {"k": "1"}).clients["k"]
    client = wus.Client(url, Identity(pair.certificate, pair.key), tmp_path / "pki" / "ca.pem")
    async with client.session as session:
        (await session.post(control + "/scenario", json={"name": name})).release()
        sending = asyncio.create_task(client.send("aanleveren", aanlevering("ref")))
        while True:
            async with session.get(control + "/unused") as unused:
                waiting = not await unused.json()
            if waiting and len(ledgers.read(tmp_path / "ledger.sqlite")) == booked:
                break
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await sending
    assert len(ledgers.read(tmp_path / "ledger.sqlite")) == booked


async def test_clients_may_know_it_by_another_address(serve):
    world = await serve(url="https://digipoort.example/")
    here = await world.client.send("aanleveren", aanlevering())
    assert here.fault[1].startswith("wsa:To is niet https://digipoort.example/wus/2.0/")
    to = "https://digipoort.example" + wus.path_of("aanleveren")
    assert (await world.client.send("aanleveren", aanlevering(), to=to)).status == 200
