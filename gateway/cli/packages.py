"""`gateway package`: keys with which back-office packages call, and webhooks that call them."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import typer

from gateway.cli.common import CONFIG, FirmName, Folder, Json, for_firm, of_firms, tell
from gateway.domain.firm import Firm
from gateway.domain.package import Scope
from gateway.flows import packages, webhooks
from gateway.flows.portal import Portal
from gateway.flows.webhooks import Operations
from gateway.store.packages import Key
from gateway.store.webhooks import Dead, Webhook

#: Of a key: ten years.
MOST_DAYS = 3650

package_cli = typer.Typer(no_args_is_help=True, help="Keys and webhooks of back-office packages.")


@package_cli.command("key")
def package_key(
    name: Annotated[str, typer.Argument(help="Name of the package, as the audit has it.")],
    firm: FirmName,
    scope: Annotated[list[Scope], typer.Option(help="May be repeated.")],
    days: Annotated[
        int, typer.Option(min=0, max=MOST_DAYS, help="After which it ends; 0: it does not.")
    ] = 0,
    rotate: Annotated[
        int | None,
        typer.Option(
            min=0, max=MOST_DAYS, help="Days after which the package's other keys end; 0: now."
        ),
    ] = None,
    certificate: Annotated[
        str, typer.Option(help="SHA-256 (hex) of a client certificate that must come with it.")
    ] = "",
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Make a key and print it: it is shown this once, and kept as a hash."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        key = await packages.make(
            portal, of, name, scope,
            lifetime=timedelta(days=days) if days else None,
            overlap=timedelta(days=rotate) if rotate is not None else None,
            certificate=certificate,
        )  # fmt: skip
        return {"key": key}

    made = of_firms(config, firm, act)[firm]
    tell(as_json, {"ok": True, **made}, made["key"])


@package_cli.command("list")
def package_list(firm: FirmName, config: Folder = CONFIG, as_json: Json = False) -> None:
    """The keys of a firm, what each allows, and when it was used last."""
    found: list[Key] = of_firms(config, firm, packages.known)[firm]
    told = [
        {"id": str(k.id), "package": k.name, "scopes": sorted(k.scopes),
         "created": k.created_at.isoformat(), "used": k.used_at and k.used_at.isoformat(),
         "expires": k.expires_at and k.expires_at.isoformat()}
        for k in found
    ]  # fmt: skip
    lines = [
        f"{k.id}  {k.name}  {','.join(sorted(k.scopes))}  used {k.used_at or 'never'}"
        f"  until {k.expires_at or 'further notice'}"
        for k in found
    ]
    tell(as_json, {"ok": True, "keys": told}, "\n".join(lines) or "none")


@package_cli.command("end")
def package_end(
    key: Annotated[UUID, typer.Argument(help="Id of the key, as `list` shows it.")],
    firm: FirmName,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """End a key at once."""
    for_firm(config, firm, lambda p, f: packages.end(p, f, key), as_json, "ended")


@package_cli.command("webhooks")
def package_webhooks(firm: FirmName, config: Folder = CONFIG, as_json: Json = False) -> None:
    """The webhooks of every package, with how many events wait and how many are dead."""
    found: list[Webhook] = of_firms(
        config, firm, lambda p, f: webhooks.known(p, Operations(f))
    )[firm]  # fmt: skip
    told = [
        {"id": str(w.id), "package": w.package, "url": w.url, "waiting": w.waiting,
         "dead": w.dead}
        for w in found
    ]  # fmt: skip
    lines = [f"{w.id}  {w.package}  {w.url}  {w.waiting} wait  {w.dead} dead" for w in found]
    tell(as_json, {"ok": True, "webhooks": told}, "\n".join(lines) or "none")


@package_cli.command("dead")
def package_dead(
    webhook: Annotated[UUID, typer.Argument(help="Id of the webhook, as `webhooks` shows it.")],
    firm: FirmName,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Events that could not be delivered, oldest first, and why; a thousand at the most."""

    async def act(portal: Portal, of: Firm) -> list[Dead]:
        return await webhooks.dead(portal, Operations(of), webhook)

    found = of_firms(config, firm, act)[firm]
    told = [
        {"number": d.number, "stuk": d.subject, "tries": d.tries, "trouble": d.trouble}
        for d in found
    ]
    lines = [f"{d.number}  {d.subject}  {d.tries} tries  {d.trouble}" for d in found]
    tell(as_json, {"ok": True, "dead": told}, "\n".join(lines) or "none")


@package_cli.command("replay")
def package_replay(
    webhook: Annotated[UUID, typer.Argument(help="Id of the webhook, as `webhooks` shows it.")],
    firm: FirmName,
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Of dead events, as `dead` shows them; else all.")
    ] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Let dead events go again. Later events of their stuk may have gone before."""

    async def act(portal: Portal, of: Firm) -> dict[str, Any]:
        return {"count": await webhooks.again(portal, Operations(of), webhook, numbers or ())}

    told = of_firms(config, firm, act)[firm]
    tell(as_json, {"ok": True, **told}, f"{told['count']} go again")
