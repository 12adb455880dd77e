"""The whole application over a real PostgreSQL, and a person with a browser and a telephone."""

import dataclasses
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, CookieJar, web
from aiohttp.test_utils import TestClient

from gateway import app as application
from gateway import settings
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.flows import people
from gateway.flows.portal import Portal
from gateway.notify.sms import SmsFailed, SmsSender

PASSWORD = "vier losse stoeptegels fluiten"
LOGO = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

_GATEWAY = """\
base_url: {base_url}
also: [localhost]
key: env:MAP_TEST_KEY
database: {{url: "{dsn}"}}
sms: {{via: {{kind: simulator, url: "http://127.0.0.1:1/"}}, ten_minutes: 100, day: 100}}
mail: {{host: 127.0.0.1, port: 1, tls: none}}
"""
_FIRM = """\
id: {id}
name: {name} Accountants
short: {name}
host: {id}.example
style: {{primary: "#1f5c4d", accent: "#d9a441", logo: logo.svg}}
address:
  lines: [Lindelaan 12, 0000 AA Voorbeeldstad]
  phone: 000 - 123 45 67
  mail: info@{id}.example
information: {{nl: "Wij zijn {name}.", en: "We are {name}."}}
employees:
  - {{id: eva, name: Eva van Loon, function: {{nl: Relatiebeheerder, en: Client manager}},
     phone: 000 - 123 45 61, mail: eva@{id}.example, photo: eva.svg}}
  - {{id: karim, name: Karim Azzouz, function: Adviseur,
     phone: 000 - 123 45 62, mail: karim@{id}.example}}
relatiebeheerder: eva
mail: {{sender: portal@{id}.example}}
"""


class Telephone(SmsSender):
    """Keeps the messages that it gets; out of reach while `broken`."""

    provider = "test"

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, str]] = []
        self.broken = False

    async def _send(self, to: str, sender: str, body: str) -> None:
        if self.broken:
            raise SmsFailed("out of reach")
        self.messages.append((to, sender, body))

    async def aclose(self) -> None:
        """Nothing is held."""

    @property
    def code(self) -> str:
        """The newest code: "123-456"."""
        found = re.search(r"\d{3}-\d{3}", self.messages[-1][2])
        assert found
        return found[0]


def write_settings(folder: Path, dsn: str, base_url: str = "http://127.0.0.1") -> Path:
    """A folder with the settings of two firms."""
    (folder / "firms").mkdir(parents=True)
    (folder / "gateway.yaml").write_text(_GATEWAY.format(dsn=dsn, base_url=base_url))
    for id, name in (("eikenhof", "Eikenhof"), ("wilgenhof", "Wilgenhof")):
        (folder / "firms" / f"{id}.yaml").write_text(_FIRM.format(id=id, name=name))
    for picture in ("logo.svg", "eva.svg"):
        (folder / "firms" / picture).write_text(LOGO)
    return folder


@pytest.fixture
def base_url() -> str:
    """The address of the installation; a module may say another."""
    return "http://127.0.0.1"


@pytest.fixture
async def portal(
    dsn: str, tmp_path: Path, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Portal]:
    """The opened portal, with a telephone instead of a provider."""
    monkeypatch.setenv("MAP_TEST_KEY", "k" * 44)
    found = settings.load(write_settings(tmp_path / "config", dsn, base_url))
    async with application.opened(found) as opened:
        yield dataclasses.replace(opened, sms=Telephone())


@pytest.fixture
def phone(portal: Portal) -> Telephone:
    """The telephone of everybody."""
    assert isinstance(portal.sms, Telephone)
    return portal.sms


@pytest.fixture
def firm(portal: Portal) -> Firm:
    """The firm that most tests are about."""
    return portal.firms["eikenhof"]


@pytest.fixture
def portal_app(portal: Portal, tmp_path: Path) -> web.Application:
    """The application."""
    return application.build(portal, pictures=tmp_path / "config" / "firms")


