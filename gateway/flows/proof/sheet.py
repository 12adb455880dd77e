"""A sheet of A4: headings, paragraphs, facts and tables, with reportlab."""

import io
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from xml.sax.saxutils import escape

from gateway.domain.proof.contents import Proof
from gateway.errors import ConfigInvalid
from gateway.flows.visitor import AMSTERDAM


def when(text: str) -> str:
    """A moment of the file, on a Dutch clock."""
    at = datetime.fromisoformat(text).astimezone(AMSTERDAM)
    return at.strftime("%d-%m-%Y %H:%M:%S")


def day(text: str) -> str:
    """A day of the file."""
    return date.fromisoformat(text).strftime("%d-%m-%Y")


class Sheet:
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
        made = f"{said.product.name} {said.product.version}, {when(said.made_at)}"

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
