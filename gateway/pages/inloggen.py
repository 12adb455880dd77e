"""Signing in (manual 2.1, 2.2): password, SMS token, and what to do when one of them fails."""

from collections.abc import Mapping

from aiohttp import web

from gateway.errors import Denied, Invalid, TooMany
from gateway.flows import codes, people, signing_in, visitor, welkom
from gateway.flows.signing_in import Choice, Half
from gateway.flows.visitor import From
from gateway.pages import messages, render
from gateway.pages.context import here, named_firm, portal, signed_in
from gateway.pages.cookies import set_cookie
from gateway.pages.kantoor import start_of
from gateway.pages.routing import Access, Routes, local_path
from gateway.pages.security import FORM

ROUTES = Routes()

YEAR = 365 * 24 * 3600


def _origin(request: web.Request) -> From:
    return From(
        here(request).address, request.headers.get("User-Agent", ""), here(request).language
    )


def _onward(text: str | None) -> str | None:
    """Where to go after signing in; not back into it."""
    path = local_path(text)
    return None if path is None or path.startswith("/inloggen") else path


# --- username and password


@ROUTES.get("/inloggen", Access.PUBLIC)
@ROUTES.get("/kantoor/{firm}/inloggen", Access.PUBLIC)
async def ask_password(request: web.Request) -> web.StreamResponse:
    """The form; who is signed in already goes on."""
    onward = _onward(request.query.get("verder"))
    visitor, firm = here(request).visitor, named_firm(request)
    if visitor is not None and visitor.stage == "full" and firm in (None, visitor.firm):
        return render.redirect(request, onward or "/welkom")
    return _password_page(request, onward=onward, message=messages.asked(request))


def _password_page(
    request: web.Request,
    *,
    username: str = "",
    onward: str | None,
    faults: Mapping[str, str] | None = None,
    message: messages.Message | None = None,
) -> web.Response:
    return render.page(
        request,
        "pages/inloggen/inloggen.html",
        status=400 if faults else 200,
        action=request.path,
        here=request.path,
        username=username,
        verder=onward or "",
        faults=faults or {},
        message=message,
    )


@ROUTES.post("/inloggen", Access.PUBLIC)
@ROUTES.post("/kantoor/{firm}/inloggen", Access.PUBLIC)
async def take_password(request: web.Request) -> web.StreamResponse:
    """ "Ga verder"."""
    form = request[FORM]
    username, onward = form.get("gebruikersnaam", ""), _onward(form.get("verder"))
    try:
        step = await signing_in.check_password(
            portal(request),
            named_firm(request),
            username,
            form.get("wachtwoord", ""),
            _origin(request),
            onward=onward,
        )
    except Invalid as e:
        return _password_page(request, username=username, onward=onward, faults=e.faults)
    if isinstance(step, Choice):
        return _choice_page(request, step, onward)
    return _half_way(request, step)


def _choice_page(request: web.Request, choice: Choice, onward: str | None) -> web.Response:
    return render.page(
        request,
        "pages/inloggen/kies_kantoor.html",
        here="/inloggen",
        choices=choice.firms,
        ticket=choice.ticket,
        verder=onward or "",
    )


@ROUTES.post("/inloggen/kantoor", Access.PUBLIC)
async def take_firm(request: web.Request) -> web.StreamResponse:
    """One username at several firms: this one."""
    form = request[FORM]
    onward = _onward(form.get("verder"))
    try:
        half = await signing_in.choose_firm(
            portal(request),
            form.get("ticket", ""),
            form.get("kantoor", ""),
            _origin(request),
            onward=onward,
        )
    except Invalid:
        return render.redirect(request, "/inloggen?bericht=keuze")
    return _half_way(request, half)


def _half_way(request: web.Request, half: Half) -> web.Response:
    words = {codes.SMS_FAILED: "sms", signing_in.NO_MORE_SENDS: "wachten"}
    word = words.get(half.sms)
    response = render.redirect(request, "/inloggen/token" + (f"?bericht={word}" if word else ""))
    set_cookie(request, response, "sessie", half.cookie)
    return response


# --- the token


@ROUTES.get("/inloggen/token", Access.HALF)
async def ask_token(request: web.Request) -> web.StreamResponse:
    """The page with the two boxes."""
    return await _token_page(request, message=messages.asked(request))


