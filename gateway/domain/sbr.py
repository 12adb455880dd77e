"""What goes to Digipoort and the banks and comes back (koppelvlak WUS 2.0 voor Bedrijven 1.2).

Names are those of the specification. Digipoort and the banks' BIV take the same messages.
"""

from dataclasses import dataclass
from datetime import datetime

#: Bytes of one `inhoud`, decoded (digipoort-koppelvlak-1.2.xsd).
MOST = 20_971_520
#: `autorisatieAdres` that says that no service checks the authorisation.
NO_AUSP = "http://geenausp.nl"


@dataclass(frozen=True, slots=True)
class Identiteit:
    """Who a bericht is about, or for whom it is. type: BTW, Fi, kvk, OIN, ID-ontvanger, ..."""

    nummer: str
    type: str


@dataclass(frozen=True, slots=True)
class Bestand:
    """One file of an aanlevering, byte for byte as it was approved."""

    bestandsnaam: str
    mime_type: str
    inhoud: bytes


@dataclass(frozen=True, slots=True)
class Aanlevering:
    """One bericht to be filed. aanleverkenmerk: our own reference, 40 signs at most."""

    berichtsoort: str
    aanleverkenmerk: str
    belanghebbende: Identiteit
    rol: str
    inhoud: Bestand
    bijlagen: tuple[Bestand, ...] = ()
    ontvanger: Identiteit | None = None
    rol_ontvanger: str | None = None
    eerder_aanleverkenmerk: str | None = None
    autorisatie_adres: str = NO_AUSP


@dataclass(frozen=True, slots=True)
class Statusmelding:
    """One status of a bericht. The order is that of `tijdstempel`, never that of the codes."""

    kenmerk: str
    statuscode: str
    tijdstempel: datetime
    omschrijving: str
    foutcode: str = ""
    foutbeschrijving: str = ""
    details: str = ""


@dataclass(frozen=True, slots=True)
class Statussen:
    """What a verified reply tells. message_id: of the question. reply: the signed envelope."""

    meldingen: list[Statusmelding]
    message_id: str
    reply: bytes


@dataclass(frozen=True, slots=True)
class Ontvangst:
    """A verified reply that the bericht was taken in. reply: the signed envelope, as proof."""

    kenmerk: str
    berichtsoort: str
    aanleverkenmerk: str
    belanghebbende: Identiteit
    aangeleverd: datetime
    status: Statusmelding | None
    reply: bytes


@dataclass(frozen=True, slots=True)
class Proces:
    """A bericht that the receiver knows of: what getProcessen and the lists tell."""

    kenmerk: str
    berichtsoort: str
    belanghebbende: Identiteit


@dataclass(frozen=True, slots=True)
class Bericht:
    """What the ophaalservice tells of one bericht. berichtkenmerk: its wsa:MessageID."""

    kenmerk: str
    berichtsoort: str
    berichtkenmerk: str
    aanleverkenmerk: str
    aangeleverd: datetime
