"""The client of Digipoort's and the banks' services: sends a signed message, trusts nobody.

One destination, one certificate, mutual TLS; no redirects, no proxies, no cookies. Only the
content of a verified reply is read, and whatever else comes back is told apart by one question:
may the message have arrived?
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
from lxml import etree

from gateway.delivery import messages, names, verify, wus, xop
from gateway.delivery.certificates import Algorithm, Credentials, Trust
from gateway.delivery.names import Operation
from gateway.delivery.outcomes import Refused, Unclear, Unsendable
from gateway.delivery.post import Answer, Body, post
from gateway.delivery.wus import Content
from gateway.domain.sbr import (
    MOST,
    NO_AUSP,
    Aanlevering,
    Bericht,
    Identiteit,
    Ontvangst,
    Proces,
    Statusmelding,
    Statussen,
)
from gateway.domain.xml import Element
from gateway.errors import ConfigInvalid, Invalid, ProtocolError

T = TypeVar("T")
#: Makes the body of a request.
Make = Callable[[], Content]
#: Reads the content of a verified reply; with the envelope, for proof.
Read = Callable[[Element, bytes], T]


@dataclass(frozen=True, slots=True)
class Limits:
    """connect and total: seconds. reply: bytes, enough for a bericht of MOST bytes in base64.

    skew: how far the receiver's clock may be off.
    """

    connect: float = 10.0
    total: float = 120.0
    reply: int = MOST // 3 * 4 + 4 * 1024 * 1024
    skew: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where messages go, as whom, and whose replies are trusted. ophalen: None at a bank.

    tls_ca: PEM of whom the server is trusted by; None: the system's. algorithm: of our signature.
    """

    name: str
    aanleveren: str
    statusinformatie: str
    ophalen: str | None
    credentials: Credentials
    trust: Trust
    tls_ca: str | None = None
    algorithm: Algorithm = "sha1"
    mtom: bool = False
    autorisatie_adres: str = NO_AUSP
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Raises ConfigInvalid unless all addresses are https and of one host."""
        urls = [urlsplit(u) for u in (self.aanleveren, self.statusinformatie, self.ophalen) if u]
        if {u.scheme for u in urls} != {"https"} or len({u.netloc for u in urls}) != 1:
            raise ConfigInvalid("the addresses are not https of one host", field="aanleveren")


class Client:
    """Speaks to one destination; made by open(), ended by close().

    Every call raises NotSent, Unsendable, Refused or Unclear (see outcomes). A caller that is
    cancelled knows no more than Unclear would tell.
    """

    def __init__(
        self,
        destination: Destination,
        session: aiohttp.ClientSession,
        clock: Callable[[], datetime],
    ) -> None:
        self.destination = destination
        self._session, self._clock = session, clock

    @classmethod
    async def open(
        cls, destination: Destination, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> Self:
        """With a session of its own; nothing is connected yet. Raises ConfigInvalid."""
        context = await asyncio.to_thread(destination.credentials.tls, destination.tls_ca)
        limits = destination.limits
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, force_close=True),
            timeout=aiohttp.ClientTimeout(limits.total, sock_connect=limits.connect),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
        return cls(destination, session, clock)

    async def close(self) -> None:
        """Cuts what is under way."""
        await self._session.close()

    async def deliver(self, aanlevering: Aanlevering, message_id: str) -> Ontvangst:
        """Hands in a bericht. message_id: from wus.new_message_id(), committed before.

        Never again after Unclear without asking: each delivery that arrives is a new return.
        """
        return await self._ask(
            self.destination.aanleveren,
            names.AANLEVEREN,
            lambda: messages.aanleveren(aanlevering),
            lambda element, reply: messages.read_ontvangst(element, aanlevering, reply),
            message_id,
        )

    async def statuses(
        self, kenmerk: str, since: datetime | None = None, until: datetime | None = None
    ) -> list[Statusmelding]:
        """The statuses of a kenmerk, oldest first; asking does not mark them as read."""
        return (await self.signed_statuses(kenmerk, since, until)).meldingen

    async def signed_statuses(
        self, kenmerk: str, since: datetime | None = None, until: datetime | None = None
    ) -> Statussen:
        """The same, with the signed reply that tells them: the proof."""
        message_id = wus.new_message_id()
        return await self._ask(
            self.destination.statusinformatie,
            names.STATUSSEN,
            lambda: messages.statussen(kenmerk, self.destination.autorisatie_adres, since, until),
            lambda element, reply: Statussen(
                messages.read_statussen(element, kenmerk), message_id, reply
            ),
            message_id,
        )

    async def processes(self, berichtsoort: str, belanghebbende: Identiteit) -> list[Proces]:
        """Every kenmerk that the receiver has of one channel."""
        return await self._ask(
            self.destination.statusinformatie,
            names.PROCESSEN,
            lambda: messages.processen(
                berichtsoort, belanghebbende, self.destination.autorisatie_adres
            ),
            lambda element, _: messages.read_processen(element, berichtsoort, belanghebbende),
        )

    async def berichtsoorten(self, belanghebbende: Identiteit) -> list[str]:
        """What may be filed for somebody; for checking the configuration."""
        return await self._ask(
            self.destination.statusinformatie,
            names.BERICHTSOORTEN,
            lambda: messages.berichtsoorten(belanghebbende, self.destination.autorisatie_adres),
            lambda element, _: messages.read_berichtsoorten(element),
        )

    async def message(self, kenmerk: str) -> Bericht | None:
        """What the ophaalservice has of a kenmerk; None too where there is no such service."""
        if self.destination.ophalen is None:
            return None
        return await self._ask(
            self.destination.ophalen,
            names.BERICHT,
            lambda: messages.bericht(kenmerk, self.destination.autorisatie_adres),
            lambda element, _: messages.read_bericht(element, kenmerk),
        )

    async def _ask(
        self, url: str, operation: Operation, make: Make, read: Read[T], message_id: str = ""
    ) -> T:
        """Sends a request, and reads the reply when it is good. Crypto and XML go to threads."""
        addressing = wus.Addressing(url, operation.action, message_id or wus.new_message_id())
        body = await asyncio.to_thread(self._signed, make, addressing)
        answer = await post(self._session, addressing, body, self.destination.limits.reply)
        expected = verify.Expected(
            operation, addressing.message_id, self._clock(), self.destination.limits.skew
        )
        return await asyncio.to_thread(self._understood, answer, expected, read)

    def _signed(self, make: Make, addressing: wus.Addressing) -> Body:
        """A body to send. Raises Unsendable."""
        try:
            content = make()
        except Invalid as e:
            raise Unsendable(e.faults) from None
        to = self.destination
        envelope = wus.sign(content, addressing, to.credentials, self._clock(), to.algorithm)
        if to.mtom and addressing.action == names.AANLEVEREN.action:
            package = xop.Package(envelope)
            return Body(package.content_type, len(package), package.pieces())
        return Body("text/xml; charset=utf-8", len(envelope), envelope.inline())

    def _understood(self, answer: Answer, expected: verify.Expected, read: Read[T]) -> T:
        """What a verified reply tells. Raises Refused, Unclear."""
        try:
            root, envelope = _envelope(answer)
            content = verify.verify(root, self.destination.trust, expected)
            return read(content, envelope)
        except verify.Fault as e:
            if e.verified:
                raise Refused(e.code, e.text) from None
            raise Unclear("unsigned_fault", e.text, code=e.code) from None
        except verify.Forged as e:
            raise Unclear("forged", str(e)) from None
        except ProtocolError as e:
            other = "garbage" if answer.status == 200 else f"http_{answer.status}"
            raise Unclear(e.native or other, str(e)) from None
        except Exception as e:  # the message may have arrived, whatever its reply does to us
            raise Unclear("garbage", type(e).__name__) from e


def _envelope(answer: Answer) -> tuple[Element, bytes]:
    """The envelope of an answer, with its bytes as they came or, after MTOM, as they mean."""
    data, parts = xop.split(answer.content_type, answer.data)
    root = verify.parse(data)
    if not parts:
        return root, data
    xop.inline(root, parts)
    return root, etree.tostring(root)
