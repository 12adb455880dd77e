"""What a client pays after a return: reference, day, IBAN, QR text."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import payment
from gateway.domain.payment import Payment, Receiver
from gateway.domain.xbrl import instance
from gateway.domain.xbrl.instance import Instance, Period
from gateway.errors import Invalid
from tests.conftest import SHARED
from tests.domain.xbrl import made

IBAN = "NL13TEST0123456789"
RECEIVER = Receiver("Ontvanger Belastingen", IBAN)
RETURN = SHARED / "digipoort/sample-instances/VB-01_bd-rpt-ob-aangifte-2021.xbrl"


def returned(
    amount: str = "3240", report: str = "ob-aangifte-2026", number: str = made.NUMBER
) -> Instance:
    """A report with this total."""
    extra = "suppletie" in report
    name = f"ValueAddedTax{'ToBePaidAdditionalToBePaidBack' if extra else 'OwedToBePaidBack'}"
    contexts = made.context(number=number)
    return instance.read(made.xbrl(made.amount(name, amount), report=report, contexts=contexts))


@pytest.mark.parametrize(
    ("number", "period", "kenmerk"),
    [  # the examples of the search aid of the Belastingdienst, of tijdvakken of the calendar
        ("001041149B01", Period(date(2012, 8, 1), date(2012, 8, 31)), "2001041141201080"),
        ("001041149B01", Period(date(2023, 4, 1), date(2023, 6, 30)), "4001041141301240"),
        ("001041149B01", Period(date(2022, 1, 1), date(2022, 12, 31)), "2001041141201400"),
    ],
)
def test_betalingskenmerk(number: str, period: Period, kenmerk: str) -> None:
    assert payment.betalingskenmerk(number, period) == kenmerk


@pytest.mark.parametrize(
    "kenmerk",
    [  # more of its examples: shifted quarters, and other taxes
        "1001041141401310", "6001041141201230", "6849613076003030", "4849613076903320",
        "5010002167010010", "0001041146910100", "2017166777600001", "3961307998410020",
    ],
)  # fmt: skip
def test_check_digit(kenmerk: str) -> None:
    assert payment.is_betalingskenmerk(kenmerk)
    assert not payment.is_betalingskenmerk(kenmerk[:-1] + str((int(kenmerk[-1]) + 5) % 10))


@pytest.mark.parametrize("text", ["", "1", "100104114140131", "10010411414013100", "1" * 15 + "x"])
def test_no_betalingskenmerk(text: str) -> None:
    assert not payment.is_betalingskenmerk(text)


@pytest.mark.parametrize(
    ("number", "start", "end"),
    [
        ("123456789B01", date(2021, 10, 1), date(2021, 10, 31)),  # fails the elfproef
        ("NL123456782B01", date(2021, 10, 1), date(2021, 10, 31)),
        ("123456782B01", date(2021, 10, 1), date(2021, 10, 30)),
        ("123456782B01", date(2021, 10, 2), date(2021, 10, 31)),
        ("123456782B01", date(2021, 11, 1), date(2022, 1, 31)),  # a shifted quarter
        ("123456782B01", date(2021, 2, 1), date(2021, 4, 30)),
        ("123456782B01", date(2021, 1, 1), date(2021, 2, 28)),
        ("123456782B01", None, date(2021, 2, 28)),
        ("123456782B01", None, None),
    ],
)
def test_betalingskenmerk_that_is_not_known(
    number: str, start: date | None, end: date | None
) -> None:
    assert payment.betalingskenmerk(number, Period(start, end)) is None


@given(st.integers(0, 99_999_999), st.integers(0, 99), st.integers(2000, 2099), st.integers(1, 12))
def test_every_derived_kenmerk_is_valid(first: int, sub: int, year: int, month: int) -> None:
    weighted = sum(w * int(d) for w, d in zip(range(9, 1, -1), f"{first:08}", strict=True)) % 11
    number = f"{first:08}{weighted % 10}B{sub:02}"
    start = date(year, month, 1)
    end = date.fromordinal(date(year + month // 12, month % 12 + 1, 1).toordinal() - 1)
    kenmerk = payment.betalingskenmerk(number, Period(start, end))
    if weighted == 10 or first == 0:  # there is no such number
        assert kenmerk is None
    else:
        assert kenmerk is not None
        assert payment.is_betalingskenmerk(kenmerk)
        assert kenmerk[1:9] == number[:8]


@pytest.mark.parametrize(
    ("start", "end", "due"),
    [
        (date(2021, 10, 1), date(2021, 10, 31), date(2021, 11, 30)),
        (date(2021, 12, 1), date(2021, 12, 31), date(2022, 1, 31)),
        (date(2023, 10, 1), date(2023, 12, 31), date(2024, 1, 31)),
        (date(2024, 1, 1), date(2024, 1, 31), date(2024, 2, 29)),
        (date(2021, 11, 1), date(2022, 1, 31), date(2022, 2, 28)),
        (date(2023, 1, 1), date(2023, 12, 31), date(2024, 3, 31)),
        (date(9999, 1, 1), date(9999, 12, 31), None),
        (None, None, None),
    ],
)
def test_due(start: date | None, end: date | None, due: date | None) -> None:
    assert payment.due(Period(start, end)) == due


@pytest.mark.parametrize(
    "text", [IBAN, "BE68539007547034", "DE89370400440532013000", "MT84MALT011000012345MTLCAST001S"]
)
def test_iban(text: str) -> None:
    assert payment.is_iban(text)


@pytest.mark.parametrize(
    "text", ["", "NL13 TEST 0123 4567 89", "nl13test0123456789", "NL13TEST012345678", IBAN + "0"]
)
def test_no_iban(text: str) -> None:
    assert not payment.is_iban(text)


@given(st.integers(8, 17), st.sampled_from("0123456789"))
def test_one_wrong_digit_in_an_iban_is_found(place: int, digit: str) -> None:
    wrong = IBAN[:place] + digit + IBAN[place + 1 :]
    assert payment.is_iban(wrong) == (wrong == IBAN)


def test_receiver_tells_all_that_is_wrong() -> None:
    with pytest.raises(Invalid) as e:
        Receiver("", "NL00", "x")
    assert set(e.value.faults) == {"name", "iban", "bic"}
    with pytest.raises(Invalid):
        Receiver("twee\nregels", IBAN)


def test_payment_of_the_real_return() -> None:
    if not RETURN.exists():
        pytest.skip(f"not here: {RETURN}")
    paid = payment.of_return(instance.read(RETURN.read_bytes()), RECEIVER)
    assert paid is not None
    assert (paid.amount, paid.due) == (Decimal(3240), date(2021, 11, 30))
    assert paid.betalingskenmerk[1:] == "001000041137100"
    assert payment.is_betalingskenmerk(paid.betalingskenmerk)


@pytest.mark.parametrize(
    "report",
    [
        returned("0"),
        returned("-12"),
        returned("geen"),
        returned("52", "ob-suppletie-2026"),
        returned("52", "icp-opgaaf-2026"),
    ],
)
def test_nothing_to_pay(report: Instance) -> None:
    assert payment.of_return(report, RECEIVER) is None


def test_the_kenmerk_that_is_given_comes_first() -> None:
    paid = payment.of_return(returned(), RECEIVER, "2001041141201080")
    assert paid is not None
    assert paid.betalingskenmerk == "2001041141201080"
    with pytest.raises(Invalid, match="betalingskenmerk"):
        payment.of_return(returned(), RECEIVER, "2001041141201081")


def test_a_number_that_is_not_right_gives_no_kenmerk() -> None:
    paid = payment.of_return(returned(number="123456789B01"), RECEIVER)
    assert paid is not None
    assert paid.betalingskenmerk == ""


def test_qr_text() -> None:
    paid = Payment(Decimal(3240), "2001041141201080", RECEIVER, None)
    assert payment.qr_text(paid).split("\n") == [
        "BCD", "002", "1", "SCT", "", "Ontvanger Belastingen", IBAN, "EUR3240.00", "", "",
        "2001041141201080",
    ]  # fmt: skip


def test_qr_text_without_kenmerk_ends_with_the_amount() -> None:
    paid = Payment(Decimal("0.05"), "", Receiver("A", IBAN, "TESTNL2A"), None)
    assert payment.qr_text(paid) == f"BCD\n002\n1\nSCT\nTESTNL2A\nA\n{IBAN}\nEUR0.05"


@pytest.mark.parametrize("amount", ["0", "-1", "0.001", "1.234", "1000000000", "9" * 60])
def test_qr_text_of_an_amount_that_it_cannot_tell(amount: str) -> None:
    with pytest.raises(Invalid):
        payment.qr_text(Payment(Decimal(amount), "", RECEIVER, None))


@given(st.decimals("0.01", "999999999.99", places=2), st.text("ABC é", min_size=1, max_size=70))
def test_qr_text_fits_its_code(amount: Decimal, name: str) -> None:
    """EPC069-12: 331 bytes at most."""
    text = payment.qr_text(Payment(amount, "1" * 16, Receiver(name, IBAN), None))
    assert len(text.encode()) <= 331
    assert Decimal(text.split("\n")[7].removeprefix("EUR")) == amount
