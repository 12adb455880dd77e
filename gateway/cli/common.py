"""What commands have in common: their options, and how one runs, tells and fails."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from gateway import app, log, settings
from gateway.domain import package
from gateway.domain.firm import Firm
from gateway.errors import Invalid, PortalError
from gateway.flows.portal import Portal

T = TypeVar("T")

Folder = Annotated[
    Path,
    typer.Option("--config", envvar="MAP_CONFIG", help="Folder with gateway.yaml and firms/."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
FirmName = Annotated[str, typer.Option("--firm", help="Id of the firm.")]
OneFirm = Annotated[str | None, typer.Option("--firm", help="Id of the firm; else every firm.")]
CONFIG = Path("config")
DAY = "%Y-%m-%d"


def read_settings(folder: Path) -> settings.Settings:
    """The configuration, and logging as it says; faults end the command."""
    try:
        found = settings.load(folder)
    except settings.SettingsError as e:
        fail(str(e))
    log.configure(level=found.gateway.log_level)
    return found


def for_firm(
    folder: Path,
    firm_id: str,
    act: Callable[[Portal, Firm], Awaitable[dict[str, Any] | None]],
    as_json: bool,
    done: str,
) -> None:
    """Do something for a firm, and tell what it gave; `done`: in words."""
    found = read_settings(folder)
    log.configure(level="error")
    firm = found.firms.get(firm_id)
    if firm is None:
        fail(f"no firm {firm_id!r}; there are: {', '.join(found.firms)}")

    async def go() -> dict[str, Any]:
        async with app.opened(found) as portal:
            return await act(portal, firm) or {}

    tell(as_json, {"ok": True, **run(go(), as_json)}, done)


def of_firms(
    folder: Path, wanted: str | None, act: Callable[[Portal, Firm], Awaitable[T]]
) -> dict[str, T]:
    """What `act` gives for one firm, or for each."""
    found = read_settings(folder)
    log.configure(level="error")
    if wanted is not None and wanted not in found.firms:
        fail(f"no firm {wanted!r}; there are: {', '.join(found.firms)}")
    firms = [f for f in found.firms.values() if wanted in (None, f.id)]

    async def go() -> dict[str, T]:
        async with app.opened(found) as portal:
            return {f.id: await act(portal, f) for f in firms}

    return run(go())


def run(work: Coroutine[Any, Any, T], as_json: bool = False) -> T:
    """The result; a fault of the portal's ends the command, 1 for bad input and 2 for the rest.
    Bad input is told on stderr, with as_json on stdout, by fields as packages call them."""
    try:
        return asyncio.run(work)
    except Invalid as e:
        faults = {package.field(field): fault for field, fault in e.faults.items()}
        if as_json:
            told = [{"veld": field, "melding": fault} for field, fault in faults.items()]
            print(json.dumps({"ok": False, "fouten": told}, ensure_ascii=False))
            raise typer.Exit(1) from None
        fail("\n".join(f"{field}: {fault}" for field, fault in faults.items()), code=1)
    except PortalError as e:
        fail(str(e))


def tell(as_json: bool, told: dict[str, Any], text: str) -> None:
    """Print the answer, for a machine or for a person."""
    print(json.dumps(told, ensure_ascii=False) if as_json else text)


def fail(text: str, code: int = 2) -> NoReturn:
    """Say why on stderr, and end."""
    print(text, file=sys.stderr)
    raise typer.Exit(code)
