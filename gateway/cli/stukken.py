"""`gateway stuk`: stukken from put-up to their end, as the back office handles them."""

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import ValidationError

from gateway.cli.common import CONFIG, DAY, FirmName, Folder, Json, for_firm
from gateway.domain import wire
from gateway.domain.firm import Firm
from gateway.domain.stuk import Role
from gateway.errors import Invalid
from gateway.flows import intake, stukbeheer
from gateway.flows.portal import Portal

stuk_cli = typer.Typer(no_args_is_help=True, help="Stukken that wait for a client's approval.")


@stuk_cli.command("put-up")
def stuk_put_up(
    klant: Annotated[str, typer.Argument(help="The klant's number.")],
    soort: Annotated[str, typer.Argument(help="Kind of stuk, as in the firm's file.")],
    part: Annotated[
        list[str],
        typer.Option(help="ROLE:SOURCE:ID; role is akkoorddocument, instance or bijlage."),
    ],
    jaar: Annotated[int, typer.Option(help="The year that it is about.")],
    periode: Annotated[str, typer.Option(help='As a person says it: "3e kwartaal 2026".')],
    firm: FirmName,
    deadline: Annotated[datetime | None, typer.Option(formats=[DAY])] = None,
    opmerking: Annotated[str, typer.Option(help="What the client should know.")] = "",
    relatiebeheerder: Annotated[str | None, typer.Option(help="Id of an employee.")] = None,
    replaces: Annotated[
        str | None, typer.Option(help="Id of the stuk it takes the place of.")
    ] = None,
    approver: Annotated[
        list[str] | None,
        typer.Option(
            help="Usernames, all of whom must approve; 2:a,b,c is two of them. Repeated: the next"
            " group, after the one before. Without: anybody with a mandate."
        ),
    ] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Put up a stuk; exit code 1 tells every fault.

    Noor approves, then her partner: --approver noor@x.example --approver jan@x.example

    Both, in any order: --approver noor@x.example,jan@x.example

    One of the two: --approver 1:noor@x.example,jan@x.example
    """

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        given = _checked(
            klant=klant, soort=soort, jaar=jaar, periode=periode,
            onderdelen=[_part(p) for p in part],
            deadline=deadline.date() if deadline else None, opmerking=opmerking,
            relatiebeheerder=relatiebeheerder, akkoord_van=[_group(a) for a in approver or ()],
            vervangt=replaces or None,
        )  # fmt: skip
        wish = intake.Wish(
            given.klant, given.soort, given.jaar, given.periode,
            [intake.PartWish(p.rol, p.bron or "", p.id or "") for p in given.onderdelen],
            "beheer", given.deadline, given.opmerking, given.relatiebeheerder, None,
            given.vervangt, intake.groups(given.akkoord_van),
        )  # fmt: skip
        return {"stuk": str(await intake.put_up(portal, of, wish))}

    for_firm(config, firm, act, as_json, "put up")


def _checked(**given: Any) -> wire.StukIn:
    """As a package says it, so that the same is wrong in the same words. Raises Invalid."""
    try:
        return wire.StukIn.model_validate(given)
    except ValidationError as e:
        raise Invalid(wire.faults(e, "stuk")) from None


def _id(text: str) -> UUID:
    """Of a stuk. Raises Invalid."""
    try:
        return UUID(text)
    except ValueError:
        raise Invalid({"stuk": wire.NO_ID}) from None


def _part(text: str) -> dict[str, str]:
    """ROLE:SOURCE:ID. Raises Invalid."""
    role, _, rest = text.partition(":")
    source, _, id = rest.partition(":")
    if role not in {r.value for r in Role} or not id:
        raise Invalid({"part": f"{text!r} is not ROLE:SOURCE:ID"})
    return {"rol": role, "bron": source, "id": id}


def _group(text: str) -> dict[str, Any]:
    """NUMBER:USERNAME,USERNAME; without a number it is all of them."""
    found = re.fullmatch(r"(?:([0-9]{1,3}):)?(.*)", text.strip(), re.DOTALL)
    need, names = found.groups() if found else (None, text)
    people = [name.strip() for name in names.split(",") if name.strip()]
    return {"personen": people, "nodig": need}


@stuk_cli.command("withdraw")
def stuk_withdraw(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the stuk.")],
    firm: FirmName,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Take a stuk back, as long as nothing was sent: its client opens and approves it no more."""

    async def act(portal: Portal, of: Firm) -> None:
        await stukbeheer.withdraw(portal, of, _id(stuk), "beheer", reason)

    for_firm(config, firm, act, as_json, "withdrawn")


@stuk_cli.command("remind")
def stuk_remind(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    firm: FirmName,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Send the notice again."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        return {"people": await stukbeheer.remind(portal, of, _id(stuk), "beheer")}

    for_firm(config, firm, act, as_json, "sent")


@stuk_cli.command("paper")
def stuk_paper(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    username: Annotated[str, typer.Argument(help="Who gave consent on paper.")],
    reason: Annotated[str, typer.Option(help="Where the paper is, and why; kept.")],
    firm: FirmName,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Record a consent that was given on paper."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        state = await stukbeheer.paper(portal, of, _id(stuk), username, "beheer", reason)
        return {"state": state}

    for_firm(config, firm, act, as_json, "recorded")


@stuk_cli.command("report")
def stuk_report(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    firm: FirmName,
    done: Annotated[bool, typer.Option("--done/--failed", help="How it ended.")] = True,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Tell how the fiscal package ended a stuk of the backoffice route."""

    async def act(portal: Portal, of: Firm) -> None:
        await stukbeheer.report(portal, of, _id(stuk), done, "beheer")

    for_firm(config, firm, act, as_json, "reported")


@stuk_cli.command("decide")
def stuk_decide(
    stuk: Annotated[str, typer.Argument(help="Id of the stuk.")],
    reason: Annotated[str, typer.Option(help="How it is known; kept with the stuk.")],
    firm: FirmName,
    kenmerk: Annotated[
        str | None, typer.Option(help="It arrived, with this kenmerk; without: send it again.")
    ] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Decide about a delivery of which nobody knows whether it arrived."""

    async def act(portal: Portal, of: Firm) -> None:
        await stukbeheer.decide(portal, of, _id(stuk), "beheer", reason, kenmerk=kenmerk)

    for_firm(config, firm, act, as_json, "decided")
