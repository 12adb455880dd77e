"""Somebody who may sign in."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class State(StrEnum):
    """invited: has no password yet. active: may sign in. deactivated: by the person's own
    hand, comes back by a mailed link. disabled: by the firm, comes back by the firm."""

    INVITED = "invited"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    DISABLED = "disabled"


class Role(StrEnum):
    """client: sees klanten. staff and admin: work at the firm."""

    CLIENT = "client"
    STAFF = "staff"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Person:
    """One row. mobile_sealed opens with Keys.open("mobile", ...). password: a hash, or None."""

    id: UUID
    username: str
    name: str
    role: Role
    state: State
    mobile_sealed: str | None
    password: str | None
    preferred_klant: str | None
    language: str
    last_login_at: datetime | None
    previous_login_at: datetime | None

    @property
    def may_sign_in(self) -> bool:
        """Whether a right password gets anywhere."""
        return self.state is State.ACTIVE and bool(self.password and self.mobile_sealed)


#: States from which a mailed link brings the account back.
RETURNS = frozenset({State.INVITED, State.ACTIVE, State.DEACTIVATED})
