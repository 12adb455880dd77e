"""Addresses: what a letter can carry, and nothing else."""

import email
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain import mail

NONE = [
    "", "a", "@x.example", "a@", "a@x", "a@b@x.example",
    "a@x..example", "a@x.example.", "a@.x.example", "a..b@x..example",
    "a..b@x.example", ".a@x.example", "a.@x.example",
    "ünï@x.example", "a@x\x7f.example", "a\x7f@x.example", "a@x\u200b.example",
    "a b@x.example", "a@x.example\n", "a@x.example\r\nBcc: b@x.example",
    "a@x.example, b@x.example",
    '"a"@x.example', "a<b>@x.example", "a@[192.0.2.1]", "a@-x.example", "a@x-.example",
    "a@⒈x.example", f"{'x' * 65}@x.example", f"a@{'x' * 64}.example", f"a@{'ü' * 63}.example",
    f"a@{'.'.join(['x' * 60] * 5)}",
]  # fmt: skip


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_address(text):
    assert mail.written(text) is None


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("noor@x.example", "noor@x.example"),
        ("J.de-Wit+btw_'26@mail.x.example", "J.de-Wit+btw_'26@mail.x.example"),
        ("a@b_c.x.example", "a@b_c.x.example"),
        ("noor@bücher.example", "noor@xn--bcher-kva.example"),
        ("noor@xn--bcher-kva.example", "noor@xn--bcher-kva.example"),
        (f"{'x' * 64}@{'y' * 63}.example", f"{'x' * 64}@{'y' * 63}.example"),
    ],
)
def test_what_is_one(text, written):
    assert mail.written(text) == written


@given(st.emails() | st.text("aZ09.@-_'+%üß²١\u0308\x7f\x00\"(),: \n", max_size=24))
@example("a@ü.ü")
def test_whatever_is_one_stands_in_a_header_as_it_is(text):
    written = mail.written(text)
    if written is None:
        return
    message = EmailMessage()
    message["To"] = Address(addr_spec=written)
    raw = message.as_bytes(policy=policy.SMTP)
    (read,) = email.message_from_bytes(raw, policy=policy.default)["To"].addresses
    assert written.isascii()
    assert read.addr_spec == written
