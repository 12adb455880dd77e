"""What every flow works with."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.firm import Firm
from gateway.domain.keys import Keys
from gateway.domain.throttle import Limit
from gateway.flows.listings import Listings
from gateway.flows.passwords import Passwords
from gateway.flows.sources import Sources
from gateway.notify.sms import SmsSender
from gateway.store.database import Database


@dataclass(frozen=True, slots=True)
class Portal:
    """The running installation. Made once by gateway.app or gateway.worker.

    base_url: start of every link, without a slash at the end. also: other host names of it.
    budget: seconds that a dossier page waits for its sources.
    """

    product: str
    base_url: str
    also: tuple[str, ...]
    firms: Mapping[str, Firm]
    db: Database
    keys: Keys
    sms: SmsSender
    sms_limits: tuple[Limit, Limit]
    sms_countries: tuple[str, ...]
    passwords: Passwords
    sources: Sources
    listings: Listings
    budget: float
