"""Numbers and entry points: what is one, and of what kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.xbrl import kinds, numbers
from gateway.domain.xbrl.kinds import Kind

BD = "www.nltaxonomie.nl/nt20/bd/20251210/entrypoints/"
NINE = st.integers(1, 999_999_999).map("{:09}".format)


@pytest.mark.parametrize(
    "number", ["123456782", "111222333", "000000012", "001000044", "10000008"]
)
def test_fiscal(number: str) -> None:
    assert numbers.fiscal(number)


@pytest.mark.parametrize(
    "number",
    [
        "",
        "123456789",
        "000000000",
        "1234567820",
        "1234567",
        "12345678a",
        " 123456782",
        "１２３４５６７８２",
    ],
)
def test_not_fiscal(number: str) -> None:
    assert not numbers.fiscal(number)


@given(NINE, st.integers(0, 8), st.integers(1, 9))
def test_the_elfproef_finds_one_wrong_digit(number: str, place: int, more: int) -> None:
    wrong = number[:place] + str((int(number[place]) + more) % 10) + number[place + 1 :]
    assert not (numbers.fiscal(number) and numbers.fiscal(wrong))


@given(NINE, st.integers(0, 7))
def test_the_elfproef_finds_two_digits_that_changed_places(number: str, place: int) -> None:
    one, two = number[place : place + 2]
    wrong = number[:place] + two + one + number[place + 2 :]
    # the weights of the last two digits, 2 and -1, differ by 3; of others by 1
    assert one == two or not (numbers.fiscal(number) and numbers.fiscal(wrong))


@pytest.mark.parametrize(
    ("number", "right"),
    [
        ("123456782B01", True), ("001000044B37", True), ("123456789B01", False),
        ("123456782b01", False), ("NL123456782B01", False), ("123456782B1", False),
        ("123456782L01", False), ("123456782", False), ("123456782B01\n", False),
    ],
)  # fmt: skip
def test_ob(number: str, right: bool) -> None:
    assert numbers.ob(number) is right


@pytest.mark.parametrize(
    ("number", "right"),
    [("234564", True), ("971923", True), ("123456", True), ("123455", False), ("23456", False),
     ("2345640", False), ("23456a", False), ("", False)],
)  # fmt: skip
def test_becon(number: str, right: bool) -> None:
    assert numbers.becon(number) is right


@pytest.mark.parametrize(
    ("scheme", "number", "right"),
    [
        (numbers.SCHEME_KVK, "12345678", True),
        (numbers.SCHEME_KVK, "1234567", False),
        (numbers.SCHEME_KVK, "123456789", False),
        ("http://www.nba.nl/kvk-id", "12345678", True),
        (numbers.SCHEME_FISCAL, "123456782", True),
        (numbers.SCHEME_FISCAL, "123456782B01", False),
        (numbers.SCHEME_OB, "123456782B01", True),
        (f"http://{numbers.SCHEME_OB}", "123456782B01", False),
        ("", "", False),
    ],
)
def test_fits(scheme: str, number: str, right: bool) -> None:
    assert numbers.fits(scheme, number) is right


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"{BD}bd-rpt-ob-aangifte-2026", ("ob", "nt20")),
        (f"{BD}bd-rpt-ob-suppletie-2026", ("obsup", "nt20")),
        (f"{BD}bd-rpt-icp-opgaaf-2026", ("icp", "nt20")),
        (f"{BD}bd-rpt-vpb-aangifte-2025", ("vpb", "nt20")),
        (f"{BD}bd-rpt-vpb-sba-2026", ("sba", "nt20")),
        (f"{BD}bd-rpt-vpb-verzoekwijzigingva-2026", ("vpb-va", "nt20")),
        (f"{BD}bd-rpt-ihz-aangifte-2025", ("ihz", "nt20")),
        (f"{BD}bd-rpt-ihz-via-2025", ("via", "nt20")),
        ("www.nltaxonomie.nl/nt21/kvk/20261209/entrypoints/kvk-rpt-jaarverantwoording-2026-nlgaap"
         "-micro-publicatiestukken", ("publicatiestukken", "nt21")),
        ("www.sbrnexus.nl/ft16/frc/20211208/entrypoints/frc-rpt-nt-inrichtingsjaarrekening-2021",
         ("kredietrapportage", "ft16")),
        ("www.sbrbanken.nl/bt13/frc/20181206/entrypoints/frc-rpt-nt-inrichtingsjaarrekening-2018",
         ("kredietrapportage", "bt13")),
        ("www.sbrnexus.nl/vt15/frc/20210421/entrypoints/frc-rpt-vt-taxatierapport",
         ("taxatie", "vt15")),
        ("www.nltaxonomie.nl/nba/2.0/entrypoints/nba-rpt-controleverklaring", ("verklaring", "")),
        ("www.nltaxonomie.nl/nt20/cbs/20251210/entrypoints/cbs-rpt-x", ("", "nt20")),
        ("example.org/nt20/bd-rpt-ob-aangifte-2026", ("", "")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("secure", ["http://", "https://"])
def test_kinds(path: str, kind: tuple[str, str], secure: str) -> None:
    assert kinds.kind(f"{secure}{path}.xsd") == Kind(*kind)


@pytest.mark.parametrize("address", ["", "x", "bd-rpt-ob-aangifte-2026.xsd", "file:///a.xsd"])
def test_no_kind(address: str) -> None:
    assert kinds.kind(address) == Kind("", "")


ROOT = "http://www.nltaxonomie.nl/nt20/kvk/20251210/entrypoints/"


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("kvk-rpt-jaarverantwoording-2025-nlgaap-micro.xsd", True),
        (
            "kvk-rpt-jaarverantwoording-2025-nlgaap-middelgroot-verticaal-publicatiestukken.xsd",
            True,
        ),
        ("kvk-rpt-jaarverantwoording-2023-ifrs-full.xsd", True),
        ("kvk-rpt-jaarverantwoording-2025-nlgaap.xsd", False),
        ("kvk-rpt-jaarverantwoording-2025-nlgaap-micro.xsd#x", False),
        ("bd-rpt-ob-aangifte-2026.xsd", False),
    ],
)
def test_entry_points_of_the_kvk(name: str, right: bool) -> None:
    assert kinds.is_kvk(ROOT + name) is right
    assert not kinds.is_kvk("x" + ROOT + name)
