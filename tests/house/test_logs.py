"""No password, code, token, whole number or content in a log, tracebacks included."""

import io
import json

import pytest

from gateway import log
from gateway.errors import Invalid
from gateway.flows import letters, people, signing_in
from gateway.flows.signing_in import From
from gateway.notify.mail import MailFailed
from gateway.store import audit
from tests.flows.test_letters import Post, at
from tests.flows.test_signing_in import link
from tests.pages.conftest import (  # noqa: F401
    PASSWORD,
    base_url,
    firm,
    phone,
    portal,
    register,
)


@pytest.fixture
def stream() -> io.StringIO:
    made = io.StringIO()
    log.configure(level="debug", stream=made)
    return made


async def test_signing_in_leaves_no_secret(stream, portal, phone, register, firm):  # noqa: F811
    await register()
    origin = From("192.0.2.7", "test")
    half = await signing_in.check_password(
        portal, firm, "sanne@bakkerij.example", PASSWORD, origin
    )
    visitor = await signing_in.resume(portal, half.cookie)
    with pytest.raises(Invalid):
        await signing_in.check_password(
            portal, firm, "sanne@bakkerij.example", "verkeerd-wachtwoord-9", origin
        )
    full = await signing_in.confirm_code(portal, visitor, origin, phone.code)
    await people.forgot_password(portal, firm, "sanne@bakkerij.example", origin)
    phone.broken = True
    again = await signing_in.check_password(
        portal, firm, "sanne@bakkerij.example", PASSWORD, origin
    )
    assert again.sms
    text = stream.getvalue()
    assert "sms_sent" in text
    secrets = [
        PASSWORD, "verkeerd-wachtwoord-9", phone.code, phone.code.replace("-", ""),
        "31612345678", half.cookie, half.cookie.partition(".")[2], full.partition(".")[2],
        "sanne@bakkerij.example", "Meulenbelt",
    ]  # fmt: skip
    for secret in secrets:
        assert secret not in text, secret
    assert all(json.loads(line)["event"] for line in text.splitlines())


async def test_accounts_and_letters_leave_no_secret(stream, portal, phone, register, firm):  # noqa: F811
    """From an invitation to a new password, with a mail server that fails, then one that works."""
    username = await register()
    origin = From("192.0.2.7", "test")
    await people.forgot_password(portal, firm, username, origin)
    await people.forgot_username(portal, firm, "06 12345678", origin)
    token = await link(portal)
    new = "paarse olifant danst zacht"
    with pytest.raises(Invalid):
        await people.choose_password(portal, firm.id, token, "wachtwoord-te-makkelijk", "anders")
    await people.choose_password(portal, firm.id, token, new, new)
    half = await signing_in.check_password(portal, firm, username, new, origin)
    await signing_in.deactivate(portal, await signing_in.resume(portal, half.cookie))
    await people.set_mobile(portal, firm, username, "06 87654321")
    await people.disable(portal, firm, username)
    post = Post()
    post.failure = MailFailed("451 try again later")
    await letters.deliver_due(portal, post, at())
    post.failure = None
    while await letters.deliver_due(portal, post, at(hours=1)):
        pass
    assert len(post.sent) >= 6
    text = stream.getvalue()
    assert "mail_failed" in text
    assert "mail_sent" in text
    for secret in (
        token, new, "wachtwoord-te-makkelijk", username, "Meulenbelt", "12345678", "87654321",
        phone.code, half.cookie.partition(".")[2], "wachtwoord/eikenhof",
    ):  # fmt: skip
        assert secret not in text, secret


async def test_what_nobody_foresaw_leaves_no_secret(
    stream,
    portal,  # noqa: F811
    phone,  # noqa: F811
    register,  # noqa: F811
    monkeypatch,
):
    """Errors in the midst of a flow, logged as the pages log them, causes and all."""
    username = await register()
    origin = From("192.0.2.7", "test")
    half = await signing_in.check_password(portal, None, username, PASSWORD, origin)
    visitor = await signing_in.resume(portal, half.cookie)

    async def breaking(*_: object, **__: object) -> None:
        raise RuntimeError("surprise")

    monkeypatch.setattr(audit, "record", breaking)
    for call in (
        signing_in.confirm_code(portal, visitor, origin, phone.code),
        signing_in.check_password(portal, None, username, PASSWORD, origin),
        signing_in.send_code(portal, visitor),
    ):
        try:
            await call
        except Exception as e:
            log.get().error("surprise", exc_info=e)
    text = stream.getvalue()
    assert text.count('"exc_type": "RuntimeError"') >= 2
    assert "confirm_code" in text
    for secret in (PASSWORD, username, phone.code, phone.code.replace("-", ""), "12345678"):
        assert secret not in text, secret
    assert half.cookie.partition(".")[2] not in text


def test_a_traceback_shows_no_variable(stream):
    def sign_in(password: str) -> None:
        code = "hidden-code-654321"
        raise RuntimeError(f"nothing of {len(password) + len(code)}")

    try:
        sign_in("hidden-password-123")
    except RuntimeError as e:
        log.get().error("surprise", exc_info=e)
    text = stream.getvalue()
    assert "RuntimeError" in text
    assert "sign_in" in text
    assert "hidden" not in text


def test_the_net_below(stream):
    log.get().info(
        "event",
        password="p-1",
        nested={"token": "t-1", "list": ["+31612345678"]},
        text="bel 0031612345678 of +31612345678",
    )
    text = stream.getvalue()
    for secret in ("p-1", "t-1", "612345678"):
        assert secret not in text
    assert "678" in text
