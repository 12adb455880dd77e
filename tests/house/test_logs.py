"""No password, code, token, whole number or content in a log, tracebacks included."""

import io
import json

import pytest

from gateway import log
from gateway.errors import Invalid
from gateway.flows import people, signing_in
from gateway.flows.signing_in import From
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
