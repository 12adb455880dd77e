"""What goes over the wire, in the words of the field."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AnyHttpUrl, FailFast, Field, StringConstraints

from gateway.domain.stuk import Actor, Role, State
from gateway.domain.wire import Sha256, Short, Wire, line, lines

# --- klanten, personen, mandaten


class KlantIn(Wire):
    """Een klant. nummers: bij de ontvangers, per type (BTW, Fi, kvk); ze komen erbij.
    relatiebeheerder: weg: blijft wie het is; null: geen."""

    nummer: Short
    naam: Short
    relatiebeheerder: Short | None = None
    nummers: dict[Short, Short] = Field(default_factory=dict, max_length=20)


class KlantenIn(Wire):
    """Een reeks klanten: nieuw of gewijzigd."""

    klanten: list[KlantIn] = Field(min_length=1, max_length=1000)


class PersoonIn(Wire):
    """Een persoon. klanten: alle klanten waar hij bij mag, en wat er niet bij staat, vervalt; weg:
    blijft zoals het is. mobiel: weg of null: blijft zoals het is."""

    gebruikersnaam: Short
    naam: Short
    mobiel: Short | None = None
    # A million of them in a request must not be a million faults in memory.
    klanten: Annotated[list[Short], FailFast()] = Field(default_factory=list, max_length=1000)


class PersonenIn(Wire):
    """Een reeks personen: nieuw of gewijzigd."""

    personen: list[PersoonIn] = Field(min_length=1, max_length=1000)


class MandaatIn(Wire):
    """Wie voor welke klant akkoord mag geven. soort: * is elk soort. tot: de laatste dag; weg:
    geen einde. De regels van één persoon, klant en soort zijn samen alles: wat eerder gegeven is
    en er niet bij staat, eindigt."""

    gebruikersnaam: Short
    klant: Short
    soort: Short = "*"
    vanaf: date
    tot: date | None = None


class MandatenIn(Wire):
    """Een reeks mandaten: gegeven, gewijzigd of beëindigd."""

    mandaten: list[MandaatIn] = Field(min_length=1, max_length=1000)


class Geteld(Wire):
    """Hoeveel regels verwerkt zijn."""

    aantal: int


# --- stukken


class OnderdeelUit(Wire):
    """Een onderdeel zoals het werd goedgekeurd of zal worden."""

    nummer: int
    rol: Role
    naam: str
    lengte: int
    sha256: str


class AkkoordUit(Wire):
    """Een akkoord of afkeuring die telt."""

    gebruikersnaam: str
    handeling: str
    op: datetime
    bevestigd: datetime | None
    manifest: str
    reden: str


class StatusUit(Wire):
    """Een status van de ontvanger."""

    code: str
    op: datetime
    omschrijving: str
    foutcode: str
    foutbeschrijving: str


class VerzendingUit(Wire):
    """Een verzending naar een ontvanger."""

    bestemming: str
    ontvanger: str
    staat: str
    kenmerk: str | None
    aanleverkenmerk: str
    statussen: list[StatusUit]


class StukUit(Wire):
    """Een stuk zoals het ervoor staat. manifest: SHA-256 over alles wat wordt goedgekeurd."""

    id: UUID
    klant: str
    soort: str
    jaar: int
    periode: str
    deadline: date | None
    staat: State
    omschrijving: str
    aan_zet: Actor
    manifest: str
    vervangt: UUID | None
    klaargezet_door: str
    klaargezet: datetime
    gewijzigd: datetime
    onderdelen: list[OnderdeelUit]
    akkoorden: list[AkkoordUit]
    verzendingen: list[VerzendingUit]


class IntrekkenIn(Wire):
    """Waarom een stuk wordt ingetrokken."""

    reden: Annotated[str, StringConstraints(min_length=10, max_length=2000), AfterValidator(lines)]


class MeldenIn(Wire):
    """Hoe een stuk van de backoffice-route afliep in het pakket."""

    gelukt: bool


# --- documenten


class DocumentUit(Wire):
    """Een document dat nu in de bron staat."""

    bron: str
    id: str
    naam: str
    lengte: int
    sha256: str


# --- gebeurtenissen


class GebeurtenisUit(Wire):
    """Iets dat met een stuk gebeurde. nummer: loopt op; staat: van het stuk, nu."""

    nummer: int
    gebeurtenis: str
    stuk: UUID
    klant: str
    op: datetime
    staat: State
    gegevens: dict[str, Any]


class GebeurtenissenUit(Wire):
    """Gebeurtenissen, oudste eerst. vanaf: voor de volgende vraag."""

    gebeurtenissen: list[GebeurtenisUit]
    vanaf: int


class GebeurtenissenVraag(Wire):
    """vanaf: nummer waarna; -1: alleen wat nog komt. wacht: seconden op de eerste."""

    vanaf: int = Field(default=0, ge=-1, le=2**62)
    aantal: int = Field(default=500, ge=1, le=500)
    wacht: float = Field(default=0, ge=0, le=25)


class DocumentVraag(Wire):
    """Waar het document komt: bron en een gepubliceerde map daarin, of een map eronder."""

    bron: Short
    map: Annotated[
        str, StringConstraints(max_length=500, pattern=r"^[^\\]*$"), AfterValidator(line)
    ]
    naam: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    sha256: Sha256 | None = None


# --- webhooks


class WebhookIn(Wire):
    """Waar gebeurtenissen heen gaan. vanaf: nummer waarna; weg: wat nog komt."""

    url: AnyHttpUrl
    vanaf: int | None = Field(default=None, ge=0, le=2**62)


class WebhookUit(Wire):
    """Een webhook. geheim: alleen in het antwoord op het aanmaken."""

    id: UUID
    url: str
    geheim: str | None = None
    wachtend: int
    dood: int


class WebhooksUit(Wire):
    """De webhooks van het pakket."""

    webhooks: list[WebhookUit]


class DodeUit(Wire):
    """Een gebeurtenis die niet bezorgd kon worden. reden: in een woord (docs/packages.md)."""

    nummer: int
    stuk: str
    pogingen: int
    reden: str


class DodenUit(Wire):
    """Wat niet bezorgd kon worden, oudste eerst."""

    gebeurtenissen: list[DodeUit]


class OpnieuwIn(Wire):
    """Welke gebeurtenissen opnieuw gaan; leeg: alle dode."""

    nummers: list[Annotated[int, Field(ge=1, le=2**62)]] = Field(
        default_factory=list, max_length=1000
    )