async def _token_page(
    request: web.Request,
    *,
    faults: Mapping[str, str] | None = None,
    message: messages.Message | None = None,
) -> web.Response:
    visitor = signed_in(request)
    again = await signing_in.resend_state(portal(request), visitor)
    return render.page(
        request,
        "pages/inloggen/token.html",
        status=400 if faults else 200,
        here="/inloggen/token",
        half=visitor,
        wait=again.wait,
        left=again.left,
        faults=faults or {},
        message=message,
    )


@ROUTES.post("/inloggen/token", Access.HALF)
async def take_token(request: web.Request) -> web.StreamResponse:
    """ "Aanmelden": either box may hold the whole token."""
    form, visitor = request[FORM], signed_in(request)
    boxes = form.get("code1", ""), form.get("code2", "")
    try:
        cookie = await signing_in.confirm_code(portal(request), visitor, _origin(request), *boxes)
    except Invalid as e:
        return await _token_page(request, faults=e.faults)
    response = render.redirect(request, _onward(visitor.next) or "/welkom")
    set_cookie(request, response, "sessie", cookie)
    return response


@ROUTES.post("/inloggen/nieuw-token", Access.HALF)
async def new_token(request: web.Request) -> web.StreamResponse:
    """ "Nieuw token versturen": not too soon and not too often."""
    word = "token"
    try:
        await signing_in.send_code(portal(request), signed_in(request))
    except TooMany:
        word = "wachten"
    except Invalid:
        word = "sms"
    return render.redirect(request, f"/inloggen/token?bericht={word}")


@ROUTES.post("/inloggen/afbreken", Access.HALF)
async def break_off(request: web.Request) -> web.StreamResponse:
    """ "Afbreken": the half session ends."""
    return await _leave(request, "afgebroken")


async def _leave(request: web.Request, word: str) -> web.Response:
    visitor = here(request).visitor
    if visitor is not None:
        await signing_in.sign_out(portal(request), visitor)
    firm = visitor.firm if visitor else named_firm(request)
    response = render.redirect(request, f"{start_of(firm)}/inloggen?bericht={word}")
    set_cookie(request, response, "sessie", "")
    response.headers["Clear-Site-Data"] = '"storage"'
    return response


@ROUTES.get("/inloggen/deactiveren", Access.HALF)
async def ask_deactivation(request: web.Request) -> web.StreamResponse:
    """ "Account deactiveren" asks first; opening the page changes nothing."""
    return render.page(request, "pages/inloggen/deactiveren.html", half=signed_in(request))


@ROUTES.post("/inloggen/deactiveren", Access.HALF)
async def deactivate(request: web.Request) -> web.StreamResponse:
    """ "Account deactiveren", confirmed."""
    visitor = signed_in(request)
    await signing_in.deactivate(portal(request), visitor)
    response = render.redirect(request, f"{start_of(visitor.firm)}/gedeactiveerd")
    set_cookie(request, response, "sessie", "")
    return response


@ROUTES.get("/kantoor/{firm}/gedeactiveerd", Access.PUBLIC)
async def deactivated(request: web.Request) -> web.StreamResponse:
    """What happens after "Account deactiveren", and the way back."""
    named_firm(request)
    return render.page(request, "pages/inloggen/gedeactiveerd.html")


# --- forgotten


@ROUTES.get("/wachtwoord-vergeten", Access.PUBLIC)
@ROUTES.get("/kantoor/{firm}/wachtwoord-vergeten", Access.PUBLIC)
async def ask_username(request: web.Request) -> web.StreamResponse:
    """ "Wachtwoord vergeten?"."""
    return _forgotten(request, "wachtwoord", message=messages.asked(request))


@ROUTES.post("/wachtwoord-vergeten", Access.PUBLIC)
@ROUTES.post("/kantoor/{firm}/wachtwoord-vergeten", Access.PUBLIC)
async def mail_link(request: web.Request) -> web.StreamResponse:
    """The same answer, whether or not there is such an account."""
    typed = request[FORM].get("gebruikersnaam", "")
    try:
        await people.forgot_password(portal(request), named_firm(request), typed, _origin(request))
    except Invalid as e:
        return _forgotten(request, "wachtwoord", typed, e.faults)
    return _sent(request, "wachtwoord")


