"""Failures as problem+json (RFC 9457): what happened, and every fault with its field."""

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gateway import log
from gateway.domain import package
from gateway.errors import (
    Denied,
    Invalid,
    NotFound,
    PortalError,
    SourceError,
    TooMany,
)
from gateway.flows.intake import Twice
from gateway.scan import ScannerDown
from gateway.store.database import DatabaseDown

TITLES = {
    400: "Het verzoek is niet te lezen",
    401: "Deze sleutel kennen wij niet",
    403: "Deze sleutel staat dit niet toe",
    404: "Dit is er niet",
    405: "Deze methode kan hier niet",
    408: "Het verzoek kwam niet op tijd binnen",
    409: "Dit is er al, of kan niet meer",
    413: "Het verzoek is te groot",
    415: "Dit soort inhoud kan hier niet",
    422: "De gegevens kloppen niet",
    429: "Te veel verzoeken",
    500: "Er ging bij ons iets mis",
    502: "De bron gaf geen goed antwoord",
    503: "Het portaal of de bron is even niet bereikbaar",
    504: "De bron antwoordde niet op tijd",
}


#: Faults of one answer; how many more there are is told.
MOST_FAULTS = 200


class Problem(Exception):
    """Ends the request with a status. faults: by field. more: members beside the standard ones."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        faults: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.faults = dict(faults or {})
        self.headers, self.more = dict(headers or {}), more

    def told(self) -> dict[str, Any]:
        """The members of the answer."""
        told: dict[str, Any] = {
            "type": "about:blank",
            "title": TITLES.get(self.status, "Fout"),
            "status": self.status,
        }
        if self.detail:
            told["detail"] = self.detail
        if self.faults:
            some = itertools.islice(self.faults.items(), MOST_FAULTS)
            told["fouten"] = [{"veld": package.field(k), "melding": v} for k, v in some]
            if (more := len(self.faults) - MOST_FAULTS) > 0:
                told["fouten"].append({"veld": "", "melding": f"En nog {more} fouten."})
        return told | self.more

    def response(self) -> web.Response:
        """As it goes out."""
        return web.Response(
            status=self.status,
            body=json.dumps(self.told(), ensure_ascii=False).encode(),
            content_type="application/problem+json",
            headers=self.headers,
        )


def of(error: Exception) -> Problem:
    """What an error is told as. What is not foreseen is logged with its traceback."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Twice):
        return Problem(409, str(error), faults=error.faults, stuk=str(error.id))
    if isinstance(error, Invalid):
        return Problem(422, faults=error.faults)
    if isinstance(error, TooMany):
        wait = str(math.ceil(error.retry_after))
        return Problem(429, headers={"Retry-After": wait})
    if isinstance(error, Denied):
        return Problem(403, str(error))
    if isinstance(error, NotFound):
        return Problem(404)
    if isinstance(error, SourceError):
        log.get().warning("source_failed", code=error.code, error=str(error))
        status = error.status if error.status in TITLES else 502
        return Problem(status, f"bron: {error.code}", headers=_again(status))
    if isinstance(error, DatabaseDown | ScannerDown):
        log.get().warning("not_available", error=str(error))
        return Problem(503, headers=_again(503))
    if isinstance(error, PortalError):
        log.get().warning("refused", error=str(error))
        return Problem(409)
    if isinstance(error, ConnectionError):  # nobody hears the answer
        log.get().info("sender_left")
        return Problem(400)
    if isinstance(error, web.RequestPayloadError):
        return Problem(400, "De Content-Encoding klopt niet, of het verzoek brak af.")
    if isinstance(error, web.HTTPException):
        return Problem(error.status if error.status in TITLES else 400)
    log.get().error("surprise", exc_info=error)
    return Problem(500)


def _again(status: int) -> dict[str, str]:
    return {"Retry-After": "30"} if status in (503, 504) else {}
