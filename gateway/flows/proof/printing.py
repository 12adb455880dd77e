"""Printing a proof to read: Dutch, on A4."""

import io
from collections.abc import Mapping
from typing import Any

from gateway.domain.proof.contents import MandateSaid, Proof, StatusSaid
from gateway.domain.proof.findings import NotAProof
from gateway.domain.stuk import LABELS, State, tijdvak
from gateway.flows.proof import replies
from gateway.flows.proof.sheet import Sheet, day, when

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
    sheet, out = Sheet(), io.BytesIO()
    title = f"Bewijs: {said.stuk.titel}, {tijdvak(said.stuk.periode, said.stuk.jaar)}"
    sheet.title(title)
    sheet.text(f"{said.klant.name} ({said.klant.number}), {said.firm.name}")
    sheet.text(_INTRO)
    for part in (_print_stuk, _print_parts, _print_akkoorden, _print_deliveries, _print_events):
        part(sheet, said)
    sheet.write(out, title, said)
    return out.getvalue()


def _print_stuk(sheet: Sheet, said: Proof) -> None:
    stuk = said.stuk
    known = {s.value for s in State}
    state = LABELS[State(stuk.state)].label if stuk.state in known else stuk.state
    sheet.heading("Het document")
    sheet.facts(
        ("Kantoor", said.firm.name),
        ("Klant", f"{said.klant.name} ({said.klant.number})"),
        ("Soort", f"{stuk.titel} ({stuk.soort})"),
        ("Periode", tijdvak(stuk.periode, stuk.jaar)),
        ("Deadline", day(stuk.deadline) if stuk.deadline else "-"),
        ("Stand", state),
        ("Klaargezet", f"{when(stuk.created_at)} door {stuk.put_up_by}"),
        ("Nummer", stuk.id),
        ("Vervangt", stuk.replaces or "-"),
    )


def _print_parts(sheet: Sheet, said: Proof) -> None:
    sheet.heading("Onderdelen")
    rows = [
        (str(p.number), _ROLES[p.role], p.name, f"{p.length} bytes", p.sha256) for p in said.parts
    ]
    sheet.table(("Nr", "Rol", "Naam", "Lengte", "SHA-256"), rows, (8, 25, 45, 25, 67))
    sheet.facts(("Alles samen", said.manifest.sha256), ("Berekend als", said.manifest.how))


def _print_akkoorden(sheet: Sheet, said: Proof) -> None:
    sheet.heading("Akkoord")
    names = {a.person: a.name for a in said.approvals}
    for number, group in enumerate(said.rule, 1):
        who = ", ".join(names.get(p, p) for p in group.people) or "iedereen met een mandaat"
        sheet.text(f"Nodig in stap {number}: {group.need} akkoord van {who}.")
    for a in said.approvals:
        sheet.facts(
            ("Wie", f"{a.name} ({a.username})"),
            ("Wat", _ACTS[a.act]),
            ("Wanneer", when(a.confirmed_at) if a.confirmed_at else "nog niet bevestigd"),
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
    until = f" tot en met {day(mandate.until)}" if mandate.until else ""
    what = "alle soorten" if mandate.soort == "*" else mandate.soort
    return f"{what}, vanaf {day(mandate.since)}{until} (nummer {mandate.id})"


def _print_deliveries(sheet: Sheet, said: Proof) -> None:
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
        tries = [(when(a.opened_at), _OUTCOMES.get(a.outcome, a.outcome or ""), a.message_id)
                 for a in d.attempts]  # fmt: skip
        sheet.table(("Poging", "Uitkomst", "Bericht"), tries, (45, 50, 75))
        told = [(when(s.at), s.code, _status_text(s)) for s in d.statuses]
        sheet.table(("Status van", "Code", "Omschrijving"), told, (45, 20, 105))
        kept = [(when(r.received_at), r.kind, replies.certificate_text(r)) for r in d.replies]
        sheet.table(
            ("Antwoord van", "Op", "Certificaat waarmee het ondertekend is"), kept, (45, 20, 105)
        )


def _status_text(s: StatusSaid) -> str:
    """Its details too, unless they are XML for programs; the JSON has them."""
    details = "" if s.details.startswith("<") else s.details
    return " ".join((s.description, s.fault, s.fault_text, details))


def _print_events(sheet: Sheet, said: Proof) -> None:
    sheet.heading("Wat er gebeurde")
    rows = [
        (when(e.at), _EVENTS.get(e.event, e.event), str(e.number), e.digest) for e in said.events
    ]
    sheet.table(("Wanneer", "Wat", "Schakel", "SHA-256"), rows, (38, 48, 17, 67))
    sheet.heading("Ketting en sleutel")
    sheet.text(_CHAIN)
    for s in said.chain:
        sheet.facts(
            ("Schakels", f"{s.first} tot en met {s.checkpoint.number}"),
            ("Ondertekend op", when(s.checkpoint.at)),
            ("Hash", s.checkpoint.hash),
            ("Handtekening", s.checkpoint.signature),
        )
    sheet.text("Vergelijk de sleutel met die van uw accountant, die u langs een andere weg kreeg.")
    sheet.facts(("Sleutel (Ed25519)", said.key.public), ("Nummer", said.key.id))
