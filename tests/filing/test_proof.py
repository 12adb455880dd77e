"""The proof of a stuk: made from real deliveries, checked without the portal, and attacked."""

import asyncio
import base64
import copy
import hashlib
import json
import re
from fnmatch import fnmatchcase
from uuid import UUID

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.cli import cli
from gateway.domain import chain as links
from gateway.domain.proof import contents, seal
from gateway.domain.proof.findings import NotAProof
from gateway.errors import Denied
from gateway.flows import auditing, stukbeheer
from gateway.flows.accordering import rejecting
from gateway.flows.proof import checking, gathering, printing
from tests.delivery import pki as own
from tests.delivery import replies
from tests.filing.conftest import rule

#: What this return has not got: it is null or empty, and not free to be anything.
NOT_HERE = {"stuk.deadline", "rule.*"}

OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


def wrong(data, **more) -> dict[str, str]:
    """What does not verify, with why."""
    found: dict[str, str] = {}
    for one in checking.verify(data, **more):
        if not one.ok:
            found[one.what] = f"{found.get(one.what, '')}; {one.detail}"
    return found


@pytest.fixture
async def filed(office, person):
    """A return that was approved and accepted; the file as it is read from disk."""
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    await office.finish(id)
    return seal.read(json.dumps(await gathering.bundle(office.portal, sanne.visitor, id)))


