"""What differs between Digipoort and the banks' gateway; the interface is the same."""

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.simulators.digipoort.names import AANLEVER, OPHAAL, STATUS, Service


@dataclass(frozen=True, slots=True)
class Flavour:
    """paths: the services by path. kenmerk: makes a new one. berichtsoorten: those that
    getBerichtsoorten tells. rol_needed: rolBelanghebbende must be there; the banks' own Java
    client leaves it out. to_receiver: identiteitOntvanger must be there, and known."""

    name: str
    paths: Mapping[str, Service]
    kenmerk: Callable[[], str]
    berichtsoorten: tuple[str, ...]
    rol_needed: bool = True
    to_receiver: bool = False


DIGIPOORT = Flavour(
    "Digipoort",
    {
        "/wus/2.0/aanleverservice/1.2": AANLEVER,
        "/wus/2.0/statusinformatieservice/1.2": STATUS,
        "/wus/2.0/ophaalservice/1.2": OPHAAL,
    },
    lambda: str(uuid.uuid4()),
    ("Omzetbelasting", "OBSUP", "ICP", "Aangifte_LH", "Jaarrekening", "jaarrekening_ixbrl_esd"),
)

BANK = Flavour(
    "Bank",
    {
        "/biv-wus20v12/AanleverService": AANLEVER,
        "/biv-wus20v12/StatusInformatieService": STATUS,
    },
    lambda: f"BTP-210{secrets.randbelow(10**12):012}",
    ("Jaarrekening_AV", "Taxatie_DH", "Inkomstenbelasting", "Test_SWL", "Testaanlevering"),
    rol_needed=False,
    to_receiver=True,
)

FLAVOURS = {"digipoort": DIGIPOORT, "bank": BANK}
