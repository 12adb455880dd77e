"""How the state of a stuk and the events of its Geschiedenis are told."""

from gateway.domain import stuk as rules
from gateway.domain.soort import Route
from gateway.domain.stuk import State
from gateway.flows.accordering import sending
from gateway.flows.accordering.tasks import Task

#: What the Geschiedenis calls an event; an event that is not here is not for clients.
EVENTS = {
    "stuk_put_up": "Klaargezet door het kantoor",
    "stuk_opened": "Document geopend",
    "stuk_part_changed": "Document in de bron is veranderd",
    "stuk_approved": "Goedgekeurd, klaar om te verzenden",
    "stuk_confirmed": "Akkoord bevestigd met SMS code",
    "stuk_taken_back": "Van de lijst gehaald",
    "stuk_rejected": "Afgekeurd",
    "stuk_withdrawn": "Ingetrokken door het kantoor",
    "stuk_replaced": "Vervangen",
    "stuk_reminded": "Herinnering gestuurd",
    "stuk_approved_on_paper": "Akkoord op papier, vastgelegd door het kantoor",
    "bank_consent": "Toestemming gegeven voor de bank",
    "delivery_queued": "Klaargezet voor verzending",
    "delivery_attempt": "Verzending begonnen",
    "delivery_not_sent": "Verzending niet gelukt, wordt herhaald",
    "delivery_unclear": "Antwoord van de ontvanger niet duidelijk, wordt nagevraagd",
    "delivery_not_arrived": "Bij navraag niet aangekomen",
    "delivery_accepted": "Ontvangen door de ontvanger",
    "delivery_refused": "Niet aangenomen door de ontvanger",
    "delivery_final": "Aangenomen door de ontvanger",
    "delivery_failed": "Verzending mislukt",
    "delivery_arrived_late": "Toch aangekomen bij de ontvanger",
    "delivery_accepted_twice": "Nog een keer aangekomen bij de ontvanger",
    "delivery_unknown_kenmerk": "Onbekend kenmerk bij de ontvanger",
    "delivery_held_changed": "Niet verzonden: gewijzigd na akkoord",
    "delivery_withdrawn": "Niet verzonden",
    "delivery_uncertain": "Wordt door het kantoor nagekeken",
    "delivery_decided": "Nagekeken door het kantoor",
    "approval_handed_back": "Akkoord doorgegeven aan het fiscale pakket",
    "package_done": "Afgehandeld door het fiscale pakket",
    "package_failed": "Niet afgehandeld door het fiscale pakket",
}

#: On the `backoffice` route nobody but the package files it.
_BY_PACKAGE = (
    "Goedgekeurd",
    "Uw accountant dient het document in met het fiscale pakket. U hoeft niets te doen.",
)


def shown(task: Task) -> rules.Shown:
    """How its state is told."""
    told = rules.LABELS[task.stuk.state]
    if task.stuk.route is Route.BACKOFFICE and task.stuk.state is State.APPROVED:
        label, after = _BY_PACKAGE
        return rules.Shown(label, rules.Actor.FIRM, told.tone, after)
    return told


def label(sent: sending.Sent) -> rules.Shown:
    """How its state is told, just after it was sent."""
    if sent.stuk.route is Route.BACKOFFICE and sent.state is State.APPROVED:
        return rules.Shown(_BY_PACKAGE[0], rules.Actor.FIRM, "good", _BY_PACKAGE[1])
    return rules.LABELS[sent.state]
