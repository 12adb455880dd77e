"""The proof of a stuk: gathered as JSON, checked offline, and printed as a PDF to read.

What the file holds and how it hangs together: gateway.domain.proof. Here the receivers' signed
replies are opened too. No byte of a document is in it, only hashes.
"""

import base64
import hashlib
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway import __version__
from gateway.delivery import messages, names
from gateway.delivery import verify as envelopes
from gateway.delivery.certificates import Trust, oin
from gateway.delivery.text import collapsed
from gateway.delivery.text import moment as read_moment
from gateway.domain import chain as links
from gateway.domain.accordering import Mandate
from gateway.domain.chain import Row
from gateway.domain.code import Purpose
from gateway.domain.delivery import ENDED
from gateway.domain.firm import Firm
from gateway.domain.person import Person
from gateway.domain.proof import contents, seal
from gateway.domain.proof import verify as rules
from gateway.domain.proof.contents import MandateSaid, Proof, ReplySaid, StatusSaid
from gateway.domain.proof.findings import Finding, NotAProof, Signed
from gateway.domain.sbr import Statusmelding
from gateway.domain.stuk import LABELS, State
from gateway.domain.xml import Element
from gateway.errors import ConfigInvalid, Denied, PortalError, ProtocolError
from gateway.flows import auditing
from gateway.flows.portal import Portal
from gateway.flows.visitor import AMSTERDAM, Visitor, now
from gateway.store import chain, deliveries, persons, stukken
from gateway.store.database import Connection, Record
from gateway.store.deliveries import Delivery
from gateway.store.stukken import Akkoord, Stuk

_OPERATIONS = {"aanleveren": names.AANLEVEREN, "status": names.STATUSSEN}


class ChainBroken(PortalError):
    """An event of the stuk does not stand in the chain; look with `gateway audit verify`."""


async def bundle(portal: Portal, who: Visitor | Firm, id: UUID) -> dict[str, Any]:
    """The proof of a stuk as JSON, sealed. who: a visitor, for stukken of his klanten; or the
    firm. Raises Denied, ChainBroken."""
    firm = who.firm if isinstance(who, Visitor) else who
    async with chain.snapshot(portal.db, firm.id) as c:
        stuk = await stukken.find(c, id)
        if stuk is None or not _may(who, stuk):
            raise Denied
        found = await chain.of_subject(c, f"stuk:{id}")
        events = [(number, row) for number, row in found if number is not None]
        if len(events) != len(found):
            raise ChainBroken
        content = {
            **_head(portal, firm, stuk),
            "parts": [_part(portal, p) for p in await stukken.parts(c, id)],
            "approvals": await _approvals(portal, c, stuk, [row for _, row in events]),
            "banks": await stukken.banks(c, id),
            "deliveries": [await _delivery(c, d) for d in await deliveries.of_stuk(c, id)],
            "events": [_event(number, row) for number, row in events],
        }
    content["chain"] = await _chain(portal, firm, [number for number, _ in events])
    return seal.sealed(content, links.private_key(portal.keys))


def _may(who: Visitor | Firm, stuk: Stuk) -> bool:
    if isinstance(who, Firm):
        return True
    return stuk.state is not State.CONCEPT and any(k.number == stuk.klant for k in who.klanten)


def _head(portal: Portal, firm: Firm, stuk: Stuk) -> dict[str, Any]:
    soort = firm.soorten.get(stuk.soort)
    return {
        "format": contents.FORMAT,
        "version": contents.VERSION,
        "made_at": links.moment(now()),
        "product": {"name": portal.product, "version": __version__},
        "firm": {"id": firm.id, "name": firm.name},
        "klant": {"number": stuk.klant, "name": stuk.klant_name},
        "stuk": {
            "id": str(stuk.id),
            "soort": stuk.soort,
            "titel": soort.title.nl if soort else stuk.soort,
            "jaar": stuk.jaar,
            "periode": stuk.periode,
            "deadline": stuk.deadline and stuk.deadline.isoformat(),
            "route": str(stuk.route),
            "state": str(stuk.state),
            "put_up_by": stuk.put_up_by,
            "created_at": links.moment(stuk.created_at),
            "replaces": stuk.replaces and str(stuk.replaces),
        },
        "rule": stuk.rule.to_json(),
        "manifest": {"sha256": stuk.manifest, "how": contents.HOW},
    }


