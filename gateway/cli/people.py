"""`gateway person`, `klant` and `mandate`: who may do what for whom."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from gateway.cli.common import CONFIG, DAY, FirmName, Folder, Json, for_firm
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.person import Role
from gateway.flows import people, stukbeheer
from gateway.flows.portal import Portal
from gateway.flows.visitor import today

person_cli = typer.Typer(no_args_is_help=True, help="Accounts of a firm.")
klant_cli = typer.Typer(no_args_is_help=True, help="Klanten of a firm.")
mandate_cli = typer.Typer(no_args_is_help=True, help="Who may approve for which klant.")


@person_cli.command("add")
def person_add(
    firm: FirmName,
    mail: Annotated[str, typer.Option(help="E-mail address; also the username.")],
    name: Annotated[str, typer.Option()],
    mobile: Annotated[str, typer.Option(help="Mobile number for codes.")],
    klant: Annotated[list[str] | None, typer.Option(help="Number; may be repeated.")] = None,
    role: Annotated[Role, typer.Option()] = Role.CLIENT,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Add a person and mail the invitation to choose a password."""

    async def act(portal: Portal, at: Firm) -> dict[str, Any]:
        person = await people.add(
            portal, at, username=mail, name=name, mobile=mobile, role=role, klanten_of=klant or ()
        )
        return {"id": str(person.id), "username": person.username}

    for_firm(config, firm, act, as_json, "added; the invitation is on its way")


@person_cli.command("reset")
def person_reset(
    firm: FirmName, mail: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Mail a link to choose a new password; brings a deactivated or disabled account back."""
    for_firm(
        config, firm, lambda p, f: people.reset(p, f, mail), as_json, "the link is on its way"
    )


@person_cli.command("disable")
def person_disable(
    firm: FirmName, mail: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Let nobody in with this account, from now on."""
    for_firm(config, firm, lambda p, f: people.disable(p, f, mail), as_json, "disabled")


@person_cli.command("mobile")
def person_mobile(
    firm: FirmName, mail: str, mobile: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Set another mobile number; ends the person's sessions."""
    for_firm(config, firm, lambda p, f: people.set_mobile(p, f, mail, mobile), as_json, "changed")


@person_cli.command("grant")
def person_grant(
    firm: FirmName, mail: str, klant: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Give a person access to a klant."""
    for_firm(config, firm, lambda p, f: people.grant(p, f, mail, klant), as_json, "given")


@person_cli.command("revoke")
def person_revoke(
    firm: FirmName, mail: str, klant: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Take a person's access to a klant away; exit code 1 when there was none."""
    for_firm(config, firm, lambda p, f: people.revoke(p, f, mail, klant), as_json, "taken away")


@klant_cli.command("put")
def klant_put(
    firm: FirmName,
    number: str,
    name: str,
    relatiebeheerder: Annotated[
        str | None, typer.Option(help='Id of an employee; "": none. Without: who it is now.')
    ] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Add a klant, or change its name or relatiebeheerder."""
    klanten = [Klant(number, name, relatiebeheerder or None)]
    keep = frozenset() if relatiebeheerder is not None else frozenset({number})
    for_firm(config, firm, lambda p, f: people.put_klanten(p, f, klanten, keep), as_json, "kept")


@klant_cli.command("identify")
def klant_identify(
    number: Annotated[str, typer.Argument(help="The klant's number.")],
    type: Annotated[str, typer.Option(help="BTW, Fi (RSIN or BSN) or kvk.")],
    value: Annotated[str, typer.Option(help="The number at the receiver.")],
    firm: FirmName,
    remove: Annotated[bool, typer.Option(help="It is not the klant's: take it away.")] = False,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """The number by which a receiver knows a klant; only its keyed digest is kept.

    A klant may have several. With --remove, exit code 1 when it did not have it.
    """
    change = stukbeheer.take_identity if remove else stukbeheer.identify

    async def act(portal: Portal, of: Firm) -> None:
        await change(portal, of, number, type, value)

    for_firm(config, firm, act, as_json, "taken away" if remove else "kept")


@mandate_cli.command("add")
def mandate_add(
    username: Annotated[str, typer.Argument(help="The person's e-mail address.")],
    klant: Annotated[str, typer.Argument(help="The klant's number.")],
    firm: FirmName,
    soort: Annotated[str, typer.Option(help="Kind of stuk; * for every kind.")] = "*",
    since: Annotated[datetime | None, typer.Option(help="First day.", formats=[DAY])] = None,
    until: Annotated[datetime | None, typer.Option(help="Last day.", formats=[DAY])] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Let a person approve for a klant."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        first = since.date() if since else today()
        last = until.date() if until else None
        id = await stukbeheer.give_mandate(portal, of, username, klant, soort, first, last)
        return {"mandate": str(id)}

    for_firm(config, firm, act, as_json, "given")


@mandate_cli.command("end")
def mandate_end(
    username: Annotated[str, typer.Argument(help="The person's e-mail address.")],
    klant: Annotated[str, typer.Argument(help="The klant's number.")],
    firm: FirmName,
    soort: Annotated[str, typer.Option(help="Kind of stuk, as it was given.")] = "*",
    last: Annotated[datetime | None, typer.Option(help="Last day.", formats=[DAY])] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """End it; what was approved and not yet sent is not sent any more. Exit code 1 when there was
    none to end."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        day = last.date() if last else today() - timedelta(days=1)
        count = await stukbeheer.end_mandate(portal, of, username, klant, soort, day)
        return {"ended": count}

    for_firm(config, firm, act, as_json, "ended")
