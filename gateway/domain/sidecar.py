"""A note beside documents, in JSON or XML: what their names and the instance do not tell.

Its members are those of a stuk in the REST interface, in XML those of the SOAP message; `inhoud`
of an onderdeel is a file's name.
"""

import contextlib
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import from_json

from gateway.domain import members, wire, xml
from gateway.domain.stuk import Role
from gateway.domain.wire import AkkoordRegelIn, Long, Sha256, Short, Wire
from gateway.errors import ProtocolError

#: Bytes of a note.
MOST = 64 * 1024
_ROOT = "stuk"
_WHOLE = "notitie"


class Onderdeel(Wire):
    """A file of the set."""

    model_config = ConfigDict(str_strip_whitespace=True)

    rol: Role
    inhoud: Short = Field(min_length=1)
    sha256: Sha256 | None = None


class Sidecar(Wire):
    """What a note says."""

    model_config = ConfigDict(str_strip_whitespace=True)

    klant: Short = ""
    soort: Short = ""
    jaar: int | None = None
    periode: Short = ""
    deadline: date | None = None
    opmerking: Long = ""
    relatiebeheerder: Short | None = None
    akkoord_van: list[AkkoordRegelIn] = Field(default_factory=list, max_length=10)
    vervangt: UUID | None = None
    onderdelen: list[Onderdeel] = Field(default_factory=list, max_length=20)

    @property
    def names(self) -> tuple[str, ...]:
        """The files that it names."""
        return tuple(o.inhoud for o in self.onderdelen)


class Note(NamedTuple):
    """A note that was read. When it is faulty, `said` holds no more than the files that it names,
    so that they are not taken for something else; None when not even those can be told."""

    said: Sidecar | None
    faults: dict[str, str]


TOO_LARGE = Note(None, {_WHOLE: "Dit bestand is te groot voor een notitie."})


def of_json(data: bytes) -> Note:
    """A file that is a note for its name."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return Note(Sidecar.model_validate_json(data), {})
    except ValidationError as e:
        try:
            members = from_json(data)
        except ValueError:
            members = None
        return Note(_named(members), wire.faults(e, _WHOLE))


def of_xml(data: bytes) -> Note | None:
    """None for XML that is no note, but a document."""
    try:
        root = xml.parse(data)
    except ProtocolError:
        return None
    if xml.local(root.tag) != _ROOT:
        return None
    found = members.of(root)
    try:
        return Note(Sidecar.model_validate(found), {})
    except ValidationError as e:
        return Note(_named(found), wire.faults(e, _WHOLE))


def _named(members: Any) -> Sidecar | None:
    """The files that a faulty note names."""
    parts = members.get("onderdelen") if isinstance(members, dict) else None
    found = []
    for part in parts if isinstance(parts, list) else ():
        with contextlib.suppress(ValidationError):
            named = part.get("inhoud") if isinstance(part, dict) else None
            found.append(Onderdeel.model_validate({"rol": Role.BIJLAGE, "inhoud": named}))
    return Sidecar(onderdelen=found[:20]) if found else None