def leaves(value, path=()):
    """Every path to a leaf."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, one in items:
            yield from leaves(one, (*path, name))
    else:
        yield path


def at(data, path):
    """The value at a path."""
    for name in path:
        data = data[name]
    return data


def put(data, path, value):
    """A copy with another value at a path."""
    made = copy.deepcopy(data)
    at(made, path[:-1])[path[-1]] = value
    return made


def resealed(data, key):
    """As somebody would write it who has a key."""
    content = {k: v for k, v in data.items() if k not in ("seal", "key")}
    return seal.sealed(content, key)


def other(value):
    """Another value of the same shape."""
    if value is None:
        return "x"
    if isinstance(value, int):
        return value + 1 if value > 1 else 1 - value
    if re.fullmatch(r"[0-9a-f]{64}", value):
        return value[::-1] if value != value[::-1] else "0" * 64
    if re.fullmatch(r"\d{4}-\d\d-\d\d.*", value):
        return f"{int(value[:4]) - 1}{value[4:]}"
    return value + "x"


async def test_it_tells_all_and_verifies(office, filed):
    assert wrong(filed, key=auditing.public_key(office.portal)) == {}
    (approval,) = filed["approvals"]
    assert (approval["username"], approval["act"]) == ("sanne@bakkerij.example", "approved")
    assert approval["mandate"]["soort"] == "*"
    assert approval["code"]["purpose"] == "approving"
    (delivery,) = filed["deliveries"]
    (booking,) = office.booked
    assert (delivery["state"], delivery["kenmerk"]) == ("final_ok", booking["kenmerk"])
    assert [a["outcome"] for a in delivery["attempts"]] == ["accepted"]
    assert delivery["statuses"]
    assert {r["kind"] for r in delivery["replies"]} == {"aanleveren", "status"}
    assert [p["role"] for p in filed["parts"]] == ["akkoorddocument", "instance"]
    assert {"stuk_put_up", "stuk_confirmed", "delivery_final"} <= {
        e["event"] for e in filed["events"]
    }


async def test_neither_code_nor_bytes_nor_place_are_in_it(office, filed, phone):
    text = json.dumps(filed)
    for secret in (phone.code, phone.code.replace("-", ""), "%PDF", "Stukken/", "<xbrl"):
        assert secret not in text


async def test_the_certificate_is_compared(office, filed, pki):
    folder = pki.ca.certificate.parent
    good = x509.load_pem_x509_certificate((folder / "signing.pem").read_bytes())
    bad = x509.load_pem_x509_certificate(pki.ca.certificate.read_bytes())
    assert wrong(filed, certificates=[bad, good]) == {}
    assert set(wrong(filed, certificates=[bad])) == {"deliveries.0"} | {
        f"deliveries.0.replies.{n}" for n in range(len(filed["deliveries"][0]["replies"]))
    }


async def test_a_file_is_compared(office, filed):
    data = (office.folder / "Stukken" / "ob-3240.pdf").read_bytes()
    assert wrong(filed, document=hashlib.sha256(data).hexdigest()) == {}
    assert "document" in wrong(filed, document=hashlib.sha256(data + b" ").hexdigest())


async def test_every_flipped_leaf_is_named(filed):
    """Any value, any other value: the piece that it stands in is named."""
    paths = list(leaves(filed))

    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(
        st.sampled_from(paths),
        st.none() | st.booleans() | st.integers() | st.text() | st.just([]) | st.just({}),
    )
    def flip(path, value) -> None:
        if value == at(filed, path) and type(value) is type(at(filed, path)):
            return
        try:
            found = wrong(put(filed, path, value))
        except NotAProof:
            assert path[0] in ("format", "version")
            return
        named = ".".join(map(str, path))
        assert any(named.startswith(what) or what.startswith(named) for what in found), found

    flip()


async def test_one_sign_more_in_any_leaf_is_named(filed):
    """The smallest changes, everywhere."""
    for path in leaves(filed):
        if path[0] not in ("format", "version"):
            assert wrong(put(filed, path, other(at(filed, path)))), path


async def test_what_is_dropped_or_moved_is_named(filed):
    for name in filed:
        if isinstance(filed[name], list) and filed[name]:
            assert wrong({**filed, name: filed[name][:-1]}), name
            assert wrong({**filed, name: [*filed[name], filed[name][0]]}), name
        if isinstance(filed[name], list) and len(filed[name]) > 1:
            assert wrong({**filed, name: filed[name][::-1]}), name
        if name not in ("format", "version"):
            assert wrong({k: v for k, v in filed.items() if k != name}), name
    assert wrong({**filed, "more": 1})


async def test_who_seals_anew_with_the_true_key_changes_only_what_is_listed(office, filed):
    """What does not hang on the seal: parts, chain and signatures name it still. And the list is
    no longer than it must be: each of it, somewhere, is free."""
    key = links.private_key(office.portal.keys)
    assert wrong(resealed(filed, key)) == {}
    free = set()
    for path in leaves({k: v for k, v in filed.items() if k not in ("seal", "key")}):
        name = ".".join(map(str, path))
        changed = put(filed, path, other(at(filed, path)))
        if path[0] not in ("format", "version") and not wrong(resealed(changed, key)):
            listed = {p for p in contents.ONLY_SEALED if fnmatchcase(name, p)}
            assert listed, name
            free |= listed
    assert set(contents.ONLY_SEALED) - free <= NOT_HERE


async def test_another_maker_is_known_by_his_key(office, filed):
    """He can write what he likes and seal it; not with our key, and not with our checkpoints."""
    forged = resealed(put(filed, ("klant", "name"), "Een ander"), OTHER)
    assert set(wrong(forged)) == {f"chain.{n}" for n in range(len(filed["chain"]))}
    assert "key" in wrong(forged, key=auditing.public_key(office.portal))


async def test_an_approval_by_nobody_does_not_satisfy_the_rule(office, filed):
    key = links.private_key(office.portal.keys)
    assert "rule" in wrong(resealed({**filed, "approvals": []}, key))
    unconfirmed = put(filed, ("approvals", 0, "confirmed_at"), None)
    assert {"rule", "approvals.0"} <= set(wrong(resealed(unconfirmed, key)))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "nul", '{"format": "x"}', '{"format": "a", "format": "b"}', "NaN",
     '{"format": "mijnaccountantsportal/bewijs", "version": 2}', b"\xff", "[" * 100_000],
)  # fmt: skip
def test_what_is_no_proof_is_told(text):
    with pytest.raises(NotAProof):
        seal.read(text)


async def test_only_who_may_see_it_gets_it(office, person):
    sanne = await person()
    id = await office.put_up()
    assert (await gathering.bundle(office.portal, sanne.visitor, id))["approvals"] == []
    assert wrong(await gathering.bundle(office.portal, office.firm, id)) == {}
    for who, what in (
        (office.portal.firms["wilgenhof"], id),
        (office.firm, UUID(int=1)),
    ):
        with pytest.raises(Denied):
            await gathering.bundle(office.portal, who, what)


async def test_rejected_tells_who_and_why(office, person):
    sanne = await person()
    id = await office.put_up()
    manifest = await sanne.opens(id)
    reason = "De omzet van maart klopt niet."
    await rejecting.ask_rejection(office.portal, sanne.visitor, id, manifest, reason)
    await rejecting.reject(office.portal, sanne.visitor, id, manifest, reason, sanne.phone.code)
    data = await gathering.bundle(office.portal, office.firm, id)
    assert wrong(data) == {}
    (approval,) = data["approvals"]
    assert (approval["act"], approval["reason"]) == ("rejected", reason)
    assert approval["code"]["purpose"] == "rejecting"


async def test_paper_tells_who_recorded_it(office, person):
    sanne = await person()
    id = await office.put_up(rule=rule(({sanne.visitor.person_id}, 1)))
    await stukbeheer.paper(office.portal, office.firm, id, sanne.visitor.username, "eva",
                           "Getekend formulier, ligt in de kluis.")  # fmt: skip
    data = await gathering.bundle(office.portal, office.firm, id)
    assert wrong(data) == {}
    (approval,) = data["approvals"]
    assert (approval["act"], approval["recorded_by"], approval["code"]) == ("paper", "eva", None)
    key = links.private_key(office.portal.keys)
    other_staff = put(data, ("approvals", 0, "recorded_by"), "karim")
    assert "approvals.0" in wrong(resealed(other_staff, key))


async def test_months_between_events_leave_out_what_lies_between(office, person):
    """The pieces of the chain are those that hold the stuk's events."""
    sanne = await person()
    id = await office.put_up()
    await auditing.checkpoint(office.portal, office.firm)
    for _ in range(20):  # another stuk's life
        await stukbeheer.identify(office.portal, office.firm, "400100", "kvk", "12345678")
    await auditing.checkpoint(office.portal, office.firm)
    await sanne.opens(id)
    data = await gathering.bundle(office.portal, office.firm, id)
    assert wrong(data) == {}
    assert len(data["chain"]) == 2
    first, second = (range(s["first"], s["checkpoint"]["number"] + 1) for s in data["chain"])
    assert second[0] - first[-1] > 20