def _part(portal: Portal, row: stukken.PartRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "role": str(row.role),
        "name": portal.keys.open("name", row.name_sealed),
        "media_type": row.media_type,
        "length": row.length,
        "sha256": row.sha256,
    }


def _event(number: int, row: Row) -> dict[str, Any]:
    return {
        "number": number,
        "id": row.id,
        "at": row.at,
        "event": row.event,
        "person": row.person,
        "klant": row.klant,
        "subject": row.subject,
        "request": row.request,
        "data": row.data,
        "digest": links.digest(row),
    }


def _at(moment: datetime | None) -> str | None:
    return None if moment is None else links.moment(moment)


# --- who approved


async def _approvals(
    portal: Portal, c: Connection, stuk: Stuk, events: Sequence[Row]
) -> list[dict[str, Any]]:
    given = await stukken.akkoorden(c, stuk.id)
    held = await chain.mandates(c, stuk.klant, [a.person for a in given])
    return [
        {
            **_approval(portal, a, await persons.by_id(c, a.person)),
            "mandate": _mandate(held, stuk, a),
            "recorded_by": _recorded_by(events, a),
        }
        for a in given
    ]


def _approval(portal: Portal, a: Akkoord, person: Person | None) -> dict[str, Any]:
    purpose = Purpose.REJECTING if a.act == "rejected" else Purpose.APPROVING
    return {
        "id": str(a.id),
        "person": str(a.person),
        "name": person.name if person else "",
        "username": person.username if person else "",
        "act": a.act,
        "manifest": a.manifest,
        "at": links.moment(a.at),
        "confirmed_at": _at(a.confirmed_at),
        "code": None if a.code is None else {"id": str(a.code), "purpose": str(purpose)},
        "reason": portal.keys.open("reason", a.reason_sealed) if a.reason_sealed else "",
    }


def _mandate(
    held: Iterable[tuple[Mandate, datetime]], stuk: Stuk, a: Akkoord
) -> dict[str, Any] | None:
    """The first that held that day and was recorded by then; none is needed on paper."""
    at = a.confirmed_at or a.at
    day = at.astimezone(AMSTERDAM).date()
    mine = (m for m, recorded in held if m.person == a.person and recorded <= at)
    m = next((m for m in mine if m.holds(stuk.klant, stuk.soort, day)), None)
    if m is None or a.act == "paper":
        return None
    until = m.until and m.until.isoformat()
    return {"id": str(m.id), "soort": m.soort, "since": m.since.isoformat(), "until": until}


def _recorded_by(events: Iterable[Row], a: Akkoord) -> str:
    """Who recorded a paper consent, by the event nearest to it; older ones name no person."""
    if a.act != "paper":
        return ""
    recorded = [
        e
        for e in events
        if e.event == "stuk_approved_on_paper" and e.person in (None, str(a.person))
    ]
    at = a.confirmed_at or a.at
    nearest = min(recorded, key=lambda e: abs(datetime.fromisoformat(e.at) - at), default=None)
    return str(contents.told(nearest.data).get("by", "")) if nearest else ""


# --- what became of it


async def _delivery(c: Connection, d: Delivery) -> dict[str, Any]:
    return {
        "id": str(d.id),
        "kind": d.kind,
        "destination": d.destination,
        "receiver": d.receiver,
        "berichtsoort": d.berichtsoort,
        "aanleverkenmerk": d.aanleverkenmerk,
        "manifest": d.manifest,
        "state": str(d.state),
        "trouble": d.trouble_text or d.trouble,
        "kenmerk": d.kenmerk,
        "created_at": links.moment(d.created_at),
        "accepted_at": _at(d.accepted_at),
        "ended_at": _at(d.ended_at if d.state in ENDED else None),
        "attempts": [_attempt(r) for r in await deliveries.attempts(c, d.id)],
        "statuses": [_status(s).model_dump() for s in await deliveries.statuses(c, d.id)],
        "replies": [_reply(r) for r in await deliveries.replies(c, d.id)],
    }


