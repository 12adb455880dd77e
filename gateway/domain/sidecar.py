"""A note beside documents, in JSON or XML: what their names and the instance do not tell.

Its members are those of a stuk in the REST interface, in XML those of the SOAP message; `inhoud`
of an onderdeel is a file's name.
"""

from datetime import date
from uuid import UUID

from pydantic import ConfigDict, Field, ValidationError

from gateway.domain import members, wire, xml
from gateway.domain.stuk import Role
from gateway.domain.wire import AkkoordRegelIn, Long, Sha256, Short, Wire
from gateway.errors import Invalid, ProtocolError

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


def of_json(data: bytes) -> Sidecar:
    """Raises Invalid."""
    try:
        return Sidecar.model_validate_json(data.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as e:
        raise Invalid(wire.faults(e, _WHOLE)) from None


def of_xml(data: bytes) -> Sidecar | None:
    """None for XML that is no note, but a document. Raises Invalid."""
    try:
        root = xml.parse(data)
    except ProtocolError:
        return None
    if xml.local(root.tag) != _ROOT:
        return None
    try:
        return Sidecar.model_validate(members.of(root))
    except ValidationError as e:
        raise Invalid(wire.faults(e, _WHOLE)) from None
