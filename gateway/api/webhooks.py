"""Webhooks: where a package lets events be sent, and what could not be."""

from typing import Any
from uuid import UUID

from gateway.api.models import (
    DodenUit,
    DodeUit,
    Geteld,
    OpnieuwIn,
    WebhookIn,
    WebhooksUit,
    WebhookUit,
)
from gateway.api.operation import Answer, Call, Operations
from gateway.api.problem import Problem
from gateway.domain.package import Scope
from gateway.flows import webhooks
from gateway.store.webhooks import Webhook

OPERATIONS = Operations()


@OPERATIONS.add(
    "POST", "/webhooks", Scope.WEBHOOKS, "Gebeurtenissen laten bezorgen", body=WebhookIn,
    gives=WebhookUit, status=201,
)  # fmt: skip
async def maak_webhook(call: Call[WebhookIn, None]) -> Answer:
    """The secret stands in this answer only."""
    made = await webhooks.make(call.portal, call.caller, str(call.body.url), call.body.vanaf)
    return Answer(_told(made.webhook, made.secret), 201)


@OPERATIONS.add(
    "GET", "/webhooks", Scope.WEBHOOKS, "Waar gebeurtenissen bezorgd worden", gives=WebhooksUit
)
async def lees_webhooks(call: Call[None, None]) -> Answer:
    """Those that have not ended."""
    found = await webhooks.known(call.portal, call.caller)
    return Answer({"webhooks": [_told(w) for w in found]})


@OPERATIONS.add(
    "POST", "/webhooks/{id}/stoppen", Scope.WEBHOOKS, "Een webhook beëindigen", gives=WebhookUit
)
async def stop_webhook(call: Call[None, None]) -> Answer:
    """What was not delivered yet is given up."""
    return Answer(_told(await webhooks.end(call.portal, call.caller, _id(call))))


@OPERATIONS.add(
    "GET", "/webhooks/{id}/dood", Scope.WEBHOOKS, "Wat niet bezorgd kon worden", gives=DodenUit
)
async def lees_doden(call: Call[None, None]) -> Answer:
    """Oldest first."""
    found = await webhooks.dead(call.portal, call.caller, _id(call))
    told = [DodeUit(nummer=d.number, stuk=d.subject, pogingen=d.tries, reden=d.trouble)
            for d in found]  # fmt: skip
    return Answer(DodenUit(gebeurtenissen=told).model_dump(mode="json"))


@OPERATIONS.add(
    "POST", "/webhooks/{id}/opnieuw", Scope.WEBHOOKS, "Opnieuw bezorgen wat niet lukte",
    body=OpnieuwIn, gives=Geteld,
)  # fmt: skip
async def bezorg_opnieuw(call: Call[OpnieuwIn, None]) -> Answer:
    """How many go again."""
    count = await webhooks.again(call.portal, call.caller, _id(call), call.body.nummers)
    return Answer({"aantal": count})


def _id(call: Call[Any, Any]) -> UUID:
    try:
        return UUID(call.path["id"])
    except ValueError:
        raise Problem(404) from None


def _told(webhook: Webhook, secret: str | None = None) -> dict[str, Any]:
    told = WebhookUit(
        id=webhook.id, url=webhook.url, geheim=secret, wachtend=webhook.waiting, dood=webhook.dead
    )
    return told.model_dump(mode="json", exclude_none=True)
