"""What happened: rows are added in the transaction of the change, and never changed."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import structlog

from gateway.store.database import Connection


async def record(
    c: Connection,
    event: str,
    *,
    firm: str,
    person: UUID | None = None,
    klant: str | None = None,
    subject: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """One event. `data` holds ids and sealed values, never a name, number or content in clear."""
    request = structlog.contextvars.get_contextvars().get("request", "")
    await c.execute(
        "insert into audit (firm, event, person, klant, subject, request, data)"
        " values ($1, $2, $3, $4, $5, $6, $7::jsonb)",
        firm,
        event,
        person,
        klant,
        subject,
        request,
        json.dumps(dict(data or {})),
    )
