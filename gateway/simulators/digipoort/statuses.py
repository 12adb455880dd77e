"""The statuses of a process, by a clock that may run faster.

They are computed from the booking and never stored. Codes and texts of the good flow, and the
form of its last statusdetails, are those of a real reply of the Aansluit Suite (105 before 100,
301 twice, 405 before 400); codes and foutcodes of the others are Logius' ("Statussen en foutcodes
Digipoort"), their texts are ours. Digipoort tries again for 72 hours (AFS600 then).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

_HOUR = 3600.0
#: Seconds between two attempts to deliver, and how long they go on.
_RETRY, _GIVES_UP = 4 * _HOUR, 72 * _HOUR


@dataclass(frozen=True, slots=True)
class Step:
    """A status. after: seconds from the aanlevering, in real time. fout: code and description."""

    after: float
    code: str
    text: str
    fout: tuple[str, str] | None = None
    details: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """A step of one process. shown: when it first comes to light."""

    step: Step
    at: datetime
    shown: datetime


def schedule(
    steps: Sequence[Step], begun: datetime, speed: float, *, late: bool = False
) -> list[Status]:
    """The statuses of a process in the order of their time, future ones too.

    late: every second one comes to light only when the one after the next does, even if that is
    the last; so an older status may show up when the process has ended. Times are in whole
    milliseconds, as they are told: a period that ends at a time told includes it.
    """
    ats = [begun + timedelta(milliseconds=round(1000 * step.after / speed)) for step in steps]
    beyond = ats[-1] + timedelta(seconds=_HOUR / 60 / speed)
    shown = [*ats[2:], beyond, beyond]
    return [
        Status(step, at, shown[n] if late and n % 2 else at)
        for n, (step, at) in enumerate(zip(steps, ats, strict=True))
    ]


def filled(details: str, *, kenmerk: str, message_id: str, at: str) -> str:
    """The details of a status with what is known of its process."""
    return (
        details.replace("{kenmerk}", escape(kenmerk))
        .replace("{message_id}", escape(message_id))
        .replace("{at}", at)
    )


def _response(kind: str, code: str, text: str) -> str:
    """Responsemessage 2006.1, the Belastingdienst's own answer."""
    return (
        '<Responsemessage version="2006.1">\n<Identification>\n<MessageId>{message_id}'
        "</MessageId>\n<RefersToMessageId>{kenmerk}</RefersToMessageId>\n<MessageIdBd>{kenmerk}"
        "</MessageIdBd>\n<DatumTijdOntvangst>{at}</DatumTijdOntvangst>\n<ResponseType>"
        f"{kind}</ResponseType>\n</Identification>\n<Specification>\n<Class>A</Class>\n<Code>"
        f"{code}</Code>\n<Description>{text}</Description>\n</Specification>\n</Responsemessage>"
    )


_BATAVIA = (
    '<results xmlns="http://nlvalidatie.nl/batavia"><xbrl><messages><msg level="error">'
    "Het bedrag van rubriek 5a is niet de som van de rubrieken 1a tot en met 4b.</msg>"
    '<msg level="warning">De waarde heeft decimalen.</msg></messages></xbrl></results>'
)

_BEGUN = (
    Step(1, "105", "Aanleverproces gestart."),
    Step(2, "100", "Aanleveren gelukt."),
    Step(3, "110", "Aanleverproces wordt aangeboden."),
)
_KNOWN = (*_BEGUN, Step(5, "200", "Authenticatie gelukt."))
_VALID = (
    *_KNOWN,
    Step(20, "301", "Validatie gelukt."),
    Step(21, "301", "Validatie gelukt."),
)
_OFFERED = (*_VALID, Step(60, "405", "Afleveren naar uitvragende partij bezig..."))
_TAKEN = (*_OFFERED, Step(120, "400", "Afleveren uitvragende partij gelukt."))

HAPPY = (
    *_TAKEN,
    Step(
        600,
        "500",
        "Validatie bij de uitvragende partij gelukt.",
        details=_response("acknowledgement", "0001", "Status: Verwerkbaar"),
    ),
)
AFGEWEZEN = (
    *_TAKEN,
    Step(
        600,
        "510",
        "Validatie bij de uitvragende partij niet gelukt.",
        details=_response("error", "0002", "Status: Niet verwerkbaar"),
    ),
)
NIET_GEMACHTIGD = (*_BEGUN, Step(5, "210", "Authenticatie niet gelukt: niet gemachtigd."))
VALIDATIEFOUT = (
    *_KNOWN,
    Step(
        20,
        "311",
        "Validatie niet gelukt.",
        ("VAS500", "Het bericht voldoet niet aan de taxonomie."),
        _BATAVIA,
    ),
)
NIET_AFGELEVERD = (
    *_OFFERED,
    Step(
        120,
        "410",
        "Afleveren uitvragende partij niet gelukt.",
        ("AFS400", "De uitvragende partij neemt het bericht niet aan."),
    ),
)
_ATTEMPTS = tuple(
    Step(
        90 + n * _RETRY,
        "420",
        "Technisch probleem bij afleveren, wordt herhaald.",
    )
    for n in range(int(_GIVES_UP / _RETRY))
)
STORING_AFLEVEREN = (
    *_OFFERED,
    *_ATTEMPTS,
    *(replace(s, after=s.after + _GIVES_UP) for s in HAPPY[len(_OFFERED) :]),
)
POGINGEN_OP = (
    *_OFFERED,
    *_ATTEMPTS,
    Step(
        120 + _GIVES_UP,
        "420",
        "Technisch probleem bij afleveren, niet meer herhaald.",
        ("AFS600", "De uitvragende partij was 72 uur niet bereikbaar."),
    ),
)
STORING_VALIDATIE = (
    *_KNOWN,
    *(
        Step(
            20 + n * _HOUR,
            "321",
            "Technisch probleem bij valideren, wordt herhaald.",
            ("VAS400", "De validatiedienst is niet bereikbaar."),
        )
        for n in range(3)
    ),
    *(replace(s, after=s.after + 3 * _HOUR) for s in HAPPY[len(_KNOWN) :]),
)
