"""Every code is told to a lay person, in Dutch and in English."""

import pytest

from gateway.domain import soort, statuscode
from gateway.domain.stuk import Actor
from tests.pages.test_catalogue import _catalogue

#: digipoort/README.md 1.6: every status and fault code that is known.
STATUSES = [
    "100", "105", "110", "200", "210", "220", "230", "301", "310", "311", "321", "400", "405",
    "410", "420", "500", "510", "710", "720",
]  # fmt: skip
FAULTS = [
    "ALS100", "ALS110", "ALS120", "ALS130", "ALS140", "ALS150", "ALS160", "ALS170", "ALS400",
    "STS100", "VAS400", "VAS500", "AFS400", "AFO100", "AFS600",
]  # fmt: skip


@pytest.mark.parametrize("code", [*STATUSES, *FAULTS, "999"])
def test_every_code_is_told(code):
    meaning = statuscode.of_status(code) if code.isdigit() else statuscode.of_fault(code)
    known = _catalogue()
    for text in (meaning.title, meaning.text, meaning.next):
        assert text
        assert known.get(text), text
        assert code not in text  # words, not codes
    assert meaning.text.endswith(".")
    assert meaning.tone in {"busy", "good", "warn", "bad"}
    assert meaning.actor in Actor


@pytest.mark.parametrize("key", sorted(soort.DEFAULTS))
def test_success_and_failure_are_told_as_such(key):
    one = soort.DEFAULTS[key]
    assert {statuscode.of_status(c).tone for c in one.success} == {"good"}
    assert {statuscode.of_status(c).tone for c in one.failure} == {"bad"}
    assert {statuscode.of_status(c).actor for c in one.failure} == {Actor.FIRM}


def test_a_fault_says_more_than_its_status():
    assert statuscode.of_status("420", "AFS600") is statuscode.FAULTS["AFS600"]
    assert statuscode.of_status("420").tone == "warn"
    assert statuscode.of_status("500", "AFS600").tone == "good"
