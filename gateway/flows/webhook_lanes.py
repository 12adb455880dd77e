"""Events on their way to webhooks: taken over from the chain, and delivered.

The worker takes new events over for each webhook, in the order of their numbers, and moves the
webhook's cursor in the same transaction. From then on each event is delivered at least once:
those of one stuk one after the other, those of different stukken independently. An event that was
sent while its worker died, before that could be noted, is sent again under the same id, and the
same to the byte.
"""

import asyncio
import contextlib
import itertools
import json
import ssl
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from yarl import URL

from gateway import log
from gateway.connector.context import Context
from gateway.domain import webhook as rules
from gateway.domain.firm import Firm
from gateway.domain.package import EVENTS
from gateway.domain.stuk import State
from gateway.errors import ConfigInvalid, PortalError
from gateway.flows.events import told
from gateway.flows.portal import Portal
from gateway.flows.visitor import now
from gateway.store import audit, events, webhooks
from gateway.store.events import Event
from gateway.store.webhooks import Behind, Claimed

#: Seconds to connect, and for all of an attempt.
CONNECT, TOTAL = 10.0, 30.0
#: How long an attempt may take before another worker may make the next.
ATTEMPT = timedelta(minutes=2)
#: Events taken over at once, and numbers that are no events before a cursor is moved for them.
MOST, STRIDE = 500, 1000
#: Events under way at once, and to one webhook.
LANES, WIDTH = 16, 4
#: The same for webhooks that failed, were slow, or that this worker does not know yet.
DOUBTFUL_LANES, DOUBTFUL_WIDTH = 8, 2
#: An attempt that took more seconds than this makes a webhook doubtful.
SLOW = 2.0
#: Events in one lane before it is given to another webhook.
TURN = 25
#: Octets of an answer that are read, so that its connection can serve again; and for how long.
ANSWER, ANSWER_SECONDS = 1024, 1.0

#: The answer that ends a webhook.
GONE = "http 410"


async def take_over(portal: Portal) -> int:
    """Take new events over for every webhook; how many."""
    async with portal.db.connection() as c:
        names = await webhooks.firms(c)
    count = 0
    for firm in (portal.firms[n] for n in names if n in portal.firms):
        async with portal.db.tenant(firm.id) as c:
            newest = await events.last(c)
            waiting = await webhooks.behind(c, newest)
        for one in waiting:
            count += await _take(portal, firm, one, newest)
    return count


async def _take(portal: Portal, firm: Firm, one: Behind, newest: int) -> int:
    """newest: a number that was known before; every event up to it can be seen."""
    async with portal.db.tenant(firm.id) as c:
        found = await events.since(c, one.cursor, sorted(EVENTS), MOST)
        to = found[-1].number if found else newest
        if not found and newest - one.cursor < STRIDE:
            return 0
        if not await webhooks.advance(c, one.id, one.cursor, to):
            return 0
        await webhooks.take(
            c, firm.id, one.id, [e.number for e in found], [str(e.stuk) for e in found]
        )
    return len(found)


class _Failed(Exception):
    """An attempt failed. word: why, as the package reads it. detail: for the log."""

    def __init__(self, word: str, detail: str = "") -> None:
        super().__init__(word)
        self.word, self.detail = word, detail


