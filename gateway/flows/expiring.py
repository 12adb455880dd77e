"""Warnings before a certificate ends that filing leans on, each sent once."""

import asyncio

from gateway import log
from gateway.domain.firm import Firm
from gateway.flows import letters
from gateway.flows.delivering.cases import Works
from gateway.flows.receivers import Held
from gateway.flows.visitor import now
from gateway.store import audit, warnings
from gateway.store.database import DatabaseDown

_WORDS = {
    "certificate": "ons certificaat met sleutel",
    "reply_certificates": "het certificaat waarmee de ontvanger zijn antwoorden ondertekent",
    "reply_ca": "een CA van de certificaten van de ontvanger",
    "tls_ca": "een CA van de verbinding met de ontvanger",
}


async def warn(works: Works) -> int:
    """Warn of what ends within 60, 30, 14 and 7 days, and of what has ended; how many warnings.

    A firm's own certificate is for the firm's stand-in relatiebeheerder, the rest is for
    operations. Any number of workers may call it, any number of times.
    """
    firms = works.portal.firms
    found = await asyncio.to_thread(lambda: list(works.receivers.held(firms.values())))
    count = 0
    for held in found:
        if held.life is None:
            log.get().error(
                "certificate_unreadable", firm=held.firm, destination=held.destination,
                what=held.what, error=held.fault,
            )  # fmt: skip
        elif firms:
            # Operations has no rows of its own: the first firm keeps what it was told.
            firm = firms[held.firm or min(firms)]
            try:
                count += await _one(works, firm, held)
            except DatabaseDown:
                raise
            except Exception as e:  # this certificate's alone: the others must be told
                log.get().error(
                    "certificate_surprise", firm=held.firm, destination=held.destination,
                    what=held.what, exc_info=e,
                )  # fmt: skip
    return count


async def _one(works: Works, firm: Firm, held: Held) -> bool:
    life, at = held.life, now()
    step = life.step(at) if life else None
    if life is None or step is None:
        return False
    about = {"destination": held.destination, "what": held.what, "ends": life.end.isoformat(),
             "mark": life.mark[:16]}  # fmt: skip
    subject = f"certificate:{life.mark}:{held.destination}:{held.what}"
    async with works.portal.db.tenant(firm.id) as c:
        if not await warnings.first(c, firm.id, subject, step):
            return False
        await audit.record(c, "certificate_ends", firm=firm.id, data=about)
        recipient, name = _recipient(works, firm, held)
        if recipient:
            destination = works.portal.destinations.get(held.destination)
            await letters.put(
                works.portal, c, firm, "certificate_ends_office", recipient, "nl",
                name=name, what=_WORDS[held.what], day=life.end.strftime("%d-%m-%Y"),
                destination=destination.title.nl if destination else "Digipoort en de banken",
                days=str(life.days(at)) if step else "", file=_file(held),
            )  # fmt: skip
    log.get().warning("certificate_ends", firm=held.firm, days=life.days(at), **about)
    return True


def _recipient(works: Works, firm: Firm, held: Held) -> tuple[str, str]:
    """Address and name; without an address only the log and the audit tell it."""
    if held.firm:
        employee = firm.employee(None)
        return employee.mail, employee.name
    return works.operations, "beheerder"


def _file(held: Held) -> str:
    return f"firms/{held.firm}.yaml" if held.firm else "gateway.yaml"
