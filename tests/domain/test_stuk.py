"""How a stuk is called."""

import pytest

from gateway.domain import stuk


@pytest.mark.parametrize(
    ("periode", "jaar", "read"),
    [
        ("1e kwartaal", 2026, "1e kwartaal 2026"), ("3e kwartaal 2026", 2026, "3e kwartaal 2026"),
        ("2014", 2014, "2014"), ("boekjaar 2025/2026", 2025, "boekjaar 2025/2026"),
        ("boekjaar 2025", 2026, "boekjaar 2025"), ("januari", 2027, "januari 2027"),
        ("202601", 2026, "202601 2026"), ("week 3", 1999, "week 3 1999"),
    ],
)  # fmt: skip
def test_a_tijdvak_names_its_year_once(periode: str, jaar: int, read: str) -> None:
    assert stuk.tijdvak(periode, jaar) == read
