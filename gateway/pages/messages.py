"""Messages after a redirect: a word from a fixed set in the address (``?bericht=uitgelogd``).

What stands in the address can choose a message, never write one.
"""

from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Message:
    """kind: info, ok, warn or error. Sentences in Dutch; the page translates them."""

    kind: str
    text: str
    title: str = ""


MESSAGES = {
    "uitgelogd": Message("ok", "U bent uitgelogd."),
    "afgebroken": Message("info", "U hebt het inloggen afgebroken."),
    "verlopen": Message(
        "warn",
        "Voor uw veiligheid bent u uitgelogd omdat u langer niet actief was. Log opnieuw in om"
        " verder te gaan.",
        "Uw sessie is verlopen",
    ),
    "wachtwoord": Message(
        "ok",
        "Log in met uw gebruikersnaam en uw nieuwe wachtwoord.",
        "Uw nieuwe wachtwoord is opgeslagen",
    ),
    "link": Message(
        "warn",
        "De link uit de e-mail is al gebruikt of te oud. Vraag hieronder een nieuwe aan.",
        "Deze link werkt niet meer",
    ),
    "token": Message(
        "ok",
        "Een nieuw token is onderweg naar uw telefoon. Het vorige token werkt niet meer.",
        "Nieuw token verstuurd",
    ),
    "wachten": Message(
        "warn",
        "Er is geen nieuw token verstuurd, want dat kan niet te snel achter elkaar. Gebruik het"
        " laatste token dat u ontving, of probeer het straks opnieuw.",
        "Nog even wachten",
    ),
    "sms": Message(
        "error",
        "Dat ligt niet aan u. Vraag over een minuut een nieuw token aan. Lukt het dan nog niet,"
        " neem dan contact op met uw kantoor.",
        "De SMS kon niet worden verstuurd",
    ),
    "klaargezet": Message(
        "ok",
        "Het document staat nu bovenaan, onder 'klaar om te verzenden'. Het is nog niet"
        " verzonden.",
        "Goedgekeurd",
    ),
    "teruggehaald": Message("info", "Het document is niet verzonden en wacht weer op uw akkoord."),
    "niets_gekozen": Message("warn", "Kies eerst een of meer documenten die klaar staan."),
    "afgekeurd": Message(
        "ok",
        "Het document is succesvol verwerkt. Uw accountant heeft uw reden ontvangen en neemt"
        " contact met u op.",
        "Afgekeurd",
    ),
    "vervangen": Message(
        "ok",
        "De klant krijgt er bericht over. Wat er aan akkoord was op de vorige versie, telt niet"
        " meer.",
        "De nieuwe versie staat klaar",
    ),
    "gedaan": Message("ok", "Het is vastgelegd."),
    "keuze": Message("warn", "Het kiezen duurde te lang. Log opnieuw in."),
}


def asked(request: web.Request) -> Message | None:
    """The message that the address names."""
    if request.query.get("verlopen") == "1":
        return MESSAGES["verlopen"]
    return MESSAGES.get(request.query.get("bericht", ""))
