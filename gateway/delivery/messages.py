"""Requests of the koppelvlak as canonical XML, and what its replies tell.

Everything that is sent is checked first, every fault at once. What comes back is checked against
the schema, and against what was asked.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lxml import etree

from gateway.delivery.koppelvlak import MOST_SIGNS, check
from gateway.delivery.names import KS
from gateway.delivery.text import collapsed, escape, moment
from gateway.delivery.wus import Binary, Content
from gateway.domain.sbr import (
    MOST,
    Aanlevering,
    Bericht,
    Bestand,
    Identiteit,
    Ontvangst,
    Proces,
    Statusmelding,
)
from gateway.domain.xml import Element
from gateway.errors import Invalid, ProtocolError

#: What XML 1.0 has no way to write (section 2.2); white space that collapses is judged apart.
_NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Writer:
    """A request while it is written, and its faults by the path of an element."""

    def __init__(self) -> None:
        self.faults: dict[str, str] = {}
        self._pieces: list[bytes | Binary] = []
        self._path: list[str] = []

    def text(self, name: str, value: str | None, *, empty: bool = False) -> None:
        """An element, left out for None. empty: "" may be sent."""
        if value is None:
            return
        if fault := _fault(value, MOST_SIGNS[name], empty=empty):
            self._blame(name, fault)
        else:
            self._pieces.append(f"<{name}>{escape(value)}</{name}>".encode())

    def moment(self, name: str, value: datetime | None) -> None:
        """An xsd:dateTime in UTC, in milliseconds; left out for None."""
        if value is None:
            return
        written = value.astimezone(UTC).isoformat(timespec="milliseconds")
        self._pieces.append(f"<{name}>{written.removesuffix('+00:00')}Z</{name}>".encode())

    def identiteit(self, name: str, value: Identiteit | None) -> None:
        """An identity, left out for None."""
        if value is not None:
            with self._inside(name):
                self.text("nummer", value.nummer)
                self.text("type", value.type)

    def bestand(self, name: str, value: Bestand) -> None:
        """A file: 1 to MOST bytes."""
        with self._inside(name):
            self.text("mimeType", value.mime_type)
            self.text("bestandsnaam", value.bestandsnaam)
            if not value.inhoud:
                self._blame("inhoud", "is leeg")
            elif len(value.inhoud) > MOST:
                self._blame("inhoud", f"is {len(value.inhoud)} bytes; {MOST} is het meeste")
            self._pieces += (b"<inhoud>", Binary(value.inhoud), b"</inhoud>")

    def bijlagen(self, values: tuple[Bestand, ...]) -> None:
        """All attachments, left out when there are none. Each has its own place in a fault."""
        if values:
            with self._inside("berichtBijlagen"):
                for number, value in enumerate(values, 1):
                    self._path.append(str(number))
                    self.bestand("bijlage", value)
                    self._path.pop()

    def written(self, name: str) -> Content:
        """The whole request. Raises Invalid with every fault."""
        if self.faults:
            raise Invalid(self.faults)
        return (f'<{name} xmlns="{KS}">'.encode(), *self._pieces, f"</{name}>".encode())

    @contextmanager
    def _inside(self, name: str) -> Iterator[None]:
        self._path.append(name)
        self._pieces.append(f"<{name}>".encode())
        yield
        self._pieces.append(f"</{name}>".encode())
        self._path.pop()

    def _blame(self, name: str, fault: str) -> None:
        self.faults[".".join((*self._path, name))] = fault


def _fault(value: str, most: int, *, empty: bool) -> str:
    """What is wrong with a text; the receiver would collapse white space, so none may be lost."""
    if not value:
        return "" if empty else "ontbreekt"
    if _NO_XML.search(value):
        return "bevat een teken dat niet verstuurd kan worden"
    if collapsed(value) != value:
        return "bevat spaties of regeleinden die de ontvanger weglaat"
    return f"is langer dan {most} tekens" if len(value) > most else ""


def aanleveren(aanlevering: Aanlevering) -> Content:
    """An aanleverRequest. Raises Invalid with every fault. A bank takes an empty rol."""
    a, writer = aanlevering, _Writer()
    writer.text("berichtsoort", a.berichtsoort)
    writer.text("aanleverkenmerk", a.aanleverkenmerk)
    writer.text("eerderAanleverkenmerk", a.eerder_aanleverkenmerk)
    writer.identiteit("identiteitBelanghebbende", a.belanghebbende)
    writer.text("rolBelanghebbende", a.rol, empty=True)
    writer.identiteit("identiteitOntvanger", a.ontvanger)
    writer.text("rolOntvanger", a.rol_ontvanger)
    writer.bestand("berichtInhoud", a.inhoud)
    writer.bijlagen(a.bijlagen)
    writer.text("autorisatieAdres", a.autorisatie_adres)
    return writer.written("aanleverRequest")


def statussen(kenmerk: str, adres: str, since: datetime | None, until: datetime | None) -> Content:
    """A getStatussenProcesRequest: statuses of one kenmerk, in a period. Raises Invalid."""
    return _by_kenmerk("getStatussenProcesRequest", kenmerk, adres, since, until)


def bericht(kenmerk: str, adres: str) -> Content:
    """A getBerichtenKenmerkRequest: what the ophaalservice has of one kenmerk. Raises Invalid."""
    return _by_kenmerk("getBerichtenKenmerkRequest", kenmerk, adres, None, None)


def processen(berichtsoort: str, belanghebbende: Identiteit, adres: str) -> Content:
    """A getProcessenRequest: every kenmerk of one channel. Raises Invalid."""
    writer = _Writer()
    writer.text("berichtsoort", berichtsoort)
    writer.identiteit("identiteitBelanghebbende", belanghebbende)
    writer.text("autorisatieAdres", adres)
    return writer.written("getProcessenRequest")


def berichtsoorten(belanghebbende: Identiteit, adres: str) -> Content:
    """A getBerichtsoortenRequest: what may be filed for somebody. Raises Invalid."""
    writer = _Writer()
    writer.identiteit("identiteitBelanghebbende", belanghebbende)
    writer.text("autorisatieAdres", adres)
    return writer.written("getBerichtsoortenRequest")


def _by_kenmerk(
    name: str, kenmerk: str, adres: str, since: datetime | None, until: datetime | None
) -> Content:
    writer = _Writer()
    writer.text("kenmerk", kenmerk)
    writer.text("autorisatieAdres", adres)
    writer.moment("tijdstempelVanaf", since)
    writer.moment("tijdstempelTot", until)
    return writer.written(name)


def read_ontvangst(element: Element, sent: Aanlevering, reply: bytes) -> Ontvangst:
    """An aanleverResponse to what was sent. reply: the envelope it came in, as proof.

    Raises ProtocolError; with native "echo" for a reply about something else than was sent.
    """
    _expect(element, "aanleverResponse")
    told = (
        _text(element, "berichtsoort"),
        _text(element, "aanleverkenmerk"),
        _identiteit(element),
    )
    if told != (sent.berichtsoort, sent.aanleverkenmerk, sent.belanghebbende):
        raise ProtocolError("the reply is about something else than was sent", native="echo")
    kenmerk = _needed(element, "kenmerk")
    return Ontvangst(
        kenmerk, *told, _moment(element, "tijdstempelAangeleverd"), _first_status(element), reply
    )


def _first_status(element: Element) -> Statusmelding | None:
    """The status in an aanleverResponse, which a bank may give at once."""
    if not _text(element, "statuscode"):
        return None
    late = _text(element, "tijdstempelStatus")
    return _status(element, "tijdstempelStatus" if late else "tijdstempelAangeleverd")


def read_statussen(element: Element, kenmerk: str) -> list[Statusmelding]:
    """The statuses of a kenmerk, in the order of their moments. Raises ProtocolError."""
    _expect(element, "getStatussenProcesResponse")
    found = [_status(e, "tijdstempelStatus") for e in element[0]]
    _about_all({s.kenmerk for s in found}, kenmerk)
    return sorted(found, key=lambda status: status.tijdstempel)


def read_processen(element: Element, soort: str, belanghebbende: Identiteit) -> list[Proces]:
    """Every kenmerk of a channel. Raises ProtocolError, also for one of another channel."""
    _expect(element, "getProcessenResponse")
    found = [
        Proces(_needed(e, "kenmerk"), _text(e, "berichtsoort"), _identiteit(e))
        for e in element[0]
    ]  # fmt: skip
    if any((p.berichtsoort, p.belanghebbende) != (soort, belanghebbende) for p in found):
        raise ProtocolError("a proces that was not asked for", native="echo")
    return found


def read_berichtsoorten(element: Element) -> list[str]:
    """The berichtsoorten that may be filed. Raises ProtocolError."""
    _expect(element, "getBerichtsoortenResponse")
    return [collapsed(e.text) for e in element[0]]


def read_bericht(element: Element, kenmerk: str) -> Bericht | None:
    """What the ophaalservice tells of a kenmerk; None: nothing. Raises ProtocolError."""
    _expect(element, "getBerichtenKenmerkResponse")
    found = [_bericht(e) for e in element[0]]
    _about_all({b.kenmerk for b in found}, kenmerk)
    if len(set(found)) > 1:
        raise ProtocolError("two berichten with one kenmerk")
    return found[0] if found else None


def _bericht(element: Element) -> Bericht:
    return Bericht(
        _text(element, "kenmerk"),
        _text(element, "berichtsoort"),
        _text(element, "berichtkenmerk"),
        _text(element, "aanleverkenmerk"),
        _moment(element, "tijdstempelAangeleverd"),
    )


def _status(element: Element, moment_name: str) -> Statusmelding:
    fout = element.find(f"{{{KS}}}statusFoutcode")
    return Statusmelding(
        _needed(element, "kenmerk"),
        _needed(element, "statuscode"),
        _moment(element, moment_name),
        _text(element, "statusomschrijving"),
        _text(fout, "foutcode"),
        _text(fout, "foutbeschrijving"),
        _text(element, "statusdetails"),
    )


def _expect(element: Element, name: str) -> None:
    if element.tag != f"{{{KS}}}{name}":
        raise ProtocolError(f"{name} was expected, not {etree.QName(element).localname[:40]}")
    check(element)


def _about_all(told: set[str], kenmerk: str) -> None:
    if told - {kenmerk}:
        raise ProtocolError("an answer about a kenmerk that was not asked for", native="echo")


def _text(element: Element | None, name: str) -> str:
    return "" if element is None else collapsed(element.findtext(f"{{{KS}}}{name}"))


def _needed(element: Element, name: str) -> str:
    text = _text(element, name)
    if not text:
        raise ProtocolError(f"{name} is empty")
    return text


def _moment(element: Element, name: str) -> datetime:
    return moment(_text(element, name))


def _identiteit(element: Element) -> Identiteit:
    found = element.find(f"{{{KS}}}identiteitBelanghebbende")
    return Identiteit(_text(found, "nummer"), _text(found, "type"))
