"""Back-office packages: their keys, what a key allows, and the events that they follow."""

import re
from datetime import timedelta
from enum import StrEnum

from gateway.domain import keys
from gateway.domain.throttle import Limit


class Scope(StrEnum):
    """What a key allows."""

    KLANTEN = "klanten"  # klanten, personen and mandaten
    DOCUMENTEN = "documenten"  # put a document into a dossier
    STUKKEN = "stukken"  # put up, withdraw, report
    STATUS = "status"  # read stukken and what happened to them
    WEBHOOKS = "webhooks"  # say where events are sent


_KEY = re.compile(r"map_([a-z][a-z0-9-]{1,30})_[A-Za-z0-9_-]{43}")


def new_key(firm: str) -> str:
    """A fresh key: a word that secret scanners know, the firm, and 256 bits."""
    return f"map_{firm}_{keys.token()}"


def firm_of(key: str) -> str | None:
    """The firm that a key names; None for what is no key."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None


#: The audit's events that a package hears of (docs/packages.md). Others are the portal's own.
EVENTS = frozenset(
    {
        "stuk_put_up", "stuk_opened", "stuk_approved", "stuk_taken_back", "stuk_confirmed",
        "stuk_approved_on_paper", "stuk_rejected", "stuk_withdrawn", "stuk_replaced",
        "stuk_part_changed", "bank_consent", "approval_handed_back", "package_done",
        "package_failed", "delivery_queued", "delivery_accepted", "delivery_status",
        "delivery_final", "delivery_failed", "delivery_refused", "delivery_uncertain",
        "delivery_decided", "delivery_withdrawn", "delivery_held_changed",
        "delivery_accepted_twice", "delivery_arrived_late",
    }
)  # fmt: skip


_FIELDS = {
    "parts": "onderdelen", "source": "bron", "name": "naam", "content": "inhoud",
    "folder": "map", "approvers": "akkoord_van", "rule": "akkoord_van", "replaces": "vervangt",
    "username": "gebruikersnaam", "mobile": "mobiel", "until": "tot", "reason": "reden",
}  # fmt: skip


def field(name: str) -> str:
    """A field of a fault in the words that packages use, whichever way they came."""
    return ".".join(_FIELDS.get(part, part) for part in name.split("."))


def per_key(a_minute: int) -> Limit:
    """Requests with one key."""
    return Limit("package", a_minute, timedelta(minutes=1))
