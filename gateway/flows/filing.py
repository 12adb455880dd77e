"""From the last approval to the deliveries: which receiver gets it, and what the SMS says."""

import json

from gateway.domain import code as codes
from gateway.domain.destination import Receiver
from gateway.domain.firm import Firm
from gateway.domain.soort import Route, Soort
from gateway.domain.stuk import State
from gateway.errors import Invalid
from gateway.flows import intake
from gateway.flows.portal import Portal
from gateway.store import audit, deliveries, stukken
from gateway.store.database import Connection
from gateway.store.stukken import Stuk

NO_DESTINATION = "Voor dit soort document is geen bestemming ingesteld. Bel uw accountant."


def banks(portal: Portal) -> dict[str, Receiver]:
    """Every bank that a client can choose, by "<destination>/<bank>"."""
    return {
        f"{name}/{key}": receiver
        for name, one in portal.destinations.items()
        if one.kind == "bank"
        for key, receiver in one.receivers.items()
    }


def message(firm: Firm, code: str, language: str, what: str) -> str:
    """The text message that confirms approvals."""
    if language == "en":
        return codes.fitting(f"{codes.shown(code)} is your code to approve: {what}. {firm.short}")
    return codes.fitting(f"{codes.shown(code)} is uw code voor akkoord: {what}. {firm.short}")


def rejection(firm: Firm, code: str, language: str, what: str) -> str:
    """The text message that confirms a rejection."""
    if language == "en":
        return codes.fitting(f"{codes.shown(code)} is your code to reject: {what}. {firm.short}")
    return codes.fitting(f"{codes.shown(code)} is uw code om af te keuren: {what}. {firm.short}")


async def begin(portal: Portal, c: Connection, firm: Firm, stuk: Stuk, soort: Soort) -> State:
    """Make the deliveries of an approved stuk; the state it then has. In the transaction of the
    last approval. Raises Invalid when there is nowhere to send it."""
    found = await stukken.find(c, stuk.id)
    assert found is not None  # noqa: S101  # it is locked by this transaction
    if stuk.route is Route.SIGN or stuk.route is Route.INZAGE:
        await stukken.move(c, found, State.DONE)
        return State.DONE
    for destination, receiver in await _receivers(portal, c, stuk, soort):
        await deliveries.add(
            c,
            firm.id,
            stuk=stuk.id,
            kind="sbr" if stuk.route is Route.PORTAL else "backoffice",
            destination=destination,
            receiver=receiver,
            berichtsoort=soort.berichtsoort,
            channel=_channel(portal, stuk, soort, destination),
            aanleverkenmerk=intake.aanleverkenmerk(stuk.id, receiver),
            manifest=stuk.manifest,
        )
    await audit.record(
        c, "delivery_queued", firm=firm.id, klant=stuk.klant, subject=f"stuk:{stuk.id}",
        data={"manifest": stuk.manifest},
    )  # fmt: skip
    return State.APPROVED


async def _receivers(
    portal: Portal, c: Connection, stuk: Stuk, soort: Soort
) -> list[tuple[str, str]]:
    """Destination and receiver of every delivery."""
    if stuk.route is Route.BACKOFFICE:
        return [("backoffice", "")]
    if soort.bank:
        chosen = [b.partition("/") for b in await stukken.banks(c, stuk.id)]
        found = [(destination, bank) for destination, _, bank in chosen]
    else:
        found = [(soort.destination, "")] if soort.destination in portal.destinations else []
    if not found:
        raise Invalid({"stuk": NO_DESTINATION})
    return found


def _channel(portal: Portal, stuk: Stuk, soort: Soort, destination: str) -> str:
    """What a question to the receiver is about, as a keyed digest: no number in the clear."""
    if stuk.identity_sealed is None:
        return f"stuk:{stuk.id}"
    type, number = json.loads(portal.keys.open("identity", stuk.identity_sealed))
    return portal.keys.digest("channel", destination, type, number, soort.berichtsoort)
