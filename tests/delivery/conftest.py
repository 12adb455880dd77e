"""Certificates, and a bericht to file."""

from collections.abc import Callable

import pytest

from gateway.delivery.certificates import Trust
from gateway.domain.sbr import Aanlevering, Bestand, Identiteit
from tests.delivery.pki import Pki


@pytest.fixture(scope="session")
def pki() -> Pki:
    """Made once: keys are slow to make."""
    return Pki()


@pytest.fixture(scope="session")
def trust(pki: Pki) -> Trust:
    """Replies are signed by whoever the test authority certified."""
    return Trust(authorities=(pki.ca.certificate,))


@pytest.fixture
def aanlevering() -> Callable[..., Aanlevering]:
    """A return of a company that does not exist; any field can be changed."""

    def make(**changes: object) -> Aanlevering:
        fields = {
            "berichtsoort": "Omzetbelasting",
            "aanleverkenmerk": "MAP-0001",
            "belanghebbende": Identiteit("001000044B37", "Fi"),
            "rol": "Bedrijf",
            "inhoud": Bestand("Omzetbelasting.xbrl", "application/xml", b"<xbrl>\xc3\xa9</xbrl>"),
        }
        return Aanlevering(**{**fields, **changes})

    return make
