"""What every status and fault of Digipoort, a bank or the gateway means, for a lay person.

One table, in Dutch; the catalogue has the English. Sources: Logius "Statussen en foutcodes
Digipoort" 1.6, the metrokaart of Digi-inkoop, and what two production clients make of the codes;
what nobody publishes is told as what it is: a code that we do not know.
"""

from dataclasses import dataclass

from gateway.domain.stuk import Actor


@dataclass(frozen=True, slots=True)
class Meaning:
    """title: in a few words. text: what happened. actor: who acts next. next: what happens then.
    tone: "busy", "good", "warn" or "bad"."""

    title: str
    text: str
    actor: Actor
    next: str
    tone: str


STATUSES: dict[str, Meaning] = {
    "105": Meaning(
        "Aangeleverd",
        "De ontvanger is begonnen met de verwerking.",
        Actor.RECEIVER,
        "U hoeft niets te doen.",
        "busy",
    ),
    "100": Meaning(
        "Aangeleverd",
        "Het document is goed aangekomen.",
        Actor.RECEIVER,
        "U hoeft niets te doen.",
        "busy",
    ),
    "110": Meaning(
        "Aangeleverd",
        "Het document gaat de verwerking in.",
        Actor.RECEIVER,
        "U hoeft niets te doen.",
        "busy",
    ),
    "200": Meaning(
        "Afzender bekend",
        "De ontvanger heeft vastgesteld dat het bericht van ons komt.",
        Actor.RECEIVER,
        "U hoeft niets te doen.",
        "busy",
    ),
    "210": Meaning(
        "Niet gemachtigd",
        "Het kantoor mag dit document niet namens u indienen. Het is niet ingediend.",
        Actor.FIRM,
        "Uw accountant regelt de machtiging en zet het document opnieuw klaar.",
        "bad",
    ),
    "220": Meaning(
        "Machtiging niet vastgesteld",
        "De ontvanger kon niet vaststellen of het kantoor dit namens u mag indienen. Het"
        " is niet ingediend.",
        Actor.FIRM,
        "Uw accountant zoekt dit uit en neemt zo nodig contact met u op.",
        "bad",
    ),
    "230": Meaning(
        "Storing, wordt herhaald",
        "De dienst die machtigingen controleert, werkt nu niet.",
        Actor.RECEIVER,
        "Dit wordt vanzelf herhaald, drie dagen lang. U hoeft niets te doen.",
        "warn",
    ),
    "301": Meaning(
        "Gevalideerd",
        "Het document voldoet aan de technische regels.",
        Actor.RECEIVER,
        "U hoeft niets te doen.",
        "busy",
    ),
    "310": Meaning(
        "Gevalideerd",
        "De controle van het document is gedaan.",
        Actor.RECEIVER,
        "U hoeft niets te doen.",
        "busy",
    ),
    "311": Meaning(
        "Afgekeurd bij validatie",
        "Er staat een fout in het document. Het is niet ingediend.",
        Actor.FIRM,
        "Uw accountant herstelt de fout en zet het document opnieuw klaar.",
        "bad",
    ),
    "321": Meaning(
        "Storing, wordt herhaald",
        "De controle van het document werkt nu niet.",
        Actor.RECEIVER,
        "Dit wordt vanzelf herhaald, drie dagen lang. U hoeft niets te doen.",
        "warn",
    ),
    "405": Meaning(
        "Aangeboden",
        "Het document wordt bij de ontvanger afgeleverd.",
        Actor.RECEIVER,
        "U hoeft niets te doen.",
        "busy",
    ),
    "400": Meaning(
        "Afgeleverd",
        "Het document is bij de ontvanger afgeleverd.",
        Actor.RECEIVER,
        "U hoeft niets te doen.",
        "busy",
    ),
    "410": Meaning(
        "Niet afgeleverd",
        "Het document kon niet bij de ontvanger worden afgeleverd. Het is niet ingediend.",
        Actor.FIRM,
        "Uw accountant zoekt dit uit en neemt zo nodig contact met u op.",
        "bad",
    ),
    "420": Meaning(
        "Storing, wordt herhaald",
        "De systemen van de ontvanger werken nu niet.",
        Actor.RECEIVER,
        "Dit wordt vanzelf herhaald, drie dagen lang. U hoeft niets te doen.",
        "warn",
    ),
    "500": Meaning(
        "Akkoord Digipoort",
        "De ontvanger heeft het document aangenomen. Het is ingediend.",
        Actor.NOBODY,
        "U bent klaar.",
        "good",
    ),
    "510": Meaning(
        "Afgewezen door ontvanger",
        "De ontvanger neemt het document niet aan. Het is niet ingediend.",
        Actor.FIRM,
        "Uw accountant herstelt het document en zet het opnieuw klaar.",
        "bad",
    ),
    "710": Meaning(
        "Niet verwerkt",
        "De ontvanger kon het document niet verwerken.",
        Actor.FIRM,
        "Uw accountant zoekt dit uit en neemt zo nodig contact met u op.",
        "bad",
    ),
    "720": Meaning(
        "Storing, wordt herhaald",
        "De ontvanger kan het document nu niet verwerken.",
        Actor.RECEIVER,
        "Dit wordt vanzelf herhaald, drie dagen lang. U hoeft niets te doen.",
        "warn",
    ),
}

