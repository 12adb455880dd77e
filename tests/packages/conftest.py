"""An office whose packages call: with keys, over HTTP, to the whole application."""

import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient

from gateway.domain.klant import Klant
from gateway.domain.package import Scope
from gateway.flows import packages, people, stukbeheer
from tests.domain.xbrl import made
from tests.filing.conftest import (  # noqa: F401
    INSTANCES,
    KLANT,
    Office,
    office,
    person,
    pki,
    portal,
)
from tests.pages.conftest import (  # noqa: F401
    base_url,
    browser,
    client,
    firm,
    phone,
    portal_app,
    register,
    sign_in,
)

_KEYS = itertools.count(1)


@dataclass
class Answer:
    """status, headers and JSON of an answer."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def faults(self) -> dict[str, str]:
        """By field."""
        return {f["veld"]: f["melding"] for f in self.body.get("fouten", ())}


@dataclass
class Package:
    """A package with its key."""

    client: TestClient[Any, Any]
    key: str

    async def ask(
        self, method: str, path: str, json: Any = None, *, once: str | None = None, **more: Any
    ) -> Answer:
        """One request; a POST gets an Idempotency-Key of its own unless one is said."""
        headers = {"Authorization": f"Bearer {self.key}", **more.pop("headers", {})}
        if method == "POST":
            headers["Idempotency-Key"] = once or f"k{next(_KEYS)}"
        async with self.client.request(
            method, "/api/v1" + path, json=json, headers=headers, **more
        ) as r:
            body = await r.json(content_type=None)
            return Answer(r.status, r.headers, body)

    async def get(self, path: str, **more: Any) -> Answer:
        """A question."""
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        """A JSON body."""
        return await self.ask("POST", path, body, **more)

    async def put_up(
        self, stuk: Mapping[str, Any], files: Mapping[str, tuple[str, bytes]], **more: Any
    ) -> Answer:
        """A multipart; files by the name of their part: file name and bytes."""
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("stuk", json.dumps(stuk), content_type="application/json")
        for name, (filename, data) in files.items():
            form.add_field(name, data, filename=filename, content_type="application/octet-stream")
        return await self.ask("POST", "/stukken", data=form, **more)


@pytest.fixture
async def package(
    office: Office,  # noqa: F811
    client: TestClient[Any, Any],  # noqa: F811
) -> Callable[..., Awaitable[Package]]:
    """Makes a package with a key; every scope unless said."""

    async def make(*scopes: Scope, name: str = "Proefpakket") -> Package:
        key = await packages.make(office.portal, office.firm, name, scopes or tuple(Scope))
        return Package(client, key)

    return make


@pytest.fixture
async def proef(office: Office, package) -> Package:  # noqa: F811
    """A package with every scope, and a klant whose number is known."""
    await people.put_klanten(office.portal, office.firm, [Klant(KLANT, "Bakkerij Het Brood B.V.")])
    await stukbeheer.identify(office.portal, office.firm, KLANT, "BTW", made.NUMBER)
    return await package()


def ob(tag: int = 3240, **fields: Any) -> dict[str, Any]:
    """A stuk by content: something to read, and an instance."""
    return {
        "klant": KLANT, "soort": "ob", "jaar": 2026, "periode": "1e kwartaal",
        "onderdelen": [{"rol": "instance", "inhoud": "aangifte"},
                       {"rol": "akkoorddocument", "inhoud": "pdf"}],
        **fields,
    }  # fmt: skip


def ob_files(tag: int = 3240) -> dict[str, tuple[str, bytes]]:
    """Its documents."""
    return {
        "aangifte": (f"ob-{tag}.xbrl", INSTANCES["ob"](tag)),
        "pdf": (f"ob-{tag}.pdf", f"%PDF-1.4 ob {tag}".encode()),
    }
