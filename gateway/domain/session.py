"""How long a session lasts."""

from datetime import datetime, timedelta
from enum import StrEnum

from gateway.domain.firm import SessionRules

#: A sign-in that waits for its code.
HALF = timedelta(minutes=10)
#: How often a session that is used is written down.
TOUCH = timedelta(minutes=1)
#: How long before the end a person is warned.
WARNING = timedelta(minutes=2)


class Stage(StrEnum):
    """half: the password was right, the code is still to come."""

    HALF = "half"
    FULL = "full"


def ends(stage: Stage, rules: SessionRules, now: datetime) -> tuple[datetime, datetime]:
    """When a session that begins now ends: without use, and in any case."""
    if stage is Stage.HALF:
        return now + HALF, now + HALF
    return (
        now + timedelta(minutes=rules.idle_minutes),
        now + timedelta(hours=rules.absolute_hours),
    )
