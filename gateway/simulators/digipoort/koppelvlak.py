"""The requests' schema, as code: elements in order, lengths, and 20 971 520 octets a document.

Facts from digipoort-koppelvlak-1.2.xsd (Logius). Strings there are collapsed and have no least
length; nothing is nillable and no element has attributes. What a request says comes back as a
Form: texts, forms within it, and of a document its size and hash instead of its bytes.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lxml import etree

from gateway.simulators.digipoort.names import KS, Element, Refused, collapsed
from gateway.simulators.digipoort.soap import moment

#: Octets of a document, at most.
MOST = 20_971_520

_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"

Form = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """What is kept of berichtInhoud or a bijlage."""

    mimeType: str  # noqa: N815  # names of the schema
    bestandsnaam: str
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text of so many characters at most."""

    name: str
    longest: int
    needed: bool = True

    def read(self, element: Element) -> str:
        """Its value, collapsed."""
        if len(element):
            raise Refused(f"{self.name} bevat elementen")
        value = collapsed(element.text)
        if len(value) > self.longest:
            raise Refused(f"{self.name} is langer dan {self.longest}")
        return value


@dataclass(frozen=True, slots=True)
class Moment:
    """An xsd:dateTime."""

    name: str
    needed: bool = False

    def read(self, element: Element) -> str:
        """Its value as ISO 8601 with a zone."""
        return moment(element.text).isoformat()


@dataclass(frozen=True, slots=True)
class Inhoud:
    """Base64 of at most MOST octets."""

    name: str = "inhoud"
    needed: bool = True

    def read(self, element: Element) -> tuple[int, str]:
        """Length and SHA-256."""
        try:
            data = base64.b64decode("".join((element.text or "").split()), validate=True)
        except (binascii.Error, ValueError):
            raise Refused("inhoud is geen base64") from None
        if len(element) or len(data) > MOST:
            raise Refused(f"inhoud is geen tekst van ten hoogste {MOST} octetten")
        return len(data), hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Group:
    """Elements in order. repeated: one or more, alike, instead."""

    name: str
    fields: "Sequence[Text | Moment | Inhoud | Group]"
    needed: bool = True
    repeated: bool = False

    def read(self, element: Element) -> Any:
        """A form; the forms, when repeated."""
        if any((text or "").strip() for text in (element.text, *(c.tail for c in element))):
            raise Refused(f"{self.name} bevat tekst")
        children = [c for c in element if isinstance(c.tag, str)]
        if self.repeated:
            return [_read(self.fields[0], c) for c in children] or _missing(self.fields[0].name)
        return dict(self._in_order(children))

    def _in_order(self, children: list[Element]) -> Iterator[tuple[str, Any]]:
        rest = list(children)
        for field in self.fields:
            if rest and rest[0].tag == f"{{{KS}}}{field.name}":
                yield field.name, _read(field, rest.pop(0))
            elif field.needed:
                _missing(field.name)
        if rest:
            raise Refused(f"{etree.QName(rest[0]).localname} wordt hier niet verwacht")


class Stuk(Group):
    """berichtInhoudType: becomes a Document."""

    def read(self, element: Element) -> Any:
        """Without its bytes."""
        form = super().read(element)
        length, sha256 = form.pop("inhoud")
        return asdict(Document(**form, length=length, sha256=sha256))


def _read(field: Text | Moment | Inhoud | Group, element: Element) -> Any:
    if element.tag != f"{{{KS}}}{field.name}":
        raise Refused(f"{etree.QName(element).localname} wordt hier niet verwacht")
    if any(not str(name).startswith(_XSI) or name == f"{_XSI}nil" for name in element.attrib):
        raise Refused(f"{field.name} heeft een attribuut")
    return field.read(element)


def _missing(name: str) -> Any:
    raise Refused(f"{name} ontbreekt")


def _identity(name: str, needed: bool = True) -> Group:
    return Group(name, (Text("nummer", 35), Text("type", 20)), needed)


def _document(name: str) -> Stuk:
    return Stuk(name, (Text("mimeType", 255), Text("bestandsnaam", 80), Inhoud()))


_WHO = _identity("identiteitBelanghebbende")
_AUSP = Text("autorisatieAdres", 255, needed=False)
_KENMERK, _BERICHTSOORT = Text("kenmerk", 40), Text("berichtsoort", 80)
_ANY_BERICHTSOORT = Text("berichtsoort", 80, needed=False)
_PERIOD = (_AUSP, Moment("tijdstempelVanaf"), Moment("tijdstempelTot"))


def _aanleveren(rol_needed: bool) -> tuple[Text | Group, ...]:
    return (
        Text("kenmerk", 40, needed=False),
        _BERICHTSOORT,
        Text("aanleverkenmerk", 40, needed=False),
        Text("eerderAanleverkenmerk", 40, needed=False),
        _WHO,
        Text("rolBelanghebbende", 40, needed=rol_needed),
        _identity("identiteitOntvanger", needed=False),
        Text("rolOntvanger", 40, needed=False),
        _document("berichtInhoud"),
        Group("berichtBijlagen", (_document("bijlage"),), needed=False, repeated=True),
        _AUSP,
    )


_FIELDS: Mapping[str, Sequence[Text | Moment | Inhoud | Group]] = {
    "aanleveren": _aanleveren(rol_needed=True),
    "getBerichtsoorten": (_WHO, _AUSP),
    "getProcessen": (_BERICHTSOORT, _WHO, _AUSP),
    "getStatussenProces": (_KENMERK, *_PERIOD),
    "getNieuweStatussenProces": (_KENMERK, *_PERIOD),
    "getNieuweStatussen": (_BERICHTSOORT, _WHO, *_PERIOD),
    "getBerichten": (_ANY_BERICHTSOORT, _WHO, *_PERIOD),
    "getNieuweBerichten": (_ANY_BERICHTSOORT, _WHO, *_PERIOD),
    "getBerichtenLijst": (_ANY_BERICHTSOORT, *_PERIOD),
    "getNieuweBerichtenLijst": (_ANY_BERICHTSOORT, *_PERIOD),
    "getBerichtenKenmerk": (_KENMERK, *_PERIOD),
    "getNieuweBerichtenKenmerk": (_KENMERK, *_PERIOD),
}


def read(request: Element, operation: str, *, rol_needed: bool = True) -> Form:
    """What the request says. rol_needed: the banks take it without. Raises Refused."""
    loose = operation == "aanleveren" and not rol_needed
    fields = _aanleveren(rol_needed=False) if loose else _FIELDS[operation]
    name = etree.QName(request).localname
    form: Form = _read(Group(name, fields), request)
    return form
