"""Who is behind a request, from where, and when."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.session import Stage


@dataclass(frozen=True, slots=True)
class From:
    """Where a request comes from."""

    address: str
    agent: str = ""
    language: str = "nl"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is behind a cookie. klanten: those the person has access to; klant: number of the one
    being looked at. name and phone are masked for the page that asks for the code."""

    firm: Firm
    person_id: UUID
    username: str
    name: str
    phone: str
    role: str
    stage: Stage
    language: str
    klanten: tuple[Klant, ...]
    klant: str | None
    digest: str
    next: str | None
    idle_until: datetime
    ends_at: datetime
    previous_login_at: datetime | None


def now() -> datetime:
    """The moment, aware."""
    return datetime.now(UTC)


#: Where days begin and end: deadlines and mandates are counted there, and times are shown so.
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def today() -> date:
    """The day in the Netherlands."""
    return now().astimezone(AMSTERDAM).date()
