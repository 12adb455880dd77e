"""Mail: from a template to an SMTP server. A letter never carries a document, only a link."""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import Any, TypedDict

import aiosmtplib
import jinja2

from gateway.domain import mail as addresses
from gateway.domain.firm import Firm
from gateway.errors import PortalError

FOLDER = Path(__file__).parents[2] / "templates" / "mail"


class MailFailed(PortalError):
    """The letter was not taken by the mail server."""

    def __init__(self, message: str = "", *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class Rendered(TypedDict):
    """What a template gives: subject, and the body as text and as HTML."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Mail:
    """One letter. id: its Message-ID without angle brackets, the same at every attempt."""

    sender: str
    sender_name: str
    recipient: str
    subject: str
    text: str
    html: str
    id: str

    def message(self) -> EmailMessage:
        """As it is sent. A line break in a name or subject is refused by the header API, and so is
        what cannot be written: many kinds of exceptions, ValueError for an address."""
        message = EmailMessage()
        message["From"] = Address(self.sender_name, addr_spec=_written(self.sender))
        message["To"] = Address(addr_spec=_written(self.recipient))
        message["Subject"] = self.subject
        message["Message-ID"] = f"<{self.id}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self.text)
        message.add_alternative(self.html, subtype="html")
        return message


def _written(address: str) -> str:
    found = addresses.written(address)
    if found is None:  # it came in before addresses were looked at as they are now
        raise ValueError("no address")
    return found


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=jinja2.select_autoescape(("html",), default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(
    event: str, language: str, firm: Firm, base_url: str, values: Mapping[str, str]
) -> Rendered:
    """The letter of an event. ``<event>/<language>.txt`` holds the subject on its first line;
    paragraphs follow, a line that is an address alone becomes the button of the HTML form.

    A value stays within its line: a name cannot make a subject or a button of its own. Raises
    MailFailed when the template wants what is not there.
    """
    inline = {name: " ".join(value.split()) for name, value in values.items()}
    known: dict[str, Any] = {"firm": firm, "base_url": base_url, **inline}
    try:
        return _render(event, language, firm, known)
    except jinja2.TemplateError as e:
        raise MailFailed(f"cannot be written: {type(e).__name__}", retryable=False) from e


def _render(event: str, language: str, firm: Firm, known: Mapping[str, Any]) -> Rendered:
    name = f"{event}/{'en' if language == 'en' else 'nl'}.txt"
    whole = _environment().get_template(name).render(known)
    subject, _, text = whole.partition("\n")
    paragraphs = [" ".join(p.split()) for p in text.split("\n\n") if p.strip()]
    html = (
        _environment()
        .get_template("base.html")
        .render(firm=firm, language=language, subject=subject.strip(), paragraphs=paragraphs)
    )
    return {"subject": " ".join(subject.split()), "text": text.strip() + "\n", "html": html}


class Mailer:
    """One connection to the SMTP server, kept between letters."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: str = "starttls",
        username: str = "",
        password: str = "",
        timeout: float = 20.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """tls: starttls, tls or none."""
        self._smtp = aiosmtplib.SMTP(
            hostname=host,
            port=port,
            timeout=timeout,
            use_tls=tls == "tls",
            start_tls=tls == "starttls",
            username=username or None,
            password=password or None,
            tls_context=context,
        )
        self._lock = asyncio.Lock()

    async def send(self, mail: Mail) -> None:
        """Hand one letter over. Raises MailFailed."""
        try:
            message = mail.message()
            message.as_bytes(policy=policy.SMTP)  # some faults show themselves only here
        except Exception as e:  # whatever it is, it is this letter's, and would be at each attempt
            raise MailFailed(f"cannot be written: {type(e).__name__}", retryable=False) from e
        async with self._lock:
            try:
                if not self._smtp.is_connected:
                    await self._smtp.connect()
                await self._smtp.send_message(message)
            except aiosmtplib.SMTPRecipientsRefused as e:
                codes = {r.code for r in e.recipients}
                raise MailFailed("recipient refused", retryable=min(codes) < 500) from e
            except aiosmtplib.SMTPDataError as e:
                raise MailFailed(f"code {e.code}", retryable=e.code < 500) from e
            except aiosmtplib.SMTPResponseException as e:
                # Greeting, credentials or sender refused: the letter is good, our settings are
                # not. It waits until somebody has put them right.
                self._smtp.close()
                raise MailFailed(f"{type(e).__name__} {e.code}") from e
            except (aiosmtplib.SMTPException, OSError, TimeoutError) as e:
                self._smtp.close()
                raise MailFailed(type(e).__name__) from e
            except Exception:  # the next letter begins a conversation of its own
                self._smtp.close()
                raise

    async def aclose(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            if self._smtp.is_connected:
                await self._smtp.quit()