def _attempt(row: Record) -> dict[str, Any]:
    return {
        "message_id": row["message_id"],
        "opened_at": links.moment(row["opened_at"]),
        "outcome": row["outcome"],
        "why": row["why"],
        "ended_at": _at(row["ended_at"]),
    }


def _status(s: Statusmelding) -> StatusSaid:
    return StatusSaid(
        kenmerk=s.kenmerk,
        code=s.statuscode,
        at=links.moment(s.tijdstempel),
        description=s.omschrijving,
        fault=s.foutcode,
        fault_text=s.foutbeschrijving,
        details=s.details,
    )


def _reply(row: Record) -> dict[str, Any]:
    """A kept reply. It was kept because its certificate was trusted when it came."""
    root = envelopes.parse(row["envelope"].encode())
    token = root.find(f".//{{{names.WSSE}}}BinarySecurityToken")
    return {
        "kind": row["kind"],
        "message_id": row["message_id"],
        "received_at": links.moment(row["received_at"]),
        "envelope": row["envelope"],
        "certificate": "" if token is None else "".join((token.text or "").split()),
    }


async def _chain(portal: Portal, firm: Firm, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Pieces of the chain that hold these links, each up to the first checkpoint after it.

    Not one piece from the first event to the last: between putting up and the last status lie
    months, and a firm has many events. The numbers in the checkpoints give the order.
    """
    newest = await auditing.checkpoint(portal, firm)
    found: list[dict[str, Any]] = []
    async with portal.db.tenant(firm.id) as c:
        for number in numbers:
            if found and number <= found[-1]["checkpoint"]["number"]:
                continue
            made = newest and await chain.checkpoint_at(c, number, newest.key)
            if not made:
                raise ChainBroken
            before, digests = await chain.piece(c, number, made.number)
            said = {"number": made.number, "hash": made.hash, "at": made.at, "key": made.key,
                    "signature": made.signature}  # fmt: skip
            found.append(
                {"first": number, "before": before, "digests": digests, "checkpoint": said}
            )
    return found


# --- checking it


def verify(
    data: Mapping[str, Any],
    *,
    key: Ed25519PublicKey | None = None,
    document: str | None = None,
    certificates: Sequence[x509.Certificate] = (),
) -> list[Finding]:
    """Check a proof, the receivers' replies too, without a network. Raises NotAProof.

    key, document: as in gateway.domain.proof. certificates: those that the reader knows to be
    the receivers'; none: whose they are is told, and not judged.
    """
    signed: list[Signed] = []
    found: list[Finding] = []
    for number, delivery in enumerate(_replies(data)):
        for at, reply in enumerate(delivery):
            name = f"deliveries.{number}.replies.{at}"
            try:
                signed.append(replace(_opened(reply, certificates), delivery=number))
                found.append(Finding(True, name, _signer(reply, bool(certificates))))
            except (PortalError, ValueError, OverflowError) as e:
                found.append(Finding(False, name, f"not what the receiver signed: {e}"))
    return [*rules.verify(data, key=key, document=document, signed=signed), *found]


def _replies(data: Mapping[str, Any]) -> list[list[ReplySaid]]:
    """The replies of each delivery; nothing when the file is not as the format says, which
    gateway.domain.proof tells."""
    try:
        return [d.replies for d in Proof.model_validate(data).deliveries]
    except ValueError:
        return []


def _opened(reply: ReplySaid, certificates: Sequence[x509.Certificate]) -> Signed:
    """What a reply tells. Raises PortalError or ValueError when it is not the receiver's."""
    certificate = _certificate(reply)
    if certificates and certificate not in certificates:
        raise ValueError("its certificate is not one that was given")
    expected = envelopes.Expected(
        _OPERATIONS[reply.kind], reply.message_id, datetime.fromisoformat(reply.received_at),
        timedelta(minutes=15),
    )  # fmt: skip
    root = envelopes.parse(reply.envelope.encode())
    content = envelopes.verify(root, Trust(pinned=(certificate,)), expected)
    return _read_statuses(content) if reply.kind == "status" else _read_ontvangst(content)


def _certificate(reply: ReplySaid) -> x509.Certificate:
    return x509.load_der_x509_certificate(base64.b64decode(reply.certificate, validate=True))


def _signer(reply: ReplySaid, compared: bool) -> str:
    what = "the certificate that was given" if compared else "a certificate that was not compared"
    return f"signed with {what}: {_certificate_text(reply)}"


def _certificate_text(reply: ReplySaid) -> str:
    """Whose it is, in words of no language; "?" when it cannot be read."""
    try:
        one = _certificate(reply)
    except ValueError:
        return "?"
    digest = hashlib.sha256(base64.b64decode(reply.certificate)).hexdigest()
    return f"{one.subject.rfc4514_string()}, OIN {oin(one) or '-'}, SHA-256 {digest}"


def _text(element: Element, name: str) -> str:
    return collapsed(element.findtext(f"{{{names.KS}}}{name}"))


def _read_ontvangst(element: Element) -> Signed:
    """An aanleverResponse; it may tell a first status (koppelvlak 1.2)."""
    kenmerk = _text(element, "kenmerk")
    if not kenmerk:
        raise ProtocolError("no kenmerk")
    at = _text(element, "tijdstempelStatus") or _text(element, "tijdstempelAangeleverd")
    statuses: tuple[StatusSaid, ...] = ()
    if code := _text(element, "statuscode"):
        fault = element.find(f"{{{names.KS}}}statusFoutcode")
        told = Statusmelding(
            kenmerk, code, read_moment(at), _text(element, "statusomschrijving"),
            "" if fault is None else _text(fault, "foutcode"),
            "" if fault is None else _text(fault, "foutbeschrijving"),
            _text(element, "statusdetails"),
        )  # fmt: skip
        statuses = (_status(told),)
    return Signed(
        -1, kenmerk, _text(element, "aanleverkenmerk"), _text(element, "berichtsoort"), statuses
    )


def _read_statuses(element: Element) -> Signed:
    """A getStatussenProcesResponse."""
    kenmerk = next((_text(e, "kenmerk") for e in element.iter() if _text(e, "kenmerk")), "")
    found = messages.read_statussen(element, kenmerk)
    return Signed(-1, kenmerk, "", "", tuple(map(_status, found)))


# --- printing it

_ACTS = {"approved": "akkoord", "rejected": "afgekeurd", "paper": "akkoord op papier"}
_ROLES = {"akkoorddocument": "document", "instance": "aangifte (XBRL)", "bijlage": "bijlage"}
_STATES = {
    "queued": "wacht op verzending", "attempt": "wordt verzonden", "accepted": "ontvangen",
    "final_ok": "geaccepteerd", "final_failed": "niet geaccepteerd", "uncertain": "onzeker",
    "held_changed": "tegengehouden: het document is veranderd", "withdrawn": "ingetrokken",
    "held_unavailable": "wacht op de bron",
}  # fmt: skip
_OUTCOMES = {
    "accepted": "ontvangen", "not_sent": "niet verzonden", "refused": "geweigerd",
    "not_arrived": "niet aangekomen", "adopted": "aangekomen, zo bleek bij navraag",
    "decided": "beslist door een medewerker", None: "nog niet bekend",
}  # fmt: skip
_EVENTS = {
    "stuk_put_up": "klaargezet", "stuk_opened": "onderdeel geopend",
    "stuk_approved": "goedgekeurd, nog niet verzonden", "stuk_taken_back": "teruggenomen",
    "stuk_confirmed": "akkoord bevestigd met een code", "stuk_rejected": "afgekeurd",
    "stuk_approved_on_paper": "akkoord op papier vastgelegd", "stuk_withdrawn": "ingetrokken",
    "stuk_replaced": "vervangen",
    "stuk_reminded": "herinnering gestuurd", "stuk_part_changed": "bron veranderd",
    "bank_consent": "banken gekozen", "delivery_queued": "klaar voor verzending",
    "delivery_attempt": "verzending begonnen", "delivery_accepted": "ontvangen",
    "delivery_status": "status ontvangen", "delivery_final": "geaccepteerd",
    "delivery_failed": "niet geaccepteerd", "delivery_refused": "geweigerd",
    "delivery_unclear": "onduidelijk of het aankwam", "delivery_not_sent": "niet verzonden",
    "delivery_arrived_late": "toch aangekomen",
    "delivery_accepted_twice": "nog een keer aangekomen",
    "delivery_unknown_kenmerk": "onbekend kenmerk bij de ontvanger",
    "delivery_not_arrived": "niet aangekomen", "delivery_uncertain": "een medewerker beslist",
    "delivery_decided": "beslist door een medewerker", "delivery_withdrawn": "ingetrokken",
    "delivery_held_changed": "tegengehouden: het document is veranderd",
    "approval_handed_back": "akkoord aan het pakket gegeven",
    "package_done": "afgerond in het pakket", "package_failed": "mislukt in het pakket",
}  # fmt: skip
_INTRO = (
    "Dit bewijs zegt wat is voorgelegd, wie akkoord gaf en wat de ontvanger antwoordde. De"
    " documenten zelf staan er niet in, wel hun SHA-256: een controlegetal dat bij één bestand"
    " past. Bij dit bewijs hoort een bestand in JSON met dezelfde inhoud. Dat bestand kan zonder"
    " het portaal worden gecontroleerd, met de opdracht: gateway proof verify."
)
_CHAIN = (
    "Alles wat het portaal vastlegt, vormt per kantoor een ketting: elk controlegetal bouwt voort"
    " op het vorige. Op vaste momenten wordt de ketting ondertekend. Wie later iets verandert,"
    " weglaat of van plaats wisselt, krijgt andere getallen dan die zijn ondertekend."
)


def pdf(data: Mapping[str, Any]) -> bytes:
    """A proof to read, in Dutch, on A4. For a thread. Raises NotAProof, ConfigInvalid."""
    try:
        said = Proof.model_validate(data)
    except ValueError as e:
        raise NotAProof from e
    sheet, out = _Sheet(), io.BytesIO()
    title = f"Bewijs: {said.stuk.titel}, {said.stuk.periode} {said.stuk.jaar}"
    sheet.title(title)
    sheet.text(f"{said.klant.name} ({said.klant.number}), {said.firm.name}")
    sheet.text(_INTRO)
    for part in (_print_stuk, _print_parts, _print_akkoorden, _print_deliveries, _print_events):
        part(sheet, said)
    sheet.write(out, title, said)
    return out.getvalue()


def _print_stuk(sheet: "_Sheet", said: Proof) -> None:
    stuk = said.stuk
    known = {s.value for s in State}
    state = LABELS[State(stuk.state)].label if stuk.state in known else stuk.state
    sheet.heading("Het document")
    sheet.facts(
        ("Kantoor", said.firm.name),
        ("Klant", f"{said.klant.name} ({said.klant.number})"),
        ("Soort", f"{stuk.titel} ({stuk.soort})"),
        ("Periode", f"{stuk.periode} {stuk.jaar}"),
        ("Deadline", _day(stuk.deadline) if stuk.deadline else "-"),
        ("Stand", state),
        ("Klaargezet", f"{_when(stuk.created_at)} door {stuk.put_up_by}"),
        ("Nummer", stuk.id),
        ("Vervangt", stuk.replaces or "-"),
    )


def _print_parts(sheet: "_Sheet", said: Proof) -> None:
    sheet.heading("Onderdelen")
    rows = [
        (str(p.number), _ROLES[p.role], p.name, f"{p.length} bytes", p.sha256) for p in said.parts
    ]
    sheet.table(("Nr", "Rol", "Naam", "Lengte", "SHA-256"), rows, (8, 25, 45, 25, 67))
    sheet.facts(("Alles samen", said.manifest.sha256), ("Berekend als", said.manifest.how))


def _print_akkoorden(sheet: "_Sheet", said: Proof) -> None:
    sheet.heading("Akkoord")
    names = {a.person: a.name for a in said.approvals}
    for number, group in enumerate(said.rule, 1):
        who = ", ".join(names.get(p, p) for p in group.people) or "iedereen met een mandaat"
        sheet.text(f"Nodig in stap {number}: {group.need} akkoord van {who}.")
    for a in said.approvals:
        sheet.facts(
            ("Wie", f"{a.name} ({a.username})"),
            ("Wat", _ACTS[a.act]),
            ("Wanneer", _when(a.confirmed_at) if a.confirmed_at else "nog niet bevestigd"),
            ("Waarover", a.manifest),
            ("Code", f"SMS code nummer {a.code.id}" if a.code else "geen"),
            ("Mandaat", _mandate_text(a.mandate)),
            ("Vastgelegd door", a.recorded_by or "de persoon zelf"),
            ("Reden", a.reason or "-"),
        )
    if not said.approvals:
        sheet.text("Niemand heeft akkoord gegeven of afgekeurd.")
    if said.banks:
        sheet.text(f"Toestemming voor: {', '.join(said.banks)}.")


def _mandate_text(mandate: MandateSaid | None) -> str:
    if mandate is None:
        return "-"
    until = f" tot en met {_day(mandate.until)}" if mandate.until else ""
    what = "alle soorten" if mandate.soort == "*" else mandate.soort
    return f"{what}, vanaf {_day(mandate.since)}{until} (nummer {mandate.id})"


def _print_deliveries(sheet: "_Sheet", said: Proof) -> None:
    sheet.heading("Verzending")
    if not said.deliveries:
        sheet.text("Er is niets verzonden.")
    for d in said.deliveries:
        sheet.facts(
            ("Ontvanger", f"{d.destination} {d.receiver}".strip()),
            ("Berichtsoort", d.berichtsoort or "-"),
            ("Aanleverkenmerk", d.aanleverkenmerk),
            ("Kenmerk", d.kenmerk or "-"),
            ("Stand", " ".join((_STATES.get(d.state, d.state), d.trouble))),
            ("Waarover", d.manifest),
        )
        tries = [(_when(a.opened_at), _OUTCOMES.get(a.outcome, a.outcome or ""), a.message_id)
                 for a in d.attempts]  # fmt: skip
        sheet.table(("Poging", "Uitkomst", "Bericht"), tries, (45, 50, 75))
        told = [(_when(s.at), s.code, _status_text(s)) for s in d.statuses]
        sheet.table(("Status van", "Code", "Omschrijving"), told, (45, 20, 105))
        kept = [(_when(r.received_at), r.kind, _certificate_text(r)) for r in d.replies]
        sheet.table(
            ("Antwoord van", "Op", "Certificaat waarmee het ondertekend is"), kept, (45, 20, 105)
        )


def _status_text(s: StatusSaid) -> str:
    """Its details too, unless they are XML for programs; the JSON has them."""
    details = "" if s.details.startswith("<") else s.details
    return " ".join((s.description, s.fault, s.fault_text, details))


def _print_events(sheet: "_Sheet", said: Proof) -> None:
    sheet.heading("Wat er gebeurde")
    rows = [
        (_when(e.at), _EVENTS.get(e.event, e.event), str(e.number), e.digest) for e in said.events
    ]
    sheet.table(("Wanneer", "Wat", "Schakel", "SHA-256"), rows, (38, 48, 17, 67))
    sheet.heading("Ketting en sleutel")
    sheet.text(_CHAIN)
    for s in said.chain:
        sheet.facts(
            ("Schakels", f"{s.first} tot en met {s.checkpoint.number}"),
            ("Ondertekend op", _when(s.checkpoint.at)),
            ("Hash", s.checkpoint.hash),
            ("Handtekening", s.checkpoint.signature),
        )
    sheet.text("Vergelijk de sleutel met die van uw accountant, die u langs een andere weg kreeg.")
    sheet.facts(("Sleutel (Ed25519)", said.key.public), ("Nummer", said.key.id))


def _when(text: str) -> str:
    at = datetime.fromisoformat(text).astimezone(AMSTERDAM)
    return at.strftime("%d-%m-%Y %H:%M:%S")


def _day(text: str) -> str:
    return date.fromisoformat(text).strftime("%d-%m-%Y")


class _Sheet:
    """Paragraphs and tables on A4, in a font that stands in the file."""

    def __init__(self) -> None:
        """Raises ConfigInvalid when reportlab is not installed."""
        try:
            from reportlab.lib import colors, pagesizes, styles, units
            from reportlab.pdfbase import pdfmetrics, ttfonts
            from reportlab.platypus import Paragraph, SimpleDocTemplate, Spacer, Table
        except ImportError:
            raise ConfigInvalid("reportlab is not installed: no PDF", field="reportlab") from None
        self._made: list[Any] = []
        self._mm, self._size, self._document = units.mm, pagesizes.A4, SimpleDocTemplate
        self._paragraph, self._space, self._table = Paragraph, Spacer, Table
        for name, file in (("Vera", "Vera.ttf"), ("VeraBd", "VeraBd.ttf")):
            pdfmetrics.registerFont(ttfonts.TTFont(name, file))
        self._known = pdfmetrics.getFont("Vera").face.charToGlyph
        self._ink, self._line = colors.HexColor("#22303c"), colors.HexColor("#c8d0d6")
        style = styles.ParagraphStyle
        self._style = {
            "text": style("text", fontName="Vera", fontSize=8.5, leading=12, spaceAfter=6,
                          textColor=self._ink),
            "cell": style("cell", fontName="Vera", fontSize=7, leading=9.5, textColor=self._ink,
                          splitLongWords=True),
            "name": style("name", fontName="VeraBd", fontSize=7, leading=9.5,
                          textColor=self._ink),
            "heading": style("heading", fontName="VeraBd", fontSize=11, leading=15,
                             spaceBefore=12, spaceAfter=5, keepWithNext=True,
                             textColor=self._ink),
            "title": style("title", fontName="VeraBd", fontSize=15, leading=20, spaceAfter=6,
                           textColor=self._ink),
        }  # fmt: skip

    def title(self, text: str) -> None:
        """The name of the whole."""
        self._made.append(self._cell(text, "title"))

    def heading(self, text: str) -> None:
        """A part begins."""
        self._made.append(self._cell(text, "heading"))

    def text(self, text: str) -> None:
        """A paragraph."""
        self._made.append(self._cell(text, "text"))

    def facts(self, *rows: tuple[str, str]) -> None:
        """Names with what they are, one below the other."""
        self._rows([(self._cell(a, "name"), self._cell(b, "cell")) for a, b in rows], (38, 132))

    def table(
        self, names: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]
    ) -> None:
        """Rows below their names; nothing when there are none. widths: in mm."""
        if rows:
            head = [self._cell(n, "name") for n in names]
            self._rows([head, *([self._cell(v, "cell") for v in r] for r in rows)], widths, 1)

    def write(self, out: io.BytesIO, title: str, said: Proof) -> None:
        """Everything, with the number and the product on every page."""
        made = f"{said.product.name} {said.product.version}, {_when(said.made_at)}"

        def foot(canvas: Any, document: Any) -> None:
            canvas.setFont("Vera", 7)
            canvas.setFillColor(self._ink)
            canvas.drawString(20 * self._mm, 12 * self._mm, self._plain(made))
            right = self._size[0] - 20 * self._mm
            canvas.drawRightString(right, 12 * self._mm, f"Bladzijde {document.page}")

        side = 20 * self._mm - 6  # the frame keeps 6 points inside it
        self._document(
            out, pagesize=self._size, title=self._plain(title), lang="nl",
            author=self._plain(said.firm.name), leftMargin=side, rightMargin=side,
            topMargin=18 * self._mm, bottomMargin=20 * self._mm,
        ).build(self._made, onFirstPage=foot, onLaterPages=foot)  # fmt: skip

    def _rows(self, rows: Sequence[Sequence[Any]], widths: Sequence[int], repeat: int = 0) -> None:
        look = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.3, self._line),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ]
        sizes = [w * self._mm for w in widths]
        self._made.append(
            self._table(rows, colWidths=sizes, style=look, repeatRows=repeat, splitInRow=1)
        )
        self._made.append(self._space(1, 6))

    def _cell(self, text: str, style: str) -> Any:
        return self._paragraph(escape(self._plain(text)), self._style[style])

    def _plain(self, text: str) -> str:
        """Without signs that the font has not got: their letter, or a question mark."""
        return "".join(map(self._sign, unicodedata.normalize("NFC", text)))

    def _sign(self, sign: str) -> str:
        for one in (sign, unicodedata.normalize("NFKD", sign)[:1]):
            if ord(one) in self._known and one.isprintable():
                return one
        return "?"
