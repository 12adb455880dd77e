"""A mail server, and the mailbox that gets the letters.

SMTP takes everything, but for recipients that begin with ``weigert`` (550) or ``later`` (451).
``GET /`` gives the letters as a JSON list, newest last (``to``, ``from``, ``subject``, ``body``,
``html``, ``at``); a browser gets a page to read. ``DELETE /`` forgets them.
"""

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from gateway.simulators import view
from gateway.simulators.kept import Kept


class Handler:
    """What aiosmtpd calls."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        """Refuse what the address asks to be refused."""
        if address.startswith("weigert"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later"):
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep the letter."""
        content = envelope.content or b""
        data = content if isinstance(content, bytes) else content.encode()
        message = message_from_bytes(data, policy=policy.default)
        self._kept.add(
            **{
                "to": ", ".join(envelope.rcpt_tos),
                "from": str(message["From"]),
                "subject": str(message["Subject"]),
                "body": _part(message, "plain"),
                "html": _part(message, "html"),
            }
        )
        return "250 OK"


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""


def smtp(kept: Kept) -> SMTP:
    """One SMTP conversation; give this to loop.create_server."""
    return SMTP(Handler(kept), enable_SMTPUTF8=True, hostname="localhost")


def build(kept: Kept) -> web.Application:
    """The mailbox's pages."""

    async def listing(request: web.Request) -> web.Response:
        if "text/html" in request.headers.get("Accept", ""):
            return view.page("Mail", kept.all(), ("to", "from", "subject", "body", "at"))
        return web.json_response(kept.all())

    async def clear(_: web.Request) -> web.Response:
        kept.clear()
        return web.Response(status=204)

    app = web.Application()
    app.router.add_get("/", listing)
    app.router.add_delete("/", clear)
    return app


def open_mailbox(file: Path | None = None) -> Kept:
    """The letters, kept in a file between runs."""
    return Kept(file)