class Lanes:
    """Deliveries under way: `LANES` at once in this process, `WIDTH` to one webhook.

    Webhooks that fail, are slow or are not known yet share some of the lanes, so that the others
    always find room. One that fails again and again rests.
    """

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._context = Context(
            "webhooks", egress=portal.egress, base=Path(), connect_timeout=CONNECT
        )
        self._under_way: dict[asyncio.Task[None], UUID] = {}
        self._good: set[UUID] = set()
        self._turns = itertools.count(1)
        self._failures: Counter[UUID] = Counter()  # since the last success
        self._rests: dict[UUID, float] = {}  # until when, by the loop's clock
        self._turn: dict[UUID, int] = {}  # when a webhook was given a lane for the last time
        self._stopping = False

    async def fill(self) -> int:
        """Begin what is due, as far as there are lanes; how many are under way."""
        for task in [t for t in self._under_way if t.done()]:
            self._ended(task)
        if len(self._under_way) < LANES:
            found = await self._due()
            for firm, id, count in sorted(found, key=lambda f: self._turn.get(f[1], 0)):
                for _ in range(min(count, self._room(id))):
                    self._turn[id] = next(self._turns)
                    self._under_way[asyncio.create_task(self._lane(firm, id))] = id
        return len(self._under_way)

    async def rest(self, seconds: float) -> None:
        """Wait for one to end, at most so long."""
        if self._under_way:
            await asyncio.wait(
                self._under_way, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        else:
            await asyncio.sleep(seconds)

    async def drain(self) -> None:
        """Let the attempts under way end, begin no other, and close the connections."""
        self._stopping = True
        if self._under_way:
            await asyncio.wait(self._under_way)
        for task in list(self._under_way):
            self._ended(task)
        await self._context.aclose()

    def _room(self, id: UUID) -> int:
        """How many lanes more a webhook may have."""
        if self._rests.get(id, 0) > asyncio.get_running_loop().time():
            return 0
        busy = list(self._under_way.values())
        room, width = LANES - len(busy), WIDTH
        if id not in self._good:
            room, width = min(room, DOUBTFUL_LANES - self._doubtful()), DOUBTFUL_WIDTH
        return max(0, min(room, width - busy.count(id)))

    def _doubtful(self) -> int:
        return sum(id not in self._good for id in self._under_way.values())

    def _ended(self, task: "asyncio.Task[None]") -> None:
        id = self._under_way.pop(task)
        error = task.exception()
        if isinstance(error, PortalError):
            log.get().warning("webhook_waits", webhook=str(id), error=str(error))
        elif error is not None:
            log.get().error("webhook_lane_failed", webhook=str(id), exc_info=error)

    async def _due(self) -> list[tuple[Firm, UUID, int]]:
        """Webhooks with the number of events that could go out now."""
        portal, moment = self._portal, now()
        async with portal.db.connection() as c:
            names = await webhooks.firms_due(c, moment)
        found = []
        for firm in (portal.firms[n] for n in names if n in portal.firms):
            async with portal.db.tenant(firm.id) as c:
                waiting = await webhooks.due(c, moment, WIDTH)
            found += [(firm, id, count) for id, count in waiting.items()]
        return found

    async def _lane(self, firm: Firm, id: UUID) -> None:
        """One event after another, as long as it is this webhook's turn. That one was taken in is
        noted when the next is claimed: two commits in one."""
        clock = asyncio.get_running_loop().time
        taken: Claimed | None = None
        for _ in range(TURN):
            begun = clock()
            one, event = await self._next(firm, id, taken)
            taken = None
            if one is None:
                return
            try:
                await self._send(one, event)
            except _Failed as e:
                await _failed(self._portal, firm, one, e)
                if self._rest(firm, id):
                    return
            else:
                taken = one
                del self._failures[id]
            if taken and clock() - begun <= SLOW:
                self._good.add(id)
                continue
            self._good.discard(id)
            if self._doubtful() > DOUBTFUL_LANES:
                break
        if taken:
            await self._next(firm, id, taken, more=False)

    def _rest(self, firm: Firm, id: UUID) -> bool:
        """It failed once more; whether it gets nothing now for a while."""
        self._good.discard(id)
        self._failures[id] += 1
        rest = rules.rest(self._failures[id]).total_seconds()
        if rest:
            self._rests[id] = asyncio.get_running_loop().time() + rest
            log.get().warning("webhook_rests", firm=firm.id, webhook=str(id), seconds=rest)
        return rest > 0

    async def _next(
        self, firm: Firm, id: UUID, taken: Claimed | None, *, more: bool = True
    ) -> tuple[Claimed | None, Event | None]:
        """Note what was taken in, and claim what is due. None when nothing is, or no more is
        wanted."""
        if taken is None and self._stopping:
            return None, None
        moment, one, event = now(), None, None
        async with self._portal.db.tenant(firm.id) as c:
            if taken is not None:
                await webhooks.sent(c, taken)
            if more and not self._stopping:
                one = await webhooks.claim(c, id, moment, moment + ATTEMPT)
            if one is not None:
                event = await events.one(c, one.number)
        if taken is not None:
            log.get().info("webhook_sent", **_about(firm, taken))
        return one, event

    async def _send(self, one: Claimed, event: Event | None) -> None:
        """One attempt. Raises _Failed."""
        if event is None or one.staat is None:
            raise _Failed("internal", f"no event {one.number}")
        event = replace(event, state=State(one.staat))
        body = json.dumps(told(event), ensure_ascii=False, separators=(",", ":")).encode()
        id = rules.message_id(one.webhook, one.number)
        try:
            secret = self._portal.keys.open("webhook", one.secret_sealed)
            self._portal.egress.check_url(one.url)  # the policy may have changed since
            headers = rules.headers(secret, id, int(now().timestamp()), body)
            status = await self._post(one.url, body, headers)
        except ConfigInvalid as e:
            raise _Failed("egress", str(e)) from None
        except TimeoutError:
            raise _Failed("timeout") from None
        except aiohttp.ClientSSLError as e:
            raise _Failed(_tls(e), str(e)) from None
        except (aiohttp.ClientError, OSError) as e:
            raise _Failed("connection", _said(e)) from None
        except Exception as e:  # whatever it is, it is this event's alone
            log.get().error("webhook_surprise", webhook=str(one.webhook), exc_info=e)
            raise _Failed("internal", type(e).__name__) from None
        if not 200 <= status < 300:
            raise _Failed(f"http {status}")

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status of the answer. What else it says is of no use, and is not kept."""
        async with self._context.http().post(
            URL(url, encoded=True),
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TOTAL, connect=CONNECT),
            read_bufsize=ANSWER,
        ) as answer:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await answer.content.read(ANSWER)
            return answer.status


def _tls(error: aiohttp.ClientSSLError) -> str:
    """With what is wrong with the certificate, if that is it."""
    told = getattr(error, "certificate_error", None)
    return (
        f"tls: {told.verify_message}" if isinstance(told, ssl.SSLCertVerificationError) else "tls"
    )


def _said(error: Exception) -> str:
    """What a connection's error says; an address with its path is not in it."""
    return str(error) if isinstance(error, aiohttp.ClientConnectorError) else type(error).__name__


async def _failed(portal: Portal, firm: Firm, one: Claimed, error: _Failed) -> None:
    """Write down that an attempt failed: another one later, none any more, or none at all."""
    moment, gone = now(), error.word == GONE
    final = gone or moment - one.created_at > rules.PATIENCE
    async with portal.db.tenant(firm.id) as c:
        if gone and await webhooks.end(c, one.webhook, error.word):
            await audit.record(
                c, "webhook_ended", firm=firm.id, subject=f"webhook:{one.webhook}",
                data={"by": "ontvanger", "why": error.word},
            )  # fmt: skip
        elif final:
            await webhooks.give_up(c, one, error.word)
        else:
            await webhooks.later(c, one, moment + rules.wait(one.tries), error.word)
    log.get().warning(
        "webhook_failed", **_about(firm, one), final=final, trouble=error.word, error=error.detail
    )
    if gone:
        log.get().warning("webhook_ended", firm=firm.id, webhook=str(one.webhook))


def _about(firm: Firm, one: Claimed) -> dict[str, Any]:
    return {
        "firm": firm.id, "webhook": str(one.webhook), "number": one.number, "tries": one.tries,
    }  # fmt: skip
