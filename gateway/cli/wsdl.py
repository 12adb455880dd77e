"""`gateway wsdl`: bring in the WSDL of a back office, once, for a source to be opened with."""

import asyncio
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from gateway import log
from gateway.cli.common import CONFIG, Folder, Json, fail, read_settings, tell
from gateway.connector.context import Context
from gateway.connector.egress import EgressPolicy
from gateway.connector.soap import pin as soappin
from gateway.connector.soap import wsdl as soapwsdl
from gateway.errors import ConfigInvalid, PortalError

wsdl_cli = typer.Typer(no_args_is_help=True, help="WSDLs that SOAP sources are opened with.")


@wsdl_cli.callback()
def _group() -> None:
    """A group also while it has one command."""


@wsdl_cli.command("pin")
def wsdl_pin(
    url: Annotated[str, typer.Argument(help="Address of the WSDL; egress must allow it.")],
    name: Annotated[str, typer.Option("--name", help="Name of its folder in wsdl/.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="In the place of one that differs.")
    ] = False,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Fetch a WSDL and all that it imports into wsdl/<name>/, with their hashes.
    0: there it is, 1: it cannot be taken, 2: not reachable, or no configuration."""
    found = read_settings(config)
    log.configure(level="error")
    name = name or _named(url)
    if not re.fullmatch(soappin.NAME, name):
        fail("a name has small letters, digits and hyphens: say it with --name", code=1)
    try:
        fetched = asyncio.run(_fetched(found.gateway.egress.policy(), url, config))
        operations = soapwsdl.described(fetched.manifest.main, fetched.files)
        new = soappin.write(config / "wsdl" / name, fetched, replace=replace)
    except (soappin.Refused, ConfigInvalid) as e:
        if as_json:
            tell(True, {"ok": False, "fault": str(e), "url": getattr(e, "url", url)}, "")
        fail(str(e), code=1)
    except PortalError as e:
        fail(str(e))
    except OSError as e:
        fail(f"{e.filename}: {e.strerror}")
    told: dict[str, Any] = {
        "ok": True,
        "name": name,
        "new": new,
        "main": fetched.manifest.main,
        "files": {n: f.model_dump() for n, f in fetched.manifest.files.items()},
        "operations": operations,
    }
    lines = [f"wsdl/{name}/ {'made' if new else 'is the same already'}"]
    lines += [f"{f.sha256}  {n}  {f.url}" for n, f in fetched.manifest.files.items()]
    lines += [f"{port}: {', '.join(names)}" for port, names in operations.items()]
    tell(as_json, told, "\n".join(lines))


async def _fetched(egress: EgressPolicy, url: str, config: Path) -> soappin.Fetched:
    context = Context("wsdl", egress=egress, base=config)
    try:
        return await soappin.fetch(context.http(), egress, url)
    finally:
        await context.aclose()


def _named(url: str) -> str:
    """After the last part of the address, without its ending."""
    last = urlsplit(url).path.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^a-z0-9]+", "-", last.rpartition(".")[0].lower() or last.lower()).strip("-")
