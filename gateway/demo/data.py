"""Invented firms, people and documents. Nothing here is real."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from gateway.demo import instances
from gateway.domain.klant import Klant
from gateway.domain.person import Role


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in at the demonstration."""

    role: Role
    firm: str
    name: str
    email: str
    password: str
    mobile: str
    klanten: tuple[str, ...]


KLANTEN = {
    "lindehof": (
        Klant("400101", "Bakkerij De Korenaar B.V.", "eva"),
        Klant("400102", "Korenaar Vastgoed B.V.", "eva"),
        Klant("400205", "N. de Wit (privé)", "karim"),
    ),
    "zeewind": (
        Klant("70011", "Zeilmakerij Noordkaap", "joris"),
        Klant("70012", "Kwekerij 't Groene Hart", "joris"),
    ),
}

ACCOUNTS = (
    Account(
        Role.CLIENT,
        "lindehof",
        "Noor de Wit",
        "noor@korenaar.example",
        "vier losse woorden broodje",
        "+31610000101",
        ("400101", "400102", "400205"),
    ),
    Account(
        Role.CLIENT,
        "lindehof",
        "Daan Visser",
        "daan@korenaar.example",
        "rustig fietsen langs water",
        "+31610000102",
        ("400101",),
    ),
    Account(
        Role.CLIENT,
        "zeewind",
        "Mila Oost",
        "mila@noordkaap.example",
        "Zeil-2018_kaap",
        "+31610000201",
        ("70011", "70012"),
    ),
    Account(
        Role.STAFF,
        "lindehof",
        "Eva van Loon",
        "eva@lindehof.example",
        "hoge bomen vangen wind",
        "+31610000103",
        ("400101", "400102", "400205"),
    ),
)


#: Chamber of Commerce number of the demonstration's certificate, and the banks' numbers.
KVK = "90010001"
BANKS = ("00000000900100010000", "00000000900200010000")
#: What klanten are known by at the receivers; invented, and right by the elfproef.
IDENTITIES = (
    ("400101", "BTW", "123456782B01"),
    ("400101", "kvk", "90012345"),
    ("400102", "BTW", "001456787B01"),
    ("400102", "kvk", "90012346"),
)


@dataclass(frozen=True, slots=True)
class PutUp:
    """A stuk of the demonstration. days: until its deadline."""

    klant: str
    soort: str
    jaar: int
    periode: str
    days: int
    opmerking: str
    instance: bytes | None


