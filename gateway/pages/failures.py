"""What went wrong, on a page: what happened, what was kept, what to do, and the request's id.

Whatever is broken, there is an answer: when the page itself cannot be made, a plain one that
needs no template, database or catalogue. Machines (``/api/``, or who asks for JSON) get
problem+json (RFC 9457). That something exists is not told: Denied looks like NotFound.
"""

import math
from dataclasses import dataclass, replace

from aiohttp import web
from markupsafe import escape

from gateway import log
from gateway.errors import Denied, Invalid, PortalError, SourceError, Stale, TooMany
from gateway.pages import render
from gateway.pages.context import here
from gateway.store.database import DatabaseDown

HOME = ("/", "Naar de startpagina")
SIGN_IN = ("/inloggen", "Naar de inlogpagina")
#: Seconds after which asking again makes sense when nobody knows better.
SOON = 30


@dataclass(frozen=True, slots=True)
class Failure:
    """Sentences in Dutch; the page translates them. ways: address and name of each button."""

    title: str
    happened: str
    todo: str
    kept: str = ""
    ways: tuple[tuple[str, str], ...] = (HOME,)


_NOTHING = "Er is niets gewijzigd."
_FAULTY = Failure(
    "Dat kon de server niet lezen",
    "Wat uw browser stuurde, was niet volledig of niet geldig.",
    "Ga terug en probeer het opnieuw.",
    _NOTHING,
)
_LATER = "Probeer het over enkele minuten opnieuw."

FAILURES = {
    400: _FAULTY,
    401: Failure(
        "U bent niet ingelogd",
        "Voor deze pagina moet u ingelogd zijn.",
        "Log in en probeer het opnieuw.",
        ways=(SIGN_IN,),
    ),
    403: Failure(
        "Dit verzoek is geweigerd",
        "Het verzoek kwam niet van een pagina van dit portaal.",
        "Open het portaal zelf, in een nieuw tabblad, en probeer het daar opnieuw.",
        _NOTHING,
    ),
    404: Failure(
        "Deze pagina is er niet",
        "De pagina of het document dat u zocht, bestaat niet of is niet voor u beschikbaar.",
        "Controleer het adres, of zoek verder vanaf de startpagina.",
    ),
    405: Failure(
        "Zo werkt deze pagina niet",
        "Deze pagina kan alleen via een knop of formulier van het portaal worden gebruikt.",
        "Ga terug en gebruik de knop op de pagina.",
        _NOTHING,
    ),
    408: Failure(
        "Het versturen duurde te lang",
        "Uw formulier kwam niet op tijd helemaal binnen.",
        "Controleer uw internetverbinding, ga terug en probeer het opnieuw.",
        _NOTHING,
    ),
    409: Failure(
        "Deze pagina was niet meer actueel",
        "Intussen is er iets veranderd: u hebt bijvoorbeeld in een ander tabblad een andere"
        " organisatie gekozen of u bent daar uitgelogd.",
        "Open de pagina opnieuw en probeer het nog eens.",
        _NOTHING,
    ),
    412: Failure(
        "Het document is intussen gewijzigd",
        "Dit is niet meer de versie die u opvroeg.",
        "Open het document opnieuw om de nieuwste versie te zien.",
        "Het document zelf is niet verloren.",
        (("/dossier", "Naar het dossier"),),
    ),
    413: Failure(
        "Dat is te groot",
        "Wat u verstuurde of opvroeg, is groter dan het portaal aankan.",
        "Maak het kleiner of verdeel het, of neem contact op met uw kantoor.",
        _NOTHING,
    ),
    415: Failure(
        "Dat soort gegevens kan hier niet",
        "Wat uw browser stuurde, is van een soort die deze pagina niet kent.",
        "Ga terug en gebruik het formulier op de pagina.",
        _NOTHING,
    ),
    416: Failure(
        "Dat deel van het document is er niet",
        "Uw browser vroeg om een deel dat buiten het document valt.",
        "Open het document opnieuw.",
        ways=(("/dossier", "Naar het dossier"),),
    ),
    421: Failure(
        "Dit adres is niet van het portaal",
        "Het adres in uw browser hoort niet bij dit portaal.",
        "Typ het adres van het portaal zelf, of gebruik de link op de website van uw kantoor.",
        ways=(),
    ),
    429: Failure(
        "Te veel pogingen",
        "Voor uw veiligheid kan dit nu even niet.",
        "Wacht even en probeer het dan opnieuw.",
        _NOTHING,
    ),
    500: Failure(
        "Er ging iets mis bij ons",
        "Het portaal kon dit niet afmaken. De fout is vastgelegd.",
        "Probeer het opnieuw. Blijft het misgaan, geef ons dan het meldingsnummer door.",
    ),
    501: Failure(
        "Dat kan hier niet",
        "Het systeem waar dit document staat, ondersteunt dit niet.",
        "Neem contact op met uw kantoor.",
    ),
    502: Failure(
        "Het systeem van uw kantoor gaf geen goed antwoord",
        "Het document kon niet uit het systeem van uw kantoor worden gehaald.",
        _LATER,
        "Het document zelf is niet verloren.",
        (("/dossier", "Naar het dossier"),),
    ),
    503: Failure(
        "Het portaal is even niet beschikbaar",
        "Een onderdeel van het portaal is op dit moment niet bereikbaar.",
        _LATER,
        "Uw gegevens zijn veilig. Wat u net verstuurde, is misschien niet verwerkt: controleer"
        " dat straks.",
    ),
    504: Failure(
        "Het systeem van uw kantoor antwoordt niet op tijd",
        "Het document kon niet op tijd uit het systeem van uw kantoor worden gehaald.",
        _LATER,
        "Het document zelf is niet verloren.",
        (("/dossier", "Naar het dossier"),),
    ),
}
_SOURCE_AWAY = Failure(
    "Het document is nu niet bereikbaar",
    "Het systeem van uw kantoor waar dit document staat, is op dit moment niet bereikbaar.",
    _LATER,
    "Het document zelf is niet verloren.",
    (("/dossier", "Naar het dossier"),),
)
_FORM_ENDED = Failure(
    "Uw sessie is verlopen",
    "U was langer niet actief, of u bent in een ander tabblad uitgelogd.",
    "Log opnieuw in en probeer het nog eens.",
    "Wat u net verstuurde, is niet verwerkt.",
    (SIGN_IN,),
)
_FORM_STALE = Failure(
    "Deze pagina was niet meer actueel",
    "Het formulier hoorde bij een eerdere sessie, of uw browser bewaart geen cookies.",
    "Open de pagina opnieuw en probeer het nog eens. Sta cookies van dit portaal toe.",
    "Wat u net verstuurde, is niet verwerkt.",
)


