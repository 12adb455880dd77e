"""Our certificates: which one files, and who is warned before it ends."""

import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from gateway import settings
from gateway.cli import cli
from gateway.domain.delivery import State
from gateway.errors import ConfigInvalid
from gateway.flows import expiring
from gateway.flows.receivers import Receivers
from tests.delivery.pki import NOW, Pair, make

OURS = "00000003123456780000"


@pytest.fixture
def issue(pki, tmp_path):
    """Makes a certificate of the simulator's authority with these days left; its references."""
    ca = Pair(*pki.ca.load())

    def issue(name: str, begins: float, ends: float) -> dict[str, str]:
        pair = make(
            name,
            ca,
            oin=OURS,
            begins=NOW + timedelta(days=begins),
            ends=NOW + timedelta(days=ends),
        )
        certificate, key = pair.write(tmp_path, name)
        return {"certificate": f"file:{certificate}", "private_key": f"file:{key}"}

    return issue


def following(first: dict[str, str], then: dict[str, str]) -> dict[str, str]:
    """The fields of two pairs."""
    return first | {f"next_{k}": v for k, v in then.items()}


def secret(reference: str) -> str:
    """The text of a file."""
    return Path(reference.removeprefix("file:")).read_text()


def with_certificate(office, fields: dict[str, str], *, own: bool = False):
    """The works of an office whose Digipoort, or firm, has this certificate."""
    portal = office.portal
    if own:
        firm = office.firm.model_copy(update=fields)
        firms = {**portal.firms, firm.id: firm}
        portal = dataclasses.replace(portal, firms=firms)
    else:
        digipoort = portal.destinations["digipoort"].model_copy(update=fields)
        portal = dataclasses.replace(
            portal, destinations={**portal.destinations, "digipoort": digipoort}
        )
    return dataclasses.replace(
        office.works, portal=portal, receivers=Receivers(portal.destinations, secret),
        operations="beheer@x.example",
    )  # fmt: skip


@pytest.mark.parametrize("own", [False, True])
async def test_the_next_takes_over_from_one_that_has_ended(office, person, issue, own):
    sanne = await person()
    id = await office.put_up()
    await sanne.approves(id)
    fields = following(issue("oud", -400, -0.01), issue("nieuw", -2, 300))
    office.works = with_certificate(office, fields, own=own)
    done = await office.finish(id)
    await office.works.receivers.aclose()
    assert done.state is State.FINAL_OK


async def test_while_both_are_valid_the_first_is_used(office, issue):
    fields = following(issue("oud", -400, 1), issue("nieuw", -2, 300))
    works = with_certificate(office, fields)
    client = await works.receivers.get(office.firm, "digipoort")
    assert client.destination.credentials.certificate.not_valid_after_utc == NOW + timedelta(
        days=1
    )
    assert await works.receivers.get(office.firm, "digipoort") is client
    await works.receivers.aclose()


@pytest.mark.parametrize(
    ("spans", "why"),
    [([(-9, -1), (-8, -2)], "has ended"), ([(1, 9), (2, 9)], "not valid yet"),
     ([(-9, -1), (2, 9)], "not valid yet")],
)  # fmt: skip
async def test_without_a_valid_one_nothing_is_sent(office, issue, spans, why):
    first, then = (issue(str(n), *span) for n, span in enumerate(spans))
    works = with_certificate(office, following(first, then))
    with pytest.raises(ConfigInvalid, match=why):
        await works.receivers.get(office.firm, "digipoort")


async def _letters(office) -> list[tuple[str, dict[str, str]]]:
    """Who is told what: the letters that wait, newest last."""
    keys = office.portal.keys
    async with office.portal.db.tenant(office.firm.id) as c:
        rows = await c.fetch(
            "select recipient_sealed, payload_sealed from outbox"
            " where event = 'certificate_ends_office' order by created_at"
        )
    return [
        (keys.open("recipient", r[0]), json.loads(keys.open("letter", r[1]))["values"])
        for r in rows
    ]


@pytest.mark.parametrize(("left", "days"), [(59.5, "59"), (29, "28"), (8, "7"), (0.5, "0")])
async def test_a_firm_is_warned_of_its_own_once_a_step(office, issue, left, days):
    works = with_certificate(office, issue("eigen", -9, left), own=True)
    assert await expiring.warn(works) == 1
    assert await expiring.warn(works) == 0
    ((recipient, values),) = await _letters(office)
    assert recipient == office.firm.employee(None).mail
    assert (values["days"], values["file"]) == (days, "firms/eikenhof.yaml")


async def test_operations_are_warned_of_what_is_shared(office, issue):
    works = with_certificate(office, issue("gedeeld", -9, 6))
    assert await expiring.warn(works) == 1
    ((recipient, values),) = await _letters(office)
    assert (recipient, values["destination"]) == ("beheer@x.example", "Digipoort")
    ended = with_certificate(office, issue("gedeeld", -9, -1))
    assert await expiring.warn(ended) == 1
    assert (await _letters(office))[-1][1]["days"] == ""


async def test_one_that_is_followed_warns_nobody(office, issue):
    fields = following(issue("oud", -400, 5), issue("nieuw", -2, 300))
    assert await expiring.warn(with_certificate(office, fields)) == 0


async def test_what_cannot_be_read_is_told_and_the_rest_goes_on(office, issue, tmp_path):
    (tmp_path / "kapot.pem").write_text("geen PEM")
    fields = issue("x", -9, 6) | {"tls_ca": f"file:{tmp_path / 'kapot.pem'}"}
    with structlog.testing.capture_logs() as logs:
        assert await expiring.warn(with_certificate(office, fields)) == 1
    assert "certificate_unreadable" in {e["event"] for e in logs}


async def test_one_that_cannot_be_told_of_keeps_up_no_other(office, issue, monkeypatch):
    works, real, asked = with_certificate(office, issue("gedeeld", -9, 6)), expiring._one, []

    async def one(works, firm, held):
        asked.append(held)
        if len(asked) == 1:
            raise ZeroDivisionError
        return await real(works, firm, held)

    monkeypatch.setattr(expiring, "_one", one)
    with structlog.testing.capture_logs() as logs:
        await expiring.warn(works)
    assert len(asked) > 1
    assert "certificate_surprise" in {e["event"] for e in logs}


async def test_the_command_lists_them(office, issue, tmp_path):
    folder = tmp_path / "config"
    text = (folder / "gateway.yaml").read_text()
    run = CliRunner().invoke(cli, ["config", "certificates", "--config", str(folder), "--json"])
    assert run.exit_code == 0, run.output
    assert {c["what"] for c in json.loads(run.stdout)["certificates"]} == {
        "certificate", "reply_certificates", "tls_ca"
    }  # fmt: skip
    ends = issue("kort", -9, 3)["certificate"]
    digipoort = settings.load(folder).gateway.destinations["digipoort"]
    shown = text.replace(digipoort.reply_certificates[0], ends)
    (folder / "gateway.yaml").write_text(shown)
    run = CliRunner().invoke(cli, ["config", "certificates", "--config", str(folder)])
    assert run.exit_code == 1
    assert "digipoort reply_certificates: 2 days" in run.stdout