async def test_after_a_new_key_the_proof_is_of_the_new_key(office, filed, monkeypatch):
    monkeypatch.setitem(office.portal.keys._derived, "checkpoint", b"n" * 32)
    data = await gathering.bundle(office.portal, office.firm, UUID(filed["stuk"]["id"]))
    assert wrong(data, key=auditing.public_key(office.portal)) == {}
    assert data["key"]["id"] != filed["key"]["id"]


async def test_it_can_be_read_on_paper(filed):
    """A PDF of more than one page, also with signs that its font has not got, and with a text
    that is longer than a page."""
    long = "łódź 漢字 \U0001f600 <b>&amp; \x00\u202e" + "w" * 30000
    for data in (filed, put(filed, ("klant", "name"), long)):
        made = printing.pdf(data)
        assert made.startswith(b"%PDF-")
        assert made.count(b"/Type /Page\n") > 1
    with pytest.raises(NotAProof):
        printing.pdf({"format": contents.FORMAT})


def run(*words) -> tuple[int, str]:
    """A command; its exit code and what it printed."""
    done = CliRunner().invoke(cli, [str(w) for w in words])
    return done.exit_code, done.output


async def test_the_command_tells_by_its_exit_code(office, filed, pki, tmp_path):
    file = tmp_path / "bewijs.json"
    file.write_text(json.dumps(filed))
    key = links.key_text(auditing.public_key(office.portal))
    document = office.folder / "Stukken" / "ob-3240.pdf"
    certificate = pki.ca.certificate.parent / "signing.pem"
    good = ("proof", "verify", file, "--key", key, "--document", document)
    code, text = await asyncio.to_thread(run, *good, "--certificate", certificate, "--json")
    assert (code, json.loads(text)["ok"]) == (0, True)
    code, text = await asyncio.to_thread(run, *good, "--certificate", pki.ca.certificate)
    assert (code, "deliveries.0.replies.0" in text) == (1, True)
    strange = links.key_text(OTHER.public_key())
    assert (await asyncio.to_thread(run, "proof", "verify", file, "--key", strange))[0] == 1
    file.write_text("{}")
    for words in ((file,), (tmp_path / "none",), (file, "--key", "x")):
        assert (await asyncio.to_thread(run, "proof", "verify", *words))[0] == 2


async def test_the_audit_is_checked_from_the_command_line(office, filed, tmp_path, dsn):
    config = ("--config", tmp_path / "config", "--json")
    code, text = await asyncio.to_thread(run, "audit", "checkpoint", *config)
    assert code == 0
    told = json.loads(text)["firms"]
    assert told["eikenhof"]["key"] == filed["key"]["public"]
    assert told["wilgenhof"] is None
    code, text = await asyncio.to_thread(run, "audit", "verify", *config)
    assert (code, json.loads(text)["ok"]) == (0, True)
    owner = await asyncpg.connect(dsn)
    row = filed["events"][0]["id"]
    await owner.execute("update audit set event = 'x' where id = $1", row)
    await owner.close()
    code, text = await asyncio.to_thread(run, "audit", "verify", "--firm", "eikenhof", *config)
    (finding,) = json.loads(text)["firms"]["eikenhof"]["findings"]
    assert (code, finding["kind"], finding["row"]) == (1, "changed", row)
    nobody = ("audit", "verify", "--firm", "niemand", *config)
    assert (await asyncio.to_thread(run, *nobody))[0] == 2


