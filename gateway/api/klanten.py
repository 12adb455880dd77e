"""Klanten, personen and mandaten, kept in step by a package."""

from gateway.api.models import Geteld, KlantenIn, MandatenIn, PersonenIn
from gateway.api.operation import Answer, Call, Operations
from gateway.domain.klant import Klant
from gateway.domain.package import Scope
from gateway.flows import syncing

OPERATIONS = Operations()


@OPERATIONS.add(
    "POST", "/klanten", Scope.KLANTEN, "Klanten toevoegen of wijzigen", body=KlantenIn,
    gives=Geteld,
)  # fmt: skip
async def zet_klanten(call: Call[KlantenIn, None]) -> Answer:
    """Every one of them, or none."""
    wishes = [
        syncing.KlantWish(
            Klant(k.nummer, k.naam, k.relatiebeheerder),
            k.nummers,
            keep="relatiebeheerder" not in k.model_fields_set,
        )
        for k in call.body.klanten
    ]
    return Answer({"aantal": await syncing.put_klanten(call.portal, call.caller, wishes)})


@OPERATIONS.add(
    "POST", "/personen", Scope.KLANTEN, "Personen toevoegen of wijzigen", body=PersonenIn,
    gives=Geteld,
)  # fmt: skip
async def zet_personen(call: Call[PersonenIn, None]) -> Answer:
    """Every one of them, or none; a new one is invited by mail."""
    wishes = [
        syncing.PersonWish(
            p.gebruikersnaam,
            p.naam,
            p.klanten if "klanten" in p.model_fields_set else None,
            p.mobiel,
        )
        for p in call.body.personen
    ]
    return Answer({"aantal": await syncing.put_persons(call.portal, call.caller, wishes)})


@OPERATIONS.add(
    "POST", "/mandaten", Scope.KLANTEN, "Mandaten geven, wijzigen of beëindigen",
    body=MandatenIn, gives=Geteld,
)  # fmt: skip
async def zet_mandaten(call: Call[MandatenIn, None]) -> Answer:
    """Every one of them, or none."""
    wishes = [
        syncing.MandateWish(m.gebruikersnaam, m.klant, m.soort, m.vanaf, m.tot)
        for m in call.body.mandaten
    ]
    return Answer({"aantal": await syncing.put_mandates(call.portal, call.caller, wishes)})
