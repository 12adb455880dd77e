"""Mail: put into the outbox in the transaction of the change, sent by the worker."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from gateway import log
from gateway.domain import mail
from gateway.domain.firm import Firm
from gateway.domain.keys import SealBroken
from gateway.flows.portal import Portal
from gateway.notify.mail import Mail, Mailer, MailFailed, render
from gateway.store import outbox
from gateway.store.database import Connection

#: After this it is given up, and said so in the log.
PATIENCE = timedelta(days=3)
#: How long one attempt may take before another process may make the next.
ATTEMPT = timedelta(minutes=2)
#: How long a bundled letter waits for others to join it.
BUNDLE = timedelta(minutes=2)
#: Letters in one call of `deliver_due`, so that a worker that is told to stop does.
MOST = 50


async def put(
    portal: Portal,
    c: Connection,
    firm: Firm,
    event: str,
    recipient: str,
    language: str,
    **values: str,
) -> None:
    """One letter. `event` is its folder below templates/mail; `values` go to the template."""
    payload = json.dumps({"language": language, "values": values})
    await outbox.add(
        c,
        firm.id,
        event,
        portal.keys.seal("recipient", recipient),
        portal.keys.seal("letter", payload),
    )


async def put_bundled(
    portal: Portal,
    c: Connection,
    firm: Firm,
    event: str,
    recipient: str,
    language: str,
    *,
    about: str,
    alone: Mapping[str, str],
    together: Mapping[str, str],
) -> None:
    """One letter that waits `BUNDLE` for others about the same to the same person.

    alone, together: the values when it stays one, and when others join.
    """
    one, more = (
        portal.keys.seal("letter", json.dumps({"language": language, "values": dict(values)}))
        for values in (alone, together)
    )
    await outbox.bundle(
        c,
        firm.id,
        event,
        portal.keys.seal("recipient", recipient),
        one,
        more,
        datetime.now(UTC) + BUNDLE,
        portal.keys.digest("bundle", event, about, recipient),
    )


async def deliver_due(portal: Portal, mailer: Mailer, now: datetime) -> int:
    """Send what is due, `MOST` at the most, each firm in its turn; how many went out."""
    async with portal.db.connection() as c:
        names = await outbox.firms(c, now)
    waiting = [portal.firms[n] for n in names if n in portal.firms]
    sent = 0
    while waiting and sent < MOST:
        waiting = [firm for firm in waiting if await _one(portal, mailer, firm, now)]
        sent += len(waiting)
    return sent


async def _one(portal: Portal, mailer: Mailer, firm: Firm, now: datetime) -> bool:
    """Send one letter; False when none is due or it did not go out."""
    async with portal.db.tenant(firm.id) as c:
        letter = await outbox.claim(c, now, now + ATTEMPT)
    if letter is None:
        return False
    try:
        await mailer.send(_written(portal, firm, letter))
    except MailFailed as e:
        await _failed(portal, firm, letter, now, e)
        return False
    except Exception as e:  # this letter's alone: the others must go on
        log.get().error("mail_surprise", firm=firm.id, mail=str(letter.id), exc_info=e)
        await _failed(portal, firm, letter, now, MailFailed(type(e).__name__))
        return False
    async with portal.db.tenant(firm.id) as c:
        await outbox.sent(c, letter.id)
    log.get().info("mail_sent", firm=firm.id, mail=str(letter.id), mail_event=letter.event)
    return True


def _written(portal: Portal, firm: Firm, letter: outbox.Letter) -> Mail:
    """The letter as it goes out. Raises MailFailed for one that never can."""
    try:
        payload = json.loads(portal.keys.open("letter", letter.payload_sealed))
        recipient = portal.keys.open("recipient", letter.recipient_sealed)
        rendered = render(
            letter.event, payload["language"], firm, portal.base_url, payload["values"]
        )
    except SealBroken as e:
        raise MailFailed("sealed with another key", retryable=False) from e
    except MailFailed:
        raise
    except Exception as e:
        raise MailFailed(f"cannot be written: {type(e).__name__}", retryable=False) from e
    return Mail(
        sender=firm.mail.sender,
        sender_name=firm.mail_name,
        recipient=recipient,
        id=f"{letter.id}@{(mail.written(firm.mail.sender) or '').rpartition('@')[2]}",
        **rendered,
    )


async def _failed(
    portal: Portal, firm: Firm, letter: outbox.Letter, now: datetime, error: MailFailed
) -> None:
    final = not error.retryable or now - letter.created_at > PATIENCE
    wait = min(timedelta(minutes=2 ** min(letter.tries, 10) / 2), timedelta(hours=6))
    async with portal.db.tenant(firm.id) as c:
        if final:
            await outbox.give_up(c, letter.id, str(error))
        else:
            await outbox.later(c, letter.id, now + wait, str(error))
    log.get().warning(
        "mail_failed", firm=firm.id, mail=str(letter.id), final=final, error=str(error)
    )