_NOT_TAKEN = Meaning(
    "Niet aangenomen",
    "Het bericht voldoet niet aan de regels van de ontvanger. Het is niet ingediend.",
    Actor.FIRM,
    "Uw accountant zoekt dit uit en neemt zo nodig contact met u op.",
    "bad",
)

FAULTS: dict[str, Meaning] = {
    **dict.fromkeys(
        ("ALS100", "ALS110", "ALS120", "ALS130", "ALS140", "ALS150", "ALS160", "ALS170"),
        _NOT_TAKEN,
    ),
    "ALS400": Meaning(
        "Storing, wordt herhaald",
        "De ontvanger kan nu geen documenten aannemen.",
        Actor.GATEWAY,
        "Wij proberen het vanzelf opnieuw. U hoeft niets te doen.",
        "warn",
    ),
    "STS100": Meaning(
        "Status niet op te vragen",
        "De ontvanger begrijpt onze vraag naar de status niet. Aan de aangifte zelf"
        " verandert niets.",
        Actor.FIRM,
        "Uw accountant zoekt dit uit en neemt zo nodig contact met u op.",
        "warn",
    ),
    "STS400": Meaning(
        "Status nu niet op te vragen",
        "De ontvanger kan nu geen status geven.",
        Actor.GATEWAY,
        "Wij proberen het vanzelf opnieuw. U hoeft niets te doen.",
        "warn",
    ),
    "VAS400": STATUSES["321"],
    "VAS500": STATUSES["311"],
    "AFS400": STATUSES["410"],
    "AFO100": STATUSES["410"],
    "AFS600": Meaning(
        "Niet afgeleverd",
        "De ontvanger was drie dagen lang niet bereikbaar. Het document is niet ingediend.",
        Actor.FIRM,
        "Uw accountant dient het opnieuw in of neemt contact op met de ontvanger.",
        "bad",
    ),
}

#: For a code that is in no list we have.
UNKNOWN = Meaning(
    "Onbekende status",
    "De ontvanger geeft een status die wij niet kennen.",
    Actor.FIRM,
    "Uw accountant zoekt dit uit en neemt zo nodig contact met u op.",
    "warn",
)
UNKNOWN_FAULT = Meaning(
    "Niet aangenomen",
    "De ontvanger meldt een fout die wij niet kennen.",
    Actor.FIRM,
    "Uw accountant zoekt dit uit en neemt zo nodig contact met u op.",
    "bad",
)

#: A fault that says "not now": the same message may be sent again later.
TECHNICAL = frozenset({"ALS400", "STS400"})


def of_status(code: str, fault: str = "") -> Meaning:
    """The meaning of a status; its fault code says more where we know that."""
    if fault in FAULTS and code in STATUSES and STATUSES[code].tone in ("bad", "warn"):
        return FAULTS[fault]
    return STATUSES.get(code, UNKNOWN)


def of_fault(code: str) -> Meaning:
    """The meaning of a SOAP fault of a receiver."""
    return FAULTS.get(code, UNKNOWN_FAULT)
