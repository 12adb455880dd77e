"""Letters: every template in both languages, a real SMTP server, and nothing injected."""

import asyncio
import datetime
import ssl

import pytest
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gateway import settings
from gateway.notify.mail import FOLDER, Mail, Mailer, MailFailed, render
from gateway.simulators import mail as simulator
from tests.conftest import ROOT
from tests.domain.test_mail import NONE

VALUES = {
    "what": "Aangifte omzetbelasting",
    "periode": "3e kwartaal 2026",
    "klant": "Bakkerij Het Brood B.V.",
    "status": "Akkoord Digipoort",
    "reason": "De omzet klopt niet.",
    "problem": "Er ging iets mis.",
    "next": "Kijk het na.",
    "contact": "Eva van Loon",
    "phone": "000 - 123 45 61",
    "day": "31-10-2026",
    "many": "",
    "name": "Noor <b>de</b> Wit",
    "username": "noor@x.example",
    "link": "http://127.0.0.1:8080/wachtwoord/lindehof/abc",
    "person": "P",
    "destination": "Digipoort",
    "days": "30",
    "file": "gateway.yaml",
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
    made = {
        "sender": firm.mail.sender,
        "sender_name": firm.mail_name,
        "recipient": recipient,
        "id": "1@lindehof.example",
        **render("invitation", "nl", firm, "http://h", VALUES),
        **more,
    }
    return Mail(**made)


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
        {"subject": "Hallo\nBcc: iedereen@x.example"},
        {"subject": "Hallo\rBcc: iedereen@x.example"},
        {"sender_name": "Kantoor\r\nBcc: b@x.example"},
        {"sender": "a@x.example\r\nBcc: b@x.example"},
        {"id": "1@x.example>\r\nBcc: b@x.example"},
        {"recipient": "a@x.example\nBcc: b@x.example"},
        {"recipient": "a@x.example\r\nBcc: b@x.example"},
        {"recipient": "a@x.example, b@x.example"},
        {"recipient": "geen adres"},
        *({"recipient": text} for text in NONE),
        {"sender": "a@x..example"},
        {"subject": "half \ud83d"},
        {"text": "half \ud83d"},
        {"html": "half \ud83d"},
        {"sender_name": "half \ud83d"},
    ],
)
async def test_no_header_is_injected(server, firm, more):
    kept, mailer = server
    with pytest.raises(MailFailed) as told:
        await mailer.send(letter(firm, **more))
    assert not told.value.retryable
    assert kept.all() == []


async def test_a_domain_of_another_alphabet_reaches_any_server(firm, listen):
    kept = simulator.open_mailbox()
    port = await listen(simulator.Handler(kept), enable_SMTPUTF8=False)
    mailer = Mailer("127.0.0.1", port, tls="none")
    await mailer.send(letter(firm, "noor@bücher.example", sender="wij@bücher.example"))
    (one,) = kept.all()
    assert one["to"] == "noor@xn--bcher-kva.example"
    assert "wij@xn--bcher-kva.example" in one["from"]
    await mailer.aclose()


async def test_a_server_that_is_not_there(firm):
    with pytest.raises(MailFailed) as told:
        await Mailer("127.0.0.1", 1, tls="none").send(letter(firm))
    assert told.value.retryable


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("field", sorted(VALUES))
def test_a_value_makes_no_subject_and_no_button(event, field, firm):
    hostile = "Jan\r\n\r\nhttps://evil.example/inloggen\r\n\r\nBcc: b@x.example"
    made = render(event, "nl", firm, "http://h", {**VALUES, field: hostile})
    assert 'href="https://evil' not in made["html"]
    assert not any(line.startswith(("https://evil", "Bcc")) for line in made["text"].splitlines())
    assert "\n" not in made["subject"]


@pytest.fixture
async def listen():
    """Starts SMTP servers of another make-up; gives their port. Every connection ends with it."""
    made: list[SMTP] = []
    listeners = []

    async def start(handler=None, host="127.0.0.1", encrypted=None, **more) -> int:
        def protocol() -> SMTP:
            made.append(SMTP(handler or Sink(), hostname="localhost", **more))
            return made[-1]

        loop = asyncio.get_running_loop()
        listeners.append(await loop.create_server(protocol, host, 0, ssl=encrypted))
        return listeners[-1].sockets[0].getsockname()[1]

    start.made = made
    yield start
    for listener in listeners:
        listener.close()
    for one in made:
        if one.transport is not None:
            one.transport.abort()
    await asyncio.sleep(0.05)


# As an error it would keep the server from being made: a lost connection, not a refusal.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_refused_credentials_lose_no_letter(firm, listen):
    """Somebody changed the password at the mail server: letters wait until it is put right."""
    port = await listen(
        authenticator=lambda *_: AuthResult(success=False, handled=False),
        auth_required=True,
        auth_require_tls=False,
    )
    mailer = Mailer("127.0.0.1", port, tls="none", username="u", password="geheim-1")
    for _ in range(2):
        with pytest.raises(MailFailed) as told:
            await mailer.send(letter(firm))
        assert "SMTPAuthenticationError 535" in str(told.value)
        assert "geheim-1" not in str(told.value)
        assert told.value.retryable
    await mailer.aclose()


async def test_a_server_that_restarts_gets_the_next_letter(firm, listen):
    kept = simulator.open_mailbox()
    port = await listen(simulator.Handler(kept))
    mailer = Mailer("127.0.0.1", port, tls="none", timeout=2)
    await mailer.send(letter(firm))
    listen.made[-1].transport.close()
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        await mailer.send(letter(firm))
    assert len(kept.all()) == len(listen.made) == 2
    await mailer.aclose()


async def test_a_connection_that_dies_under_a_letter_is_not_the_last(firm, listen):
    kept = simulator.open_mailbox()
    mailer = Mailer("127.0.0.1", await listen(simulator.Handler(kept)), tls="none", timeout=2)
    await mailer.send(letter(firm))
    listen.made[-1].transport.abort()
    with pytest.raises(MailFailed) as told:
        await mailer.send(letter(firm))
    assert told.value.retryable
    async with asyncio.timeout(5):
        await mailer.send(letter(firm))
    assert len(kept.all()) == 2
    await mailer.aclose()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """The contexts of a server with a certificate of its own, and of who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + made.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("trusted", [True, False])
async def test_encrypted_ways(tls, trusted, certificate, firm, listen):
    serving, trusting = certificate
    if tls == "tls":
        port = await listen(host="localhost", encrypted=serving)
    else:
        port = await listen(host="localhost", tls_context=serving, require_starttls=True)
    mailer = Mailer(
        "localhost",
        port,
        tls=tls,
        timeout=5,
        context=trusting if trusted else ssl.create_default_context(),
    )
    if trusted:
        await mailer.send(letter(firm))
    else:
        with pytest.raises(MailFailed) as told:
            await mailer.send(letter(firm))
        assert told.value.retryable
    await mailer.aclose()


async def test_no_letter_goes_in_the_clear_when_encryption_is_asked(server, firm):
    kept, plain = server
    port = plain._smtp.port
    with pytest.raises(MailFailed):
        await Mailer("127.0.0.1", port, tls="starttls", timeout=5).send(letter(firm))
    assert kept.all() == []
