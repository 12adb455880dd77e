"""What packages say of a stuk, in the words of the field, and what is said of what is wrong.

The members are the same in REST, in SOAP and in a note beside the documents of a mailbox.
"""

import unicodedata
from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from gateway.domain.stuk import Role

NOT_ONE_LINE = "Dit is één regel, zonder stuurtekens of onzichtbare tekens."
NOT_LINES = "Hierin staan stuurtekens of onzichtbare tekens; een nieuwe regel kan wel."
#: Controls, what shapes or hides other text (a right-to-left mark can turn a name around), and
#: the separators of lines and paragraphs.
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp"})


def one_line(text: str) -> bool:
    """Whether all of it is seen where it is shown, on one line; "" is."""
    return text.isprintable() or not any(unicodedata.category(c) in _UNSEEN for c in text)


def line(text: str) -> str:
    """The text. Raises ValueError when it is not one line."""
    if not one_line(text):
        raise PydanticCustomError("one_line", "not one line")
    return text


def lines(text: str) -> str:
    """The text, each line with LF behind it as XML has it too, whatever the sender's system
    writes, and a blank for a tab. Raises ValueError for what is not seen in it."""
    text = text.replace("\r\n", "\n").replace("\t", " ")
    if not one_line(text.replace("\n", "")):
        raise PydanticCustomError("lines", "not lines")
    return text


#: For schemas: what a pattern can say of it everywhere.
SEEN = Field(json_schema_extra={"pattern": r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"})
Short = Annotated[str, StringConstraints(max_length=200), AfterValidator(line), SEEN]
Long = Annotated[str, StringConstraints(max_length=2000), AfterValidator(lines)]
#: Of a document in a source, which may be called anything.
Handle = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]


class Wire(BaseModel):
    """An unknown member is a fault."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class OnderdeelIn(Wire):
    """Een onderdeel: `bron` en `id` als het al in een bron van het kantoor staat, anders `inhoud`:
    de naam van het deel van de multipart waar de bytes in staan. sha256: wat het moet zijn."""

    rol: Role
    bron: Short | None = None
    id: Handle | None = None
    inhoud: Short | None = None
    sha256: Sha256 | None = None


class AkkoordRegelIn(Wire):
    """Een groep die akkoord moet geven, na de groepen ervoor. nodig: hoeveel ervan; weg: allen."""

    personen: list[Short] = Field(min_length=1, max_length=50)
    nodig: int | None = Field(default=None, ge=1, le=50)


class StukIn(Wire):
    """Een stuk dat de klant goedkeurt. vervangt: het stuk waarvan het de plaats inneemt."""

    klant: Short
    soort: Short
    jaar: int
    periode: Short
    onderdelen: list[OnderdeelIn] = Field(min_length=1, max_length=20)
    deadline: date | None = None
    opmerking: Long = ""
    relatiebeheerder: Short | None = None
    akkoord_van: list[AkkoordRegelIn] = Field(default_factory=list, max_length=10)
    vervangt: UUID | None = None


_NUMBER, _WHOLE = "Dit is geen getal.", "Dit is geen geheel getal."
_DAY, _TRUTH = "Dit is geen datum (jjjj-mm-dd).", "Dit is geen true of false."
_LIST, _OBJECT, NO_ID = "Dit is geen lijst.", "Dit is geen object.", "Dit is geen id."
_ADDRESS, _CHOICE = "Dit is geen adres met http of https.", "Dit kan niet; wel: {expected}."

#: By pydantic's type of error; in braces what its context holds.
_SAID = {
    "missing": "Dit veld ontbreekt.",
    "extra_forbidden": "Dit veld bestaat niet.",
    "json_invalid": "Dit is geen JSON.",
    "string_type": "Dit is geen tekst.",
    "string_unicode": "Dit is geen tekst.",
    "string_too_short": "Dit heeft ten minste {min_length} tekens.",
    "string_too_long": "Dit heeft ten hoogste {max_length} tekens.",
    "one_line": NOT_ONE_LINE,
    "lines": NOT_LINES,
    "string_pattern_mismatch": "Dit past niet op {pattern}.",
    "too_short": "Hier hoort ten minste {min_length} te staan.",
    "too_long": "Hier horen er ten hoogste {max_length} te staan.",
    "greater_than_equal": "Dit is ten minste {ge}.",
    "less_than_equal": "Dit is ten hoogste {le}.",
    "enum": _CHOICE,
    "literal_error": _CHOICE,
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
        _DAY,
    ),
    **dict.fromkeys(("uuid_type", "uuid_parsing"), NO_ID),
    **dict.fromkeys(("list_type", "tuple_type"), _LIST),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _OBJECT),
    **dict.fromkeys(
        ("url_type", "url_parsing", "url_scheme", "url_too_long", "url_syntax_violation"),
        _ADDRESS,
    ),
}
MOST_FAULTS = 5000
_OTHER = "Deze waarde kan hier niet."


def faults(error: ValidationError, whole: str) -> dict[str, str]:
    """Every fault by its member; values are not repeated. whole: what the fault is of that is no
    member's. Of more than MOST_FAULTS only the number: each takes memory, and nobody reads them.
    """
    if (count := error.error_count()) > MOST_FAULTS:
        return {whole: f"Er zijn {count} fouten."}
    return {
        ".".join(map(str, one["loc"])) or whole: _said(one["type"], one.get("ctx") or {})
        for one in error.errors(include_url=False, include_input=False)
    }


def _said(type: str, context: dict[str, object]) -> str:
    shown = {k: str(v).replace("' or '", "' of '") for k, v in context.items()}
    return _SAID.get(type, _OTHER).format_map(shown)
