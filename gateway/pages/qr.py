"""A QR code as SVG, drawn by us from the modules that reportlab works out."""

from markupsafe import Markup
from reportlab.graphics.barcode.qr import QrCodeWidget

#: Light modules around it (ISO/IEC 18004, 9.1).
_QUIET = 4


def svg(text: str, label: str) -> Markup:
    """The code, level M, as a picture with a label. text: at most some 2,000 bytes."""
    widget = QrCodeWidget(text, barLevel="M")
    widget.qr.make()
    count = widget.qr.getModuleCount()
    path = "".join(
        f"M{x + _QUIET} {y + _QUIET}h1v1h-1z"
        for y in range(count)
        for x in range(count)
        if widget.qr.isDark(y, x)
    )
    size = count + 2 * _QUIET
    return Markup(
        '<svg class="qr" role="img" aria-label="{label}" viewBox="0 0 {size} {size}"'
        ' shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{size}v{size}H0z"></path>'
        '<path fill="#000" d="{path}"></path></svg>'
    ).format(label=label, size=size, path=path)
