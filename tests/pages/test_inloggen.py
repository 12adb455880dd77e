"""Signing in, as the manual tells it (2.1, 2.2), and every way in which it goes otherwise."""

import re

import pytest

from gateway.domain.klant import Klant
from gateway.flows.portal import Portal
from tests.pages.conftest import PASSWORD, Browser, Register, SignIn, Telephone

SIGN_IN = (
    "Inloggen",
    "Meer informatie",
    "Verstuur uw gebruikersnaam en wachtwoord om verder te gaan met het authenticatieproces."
    " U krijgt een SMS token toegezonden.",
    "Gebruikersnaam",
    "Wachtwoord",
    "Gebruikersnaam vergeten?",
    "Wachtwoord vergeten?",
    "Ga verder",
    "Bent u al gebruiker van MijnAccountantsPortal en heeft u vragen of suggesties over het"
    " gebruik van de portal dan verzoeken wij u vriendelijk om contact op te nemen met uw"
    " contactpersoon van ons kantoor.",
    "Klik hier voor een nadere uitleg over MijnAccountantsPortal",
)
TOKEN = (
    "Het authenticatieproces",
    "Wij hebben veiligheid hoog in het vaandel staan. Om deze reden wordt voor gevoelige"
    " processen in het portaal gebruik gemaakt van sms tokens.",
    "Om toegang te krijgen tot het portaal krijgt u een sms token toegestuurd. Dit token dient u"
    " over te nemen op deze pagina. Het systeem zal valideren of het token dat u invoerde overeen"
    " komt met het token dat u was toegestuurd. Na deze verificatie krijgt u toegang tot het"
    " portaal.",
    "Ook bij processen binnen het portaal kan gevraagd worden om een token. Dit doen we om"
    " maximale veiligheid te bieden voor zaken zoals het versturen van aangiften en andere"
    " gevoelige informatie.",
    "Identiteitsbevestiging",
    "Er wordt getracht uw identiteit te bevestigen middels een SMS token. Dit token is verstuurd"
    " naar uw mobiele telefoon, waarvan het nummer hieronder vermeld staat.",
    "Voer hier uw SMS token in:",
    "Naam:",
    "Telefoonnr:",
    "SMS token:",
    "Aanmelden",
    "Herstel",
    "Afbreken",
    "Geen SMS ontvangen?",
    "Het kan een moment duren voordat u een token ontvangt. Mocht u het token niet binnen"
    " afzienbare tijd ontvangen dan kunt u met onderstaande knop een nieuw token aanvragen.",
    "Nieuw token versturen",
    "Telefoonnummer onjuist?",
    "Het kan zijn dat uw telefoonnummer is gewijzigd, of het juiste telefoonnummer niet bij ons"
    " bekend is. Als u op deze link klikt wordt uw account gedeactiveerd om misbruik van het"
    " verstuurd token te voorkomen.",
    "Account deactiveren",
    "Overige vragen?",
    "Voor vragen over de werking van het portaal kunt u contact opnemen met uw contactpersoon.",
)


async def half_way(browser: Browser, username: str) -> None:
    """To the page that asks for the token."""
    await browser.get("/inloggen")
    await browser.post("/inloggen", gebruikersnaam=username, wachtwoord=PASSWORD)
    assert browser.path == "/inloggen/token"


async def links(portal: Portal, firm: str = "eikenhof") -> list[str]:
    """Paths of the links that wait in the outbox, oldest first."""
    async with portal.db.tenant(firm) as c:
        rows = await c.fetch("select payload_sealed from outbox order by created_at")
    letters = [portal.keys.open("letter", row[0]) for row in rows]
    return [m[1] for text in letters if (m := re.search(r'"http://127\.0\.0\.1(/[^"]+)"', text))]


async def test_labels_of_the_sign_in_page(browser: Browser) -> None:
    await browser.get("/kantoor/eikenhof/inloggen")
    for label in SIGN_IN:
        assert label in browser.text
    for attribute in (
        'autocomplete="username"',
        'autocomplete="current-password"',
        'type="password"',
        "<title>Inloggen – Eikenhof portal</title>",
        '<html lang="nl">',
    ):
        assert attribute in browser.page


