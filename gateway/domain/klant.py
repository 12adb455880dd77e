"""A klant: an organisation or person whose dossier a firm keeps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Klant:
    """number: as the back office knows it. relatiebeheerder: id of an employee, or None."""

    number: str
    name: str
    relatiebeheerder: str | None = None
