"""Who calls, how often, and whether the same was asked before."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.api.problem import Problem
from gateway.domain import package, proxy
from gateway.errors import PortalError
from gateway.flows import packages, throttling
from gateway.flows.packages import Caller
from gateway.flows.portal import Portal
from gateway.flows.visitor import now
from gateway.store import packages as store

#: Requests a minute with one key.
A_MINUTE = 600
#: Requests with documents at once, of one package at one process.
AT_ONCE = 8
_LIMIT = package.per_key(A_MINUTE)
_RATE = {"RateLimit-Policy": f'"sleutel";q={A_MINUTE};w=60'}
#: Seconds between two signs of life of a request that is worked on; one that gives none for
#: longer than STALE was left by a process that died.
BEAT = 5.0
STALE = timedelta(seconds=20)
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="portaal"'}


async def caller(portal: Portal, request: web.Request, proxies: Sequence[proxy.Network]) -> Caller:
    """The package that calls. Raises Problem 401, and TooMany."""
    return await with_key(portal, request, proxies, bearer(request))


def bearer(request: web.Request) -> str:
    """The key in the header Authorization; "" without one."""
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


async def with_key(
    portal: Portal, request: web.Request, proxies: Sequence[proxy.Network], key: str
) -> Caller:
    """The package that calls with this key, wherever in the request it stood. Raises Problem 401,
    and TooMany."""
    found = await packages.recognise(portal, key, _certificate(request, proxies))
    if found is None:
        raise Problem(401, headers=_CHALLENGE)
    async with portal.db.connection() as c:
        await throttling.take(portal, c, _LIMIT, str(found.key))
    return found


def _certificate(request: web.Request, proxies: Sequence[proxy.Network]) -> str:
    """SHA-256 of the client certificate, which a trusted proxy hands on as nginx writes it in
    $ssl_client_escaped_cert; "" without one."""
    pem = request.headers.get("X-Client-Cert", "")
    if not pem or not proxy.trusted(request.remote or "", proxies):
        return ""
    try:
        certificate = x509.load_pem_x509_certificate(unquote(pem).encode())
    except ValueError:
        return ""
    return certificate.fingerprint(SHA256()).hex()


_uploads: Counter[UUID] = Counter()


@contextmanager
def sending(caller: Caller) -> Iterator[None]:
    """While a package sends documents: some at once, so that one package leaves room for others.
    Raises Problem 429."""
    if _uploads[caller.package] >= AT_ONCE:
        raise Problem(
            429,
            f"Dit pakket zendt al {AT_ONCE} berichten met documenten tegelijk.",
            headers={"Retry-After": "5"},
        )
    _uploads[caller.package] += 1
    try:
        yield
    finally:
        _uploads[caller.package] -= 1
        if not _uploads[caller.package]:
            del _uploads[caller.package]


def rate() -> Mapping[str, str]:
    """Headers that tell the limit (draft-ietf-httpapi-ratelimit-headers)."""
    return _RATE


OTHER = "Deze Idempotency-Key hoorde bij een ander verzoek."
REPLAYED = {"Idempotency-Replayed": "true"}


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    status: int
    body: Any
    headers: Mapping[str, str]
    content: str


@dataclass(slots=True)
class Once:
    """One POST with its Idempotency-Key (draft-ietf-httpapi-idempotency-key-header). over: the
    same request was done, or a process died over it, and its answer was not kept: what it did may
    be there. done: only its answer is still to be kept."""

    portal: Portal
    caller: Caller
    key: str
    over: bool = False
    done: bool = False

    @classmethod
    def of(cls, portal: Portal, caller: Caller, request: web.Request) -> "Once":
        """Raises Problem 400 without a usable key."""
        key = request.headers.get("Idempotency-Key", "")
        if not usable(key):
            raise Problem(400, "De header Idempotency-Key (1 tot 200 tekens) ontbreekt.")
        return cls(portal, caller, key)

    async def begin(self, *asked: str) -> "Kept | None":
        """The answer of before, when the same was asked with this key. Raises Problem 409 when
        something else was, or the same is under way."""
        digest = self.portal.keys.digest("idempotency", *asked)
        firm = self.caller.firm.id
        async with self.portal.db.tenant(firm) as c:
            before = await store.begin(
                c, firm, self.caller.package, self.key, digest, now() - STALE
            )
        if before is None or before.status == 0:
            self.over = before is not None
            return None
        if before.request != digest:
            raise Problem(409, OTHER)
        if before.status is None or before.answer_sealed is None:
            raise Problem(
                409, "Hetzelfde verzoek wordt nog verwerkt.", headers={"Retry-After": "5"}
            )
        answer = json.loads(self.portal.keys.open("answer", before.answer_sealed))
        return Kept(before.status, **answer)

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """While the request is worked on, it gives signs of life; when it fails, its key is free
        again. What was done and could not be answered is left, as by a process that died."""
        beating = asyncio.create_task(self._beat())
        try:
            yield
        except BaseException:
            if not self.done:
                await self.free()
            raise
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            with suppress(PortalError):
                async with self.portal.db.tenant(self.caller.firm.id) as c:
                    await store.beat(c, self.caller.package, self.key)

    async def answered(
        self, status: int, body: Any, headers: Mapping[str, str], content: str = ""
    ) -> None:
        """Keep a good answer; it is given again for a day. content: digest of what was asked, as
        far as `begin` did not know it."""
        self.done = True
        kept = {"body": body, "headers": dict(headers), "content": content}
        text = json.dumps(kept, ensure_ascii=False)
        async with self.portal.db.tenant(self.caller.firm.id) as c:
            await store.answered(
                c, self.caller.package, self.key, status, self.portal.keys.seal("answer", text)
            )

    async def free(self) -> None:
        """It came to nothing: the same key may try again."""
        async with self.portal.db.tenant(self.caller.firm.id) as c:
            await store.free(c, self.caller.package, self.key)


def usable(key: str) -> bool:
    """Whether it can be the key of a request."""
    return 0 < len(key) <= 200 and key.isascii() and key.isprintable()


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
