"""What every flow works with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.connector.egress import EgressPolicy
from gateway.domain.destination import Destination
from gateway.domain.firm import Firm
from gateway.domain.keys import Keys
from gateway.domain.throttle import Limit
from gateway.flows.listings import Listings
from gateway.flows.passwords import Passwords
from gateway.flows.sources import Sources
from gateway.notify.sms import SmsSender
from gateway.scan import Scanner
from gateway.store import audit, sessions
from gateway.store.batch import Batch
from gateway.store.database import Database

#: Sessions looked up, and events written, many at once (gateway.store.batch).
Looks = Batch[tuple[str, str], sessions.Look | None]
Events = Batch[audit.Event, None]


def looks(db: Database) -> Looks:
    """The session look-ups of a process."""

    async def ask(wanted: Sequence[tuple[str, str]]) -> list[sessions.Look | None]:
        async with db.connection() as c:
            return await sessions.look(c, wanted, datetime.now(UTC))

    return Batch(ask)


def events(db: Database) -> Events:
    """The audit of what happens too often for a transaction each."""

    async def ask(wanted: Sequence[audit.Event]) -> list[None]:
        async with db.connection() as c:
            return await audit.append(c, wanted)

    return Batch(ask)


@dataclass(frozen=True, slots=True)
class Portal:
    """The running installation. Made once by gateway.app or gateway.worker.

    base_url: start of every link, without a slash at the end. also: other host names of it.
    budget: seconds that a dossier page waits for its sources. scanner: looks at what comes in;
    None: nothing does. egress: where webhooks may lead.
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
    looks: Looks
    events: Events
    budget: float
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    scanner: Scanner | None = None
    egress: EgressPolicy = field(default_factory=EgressPolicy)