async def test_the_whole_way_in(browser: Browser, phone: Telephone, register: Register) -> None:
    await register()
    await browser.get("/inloggen")
    await browser.post("/inloggen", gebruikersnaam=" SANNE@bakkerij.example", wachtwoord=PASSWORD)
    assert browser.path == "/inloggen/token"
    for label in TOKEN:
        assert label in browser.text
    assert "Meulenbelt" not in browser.text  # the name is masked until the token is right
    assert "345678" not in browser.text
    assert "678" in browser.text
    assert 'autocomplete="one-time-code"' in browser.page
    assert 'inputmode="numeric"' in browser.page
    to, sender, _ = phone.messages[-1]
    assert (to, sender) == ("+31612345678", "Accountant")
    first, _, second = phone.code.partition("-")
    await browser.post("/inloggen/token", code1=first, code2=second)
    assert browser.path == "/welkom"
    assert "Welkom, Sanne Meulenbelt" in browser.text
    assert "Bakkerij Het Brood B.V. (400100)" in browser.text


@pytest.mark.parametrize(
    "boxes", [("{a}{b}", ""), ("", "{a}{b}"), ("{a}-{b}", ""), ("{a} {b}", ""), ("{a}", "{b}")]
)
async def test_either_box_takes_the_whole_token(
    boxes: tuple[str, str], browser: Browser, phone: Telephone, register: Register
) -> None:
    await half_way(browser, await register())
    a, _, b = phone.code.partition("-")
    one, two = (box.format(a=a, b=b) for box in boxes)
    await browser.post("/inloggen/token", code1=one, code2=two)
    assert browser.path == "/welkom"


async def test_a_wrong_token_says_so_and_a_good_one_still_works(
    browser: Browser, phone: Telephone, register: Register
) -> None:
    await half_way(browser, await register())
    wrong = "000000" if phone.code != "000-000" else "111111"
    await browser.post("/inloggen/token", 400, code1=wrong)
    assert "Deze code klopt niet." in browser.text
    assert 'role="alert"' in browser.page
    assert 'href="#code1"' in browser.page
    await browser.post("/inloggen/token", code1=phone.code)
    assert browser.path == "/welkom"


async def test_five_wrong_tokens_end_the_token(
    browser: Browser, phone: Telephone, register: Register
) -> None:
    await half_way(browser, await register())
    wrong = "000000" if phone.code != "000-000" else "111111"
    for _ in range(5):
        await browser.post("/inloggen/token", 400, code1=wrong)
    await browser.post("/inloggen/token", 400, code1=phone.code)
    assert "Deze code werkt niet meer." in browser.text


async def test_a_new_token_waits_its_turn(
    browser: Browser, phone: Telephone, register: Register, portal: Portal
) -> None:
    await half_way(browser, await register())
    await browser.post("/inloggen/nieuw-token")
    assert "Nog even wachten" in browser.text
    assert "U kunt nog 2 keer een nieuw token aanvragen." in browser.text
    assert len(phone.messages) == 1
    old = phone.code
    async with portal.db.tenant("eikenhof") as c:
        await c.execute("update code set created_at = created_at - interval '2 minutes'")
    await browser.post("/inloggen/nieuw-token")
    assert "Nieuw token verstuurd" in browser.text
    assert len(phone.messages) == 2
    await browser.post("/inloggen/token", 400, code1=old)
    await browser.post("/inloggen/token", code1=phone.code)
    assert browser.path == "/welkom"


async def test_a_provider_that_is_down_is_told(
    browser: Browser, phone: Telephone, register: Register
) -> None:
    username = await register()
    phone.broken = True
    await browser.get("/inloggen")
    await browser.post("/inloggen", gebruikersnaam=username, wachtwoord=PASSWORD)
    assert "De SMS kon niet worden verstuurd" in browser.text


async def test_break_off(browser: Browser, register: Register, phone: Telephone) -> None:
    await half_way(browser, await register())
    cookie, token = browser.cookie("sessie"), browser.token
    await browser.post("/inloggen/afbreken")
    assert browser.path.startswith("/kantoor/eikenhof/inloggen")
    assert "U hebt het inloggen afgebroken." in browser.text
    browser.plant("sessie", cookie)
    await browser.client.get("/")
    answer = await browser.client.post(
        "/inloggen/token", data={"form_token": token, "code1": phone.code}
    )
    assert answer.status == 403


