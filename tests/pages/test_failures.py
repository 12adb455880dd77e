"""Whatever goes wrong, there is a page that says what happened and what to do."""

from typing import Any

import jinja2
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway import errors
from gateway.pages import failures, render
from tests.pages.conftest import PASSWORD, Browser, Register, SignIn

COOKIE = "eikenhof." + "a" * 43


async def test_not_found(browser: Browser) -> None:
    await browser.get("/bestaat-niet", 404)
    assert "Deze pagina is er niet" in browser.text
    assert browser.answer is not None
    assert browser.answer.headers["X-Request-Id"] in browser.text
    await browser.get("/inloggen")
    await browser.post("/taal", taal="en", terug="/inloggen")
    await browser.get("/bestaat-niet", 404)
    assert "This page does not exist" in browser.text


async def test_a_method_that_is_not_allowed_names_those_that_are(
    browser: Browser, register: Register, sign_in: SignIn
) -> None:
    await sign_in(await register())
    await browser.post("/welkom", 405)
    assert browser.answer is not None
    assert browser.answer.headers["Allow"] == "GET,HEAD"
    await browser.get("/uitloggen", 405)
    assert browser.answer.status == 405
    await browser.get("/welkom")  # and nobody was signed out


async def test_machines_get_problem_json(client: TestClient[Any, Any]) -> None:
    for path, accept in (
        ("/bestaat-niet", "application/problem+json"),
        ("/bestaat-niet", "application/json"),
        ("/api/bestaat-niet", "*/*"),
    ):
        answer = await client.get(path, headers={"Accept": accept})
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        told = await answer.json()
        assert told["status"] == 404
        assert told["instance"] == f"urn:request:{answer.headers['X-Request-Id']}"


class TestWithoutDatabase:
    """PostgreSQL is away."""

    @pytest.fixture
    def dsn(self) -> str:
        return "postgresql://127.0.0.1:1/nowhere"

    async def test_the_sign_in_page_is_there_and_signing_in_says_later(
        self, browser: Browser
    ) -> None:
        await browser.get("/kantoor/eikenhof/inloggen")
        await browser.post(
            "/kantoor/eikenhof/inloggen", 503, gebruikersnaam="a@b.example", wachtwoord=PASSWORD
        )
        assert "Het portaal is even niet beschikbaar" in browser.text
        assert browser.answer is not None
        assert browser.answer.headers["Retry-After"] == "30"
        assert "Eikenhof Accountants" in browser.text

    async def test_who_is_signed_in_stays_so(self, browser: Browser) -> None:
        browser.plant("sessie", COOKIE)
        await browser.get("/welkom", 503)
        assert "<form" not in browser.page  # no form whose token could not be right
        assert browser.cookie("sessie") == COOKIE
        assert browser.answer is not None
        assert "Content-Security-Policy" in browser.answer.headers


class TestBroken:
    """The code itself fails."""

    @pytest.fixture
    def portal_app(self, portal_app: web.Application) -> web.Application:
        async def fails(request: web.Request) -> web.Response:
            raise RuntimeError("geheim 123")

        portal_app.router.add_get("/boem", fails)
        return portal_app

    async def test_a_surprise(self, browser: Browser) -> None:
        await browser.get("/boem", 500)
        assert "Er ging iets mis bij ons" in browser.text
        assert "geheim" not in browser.page
        assert "RuntimeError" not in browser.page

    async def test_the_page_itself_fails(
        self, browser: Browser, portal_app: web.Application
    ) -> None:
        nothing = jinja2.Environment(loader=jinja2.DictLoader({}), autoescape=True)
        for language in ("nl", "en"):
            portal_app[render.ENVIRONMENT][language] = nothing
        await browser.get("/boem", 500)
        assert "Er ging iets mis bij ons" in browser.text
        await browser.get("/inloggen", 500)
        await browser.get("/bestaat-niet", 404)


def _leaves(kind: type[errors.PortalError]) -> list[type[errors.PortalError]]:
    """The errors of gateway.errors; a module may have narrower ones of its own."""
    children = [c for c in kind.__subclasses__() if c.__module__ == errors.__name__]
    return [kind, *(leaf for child in children for leaf in _leaves(child))]


@pytest.mark.parametrize("kind", _leaves(errors.SourceError), ids=lambda k: k.__name__)
async def test_every_failure_of_a_source_has_a_page(
    kind: type[errors.SourceError], portal_app: web.Application, aiohttp_client: Any
) -> None:
    async def fails(request: web.Request) -> web.Response:
        raise kind("intern bericht")

    portal_app.router.add_get("/boem", fails)
    browser = Browser(await aiohttp_client(portal_app))
    await browser.get("/boem", kind.status)
    assert "intern bericht" not in browser.page
    assert browser.answer is not None
    assert ("Retry-After" in browser.answer.headers) == (kind.status == 503)
    assert failures.sentence(kind()) in {f.happened for f in _all()}


def _all() -> list[failures.Failure]:
    named = [value for value in vars(failures).values() if isinstance(value, failures.Failure)]
    return [*failures.FAILURES.values(), *named]


async def test_denied_and_not_found_look_the_same(
    portal_app: web.Application, aiohttp_client: Any
) -> None:
    for path, error in (("/a", errors.Denied()), ("/b", errors.NotFound())):

        async def fails(request: web.Request, error: Exception = error) -> web.Response:
            raise error

        portal_app.router.add_get(path, fails)
    browser = Browser(await aiohttp_client(portal_app))
    texts = []
    for path in ("/a", "/b"):
        await browser.get(path, 404)
        assert browser.answer is not None
        texts.append(browser.text.replace(browser.answer.headers["X-Request-Id"], ""))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("failure", _all(), ids=lambda f: f.title)
def test_every_failure_says_what_to_do(failure: failures.Failure) -> None:
    for sentence in filter(None, (failure.happened, failure.todo, failure.kept)):
        assert sentence.endswith("."), sentence
    assert not failure.title.endswith(".")
