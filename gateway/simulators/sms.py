"""A text message provider, and the telephone that gets the messages.

``GET /`` gives what was sent as a JSON list, newest last (``to``, ``from``, ``body``, ``at``); a
browser gets a page to read. ``DELETE /`` forgets them. Three ways in:

* ``POST /`` with ``{"to", "from", "body"}``;
* ``POST /messages`` as the classic MessageBird API takes it;
* ``POST /v1/sms/messages`` as Bird's v1 API takes it (403 without User-Agent, 400 without
  Idempotency-Key).

The end of the number chooses the outcome: 900 an error of the provider (500), 901 no answer
for a minute, 902 refused (422), 903 too many (429).
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.simulators import view
from gateway.simulators.kept import Kept

_OUTCOMES = {"900": 500, "902": 422, "903": 429}


def build(file: Path | None = None) -> web.Application:
    """The simulator. file: where messages are kept between runs."""
    kept = Kept(file)

    async def received(to: str, sender: str, body: str) -> int:
        if to.endswith("901"):
            await asyncio.sleep(60)
        status = _OUTCOMES.get(to[-3:], 200)
        if status == 200:
            kept.add(**{"to": to, "from": sender, "body": body})
        return status

    async def listing(request: web.Request) -> web.Response:
        if "text/html" in request.headers.get("Accept", ""):
            return view.page("Sms", kept.all(), ("to", "from", "body", "at"))
        return web.json_response(kept.all())

    async def clear(_: web.Request) -> web.Response:
        kept.clear()
        return web.Response(status=204)

    async def plain(request: web.Request) -> web.Response:
        m = await _json(request, "to", "from", "body")
        status = await received(m["to"], m["from"], m["body"])
        return web.json_response({}, status=201 if status == 200 else status)

    async def classic(request: web.Request) -> web.Response:
        if not request.headers.get("Authorization", "").startswith("AccessKey "):
            return _errors(401, 2, "Request not allowed (incorrect access_key)")
        m = await _json(request, "recipients", "originator", "body")
        status = await received(f"+{m['recipients']}", m["originator"], m["body"])
        if status == 422:
            return _errors(422, 9, "no (correct) recipients found")
        return web.json_response({"id": "simulated"}, status=201 if status == 200 else status)

    async def bird(request: web.Request) -> web.Response:
        if not request.headers.get("User-Agent"):
            return web.json_response({"code": "Forbidden"}, status=403)
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            return web.json_response({"code": "Unauthorized"}, status=401)
        if not request.headers.get("Idempotency-Key"):
            return web.json_response({"code": "InvalidPayload"}, status=400)
        m = await _json(request, "to", "from", "text")
        status = await received(m["to"], m["from"], m["text"])
        return web.json_response({"id": "simulated"}, status=202 if status == 200 else status)

    app = web.Application()
    app.router.add_get("/", listing)
    app.router.add_delete("/", clear)
    app.router.add_post("/", plain)
    app.router.add_post("/messages", classic)
    app.router.add_post("/v1/sms/messages", bird)
    return app


async def _json(request: web.Request, *fields: str) -> dict[str, Any]:
    """The message, which has these fields. Raises HTTPBadRequest."""
    try:
        found = json.loads(await request.text())
    except ValueError:
        raise web.HTTPBadRequest(text="JSON is expected") from None
    if not isinstance(found, dict) or not found.keys() >= set(fields):
        raise web.HTTPBadRequest(text=f"a JSON object is expected, with {', '.join(fields)}")
    return found


def _errors(status: int, code: int, description: str) -> web.Response:
    body = {"errors": [{"code": code, "description": description, "parameter": None}]}
    return web.json_response(body, status=status)
