"""How a stuk and its delivery stand, told to the firm: what is asked of whom."""

from collections.abc import Set
from dataclasses import replace

from gateway.domain import delivery as sending
from gateway.domain import stuk as rules
from gateway.domain.delivery import Trouble
from gateway.domain.firm import Firm
from gateway.domain.model import Text
from gateway.domain.soort import Route
from gateway.domain.stuk import Actor, Shown, State
from gateway.flows import stukbeheer as flow
from gateway.flows.visitor import today
from gateway.store.stukken import Stuk

_TURN_OF = {
    Actor.FIRM: "kantoor",
    Actor.CLIENT: "klant",
    Actor.GATEWAY: "onderweg",
    Actor.RECEIVER: "onderweg",
    Actor.NOBODY: "klaar",
}

#: What a state asks of the firm; LABELS tells what it asks of the client.
NEXT = {
    State.CONCEPT: "De klant ziet dit nog niet.",
    State.TO_APPROVE: "De klant moet het document openen en goedkeuren of afkeuren.",
    State.PARTLY: "Er is nog een akkoord van een ander nodig.",
    State.READY: "De klant keurde het goed, maar moet het nog verzenden met een SMS code.",
    State.APPROVED: "Het portaal verzendt het document. U hoeft niets te doen.",
    State.REJECTED: "Neem contact op met de klant en zet een nieuwe versie klaar.",
    State.WITHDRAWN: "Er is niets verzonden. Zet zo nodig een nieuwe versie klaar.",
    State.REPLACED: "Er staat een nieuwe versie klaar.",
    State.CHANGED: "Het document in de bron is na het akkoord veranderd en daarom niet verzonden."
    " Zet een nieuwe versie klaar.",
    State.FAILED: "Herstel wat de ontvanger meldt en zet een nieuwe versie klaar.",
    State.FILED: "De ontvanger verwerkt het document. U hoeft niets te doen.",
    State.ACCEPTED: "De ontvanger heeft het document aangenomen. Er is niets meer te doen.",
    State.DONE: "Er is niets meer te doen.",
}
_TO_FILE = Shown(
    "Goedgekeurd",
    Actor.FIRM,
    "good",
    "De klant gaf akkoord. Dien het document in met het fiscale pakket.",
)
#: What a delivery that stands still asks of the firm, whatever the state of its stuk.
_STUCK = {
    sending.State.UNCERTAIN: Shown(
        "Niet zeker of het is aangekomen",
        Actor.FIRM,
        "bad",
        "Kijk bij de ontvanger of het document is aangekomen, en beslis.",
    ),
    sending.State.HELD_UNAVAILABLE: Shown(
        "Wacht op de bron",
        Actor.FIRM,
        "wait",
        "Herstel de verbinding met de bron. Daarna gaat de verzending vanzelf verder.",
    ),
}
#: The same when it is not the firm's turn.
LOOK = "Kijk bij de verzending wat er niet goed gaat."

#: How the state of a delivery is told.
SENDING: dict[str, tuple[str, str]] = {
    sending.State.QUEUED: ("busy", "Wacht op verzending"),
    sending.State.ATTEMPT: ("busy", "Wordt verzonden"),
    sending.State.ACCEPTED: ("busy", "Ontvangen, in behandeling"),
    sending.State.FINAL_OK: ("good", "Aangenomen"),
    sending.State.FINAL_FAILED: ("bad", "Niet aangenomen"),
    sending.State.HELD_CHANGED: ("bad", "Tegengehouden"),
    sending.State.HELD_UNAVAILABLE: ("wait", "Wacht op de bron"),
    sending.State.UNCERTAIN: ("bad", "Niet zeker of het is aangekomen"),
    sending.State.WITHDRAWN: ("bad", "Niet verzonden"),
}
#: Why a delivery does not go on.
TROUBLES: dict[str, str] = {
    Trouble.SOURCE: "De bron geeft het document niet. Het wordt vanzelf opnieuw geprobeerd.",
    Trouble.CHANGED: "Het document in de bron is na het akkoord veranderd.",
    Trouble.MANDATE: "Wie akkoord gaf, is daar niet meer toe gemachtigd.",
    Trouble.CONFIG: "De instellingen van deze ontvanger kloppen niet. Vraag de beheerder.",
    Trouble.CHANNEL: "Een eerdere verzending naar deze ontvanger moet eerst klaar zijn.",
    Trouble.SENDING: "De ontvanger was niet bereikbaar. Het wordt vanzelf opnieuw geprobeerd.",
    Trouble.UNCLEAR: "Het antwoord van de ontvanger was niet duidelijk. Het wordt nagevraagd.",
    Trouble.REFUSED: "De ontvanger nam het document niet aan.",
    Trouble.SILENT: "De ontvanger laat al lang niets weten. Neem contact met hem op.",
}


def told(state: State, route: Route, sent: Set[str]) -> Shown:
    """The state of a stuk, with what it asks of the firm. sent: the states of its deliveries."""
    for stuck, shown in _STUCK.items():
        if stuck in sent:
            return shown
    if route is Route.BACKOFFICE and state is State.APPROVED:
        return _TO_FILE
    return replace(rules.LABELS[state], next=NEXT[state])


def turn(line: flow.DeskLine) -> str:
    """Whose turn it is: a key of lijst.TURNS, or "klaar"."""
    if line.trouble:
        return "kantoor"
    return _TURN_OF[told(line.state, line.route, set()).actor]


def title(firm: Firm, row: flow.DeskRow) -> Text | str:
    """What its soort is called."""
    soort = firm.soorten.get(row.stuk.soort)
    return soort.title if soort else row.soort


def overdue(stuk: Stuk) -> bool:
    """Whether a client is too late with it."""
    return stuk.state in rules.OPEN and stuk.deadline is not None and stuk.deadline < today()
