"""The services behind the signatures: what is booked, and what is told of it.

A certificate is told of its own bookings alone. getNieuwe* tells each thing once to each
certificate, also when the answer is lost or a period left statuses out of it; the other
operations tell the same again.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lxml.builder import ElementMaker

from gateway.simulators.digipoort.flavour import DIGIPOORT, Flavour
from gateway.simulators.digipoort.koppelvlak import Form
from gateway.simulators.digipoort.ledger import Booking, Ledger
from gateway.simulators.digipoort.names import KS, Element, Refused
from gateway.simulators.digipoort.pki import Pki
from gateway.simulators.digipoort.reply import stamp
from gateway.simulators.digipoort.scenarios import SCENARIOS, Chooser, Telling
from gateway.simulators.digipoort.statuses import Status, filled, schedule

_E = ElementMaker(namespace=KS, nsmap={None: KS})
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Options:
    """speed: how much faster statuses follow than in real life. url: how clients call this
    server, for wsa:To; without it, what the Host header says. berichtsoorten: those that are
    taken, any when empty. receivers: nummers a bank takes as identiteitOntvanger. synchronous:
    the answer to an aanlevering has the last status already. slow: seconds that a slow answer
    takes. late: seconds between a client's leaving and the booking, in LateBooking."""

    speed: float = 1.0
    url: str | None = None
    berichtsoorten: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    synchronous: bool = False
    slow: float = 2.0
    late: float = 0.7