@pytest.fixture
async def client(aiohttp_client: Any, portal_app: web.Application) -> TestClient[Any, Any]:
    """A client with a cookie jar of its own."""
    made: TestClient[Any, Any] = await aiohttp_client(
        portal_app, cookie_jar=CookieJar(unsafe=True)
    )
    return made


class Browser:
    """Follows links and sends forms as a person does, with the form token of the last page."""

    def __init__(self, client: TestClient[Any, Any]) -> None:
        self.client = client
        self.page = ""
        self.answer: ClientResponse | None = None

    @property
    def token(self) -> str:
        """The form token of the last page."""
        found = re.search(r'name="form_token" value="([^"]+)"', self.page)
        return found[1] if found else ""

    @property
    def text(self) -> str:
        """What is read on the last page: without tags, one blank between words."""
        body = re.sub(r"(?s)<(style|script|head).*?</\1>", " ", self.page)
        plain = re.sub(r"<[^>]+>", "", body)
        for entity, char in (("&#39;", "'"), ("&#34;", '"'), ("&amp;", "&")):
            plain = plain.replace(entity, char)
        return " ".join(plain.split())

    @property
    def path(self) -> str:
        """Where we are."""
        assert self.answer is not None
        return self.answer.url.raw_path_qs

    async def get(self, path: str, status: int = 200, **headers: str) -> str:
        """Open a page; redirects are followed."""
        self.answer = await self.client.get(
            path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )
        self.page = await self.answer.text()
        assert self.answer.status == status, (self.answer.status, self.text)
        return self.page

    async def post(self, path: str, status: int = 200, **fields: str) -> str:
        """Send a form; redirects are followed."""
        self.answer = await self.client.post(path, data={"form_token": self.token} | fields)
        self.page = await self.answer.text()
        assert self.answer.status == status, (self.answer.status, self.text)
        return self.page

    def plant(self, name: str, value: str) -> None:
        """Put a cookie into the jar, as somebody else would."""
        self.client.session.cookie_jar.update_cookies(
            {f"map-{name}": value}, self.client.make_url("/")
        )

    def cookie(self, name: str) -> str:
        """The value of a cookie, or ""."""
        for one in self.client.session.cookie_jar:
            if one.key == f"map-{name}":
                return one.value
        return ""


@pytest.fixture
def browser(client: TestClient[Any, Any]) -> Browser:
    """A person's browser."""
    return Browser(client)


Register = Callable[..., Awaitable[str]]


@pytest.fixture
def register(portal: Portal) -> Register:
    """Make a person who can sign in; gives the username."""

    async def make(
        username: str = "sanne@bakkerij.example",
        *,
        name: str = "Sanne Meulenbelt",
        firm: str = "eikenhof",
        klanten: tuple[Klant, ...] = (Klant("400100", "Bakkerij Het Brood B.V."),),
        mobile: str = "06 12345678",
    ) -> str:
        office = portal.firms[firm]
        await people.put_klanten(portal, office, klanten)
        person = await people.add(
            portal,
            office,
            username=username,
            name=name,
            mobile=mobile,
            klanten_of=[k.number for k in klanten],
        )
        hashed = await portal.passwords.hash(PASSWORD)
        async with portal.db.tenant(firm) as c:
            await c.execute(
                "update person set password = $2, password_at = now(), state = 'active'"
                " where id = $1",
                person.id,
                hashed,
            )
        return username

    return make


SignIn = Callable[..., Awaitable[None]]


@pytest.fixture
def sign_in(browser: Browser, phone: Telephone) -> SignIn:
    """Take the whole way in, as the manual tells it."""

    async def go(username: str = "sanne@bakkerij.example", start: str = "") -> None:
        await browser.get(f"{start}/inloggen")
        await browser.post(f"{start}/inloggen", gebruikersnaam=username, wachtwoord=PASSWORD)
        first, _, second = phone.code.partition("-")
        await browser.post("/inloggen/token", code1=first, code2=second)

    return go