@ROUTES.get("/gebruikersnaam-vergeten", Access.PUBLIC)
@ROUTES.get("/kantoor/{firm}/gebruikersnaam-vergeten", Access.PUBLIC)
async def ask_mobile(request: web.Request) -> web.StreamResponse:
    """ "Gebruikersnaam vergeten?"."""
    return _forgotten(request, "gebruikersnaam")


@ROUTES.post("/gebruikersnaam-vergeten", Access.PUBLIC)
@ROUTES.post("/kantoor/{firm}/gebruikersnaam-vergeten", Access.PUBLIC)
async def mail_username(request: web.Request) -> web.StreamResponse:
    """The same answer, whether or not there is such a number."""
    typed = request[FORM].get("mobiel", "")
    try:
        await people.forgot_username(portal(request), named_firm(request), typed, _origin(request))
    except Invalid as e:
        return _forgotten(request, "gebruikersnaam", typed, e.faults)
    return _sent(request, "gebruikersnaam")


def _forgotten(
    request: web.Request,
    what: str,
    typed: str = "",
    faults: Mapping[str, str] | None = None,
    message: messages.Message | None = None,
) -> web.Response:
    named_firm(request)
    return render.page(
        request,
        f"pages/inloggen/{what}_vergeten.html",
        status=400 if faults else 200,
        action=request.path,
        here=request.path,
        typed=typed,
        faults=faults or {},
        message=message,
    )


def _sent(request: web.Request, what: str) -> web.Response:
    return render.page(request, "pages/inloggen/verzonden.html", here=request.path, what=what)


# --- a new password


@ROUTES.get("/wachtwoord/{firm}/{token}", Access.PUBLIC)
async def ask_new_password(request: web.Request) -> web.StreamResponse:
    """Behind the link in the mail. Opening it changes nothing: mail scanners do it too."""
    return await _new_password_page(request, {})


async def _new_password_page(
    request: web.Request, faults: Mapping[str, str]
) -> web.StreamResponse:
    firm_id, token = request.match_info["firm"], request.match_info["token"]
    try:
        chooser = await people.behind_link(portal(request), firm_id, token)
    except Denied:
        return _dead_link(request)
    return render.page(
        request,
        "pages/inloggen/wachtwoord_kiezen.html",
        status=400 if faults else 200,
        action=request.path,
        here=request.path,
        rule=chooser.rule,
        faults=faults,
    )


def _dead_link(request: web.Request) -> web.Response:
    start = start_of(named_firm(request))
    return render.redirect(request, f"{start}/wachtwoord-vergeten?bericht=link")


@ROUTES.post("/wachtwoord/{firm}/{token}", Access.PUBLIC)
async def take_new_password(request: web.Request) -> web.StreamResponse:
    """The link is used up when the password has been chosen."""
    form = request[FORM]
    firm_id, token = request.match_info["firm"], request.match_info["token"]
    new, again = form.get("nieuw", ""), form.get("bevestig", "")
    try:
        firm = await people.choose_password(portal(request), firm_id, token, new, again)
    except Denied:
        return _dead_link(request)
    except Invalid as e:
        return await _new_password_page(request, e.faults)
    return render.redirect(request, f"{start_of(firm)}/inloggen?bericht=wachtwoord")


# --- while signed in


@ROUTES.post("/uitloggen", Access.PUBLIC)
async def sign_out(request: web.Request) -> web.StreamResponse:
    """ "Uitloggen"; also for who was signed out already."""
    return await _leave(request, "uitgelogd")


@ROUTES.post("/sessie/verlengen", Access.SESSION)
async def stay(request: web.Request) -> web.StreamResponse:
    """ "Blijf ingelogd": asked by the script of the page, told in seconds."""
    until = await signing_in.extend(portal(request), signed_in(request))
    left = (until - visitor.now()).total_seconds()
    return web.json_response({"seconds": max(0, int(left))})


@ROUTES.post("/taal", Access.PUBLIC)
async def language(request: web.Request) -> web.StreamResponse:
    """Another language, remembered in the browser and with the person."""
    form, visitor = request[FORM], here(request).visitor
    chosen = "en" if form.get("taal") == "en" else "nl"
    if visitor is not None:
        await welkom.speak(portal(request), visitor, chosen)
    response = render.redirect(request, local_path(form.get("terug")) or "/")
    set_cookie(request, response, "taal", chosen, YEAR)
    return response
