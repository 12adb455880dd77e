"""Text messages: one port, three ways out.

The base class times, counts and logs; an adapter only speaks its provider's protocol. A number
is never logged whole, a text never at all.
"""

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Protocol

import aiohttp
import messagebird
import requests
from prometheus_client import Counter, Histogram

from gateway import log
from gateway.errors import PortalError

SENT = Counter("map_sms_total", "Text messages, by outcome", ["provider", "outcome"])
SECONDS = Histogram("map_sms_seconds", "Time to hand a text message over", ["provider"])


class SmsFailed(PortalError):
    """The text message could not be handed over."""

    def __init__(self, message: str = "", *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class SmsSender(ABC):
    """Hands text messages to a provider."""

    provider: ClassVar[str]

    async def send(self, to: str, sender: str, body: str) -> None:
        """One message. to: E.164. sender: at most 11 letters and digits. Raises SmsFailed."""
        try:
            with SECONDS.labels(self.provider).time():
                await self._send(to, sender, body)
        except SmsFailed as e:
            self._failed(e)
            raise
        except Exception as e:  # an answer of another shape breaks a provider's package anywhere
            failed = SmsFailed(type(e).__name__)
            self._failed(failed)
            raise failed from e
        SENT.labels(self.provider, "sent").inc()
        log.get().info("sms_sent", provider=self.provider, number_end=to[-3:])

    def _failed(self, e: SmsFailed) -> None:
        SENT.labels(self.provider, "failed").inc()
        log.get().warning(
            "sms_failed", provider=self.provider, error=str(e), retryable=e.retryable
        )

    @abstractmethod
    async def _send(self, to: str, sender: str, body: str) -> None:
        """Hand it over, or raise SmsFailed."""

    @abstractmethod
    async def aclose(self) -> None:
        """Free what is held."""


class _Http(SmsSender):
    """A provider spoken to on one aiohttp session."""

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def _post(self, path: str, json: Any, headers: dict[str, str]) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.post(
                self._url + path, json=json, headers=headers, allow_redirects=False
            ) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as e:
            raise SmsFailed(type(e).__name__) from e
        if status >= 300:
            raise SmsFailed(f"status {status}", retryable=status == 429 or status >= 500)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class BirdSender(_Http):
    """Bird's v1 API: POST /v1/sms/messages with a bearer key and an idempotency key."""

    provider = "bird"

    def __init__(self, key: str, url: str, timeout: float) -> None:
        super().__init__(url, timeout)
        self._key = key

    async def _send(self, to: str, sender: str, body: str) -> None:
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Idempotency-Key": str(uuid.uuid4()),
            "User-Agent": "MijnAccountantsPortal",  # without one Bird answers 403
        }
        message = {"to": to, "from": sender, "text": body, "category": "authentication"}
        await self._post("/v1/sms/messages", message, headers)


class SimulatorSender(_Http):
    """The SMS simulator: nothing leaves the machine."""

    provider = "simulator"

    async def _send(self, to: str, sender: str, body: str) -> None:
        await self._post("/", {"to": to, "from": sender, "body": body}, {})


class _Bounded:
    """What the messagebird package calls for HTTP, with the time-outs that it lacks."""

    def __init__(self, key: str, url: str, timeout: float) -> None:
        self._url = url.rstrip("/")
        self._timeout = (min(timeout, 5.0), timeout)
        self._session = requests.Session()
        self._session.headers.update(
            {"Accept": "application/json", "Authorization": f"AccessKey {key}"}
        )

    def request(self, path: str, method: str = "GET", params: Any = None) -> str:
        """One call, as messagebird.http_client.HttpClient.request."""
        answer = self._session.request(
            method,
            f"{self._url}/{path.lstrip('/')}",
            json=params,
            timeout=self._timeout,
            allow_redirects=False,
        )
        if answer.status_code == 429 or answer.status_code >= 500:
            raise SmsFailed(f"status {answer.status_code}")
        return answer.text


class MessagebirdSender(SmsSender):
    """The classic MessageBird API through its own package, in a bounded pool of threads."""

    provider = "messagebird"

    def __init__(self, key: str, url: str, timeout: float, workers: int = 4) -> None:
        self._client = messagebird.Client(key, http_client=_Bounded(key, url, timeout))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="messagebird")

    async def _send(self, to: str, sender: str, body: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._pool, self._blocking, to, sender, body)

    def _blocking(self, to: str, sender: str, body: str) -> None:
        try:
            self._client.message_create(sender, [to.lstrip("+")], body)
        except messagebird.ErrorException as e:
            codes = ",".join(str(error.code) for error in e.errors)
            raise SmsFailed(f"refused: {codes}", retryable=False) from e
        except (requests.RequestException, ValueError) as e:
            raise SmsFailed(type(e).__name__) from e

    async def aclose(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Chosen(Protocol):
    """What the settings say of a provider (gateway.settings.Sms)."""

    @property
    def via(self) -> Any: ...
    @property
    def timeout(self) -> float: ...


def sender(chosen: Chosen, secret: Callable[[str], str]) -> SmsSender:
    """The adapter that the settings name. secret: resolves a reference (ConfigInvalid)."""
    via = chosen.via
    if via.kind == "messagebird":
        return MessagebirdSender(secret(via.key), via.url, chosen.timeout)
    if via.kind == "bird":
        return BirdSender(secret(via.key), via.url, chosen.timeout)
    return SimulatorSender(via.url, chosen.timeout)
