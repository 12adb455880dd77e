"""A note beside documents, in JSON or XML: what their names and the instance do not tell.

Its members are those of a stuk in the REST interface; `inhoud` of an onderdeel is a file's name.
"""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from gateway.domain import xml
from gateway.domain.stuk import Role
from gateway.errors import Invalid, ProtocolError

#: Bytes of a note.
MOST = 64 * 1024
_ROOT = "stuk"

_Short = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]


class Onderdeel(BaseModel):
    """A file of the set."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    rol: Role
    inhoud: _Short = Field(min_length=1)
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")] = ""


class Sidecar(BaseModel):
    """What a note says."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    klant: _Short = ""
    soort: _Short = ""
    jaar: int | None = None
    periode: _Short = ""
    deadline: date | None = None
    opmerking: Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")] = ""
    relatiebeheerder: _Short | None = None
    vervangt: UUID | None = None
    onderdelen: tuple[Onderdeel, ...] = Field(default=(), max_length=20)

    @property
    def names(self) -> tuple[str, ...]:
        """The files that it names."""
        return tuple(o.inhoud for o in self.onderdelen)


def of_json(data: bytes) -> Sidecar:
    """Raises Invalid."""
    try:
        return Sidecar.model_validate_json(data.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as e:
        raise _invalid(e) from None


def of_xml(data: bytes) -> Sidecar | None:
    """None for XML that is no note, but a document. Raises Invalid."""
    try:
        root = xml.parse(data)
    except ProtocolError:
        return None
    if xml.local(root.tag) != _ROOT:
        return None
    members: dict[str, Any] = {}
    for child in root:
        name = xml.local(child.tag)
        if name == "onderdelen":
            members[name] = [
                {xml.local(c.tag): (c.text or "").strip() for c in one} for one in child
            ]
        elif text := (child.text or "").strip():
            members[name] = text
    try:
        return Sidecar.model_validate(members)
    except ValidationError as e:
        raise _invalid(e) from None


_SAID = {
    "extra_forbidden": "Dit veld bestaat niet.",
    "json_invalid": "Dit is geen JSON.",
    "missing": "Dit veld ontbreekt.",
}


def _invalid(e: ValidationError) -> Invalid:
    return Invalid(
        {
            ".".join(map(str, f["loc"])) or "notitie": _SAID.get(
                f["type"], "Deze waarde kan hier niet."
            )
            for f in e.errors(include_url=False, include_input=False)
        }
    )
