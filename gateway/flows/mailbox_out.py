"""Return messages: how a stuk that came by a mailbox stands, written where its package looks.

Driven by the events of the chain, with a cursor for each mailbox. A message is written again when
its worker died before the cursor moved: it has the same name, and says what is true by then.
"""

import json
from collections.abc import AsyncIterator
from uuid import UUID

from gateway import log
from gateway.domain import mailbox as rules
from gateway.domain import members
from gateway.domain.firm import Firm
from gateway.domain.mailbox import Mailbox
from gateway.errors import SourceError
from gateway.flows import events
from gateway.flows.mailbox import opened
from gateway.flows.mailbox_intake import Away, Opened
from gateway.flows.portal import Portal
from gateway.store import events as book
from gateway.store import mailboxes

#: The events after which a package is told how a stuk stands.
TOLD = (
    "stuk_confirmed", "stuk_approved_on_paper", "stuk_rejected", "stuk_withdrawn",
    "stuk_replaced", "stuk_part_changed", "approval_handed_back", "package_done",
    "package_failed", "delivery_accepted", "delivery_final", "delivery_failed",
    "delivery_refused", "delivery_withdrawn",
)  # fmt: skip
#: Events looked at at once.
MOST = 200


async def begin(portal: Portal, firm: Firm, box: Mailbox) -> None:
    """Remember from where a new mailbox is to be told, before it takes anything in."""
    if box.out:
        async with portal.db.tenant(firm.id) as c:
            await mailboxes.cursor(c, firm.id, box.id)


async def run(portal: Portal, firm: Firm, box: Mailbox) -> int:
    """Write what is to be told; how many messages. Raises DatabaseDown."""
    if not box.out:
        return 0
    async with mailboxes.claimed(portal.db, firm.id, f"{box.id} terug") as mine:
        if not mine:
            return 0
        count = 0
        try:
            at = opened(portal, firm, box)
            while some := await _some(at):
                count += some - 1
        except (Away, SourceError) as e:
            log.get().warning("mailbox_not_told", firm=firm.id, mailbox=box.id, error=str(e))
        return count


async def _some(at: Opened) -> int:
    """The next events; 0 when there are none, else one more than messages written."""
    box, firm = at.box, at.firm
    async with at.portal.db.tenant(firm.id) as c:
        number = await mailboxes.cursor(c, firm.id, box.id)
        found = await book.since(c, number, list(TOLD), MOST)
        stems = await mailboxes.stems(c, box.id, [e.stuk for e in found])
    written: set[UUID] = set()
    for event in found:
        if event.stuk in stems and event.stuk not in written:
            written.add(event.stuk)
            stem = at.portal.keys.open("stem", stems[event.stuk])
            await _tell(at, event.stuk, stem)
        async with at.portal.db.tenant(firm.id) as c:
            await mailboxes.told(c, box.id, event.number, event.stuk)
    return len(written) + 1 if found else 0


async def _tell(at: Opened, stuk: UUID, stem: str) -> None:
    told = await events.status(at.portal, at.firm, stuk)
    if told is None:
        return
    said = events.standing(told)
    data = json.dumps(said, ensure_ascii=False, indent=1).encode()
    await _put(at, f"{rules.plain(stem)}.{stuk}.status.json", data)
    if at.box.xml:
        await _put(at, f"{rules.plain(stem)}.{stuk}.status.xml", members.document("stuk", said))


async def _put(at: Opened, name: str, data: bytes) -> None:
    await at.source.put(at.place, at.box.out, name, _pieces(data), size=len(data), if_absent=False)


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data
