"""Soorten: what kinds of stukken there are, where each goes, and what the receiver calls it.

Shipped defaults; a firm's file may change every field (`soorten:`), because berichtsoorten,
roles and identity types are agreed with the receiver and not all of them are published. What
stands here was found in public clients of Digipoort or in the specifications; `seen` False says
that the word is a guess, to be checked with getBerichtsoorten before the first filing.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from gateway.domain.model import Model, Text


class Route(StrEnum):
    """Who goes on with an approved stuk (decision 1 of the inventory)."""

    PORTAL = "portal"  # the gateway files it, with Digipoort or a bank
    BACKOFFICE = "backoffice"  # the approval goes back to the fiscal package, which files
    SIGN = "sign"  # it is signed, and filed with nobody
    INZAGE = "inzage"  # only to be read


#: Status codes (Digipoort "Statussen en foutcodes"; the sets that two production clients use).
SUCCESS = frozenset({"500"})
FAILURE = frozenset({"210", "220", "311", "410", "510", "710"})


class Payee(Model):
    """Whom a return is paid to; shown after the approval. The portal pays nothing."""

    name: str = Field(min_length=1, max_length=70)
    iban: str = Field(pattern=r"^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$")
    bic: str = ""


SoortKey = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}$")]


class Soort(Model):
    """One kind of stuk."""

    title: Text
    short: Text = Field(description="in a text message: what is approved, in a few letters")
    route: Route
    destination: str = Field(default="", description="destination in gateway.yaml; a bank: none")
    bank: bool = Field(default=False, description="the client chooses the bank, with consent")
    berichtsoort: str = Field(default="", max_length=80)
    identity: str = Field(default="", max_length=20, description="type of the belanghebbende")
    scheme: str = Field(default="", description="scheme of the identifier in the XBRL instance")
    rol: str = Field(default="Intermediair", max_length=40)
    family: str = Field(default="", description="kind of XBRL instance that is expected")
    resend: bool = Field(
        default=True,
        description="may be sent again when the receiver surely did not get it; else a person"
        " decides",
    )
    irrevocable: bool = Field(default=False, description="the client is warned that it is final")
    success: frozenset[str] = SUCCESS
    failure: frozenset[str] = FAILURE
    reminders: tuple[int, ...] = Field(
        default=(14, 7, 2, 0, -1), description="days before the deadline that a reminder goes out"
    )
    payee: Payee | None = Field(
        default=None, description="the client sees amount, reference, IBAN and a QR code"
    )
    seen: bool = Field(default=True, description="the berichtsoort was seen in a published source")

    @property
    def files(self) -> bool:
        """Whether the gateway itself sends it to a receiver."""
        return self.route is Route.PORTAL


def _soort(nl: str, en: str, short_nl: str, short_en: str, **fields: Any) -> Soort:
    return Soort(
        title=Text(nl=nl, en=en), short=Text(nl=short_nl, en=short_en),
        **{"route": Route.PORTAL, "destination": "digipoort", **fields},
    )  # fmt: skip


_OB = "www.belastingdienst.nl/omzetbelastingnummer"
_FI = "www.belastingdienst.nl/identificatie"
_KVK = "http://www.kvk.nl/kvk-id"

DEFAULTS: dict[str, Soort] = {
    "ob": _soort(
        "Aangifte omzetbelasting", "VAT return", "btw-aangifte", "VAT return",
        berichtsoort="Omzetbelasting", identity="BTW", scheme=_OB, family="ob",
    ),
    "obsup": _soort(
        "Suppletie omzetbelasting", "VAT correction", "suppletie btw", "VAT correction",
        berichtsoort="OBSUP", identity="BTW", scheme=_OB, family="obsup",
    ),
    "icp": _soort(
        "Opgaaf intracommunautaire prestaties", "Intra-Community supplies", "opgaaf ICP",
        "ICP statement", berichtsoort="ICP", identity="BTW", scheme=_OB, family="icp",
    ),
    "vpb": _soort(
        "Aangifte vennootschapsbelasting", "Corporate income tax return", "vpb-aangifte",
        "corporate tax return", berichtsoort="Aangifte_VPB", identity="Fi", scheme=_FI,
        family="vpb", seen=False,
    ),
    "ihz": _soort(
        "Aangifte inkomstenbelasting", "Income tax return", "IB-aangifte", "income tax return",
        berichtsoort="Aangifte_IH", identity="Fi", scheme=_FI, family="ihz", seen=False,
    ),
    "sba": _soort(
        "Servicebericht aanslag", "Assessment notice", "servicebericht", "assessment notice",
        route=Route.INZAGE, destination="", berichtsoort="SBA", identity="Fi", scheme=_FI,
        seen=False,
    ),
    "uzk": _soort(
        "Verzoek om uitstel", "Request for deferral", "uitstelverzoek", "deferral request",
        berichtsoort="UZK", identity="Fi", scheme=_FI, family="uzk", seen=False,
    ),
    "publicatiestukken": _soort(
        "Publicatiestukken", "Annual accounts for publication", "publicatiestukken",
        "accounts for publication", berichtsoort="Jaarrekening", identity="kvk", scheme=_KVK,
        family="publicatiestukken", resend=False, irrevocable=True,
    ),
    "kredietrapportage": _soort(
        "Kredietrapportage", "Credit report", "kredietrapportage", "credit report",
        destination="", bank=True, berichtsoort="Jaarrekening_AV", identity="kvk", scheme=_KVK,
        family="kredietrapportage", resend=False,
    ),
    "jaarrekening": _soort(
        "Jaarrekening digitaal tekenen", "Sign the annual accounts", "jaarrekening",
        "annual accounts", route=Route.SIGN, destination="",
    ),
    "opdrachtbevestiging": _soort(
        "Opdrachtbevestiging", "Engagement letter", "opdrachtbevestiging", "engagement letter",
        route=Route.SIGN, destination="",
    ),
    "notulen": _soort(
        "Notulen Algemene Vergadering van Aandeelhouders (AVA)", "Minutes of the shareholders",
        "notulen AVA", "minutes", route=Route.SIGN, destination="",
    ),
    "bevestiging": _soort(
        "Bevestiging bij de jaarrekening", "Letter of representation", "bevestiging jaarrekening",
        "letter of representation", route=Route.SIGN, destination="",
    ),
    "brief": _soort(
        "Brief", "Letter", "brief", "letter", route=Route.INZAGE, destination="",
    ),
}  # fmt: skip


def changed(changes: Any) -> Any:
    """The defaults with a firm's changes, and kinds of its own, before they are validated.

    What is no mapping is given back as it is, for pydantic to name.
    """
    if not isinstance(changes, dict):
        return changes
    made: dict[Any, Any] = dict(DEFAULTS)
    for key, fields in changes.items():
        start = DEFAULTS[key].model_dump() if key in DEFAULTS else {}
        made[key] = {**start, **fields} if isinstance(fields, dict) else fields
    return made
