"""The audit's chain: signed checkpoints, and whether all of it still stands as it was written.

A checkpoint is made every hour by the worker, and for each proof (gateway.flows.proof).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway import log
from gateway.domain import chain as rules
from gateway.domain.chain import Check, Checkpoint, Finding
from gateway.domain.firm import Firm
from gateway.flows.portal import Portal
from gateway.flows.visitor import now
from gateway.store import audit, chain
from gateway.store.database import DatabaseDown

#: Links between two words about how far it is.
STEP = 10_000


def public_key(portal: Portal) -> Ed25519PublicKey:
    """The key that checks this installation's checkpoints and proofs."""
    return rules.private_key(portal.keys).public_key()


async def checkpoint(portal: Portal, firm: Firm) -> Checkpoint | None:
    """Sign the head of a firm's chain; None while nothing has happened. When it is signed
    already, that checkpoint. With a new key there is one event more, so that there is something
    to sign."""
    key = rules.private_key(portal.keys)
    mine = rules.key_id(key.public_key())
    async with portal.db.tenant(firm.id) as c:
        last, head = await chain.last_checkpoint(c), await chain.head(c)
        if last and head and last.number == head.number and last.key != mine:
            await audit.record(c, "checkpoint_key_changed", firm=firm.id, data={"key": mine})
    async with portal.db.tenant(firm.id) as c:
        head = await chain.head(c)
        if head is None:
            return None
        made = rules.sign(key, firm.id, head.number, head.hash, rules.moment(now()))
        await chain.add_checkpoint(c, made)
        found = await chain.checkpoint_at(c, head.number, mine)
    if found == made:
        log.get().info("checkpoint", firm=firm.id, number=made.number, hash=made.hash)
    return found


async def checkpoint_all(portal: Portal) -> int:
    """Sign every firm's chain; how many firms have one."""
    count = 0
    for firm in portal.firms.values():
        try:
            count += await checkpoint(portal, firm) is not None
        except DatabaseDown:
            raise
        except Exception as e:  # this firm's alone: the others' chains must be signed
            log.get().error("checkpoint_surprise", firm=firm.id, exc_info=e)
    return count


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. more: faults beside those in `findings`. covered: number of the last
    link that a checkpoint covers."""

    links: int
    checkpoints: int
    covered: int
    findings: tuple[Finding, ...]
    more: int


async def verify(
    portal: Portal,
    firm: Firm,
    keys: Iterable[Ed25519PublicKey] = (),
    told: Callable[[int], None] = lambda _: None,
) -> Report:
    """Judge the whole chain of a firm, in memory that does not grow with it.

    keys: public keys that signed before the present one. told: called with the number of links
    looked at, every `STEP`.
    """
    check = Check(firm.id, rules.key_ring([public_key(portal), *keys]))
    covered = 0
    async with portal.db.tenant(firm.id) as c:
        async for one in chain.every(c):
            check.link(one.link, one.row, one.checkpoint)
            covered = one.link.number if one.checkpoint else covered
            if check.links % STEP == 0:
                told(check.links)
        async for row in chain.outside(c):
            check.outside(row)
        for orphan in await chain.orphans(c):
            check.orphan(orphan)
    return Report(check.links, check.checkpoints, covered, tuple(check.findings()), check.more)
