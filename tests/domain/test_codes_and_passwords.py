"""Codes, passwords, numbers and keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import code, password, phone, throttle
from gateway.domain.keys import Keys, SealBroken
from gateway.errors import ConfigInvalid

KEYS = Keys("k" * 44)


@pytest.mark.parametrize(
    ("boxes", "entered"),
    [
        (("123", "456"), "123456"),
        (("123-456", ""), "123456"),
        (("", "123456"), "123456"),
        ((" 123 456 ",), "123456"),
        (("123456", "789"), "123456"),  # a paste of the whole into the first box
        (("12", "3456"), "123456"),
        (("123", "45"), None),
        (("١٢٣", "٤٥٦"), None),
        (("abc", "def"), None),
        (("1234567", ""), None),
        (("", ""), None),
    ],
)
def test_what_is_typed_into_the_boxes(boxes, entered):
    assert code.entered(*boxes) == entered


@given(st.integers(0, 999_999))
def test_a_code_is_read_back_as_it_is_shown(number):
    text = f"{number:06d}"
    assert code.entered(code.shown(text)) == text
    assert code.entered(*code.shown(text).split("-")) == text


@pytest.mark.parametrize("language", ["nl", "en"])
def test_a_message_is_one_segment(language):
    text = code.message("123456", "F" * 80, language)
    assert text.startswith("123-456")
    assert len(text) <= 160
    assert text.isascii()


#: GSM 03.38, the letters that take one place (3GPP TS 23.038, 6.2.1).
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


@given(st.text(max_size=80), st.sampled_from(["nl", "en"]))
def test_no_name_makes_a_message_longer_than_a_segment(name, language):
    text = code.message("123456", name, language)
    assert set(text) <= GSM
    assert len(text) <= 160


def test_a_name_is_written_as_well_as_it_can_be():
    assert "bij Café Zoe & Co 1." in code.message("123456", "Café Zoë & Co [1]🦆", "nl")


@pytest.mark.parametrize(
    ("text", "policy", "good"),
    [
        ("Zomer2026!!!", "veilig", False),
        ("Zw3m!\n", "handleiding-2018", False),
        ("wachtwoord", "handleiding-2018", False),
        ("w@chtw00rd", "handleiding-2018", False),
        ("Welkom01!", "handleiding-2018", False),
        ("Januari2026", "handleiding-2018", False),
        ("Feyenoord1", "handleiding-2018", False),
        ("kX9!p", "handleiding-2018", True),
        ("korenaar1", "handleiding-2018", False),
        ("vier losse woorden fluiten", "veilig", True),
        ("wachtwoord123456", "veilig", False),
        ("elf tekens!", "veilig", False),
        ("aaaaaaaaaaaaaaaa", "veilig", False),
        ("x" * 129, "veilig", False),
        ("🦆 kwaakt om middernacht 🌙", "veilig", True),
        ("korenaar-bakkers", "veilig", False),  # the person's own words
        ("Zw3m!", "handleiding-2018", True),
        ("Zw3m", "handleiding-2018", False),
        ("Zw3 m", "handleiding-2018", False),
        ("Zwém!", "handleiding-2018", False),
        ("12345", "handleiding-2018", False),  # by the rule, and the first anyone would guess
        ("a()-?[_~@#9", "handleiding-2018", True),
    ],
)
def test_passwords(text, policy, good):
    fault = password.fault(text, policy, ("Noor de Wit", "noor@korenaar.example"))
    assert (fault is None) == good, fault


def test_every_keyboards_accent_is_the_same():
    assert password.normal("e\u0301") == password.normal("\u00e9")


@given(st.text(max_size=200))
def test_any_text_is_weighed_without_an_error(text):
    password.fault(text, "veilig")


def test_no_password_takes_long_to_weigh(monkeypatch):
    """zxcvbn alone takes seconds for these; a person with a mailed link can send them.

    Its work doubles with each kind of sign that may stand for a letter, so those are few.
    """
    weighed = []
    real = password.zxcvbn
    monkeypatch.setattr(
        password, "zxcvbn", lambda text, **words: weighed.append(text) or real(text, **words)
    )
    signs = "4@8({[<369|!1/-+0$57%2"
    for text in (signs * 5, "4@8({[<369|!1aeiou" * 7):
        password.fault(text, "veilig")
    assert [len(text) for text in weighed] == [72, 72]
    assert all(len(set(text) & set(signs)) <= 5 for text in weighed)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("06 12345678", "+31612345678"),
        ("+31 6 12345678", "+31612345678"),
        ("0031612345678", "+31612345678"),
        ("0546 123456", None),  # not mobile
        ("+447400123456", None),  # not a country that messages go to
        ("12", None),
        ("", None),
        ("06 12345678; drop", None),
    ],
)
def test_mobile_numbers(text, number):
    assert phone.mobile(text) == number


def test_a_masked_number_shows_three_digits():
    assert phone.masked("+31612345235") == "+31 6 ••••• 235"
    assert "12345" not in phone.masked("+4915123456789")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2ff::9", "2001:db8:1:200::/56"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("fe80::1%eth0", "fe80::/56"),
        ("nonsense", "unknown"),
    ],
)
def test_networks(address, network):
    assert throttle.network(address) == network


@given(st.text(), st.text())
def test_what_is_sealed_opens_with_its_own_label_only(value, other):
    sealed = KEYS.seal("a", value)
    assert KEYS.open("a", sealed) == value
    assert value == "" or value not in sealed or len(value) < 4
    with pytest.raises(SealBroken):
        KEYS.open("b", sealed)
    with pytest.raises(SealBroken):
        Keys("q" * 44).open("a", sealed)
    assert KEYS.seal("a", value) != sealed


@given(st.text(alphabet="abc", max_size=5), st.text(alphabet="abc", max_size=5))
def test_the_borders_of_digested_parts_count(a, b):
    if a and b:
        assert KEYS.digest("x", a, b) != KEYS.digest("x", a + b)
    assert KEYS.digest("x", a) != KEYS.digest("y", a)


def test_a_short_main_key_is_refused():
    with pytest.raises(ConfigInvalid):
        Keys("short")