@pytest.fixture(scope="module")
def receiver() -> own.Pki:
    """A receiver whose replies the tests sign themselves."""
    return own.Pki()


def with_reply(data, kind, made, pair, message_id=None):
    """The file with one reply more, sealed with its key."""
    der = pair.certificate.public_bytes(Encoding.DER)
    reply = {
        "kind": kind,
        "message_id": message_id or made.relates_to,
        "received_at": links.moment(own.NOW),
        "envelope": made.made(pair).decode(),
        "certificate": base64.b64encode(der).decode(),
    }
    kept = [*data["deliveries"][0]["replies"], reply]
    return put(data, ("deliveries", 0, "replies"), kept)


async def test_what_a_receiver_signed_has_to_be_what_the_file_tells(office, filed, receiver):
    """Statuses and kenmerken, in both kinds of replies."""
    key = links.private_key(office.portal.keys)
    delivery, pair = filed["deliveries"][0], receiver.service
    status = {"kenmerk": delivery["kenmerk"], "code": "700", "description": "Tekst", "fault": "",
              "at": "2026-03-07T11:37:39.702000Z", "fault_text": "", "details": ""}  # fmt: skip
    path = ("deliveries", 0, "statuses")
    told = put(filed, path, [*delivery["statuses"], status])

    def judged(data, kind, made, message_id=None) -> dict[str, str]:
        return wrong(resealed(with_reply(data, kind, made, pair, message_id), key))

    row = (delivery["kenmerk"], "700", "2026-03-07T11:37:39.702Z")
    action = f"{replies.STATUS}getStatussenProcesResponse"
    answer = replies.Reply("urn:uuid:1", replies.statussen(row), action)
    assert "signed no such status 700" in wrong(resealed(told, key))["deliveries.0"]
    twice = put(filed, path, [*delivery["statuses"], delivery["statuses"][-1]])
    assert "stands there twice" in wrong(resealed(twice, key))["deliveries.0"]
    assert judged(told, "status", answer) == {}
    assert "which is not in the file" in judged(filed, "status", answer)["deliveries.0"]
    assert (
        "which is not in the file"
        in judged(put(told, (*path, -1, "description"), "Andere tekst"), "status", answer)[
            "deliveries.0"
        ]
    )
    of_another = replies.Reply("urn:uuid:1", replies.statussen(("x", *row[1:])), action)
    assert "signed kenmerk x" in judged(told, "status", of_another)["deliveries.0"]
    assert set(judged(told, "status", answer, "urn:uuid:2")) >= {
        f"deliveries.0.replies.{len(delivery['replies'])}"
    }
    nothing = replies.Reply("urn:uuid:1", replies.statussen(), action)
    assert judged(filed, "status", nothing) == {}

    first = "<statuscode>700</statuscode><tijdstempelStatus>2026-03-07T11:37:39.702Z" \
        "</tijdstempelStatus><statusomschrijving>Tekst</statusomschrijving>"  # fmt: skip
    sent = delivery["attempts"][0]["message_id"]
    names = (delivery["kenmerk"], delivery["berichtsoort"], delivery["aanleverkenmerk"])
    taken = replies.Reply(sent, replies.ontvangst(*names, more=first))
    assert judged(told, "aanleveren", taken) == {}
    of_nothing = replies.Reply("urn:uuid:3", replies.ontvangst(*names))
    assert "not tell was sent" in judged(filed, "aanleveren", of_nothing)["deliveries.0"]
    without = [r for r in delivery["replies"] if r["kind"] == "status"]
    without = resealed(put(filed, ("deliveries", 0, "replies"), without), key)
    assert "reply to an attempt is missing" in wrong(without)["deliveries.0"]
    for number, what in enumerate(("kenmerk", "berichtsoort", "aanleverkenmerk")):
        other_name = [n if at != number else "x" for at, n in enumerate(names)]
        wrong_one = replies.Reply(sent, replies.ontvangst(*other_name, more=""))
        found = wrong(resealed(with_reply(filed, "aanleveren", wrong_one, pair), key))
        assert f"the receiver signed {what} x" in found["deliveries.0"]


async def test_a_reply_of_any_shape_is_judged(office, filed):
    """Whatever stands in for a reply: it is told, and nothing breaks."""
    key = links.private_key(office.portal.keys)
    reply = ("deliveries", 0, "replies", 0)
    for name in ("envelope", "certificate"):
        for value in ("", "x", "é", "<a/>", "AAAA", "\ud800"):
            data = resealed(put(filed, (*reply, name), value), key)
            assert "deliveries.0.replies.0" in wrong(data), (name, value)
