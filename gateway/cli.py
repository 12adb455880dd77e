"""The command line: `gateway <command>`. Exit codes: 0 good, 1 faults found, 2 cannot be done."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from gateway import __version__, app, log, settings, worker
from gateway.demo import world
from gateway.domain.firm import Firm
from gateway.domain.klant import Klant
from gateway.domain.person import Role
from gateway.errors import Invalid, PortalError
from gateway.flows import people
from gateway.flows.portal import Portal
from gateway.notify.mail import Mailer
from gateway.store.migrate import migrate as migrate_database
from gateway.store.migrate import pending

T = TypeVar("T")

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
config_cli = typer.Typer(no_args_is_help=True, help="Check the configuration, and describe it.")
person_cli = typer.Typer(no_args_is_help=True, help="Accounts of a firm.")
klant_cli = typer.Typer(no_args_is_help=True, help="Klanten of a firm.")
cli.add_typer(config_cli, name="config")
cli.add_typer(person_cli, name="person")
cli.add_typer(klant_cli, name="klant")

Folder = Annotated[
    Path,
    typer.Option("--config", envvar="MAP_CONFIG", help="Folder with gateway.yaml and firms/."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
FirmName = Annotated[str, typer.Option("--firm", help="Id of the firm.")]
CONFIG = Path("config")


@cli.callback()
def root() -> None:
    """MijnAccountantsPortal: the portal, its worker, and what operations needs."""


@cli.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@cli.command()
def serve(config: Folder = CONFIG) -> None:
    """Serve the portal."""
    found = _settings(config)
    _run(app.serve(found))


@cli.command("worker")
def work(config: Folder = CONFIG) -> None:
    """Send mail and clean up, until stopped."""
    found = _settings(config)
    _run(_work(found))


async def _work(found: settings.Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    mail = found.gateway.mail
    async with app.opened(found) as portal:
        mailer = Mailer(
            mail.host,
            mail.port,
            tls=mail.tls,
            username=mail.username,
            password=found.secret(mail.password) if mail.password else "",
        )
        try:
            async with app.works(found, portal) as works:
                await worker.run(portal, mailer, stop, works)
        finally:
            await mailer.aclose()


@cli.command()
def migrate(
    config: Folder = CONFIG,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only name what is missing.")] = False,
    as_json: Json = False,
) -> None:
    """Bring the database to the newest schema."""
    database = _settings(config).gateway.database
    dsn = database.owner_url or database.url
    names = _run(pending(dsn) if dry else migrate_database(dsn))
    _tell(as_json, {"migrations": names}, "\n".join(names) or "up to date")


@cli.command("demo")
def demonstrate(
    as_json: Json = False,
    home: Annotated[Path, typer.Option(envvar="MAP_HOME", help="Folder for all its data.")] = Path(
        ".run"
    ),
    port: Annotated[int, typer.Option(envvar="PORT", help="Port of the portal.")] = 8080,
) -> None:
    """The whole world on this machine: portal, worker, simulators, back offices, two firms."""
    log.configure(level=os.environ.get("MAP_LOG_LEVEL", "warning"))
    try:
        asyncio.run(world.run(home, port, as_json=as_json))
    except PortalError as e:
        _fail(str(e))


# --- configuration


@config_cli.command("check")
def config_check(config: Folder = CONFIG, as_json: Json = False) -> None:
    """Check every file; tell every fault. 0: good, 1: faults, 2: no configuration there."""
    if not (config / "gateway.yaml").exists():
        _fail(f"there is no {config / 'gateway.yaml'}")
    try:
        found = settings.load(config)
        faults = tuple(settings.check_secrets(found))
    except settings.SettingsError as e:
        faults = e.faults
    told = [
        {
            "file": f.file,
            "line": f.line,
            "path": f.path,
            "message": f.message,
            "nearest": f.nearest,
        }
        for f in faults
    ]
    _tell(as_json, {"ok": not faults, "faults": told}, "\n".join(map(str, faults)) or "good")
    raise typer.Exit(1 if faults else 0)


@config_cli.command("schema")
def config_schema() -> None:
    """Print the JSON Schemas of gateway.yaml and of a firm's file."""
    print(json.dumps(settings.schema(), indent=2))


# --- persons and klanten


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

    _act(config, firm, act, as_json, "added; the invitation is on its way")


@person_cli.command("reset")
def person_reset(
    firm: FirmName, mail: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Mail a link to choose a new password; brings a deactivated or disabled account back."""
    _act(config, firm, lambda p, f: people.reset(p, f, mail), as_json, "the link is on its way")


@person_cli.command("disable")
def person_disable(
    firm: FirmName, mail: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Let nobody in with this account, from now on."""
    _act(config, firm, lambda p, f: people.disable(p, f, mail), as_json, "disabled")


@person_cli.command("mobile")
def person_mobile(
    firm: FirmName, mail: str, mobile: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Set another mobile number; ends the person's sessions."""
    _act(config, firm, lambda p, f: people.set_mobile(p, f, mail, mobile), as_json, "changed")


@person_cli.command("grant")
def person_grant(
    firm: FirmName, mail: str, klant: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Give a person access to a klant."""
    _act(config, firm, lambda p, f: people.grant(p, f, mail, klant), as_json, "given")


@person_cli.command("revoke")
def person_revoke(
    firm: FirmName, mail: str, klant: str, config: Folder = CONFIG, as_json: Json = False
) -> None:
    """Take a person's access to a klant away."""
    _act(config, firm, lambda p, f: people.revoke(p, f, mail, klant), as_json, "taken away")


@klant_cli.command("put")
def klant_put(
    firm: FirmName,
    number: str,
    name: str,
    relatiebeheerder: Annotated[str | None, typer.Option(help="Id of an employee.")] = None,
    config: Folder = CONFIG,
    as_json: Json = False,
) -> None:
    """Add a klant, or change its name or relatiebeheerder."""
    klanten = [Klant(number, name, relatiebeheerder)]
    _act(config, firm, lambda p, f: people.put_klanten(p, f, klanten), as_json, "kept")


# --- how a command runs


def _settings(folder: Path) -> settings.Settings:
    try:
        found = settings.load(folder)
    except settings.SettingsError as e:
        _fail(str(e))
    log.configure(level=found.gateway.log_level)
    return found


def _act(
    folder: Path,
    firm_id: str,
    act: Callable[[Portal, Firm], Awaitable[dict[str, Any] | None]],
    as_json: bool,
    done: str,
) -> None:
    found = _settings(folder)
    log.configure(level="error")
    firm = found.firms.get(firm_id)
    if firm is None:
        _fail(f"no firm {firm_id!r}; there are: {', '.join(found.firms)}")

    async def go() -> dict[str, Any]:
        async with app.opened(found) as portal:
            return await act(portal, firm) or {}

    _tell(as_json, {"ok": True, **_run(go())}, done)


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except Invalid as e:
        _fail("\n".join(f"{field}: {fault}" for field, fault in e.faults.items()), code=1)
    except PortalError as e:
        _fail(str(e))


def _tell(as_json: bool, told: dict[str, Any], text: str) -> None:
    print(json.dumps(told, ensure_ascii=False) if as_json else text)


def _fail(text: str, code: int = 2) -> NoReturn:
    print(text, file=sys.stderr)
    raise typer.Exit(code)


def main() -> None:
    """The entry point named in setup.cfg."""
    with contextlib.suppress(BrokenPipeError):
        cli()
