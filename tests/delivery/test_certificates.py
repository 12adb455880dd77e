"""Our credentials, and whose certificates are trusted."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.delivery.certificates import Credentials, Trust, life, oin
from gateway.errors import ConfigInvalid
from tests.delivery.pki import NOW, OIN, Pki, make


def test_what_operations_want_to_know(pki: Pki):
    credentials = pki.client.credentials()
    assert life(credentials.certificate).end == NOW + timedelta(days=365)
    assert oin(credentials.certificate) == "00000003123456780000"
    assert oin(credentials.certificate) in repr(credentials)


def _other_kind_of_key() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def _with_password(pki: Pki) -> str:
    return pki.client.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"geheim"),
    ).decode()


@pytest.mark.parametrize(
    ("certificate", "key", "field"),
    [
        (lambda p: "", lambda p: p.client.key_pem, "certificate"),
        (lambda p: p.client.key_pem, lambda p: p.client.key_pem, "certificate"),
        (lambda p: p.client.pem, lambda p: "", "private_key"),
        (lambda p: p.client.pem, lambda p: p.client.pem, "private_key"),
        (lambda p: p.client.pem, lambda p: p.service.key_pem, "private_key"),
        (lambda p: p.client.pem, _with_password, "private_key"),
        (lambda p: p.client.pem, lambda p: _other_kind_of_key(), "private_key"),
    ],
)
def test_credentials_that_do_not_work(pki: Pki, certificate, key, field):
    with pytest.raises(ConfigInvalid) as caught:
        Credentials(certificate(pki), key(pki))
    assert caught.value.field == field
    assert "PRIVATE" not in str(caught.value)


def test_a_key_that_is_too_short(pki: Pki):
    short = make("Kort", pki.ca, bits=1024)
    with pytest.raises(ConfigInvalid):
        short.credentials()


def test_tls_wants_real_authorities(pki: Pki):
    with pytest.raises(ConfigInvalid):
        pki.client.credentials().tls("geen certificaat")


#: What a certificate of this authority is refused for; "" for none.
LEAVES = {
    "as it should be": (lambda ca: make("x", ca), ""),
    "for signing alone": (lambda ca: make("x", ca, usage="content_commitment"), ""),
    "not yet": (lambda ca: make("x", ca, begins=NOW + timedelta(days=1)), "certificate_expired"),
    "no more": (
        lambda ca: make("x", ca, begins=NOW - timedelta(9), ends=NOW - timedelta(1)),
        "certificate_expired",
    ),
    "an authority itself": (lambda ca: make("x", ca, ca=True), "certificate"),
    "not for signing": (lambda ca: make("x", ca, usage="key_encipherment"), "certificate"),
    "with what nobody understands": (lambda ca: make("x", ca, critical=True), "certificate"),
    "of itself": (lambda ca: make("x"), "certificate"),
    "of one it certified": (lambda ca: make("x", make("y", ca)), "certificate"),
    "of a namesake": (lambda ca: make("x", make("Testautoriteit", ca=True)), "certificate"),
}


@pytest.mark.parametrize(("leaf", "why"), LEAVES.values(), ids=LEAVES.keys())
def test_a_certificate_of_an_authority(pki: Pki, leaf, why):
    trust = Trust(authorities=(pki.other_ca.certificate, pki.ca.certificate))
    assert trust.refusal(leaf(pki.ca).certificate, NOW) == why


@pytest.mark.parametrize(
    "ca",
    [
        lambda: make("Geen", ca=False),
        lambda: make("Anders", ca=True, usage="digital_signature"),
        lambda: make("Oud", ca=True, begins=NOW - timedelta(9), ends=NOW - timedelta(1)),
        lambda: make("Vreemd", ca=True, critical=True),
    ],
)
def test_an_authority_that_may_not_certify(ca):
    made = ca()
    trust = Trust(authorities=(made.certificate,))
    assert trust.refusal(make("x", made).certificate, NOW) == "certificate"


def test_an_authority_may_certify_many(pki: Pki):
    trust = Trust(authorities=(pki.ca.certificate,), oin=OIN)
    assert trust.refusal(pki.service.certificate, NOW) == ""
    assert trust.refusal(pki.client.certificate, NOW) == "certificate_oin"


def test_a_pinned_certificate_is_trusted_while_it_lasts(pki: Pki):
    trust = Trust(pinned=(pki.stranger.certificate,))
    assert trust.refusal(pki.stranger.certificate, NOW) == ""
    assert trust.refusal(pki.stranger.certificate, NOW + timedelta(days=400))
    assert trust.refusal(pki.service.certificate, NOW) == "certificate"