async def test_deactivating_asks_first_and_then_nobody_gets_in(
    browser: Browser, register: Register, portal: Portal
) -> None:
    username = await register()
    await half_way(browser, username)
    await browser.get("/inloggen/deactiveren")
    await browser.get("/inloggen/token")  # opening the page changed nothing
    await browser.get("/inloggen/deactiveren")
    await browser.post("/inloggen/deactiveren")
    assert browser.path == "/kantoor/eikenhof/gedeactiveerd"
    assert "Uw account is gedeactiveerd" in browser.text
    await browser.get("/inloggen")
    await browser.post("/inloggen", 400, gebruikersnaam=username, wachtwoord=PASSWORD)
    async with portal.db.tenant("eikenhof") as c:
        assert await c.fetchval("select count(*) from outbox where event like 'account_%'") == 2


async def test_the_answer_does_not_tell_whether_a_username_exists(
    browser: Browser, register: Register
) -> None:
    username = await register()
    pages = []
    for name in (username, "niemand@bakkerij.example"):
        await browser.get("/inloggen")
        await browser.post("/inloggen", 400, gebruikersnaam=name, wachtwoord="verkeerd")
        pages.append(browser.page.replace(name, "").replace(browser.token, ""))
    assert re.sub(r'nonce="[^"]+"', "", pages[0]) == re.sub(r'nonce="[^"]+"', "", pages[1])
    answers = []
    for name in (username, "niemand@bakkerij.example"):
        await browser.get("/wachtwoord-vergeten")
        await browser.post("/wachtwoord-vergeten", gebruikersnaam=name)
        answers.append(browser.text)
    for number in ("06 12345678", "06 87654321"):
        await browser.get("/gebruikersnaam-vergeten")
        await browser.post("/gebruikersnaam-vergeten", mobiel=number)
        answers.append(browser.text)
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]


async def test_too_many_attempts(browser: Browser, register: Register) -> None:
    username = await register()
    for _ in range(5):
        await browser.get("/inloggen")
        await browser.post("/inloggen", 400, gebruikersnaam=username, wachtwoord="verkeerd")
    await browser.post("/inloggen", 429, gebruikersnaam=username, wachtwoord=PASSWORD)
    assert "Te veel pogingen" in browser.text
    assert browser.answer is not None
    assert 0 < int(browser.answer.headers["Retry-After"]) <= 900


async def test_a_new_password_by_mail(
    browser: Browser, register: Register, portal: Portal
) -> None:
    username = await register()
    await browser.get("/wachtwoord-vergeten")
    await browser.post("/wachtwoord-vergeten", gebruikersnaam=username)
    assert "Controleer uw e-mail" in browser.text
    link = (await links(portal))[-1]
    for _ in range(20):  # mail scanners open links
        await browser.get(link)
    assert 'autocomplete="new-password"' in browser.page
    await browser.post(link, 400, nieuw="kort", bevestig="kort")
    assert "ten minste 12 tekens" in browser.text
    await browser.post(link, 400, nieuw="een heel ander wachtwoord", bevestig="iets anders")
    assert "De twee wachtwoorden zijn niet gelijk." in browser.text
    new = "paarse olifant danst zacht"
    await browser.post(link, nieuw=new, bevestig=new)
    assert "Uw nieuwe wachtwoord is opgeslagen" in browser.text
    token = browser.token
    await browser.get(link)
    assert "Deze link werkt niet meer" in browser.text
    await browser.client.post(link, data={"form_token": token, "nieuw": new, "bevestig": new})
    await browser.get("/inloggen")
    await browser.post("/inloggen", 400, gebruikersnaam=username, wachtwoord=PASSWORD)
    await browser.post("/inloggen", gebruikersnaam=username, wachtwoord=new)
    assert browser.path == "/inloggen/token"