def of_status(request: web.Request, status: int) -> web.Response:
    """The page for an HTTP status."""
    known = status if status in FAILURES else 500 if status >= 500 else 400
    response = _answer(request, status, FAILURES[known])
    refused = request.match_info.http_exception
    if status == 405 and refused is not None and "Allow" in refused.headers:
        response.headers["Allow"] = refused.headers["Allow"]
    return response


def of_error(request: web.Request, error: PortalError) -> web.Response:
    """The page for a failure of the portal or of a source."""
    match error:
        case Denied():
            return of_status(request, 404)
        case TooMany():
            return _answer(request, 429, FAILURES[429], wait=error.retry_after)
        case DatabaseDown():
            return _answer(request, 503, FAILURES[503], wait=SOON)
        case Invalid():
            wrong = " ".join(error.faults.values())
            return _answer(request, 400, replace(_FAULTY, happened=wrong))
        case Stale():
            return of_status(request, 409)
        case SourceError():
            return _of_source(request, error)
    log.get().error("surprise", exc_info=error)
    return of_status(request, 500)


def _of_source(request: web.Request, error: SourceError) -> web.Response:
    log.get().warning("source_failed", code=error.code, native=error.native, error=str(error))
    if error.status == 503:
        return _answer(request, 503, _SOURCE_AWAY, wait=error.retry_after or SOON)
    return of_status(request, error.status)


def of_stale_form(request: web.Request) -> web.Response:
    """The page for a form whose token is not of this session."""
    ended = here(request).cookie_is_stale
    return _answer(request, 403, _FORM_ENDED if ended else _FORM_STALE)


def sentence(error: PortalError) -> str:
    """What a failure is, in one Dutch sentence."""
    if isinstance(error, SourceError):
        found = _SOURCE_AWAY if error.status == 503 else FAILURES.get(error.status, FAILURES[502])
        return found.happened
    return FAILURES[404 if isinstance(error, Denied) else 500].happened


def for_machines(request: web.Request) -> bool:
    """Whether a program asked, not a person."""
    accept = request.headers.get("Accept", "")
    return request.path.startswith("/api/") or ("json" in accept and "text/html" not in accept)


def _answer(
    request: web.Request, status: int, failure: Failure, *, wait: float | None = None
) -> web.Response:
    seconds = math.ceil(wait) if wait is not None else None
    if for_machines(request):
        response = _problem(request, status, failure)
    else:
        response = _page(request, status, failure, seconds)
    if seconds is not None:
        response.headers["Retry-After"] = str(seconds)
    return response


def _problem(request: web.Request, status: int, failure: Failure) -> web.Response:
    told = {
        "type": "about:blank",
        "title": failure.title,
        "status": status,
        "detail": f"{failure.happened} {failure.todo}",
        "instance": f"urn:request:{here(request).id}",
    }
    return web.json_response(told, status=status, content_type="application/problem+json")


def _page(
    request: web.Request, status: int, failure: Failure, seconds: int | None
) -> web.Response:
    try:
        return render.page(
            request,
            "pages/fout.html",
            status=status,
            failure=failure,
            code=status,
            minutes=math.ceil(seconds / 60) if seconds else 0,
        )
    except Exception as e:  # the page about a failure must not fail
        log.get().error("error_page_failed", exc_info=e)
        return _plain(request, status, failure)


def _plain(request: web.Request, status: int, failure: Failure) -> web.Response:
    """A page that needs nothing."""
    html = (
        '<!DOCTYPE html><html lang="nl"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(failure.title)}</title></head><body><main>"
        f"<h1>{escape(failure.title)}</h1><p>{escape(failure.happened)}</p>"
        f"<p>{escape(failure.kept)}</p><p>{escape(failure.todo)}</p>"
        f"<p>Meldingsnummer: {escape(here(request).id)}</p></main></body></html>"
    )
    return web.Response(text=html, content_type="text/html", status=status)
