"""Codes by SMS, for whatever they consent to: sent, counted, and taken once.

A code is bound to person, session, purpose and subject: the same digits for another purpose,
another batch of documents or in another session are another code.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.domain import code as rules
from gateway.domain import throttle
from gateway.domain.code import Purpose
from gateway.errors import Invalid, TooMany
from gateway.flows.portal import Portal
from gateway.flows.throttling import take
from gateway.flows.visitor import Visitor, now
from gateway.notify.sms import SmsFailed
from gateway.store import audit, codes, persons
from gateway.store.database import Connection

WRONG_CODE = "Deze code klopt niet. Controleer de code en probeer het opnieuw."
NO_CODE_LEFT = "Deze code werkt niet meer. Vraag een nieuw token aan."
NOT_A_CODE = "Vul de code van zes cijfers in."
SMS_FAILED = "De sms kon niet worden verstuurd. Vraag over een minuut een nieuw token aan."


@dataclass(frozen=True, slots=True)
class Resend:
    """wait: seconds until a new code may be asked; left: how many may still be asked."""

    wait: int
    left: int


@dataclass(frozen=True, slots=True)
class Tried:
    """A counted try. wrong: what to tell when it is not `good`."""

    id: UUID
    good: bool
    wrong: str


async def resend_state(
    portal: Portal, visitor: Visitor, purpose: Purpose, subject: str = ""
) -> Resend:
    """Whether a new code may be asked."""
    async with portal.db.tenant(visitor.firm.id) as c:
        return _resend(await codes.sent(c, visitor.digest, purpose, subject))


def _resend(sent: codes.Sent) -> Resend:
    passed = (now() - sent.last) if sent.last else rules.COOL_DOWN
    wait = max(0.0, (rules.COOL_DOWN - passed).total_seconds())
    # The first code is not a new one: three sends are one and two more.
    return Resend(int(-(-wait // 1)), max(0, rules.SENDS - sent.count))


async def send(
    portal: Portal,
    visitor: Visitor,
    purpose: Purpose,
    text: Callable[[str, str], str],
    subject: str = "",
) -> None:
    """Send a new code; the one before is void. text: the message, of the code and the language.

    Raises TooMany (cool-down, caps) and Invalid when the message could not be handed over.
    """
    firm = visitor.firm
    code = rules.new()
    async with portal.db.tenant(firm.id) as c:
        person = await persons.by_id(c, visitor.person_id, lock=True)
        state = _resend(await codes.sent(c, visitor.digest, purpose, subject))
        if person is None or person.mobile_sealed is None or state.left < 1:
            raise TooMany(600)
        if state.wait:
            raise TooMany(state.wait)
        number = portal.keys.open("mobile", person.mobile_sealed)
        for limit, about in (
            (throttle.SMS_ALL, ""),
            *((limit, number) for limit in portal.sms_limits),
        ):
            await take(portal, c, limit, about)
        moment = now()
        id = await codes.add(
            c,
            firm.id,
            person.id,
            visitor.digest,
            purpose,
            subject,
            _digest(portal, visitor, purpose, subject, code),
            moment,
            moment + rules.LIFETIME,
        )
        await audit.record(c, "code_sent", firm=firm.id, person=person.id)
    try:
        await portal.sms.send(number, firm.sms.sender, text(code, person.language))
    except SmsFailed as e:
        async with portal.db.tenant(firm.id) as c:
            await codes.void(c, id, now())
        raise Invalid({"code1": SMS_FAILED}) from e


def _digest(portal: Portal, visitor: Visitor, purpose: Purpose, subject: str, code: str) -> str:
    return portal.keys.digest(
        "code", purpose, str(visitor.person_id), visitor.digest, subject, code
    )


def entered(*boxes: str) -> str:
    """The code that was typed or pasted. Raises Invalid when it cannot be one."""
    given = rules.entered(*boxes)
    if given is None:
        raise Invalid({"code1": NOT_A_CODE})
    return given


async def try_one(
    portal: Portal,
    c: Connection,
    visitor: Visitor,
    purpose: Purpose,
    subject: str,
    given: str,
    moment: datetime,
) -> Tried:
    """Count a try and look at the code, in one statement. Raises Invalid when none is left.

    The transaction must be committed also when the code is wrong: a try that is rolled back was
    none. The person is locked before, as in `send`: in another order two requests could wait for
    each other.
    """
    tried = await codes.take_try(c, visitor.digest, purpose, subject, moment)
    if tried is None:
        raise Invalid({"code1": NO_CODE_LEFT})
    good = hmac.compare_digest(tried.digest, _digest(portal, visitor, purpose, subject, given))
    return Tried(tried.id, good, WRONG_CODE if tried.left else NO_CODE_LEFT)


async def use(c: Connection, tried: Tried, moment: datetime) -> bool:
    """It is used up; False when another request was first."""
    return await codes.use(c, tried.id, moment)