class Desk:
    """One simulator: its bookings, and who meets what. under_way: requests that have no end yet,
    those that a client has left included."""

    def __init__(
        self,
        pki: Pki,
        ledger: Ledger,
        flavour: Flavour = DIGIPOORT,
        options: Options | None = None,
    ) -> None:
        self.pki = pki
        self.ledger = ledger
        self.flavour = flavour
        self.options = options or Options()
        self.chooser = Chooser()
        self.under_way = 0

    # --- aanleveren

    def examine(self, form: Form) -> None:
        """What the schema does not say of a delivery. Raises Refused."""
        if "kenmerk" in form:
            raise Refused("aanleveren bij een bestaand kenmerk kan deze simulator niet")
        taken = self.options.berichtsoorten
        if taken and form["berichtsoort"] not in taken:
            raise Refused(f"berichtsoort {form['berichtsoort']} is onbekend")
        if self.flavour.to_receiver:
            receiver = form.get("identiteitOntvanger")
            if receiver is None:
                raise Refused("identiteitOntvanger ontbreekt")
            if receiver["nummer"] not in self.options.receivers:
                raise Refused(f"ontvanger {receiver['nummer']} is onbekend")

    def choose(self, form: Form) -> str:
        """The name of the scenario that a delivery meets."""
        nummer = form["identiteitBelanghebbende"]["nummer"]
        return self.chooser.choose(form.get("aanleverkenmerk"), form["berichtsoort"], nummer)

    def book(self, form: Form, message_id: str, oin: str, scenario: str) -> Booking:
        """A new process, whatever was delivered before; on the disk when this returns."""
        who = form["identiteitBelanghebbende"]
        booking = {
            "kenmerk": self.flavour.kenmerk(),
            "message_id": message_id,
            "oin": oin,
            "berichtsoort": form["berichtsoort"],
            "nummer": who["nummer"],
            "type": who["type"],
            "aanleverkenmerk": form.get("aanleverkenmerk"),
            "scenario": scenario,
            "speed": self.options.speed,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        self.ledger.book(booking, form)
        return self.ledger.find(kenmerk=booking["kenmerk"])[0]

    def was_booked(self, message_id: str) -> bool:
        """Whether a delivery with this wsa:MessageID was booked, in this run or before."""
        return bool(self.ledger.find(message_id=message_id))

    def before(self, booking: Booking) -> Booking | None:
        """The booking of the same client before this one."""
        earlier = [
            b
            for b in self.ledger.find(oin=booking["oin"])
            if b["volgnummer"] < booking["volgnummer"]
        ]
        return earlier[-1] if earlier else None

    def answer(self, booking: Booking, kenmerk: str) -> Element:
        """aanleverResponse; kenmerk: the booking's, unless it must be wrong."""
        request = booking["request"]
        synchronous = self._steps(booking)[-1:] if self.options.synchronous else []
        return _element(
            "aanleverResponse",
            ("kenmerk", kenmerk),
            *_some(request, "berichtsoort", "aanleverkenmerk", "eerderAanleverkenmerk"),
            ("tijdstempelAangeleverd", stamp(_at(booking))),
            *_some(request, "identiteitBelanghebbende"),
            ("rolBelanghebbende", request.get("rolBelanghebbende", "")),
            *_some(request, "identiteitOntvanger", "rolOntvanger", "autorisatieAdres"),
            *(pair for s in synchronous for pair in _status(booking, s)),
        )

    # --- questions

    def booked(self, form: Form, oin: str) -> Booking:
        """The booking of a kenmerk. Raises Refused."""
        found = self.ledger.find(kenmerk=form["kenmerk"], oin=oin)
        if not found:
            raise Refused(f"kenmerk {form['kenmerk']} is onbekend")
        return found[0]

    def telling(self, operation: str, form: Form, oin: str) -> Telling:
        """How get(Nieuwe)StatussenProces is met; other questions are just answered."""
        if not operation.endswith("StatussenProces"):
            return Telling.ANSWER
        booking = self.booked(form, oin)
        telling = SCENARIOS[booking["scenario"]].telling
        over = datetime.now(UTC) - _at(booking) > timedelta(seconds=_HOUR / booking["speed"])
        return Telling.ANSWER if telling is Telling.UNAVAILABLE and over else telling

    def told(self, operation: str, form: Form, oin: str) -> Element:
        """The response to a question."""
        found = self._found(operation)(operation, form, oin)
        return _element(f"{operation}Response", (f"{operation}Return", list(found)))

    def _found(self, operation: str) -> Callable[[str, Form, str], Iterable[tuple[str, Any]]]:
        if operation == "getBerichtsoorten":
            return self._berichtsoorten
        if operation == "getProcessen":
            return self._processen
        return self._statussen if "Statussen" in operation else self._berichten

    def _berichtsoorten(self, *_: object) -> Iterable[tuple[str, Any]]:
        known = self.options.berichtsoorten or self.flavour.berichtsoorten
        return [("berichtsoort", b) for b in known]

    def _processen(self, _: str, form: Form, oin: str) -> Iterable[tuple[str, Any]]:
        for booking in self._matching(form, oin):
            yield (
                "ProcesResultaat",
                [
                    ("kenmerk", booking["kenmerk"]),
                    *_some(booking["request"], "berichtsoort", "identiteitBelanghebbende"),
                    *_some(booking["request"], "identiteitOntvanger"),
                ],
            )

    def _statussen(self, operation: str, form: Form, oin: str) -> Iterable[tuple[str, Any]]:
        now = datetime.now(UTC)
        bookings = self._matching(form, oin)
        shown = {
            b["kenmerk"]: sorted(
                (s for s in self._steps(b) if s.shown <= now), key=lambda s: s.shown
            )
            for b in bookings
        }
        told = self._told(operation, "statussen", oin, {k: len(s) for k, s in shown.items()})
        for booking in bookings:
            kenmerk = booking["kenmerk"]
            new = [s for s in shown[kenmerk][told.get(kenmerk, 0) :] if _within(form, s.at)]
            for status in _as_told(new, SCENARIOS[booking["scenario"]].telling):
                yield (
                    "StatusResultaat",
                    [
                        ("kenmerk", kenmerk),
                        *_some(booking["request"], "identiteitBelanghebbende"),
                        *_status(booking, status),
                    ],
                )

    def _berichten(self, operation: str, form: Form, oin: str) -> Iterable[tuple[str, Any]]:
        bookings = [b for b in self._matching(form, oin) if _within(form, _at(b))]
        told = self._told(operation, "berichten", oin, {b["kenmerk"]: 1 for b in bookings})
        lijst = operation.endswith("Lijst")
        for booking in bookings:
            if booking["kenmerk"] in told and told[booking["kenmerk"]]:
                continue
            if lijst:
                request = booking["request"]
                who = _some(request, "berichtsoort", "identiteitBelanghebbende")
                yield "BerichtLijstResultaat", [*who, ("kenmerk", booking["kenmerk"])]
            else:
                yield "BerichtResultaat", _bericht(booking)

    def _told(
        self, operation: str, question: str, oin: str, counts: dict[str, int]
    ) -> dict[str, int]:
        """What was told before, when the operation tells things once."""
        new = operation.startswith("getNieuwe")
        return self.ledger.tell_once(oin, question, counts) if new else {}

    def _matching(self, form: Form, oin: str) -> list[Booking]:
        """The client's bookings that the question is about."""
        if "kenmerk" in form:
            return [self.booked(form, oin)]
        where = {"oin": oin}
        if "berichtsoort" in form:
            where["berichtsoort"] = form["berichtsoort"]
        return self.ledger.find(**where, **form.get("identiteitBelanghebbende", {}))

    def _steps(self, booking: Booking) -> list[Status]:
        scenario = SCENARIOS[booking["scenario"]]
        speed = float("inf") if self.options.synchronous else booking["speed"]
        late = scenario.telling is Telling.SHUFFLED
        return schedule(scenario.steps, _at(booking), speed, late=late)


def _at(booking: Booking) -> datetime:
    return datetime.fromisoformat(booking["at"])


def _within(form: Form, at: datetime) -> bool:
    """Whether a moment lies in the period of the question, its ends included."""
    begin, end = form.get("tijdstempelVanaf"), form.get("tijdstempelTot")
    return not (
        (begin and at < datetime.fromisoformat(begin))
        or (end and at > datetime.fromisoformat(end))
    )


def _as_told(statuses: Sequence[Status], telling: Telling) -> list[Status]:
    """In the order, and as often, as the scenario tells them."""
    in_order = sorted(statuses, key=lambda s: s.at)
    if telling is Telling.SHUFFLED:
        return in_order[::-1]
    return [s for s in in_order for _ in range(2 if telling is Telling.REPEATED else 1)]


def _status(booking: Booking, status: Status) -> Iterable[tuple[str, Any]]:
    step = status.step
    yield "statuscode", step.code
    yield "tijdstempelStatus", stamp(status.at)
    yield "statusomschrijving", step.text
    if step.fout:
        yield "statusFoutcode", {"foutcode": step.fout[0], "foutbeschrijving": step.fout[1]}
    if step.details:
        yield (
            "statusdetails",
            filled(
                step.details,
                kenmerk=booking["kenmerk"],
                message_id=booking["message_id"],
                at=stamp(status.at),
            ),
        )


def _bericht(booking: Booking) -> list[tuple[str, Any]]:
    """BerichtResultaat; the content is the hash of what was delivered, which was not kept."""
    request = booking["request"]
    bijlagen = [("bijlage", _content(b)) for b in booking["bijlagen"]]
    return [
        ("kenmerk", booking["kenmerk"]),
        ("berichtsoort", booking["berichtsoort"]),
        ("berichtkenmerk", booking["message_id"]),
        *_some(request, "aanleverkenmerk", "eerderAanleverkenmerk"),
        ("tijdstempelAangeleverd", stamp(_at(booking))),
        *_some(request, "identiteitBelanghebbende"),
        ("rolBelanghebbende", request.get("rolBelanghebbende", "")),
        ("identiteitAanleveraar", booking["oin"]),
        *_some(request, "identiteitOntvanger", "rolOntvanger"),
        ("berichtInhoud", _content(booking["inhoud"])),
        *([("berichtBijlagen", bijlagen)] if bijlagen else []),
    ]


def _content(document: Form) -> list[tuple[str, Any]]:
    text = f"sha256 {document['sha256']}"
    return [
        ("mimeType", "text/plain"),
        ("bestandsnaam", document["bestandsnaam"]),
        ("inhoud", base64.b64encode(text.encode()).decode()),
    ]


def _some(form: Form, *names: str) -> list[tuple[str, Any]]:
    """Those that the form has, in this order."""
    return [(name, form[name]) for name in names if name in form]


def _element(name: str, *children: tuple[str, Any]) -> Element:
    made = _E(name)
    for child, value in children:
        made.append(_value(child, value))
    return made


def _value(name: str, value: Any) -> Element:
    """An element with a text, or with elements in order."""
    if isinstance(value, str):
        return _E(name, value)
    return _element(name, *(value.items() if isinstance(value, dict) else value))