STUKKEN = (
    PutUp("400101", "ob", 2026, "3e kwartaal 2026", 5, "Graag voor het einde van de maand.",
          instances.ob("123456782B01", ("2026-07-01", "2026-09-30"), 41_000, 3_120)),
    PutUp("400101", "ob", 2026, "2e kwartaal 2026", -3, "",
          instances.ob("123456782B01", ("2026-04-01", "2026-06-30"), 38_500, 4_010)),
    PutUp("400102", "ob", 2026, "3e kwartaal 2026", 5, "",
          instances.ob("001456787B01", ("2026-07-01", "2026-09-30"), 12_000, 900)),
    PutUp("400101", "publicatiestukken", 2025, "2025", 30,
          "Met uw akkoord deponeren wij deze stukken meteen bij de Kamer van Koophandel.",
          instances.publication("90012345", 2025, 81_000)),
    PutUp("400102", "kredietrapportage", 2025, "2025", 21, "Voor de hypotheek van het pand.",
          instances.credit_report("90012346", 2025, 240_000)),
    PutUp("400101", "vpb", 2025, "2025", 60, "", None),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a back office. where: share, s3 or soap. folder: below the klant's place."""

    firm: str
    where: str
    klant: Klant
    folder: str
    name: str
    body: bytes
    modified: datetime


_SHARE = {
    "Permanent": (
        "Uittreksel handelsregister.pdf",
        "Akte van oprichting.pdf",
        "Huurovereenkomst bedrijfspand.pdf",
        "Btw-nummer.pdf",
        "Leesmij.txt",
    ),
    "Correspondentie": ("Brief Belastingdienst voorlopige aanslag.pdf", "Opdrachtbevestiging.pdf"),
    "Werkpapieren intern": ("Niet gepubliceerd.pdf",),
}
_S3 = {
    "Jaarrekening": ("Jaarrekening 2023.pdf", "Jaarrekening 2024.pdf", "Kolommenbalans 2024.csv"),
    "Aangiften": tuple(f"Aangifte omzetbelasting 2025-Q{q}.pdf" for q in (1, 2, 3)),
}
_SOAP = {
    "Loon": tuple(f"Loonoverzicht 2025-{m:02d}.pdf" for m in range(1, 11)),
    "Aangiften": ("Aangifte vennootschapsbelasting 2024.pdf", "Toelichting aangifte.html"),
}
_ZEEWIND_SHARE = {
    "Permanent": ("Uittreksel handelsregister.pdf", "Polis bedrijfsverzekering.pdf"),
    "Jaarwerk/2024": ("Jaarrekening 2024.pdf", "Publicatiestukken 2024.pdf"),
    "Jaarwerk/2025": ("Tussentijdse cijfers 2025.pdf",),
}
_ZEEWIND_S3 = {"": ("Begroting 2026.pdf", "Foto werkplaats.png", "Contract leverancier.pdf")}


def documents() -> Iterator[Document]:
    """All documents; the same each time."""
    plan = {
        "lindehof": (("share", _SHARE), ("s3", _S3), ("soap", _SOAP)),
        "zeewind": (("share", _ZEEWIND_SHARE), ("s3", _ZEEWIND_S3)),
    }
    chance = random.Random(2025)
    for firm, places in plan.items():
        for klant in KLANTEN[firm]:
            for where, folders in places:
                for folder, names in folders.items():
                    for name in names:
                        moment = datetime(2025, 1, 6, 9, tzinfo=UTC) + timedelta(
                            hours=chance.randrange(0, 7000)
                        )
                        body = _body(name, klant, moment)
                        yield Document(firm, where, klant, folder, name, body, moment)


def _body(name: str, klant: Klant, moment: datetime) -> bytes:
    ending = name.rpartition(".")[2]
    title = name.rpartition(".")[0]
    if ending == "pdf":
        return pdf(title, klant, moment)
    if ending == "csv":
        lines = [f"{4000 + i * 10};Rekening {i};{i * 1250},00" for i in range(1, 40)]
        return ("nummer;omschrijving;saldo\r\n" + "\r\n".join(lines) + "\r\n").encode()
    if ending == "html":
        return (
            f"<!DOCTYPE html><html lang=nl><meta charset=utf-8><title>{title}</title>"
            f"<h1>{title}</h1><p>Voor {klant.name}.</p><p>Voorbeeld, alle gegevens zijn verzonnen."
            "</p></html>"
        ).encode()
    if ending == "png":
        return _picture()
    return f"{title}\n\nVoor {klant.name}. Voorbeeld, alle gegevens zijn verzonnen.\n".encode()


def pdf(title: str, klant: Klant, moment: datetime) -> bytes:
    """A document of two pages."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=True)
    canvas.setTitle(title)
    for page in (1, 2):
        canvas.setFont("Helvetica-Bold", 20)
        canvas.drawString(60, 770, title)
        canvas.setFont("Helvetica", 11)
        canvas.drawString(60, 745, f"{klant.name} ({klant.number})")
        canvas.drawString(60, 729, f"{moment:%d-%m-%Y}")
        canvas.setLineWidth(0.5)
        canvas.line(60, 715, 535, 715)
        for i in range(1, 25):
            canvas.drawString(60, 712 - i * 22, f"{page}.{i}  Voorbeeldregel bij {title.lower()}")
            canvas.drawRightString(535, 712 - i * 22, f"{i * 137 * page:,}".replace(",", "."))
        canvas.setFont("Helvetica-Oblique", 9)
        canvas.drawString(60, 60, "Voorbeeld: alle namen, nummers en bedragen zijn verzonnen.")
        canvas.drawRightString(535, 60, f"Pagina {page} van 2")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _picture() -> bytes:
    """A small PNG: a calm gradient."""
    width, height = 320, 200
    rows = b"".join(
        b"\0" + bytes(v for x in range(width) for v in (40 + y // 2, 90 + x // 4, 150 + y // 3))
        for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
