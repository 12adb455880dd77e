"""Letters: every template in both languages, a real SMTP server, and nothing injected."""

import asyncio

import pytest

from gateway import settings
from gateway.notify.mail import FOLDER, Mail, Mailer, MailFailed, render
from gateway.simulators import mail as simulator
from tests.conftest import ROOT

VALUES = {
    "name": "Noor <b>de</b> Wit",
    "username": "noor@x.example",
    "link": "http://127.0.0.1:8080/wachtwoord/lindehof/abc",
    "person": "P",
}
EVENTS = sorted(p.name for p in FOLDER.iterdir() if p.is_dir())


@pytest.fixture(scope="module")
def firm():
    return settings.load(ROOT / "config").firms["lindehof"]


@pytest.fixture
async def server():
    """The mail simulator: its letters, and a mailer that leads to it."""
    kept = simulator.open_mailbox()
    listener = await asyncio.get_running_loop().create_server(
        lambda: simulator.smtp(kept), "127.0.0.1", 0
    )
    mailer = Mailer("127.0.0.1", listener.sockets[0].getsockname()[1], tls="none")
    yield kept, mailer
    await mailer.aclose()
    listener.close()


def letter(firm, recipient="noor@x.example", **more) -> Mail:
    made = {**render("invitation", "nl", firm, "http://h", VALUES), **more}
    return Mail(
        sender=firm.mail.sender,
        sender_name=firm.mail_name,
        recipient=recipient,
        id="1@lindehof.example",
        **made,
    )


@pytest.mark.parametrize("language", ["nl", "en"])
@pytest.mark.parametrize("event", EVENTS)
def test_every_letter(event, language, firm):
    made = render(event, language, firm, "http://h", VALUES)
    assert 5 < len(made["subject"]) < 78
    assert "{{" not in made["text"] + made["html"]
    assert "<b>de</b>" not in made["html"]
    assert firm.style.primary in made["html"]
    if "link" in (FOLDER / event / "nl.txt").read_text():
        assert VALUES["link"] in made["text"]
        assert f'href="{VALUES["link"]}"' in made["html"]


async def test_a_letter_arrives(server, firm):
    kept, mailer = server
    await mailer.send(letter(firm))
    await mailer.send(letter(firm, "later-niet@x.example".replace("later-", "")))
    first = kept.all()[0]
    assert first["from"] == "Lindehof portal <portal@lindehof.example>"
    assert first["to"] == "noor@x.example"
    assert VALUES["link"] in first["body"]
    assert len(kept.all()) == 2


@pytest.mark.parametrize(
    ("recipient", "retryable"), [("weigert@x.example", False), ("later@x.example", True)]
)
async def test_a_refused_letter(server, firm, recipient, retryable):
    _, mailer = server
    with pytest.raises(MailFailed) as told:
        await mailer.send(letter(firm, recipient))
    assert told.value.retryable is retryable
    await mailer.send(letter(firm))  # the connection still serves


@pytest.mark.parametrize(
    "more",
    [
        {"subject": "Hallo\r\nBcc: iedereen@x.example"},
        {"recipient": "a@x.example\r\nBcc: b@x.example"},
        {"recipient": "a@x.example, b@x.example"},
        {"recipient": "geen adres"},
    ],
)
async def test_no_header_is_injected(server, firm, more):
    kept, mailer = server
    with pytest.raises(MailFailed) as told:
        await mailer.send(letter(firm, **more))
    assert not told.value.retryable
    assert kept.all() == []


async def test_a_server_that_is_not_there(firm):
    with pytest.raises(MailFailed) as told:
        await Mailer("127.0.0.1", 1, tls="none").send(letter(firm))
    assert told.value.retryable