async def test_a_forgotten_username_is_mailed(
    browser: Browser, register: Register, portal: Portal
) -> None:
    await register()
    await browser.get("/gebruikersnaam-vergeten")
    await browser.post("/gebruikersnaam-vergeten", 400, mobiel="020 1234567")
    assert "Vul een mobiel nummer in" in browser.text
    await browser.post("/gebruikersnaam-vergeten", mobiel="0612345678")
    async with portal.db.tenant("eikenhof") as c:
        assert await c.fetchval("select count(*) from outbox where event = 'username'") == 1


async def test_one_username_at_two_firms(
    browser: Browser, register: Register, phone: Telephone
) -> None:
    username = await register()
    await register(username, firm="wilgenhof", klanten=(Klant("9", "Elders B.V."),))
    await browser.get("/inloggen")
    await browser.post("/inloggen", gebruikersnaam=username, wachtwoord=PASSWORD)
    assert "Kies uw kantoor" in browser.text
    ticket = re.search(r'name="ticket" value="([^"]+)"', browser.page)
    assert ticket
    await browser.post("/inloggen/kantoor", ticket=ticket[1], kantoor="wilgenhof", verder="")
    await browser.post("/inloggen/token", code1=phone.code)
    assert "Elders B.V. (9)" in browser.text
    await browser.post("/uitloggen")
    await browser.post("/inloggen/kantoor", ticket="vervalst", kantoor="wilgenhof", verder="")
    assert "Het kiezen duurde te lang." in browser.text


async def test_the_session_is_new_at_every_step_and_old_ones_are_dead(
    browser: Browser, register: Register, phone: Telephone
) -> None:
    username = await register()
    await browser.get("/inloggen")
    browser.plant("sessie", "eikenhof.planted")
    await browser.get("/inloggen")
    await browser.post("/inloggen", gebruikersnaam=username, wachtwoord=PASSWORD)
    half = browser.cookie("sessie")
    await browser.post("/inloggen/token", code1=phone.code)
    full = browser.cookie("sessie")
    assert len({"eikenhof.planted", half, full}) == 3
    await browser.post("/uitloggen")
    assert "U bent uitgelogd." in browser.text
    assert browser.cookie("sessie") == ""
    for old in (half, full):
        browser.plant("sessie", old)
        await browser.get("/welkom")
        assert browser.path.startswith("/inloggen")


async def test_an_expired_session_says_so_and_comes_back(
    browser: Browser, register: Register, sign_in: SignIn, portal: Portal, phone: Telephone
) -> None:
    username = await register()
    await sign_in(username)
    async with portal.db.tenant("eikenhof") as c:
        await c.execute("update session set idle_until = now() - interval '1 second'")
    await browser.get("/organisaties?zoek=brood")
    assert "Uw sessie is verlopen" in browser.text
    assert 'name="verder" value="/organisaties?zoek=brood"' in browser.page
    await browser.post(
        "/inloggen",
        gebruikersnaam=username,
        wachtwoord=PASSWORD,
        verder="/organisaties?zoek=brood",
    )
    await browser.post("/inloggen/token", code1=phone.code)
    assert browser.path == "/organisaties?zoek=brood"


async def test_stay_signed_in(
    browser: Browser, register: Register, sign_in: SignIn, portal: Portal
) -> None:
    await sign_in(await register())
    assert "Blijf ingelogd" in browser.text
    async with portal.db.tenant("eikenhof") as c:
        await c.execute("update session set idle_until = now() + interval '1 minute'")
    await browser.post("/sessie/verlengen")
    assert browser.answer is not None
    assert (await browser.answer.json())["seconds"] in range(1700, 1801)


async def test_the_language_is_remembered(
    browser: Browser, register: Register, sign_in: SignIn
) -> None:
    await browser.get("/kantoor/eikenhof/inloggen")
    await browser.post("/taal", taal="en", terug="/kantoor/eikenhof/inloggen")
    assert browser.path == "/kantoor/eikenhof/inloggen"
    assert '<html lang="en">' in browser.page
    assert "Forgotten your password?" in browser.text
    await browser.post("/taal", taal="nl", terug="/")
    await sign_in(await register())
    await browser.post("/taal", taal="en", terug="/welkom")
    assert "Open tasks" in browser.text
    await browser.post("/uitloggen")
    assert "You have been signed out." in browser.text
