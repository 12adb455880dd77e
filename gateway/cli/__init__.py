"""The command line: `gateway <command>`. Exit codes: 0 good, 1 faults found, 2 cannot be done."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from gateway import __version__, app, log, settings, worker
from gateway.cli.common import CONFIG, Folder, Json, fail, read_settings, run, tell
from gateway.cli.config import config_cli
from gateway.cli.evidence import audit_cli, proof_cli
from gateway.cli.kit import kit
from gateway.cli.mailbox import mailbox_cli
from gateway.cli.packages import package_cli
from gateway.cli.people import klant_cli, mandate_cli, person_cli
from gateway.cli.simulate import simulate_cli
from gateway.cli.stukken import stuk_cli
from gateway.cli.wsdl import wsdl_cli
from gateway.demo import world
from gateway.errors import PortalError
from gateway.notify.mail import Mailer
from gateway.store.migrate import migrate as migrate_database
from gateway.store.migrate import pending

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
for _group, _name in (
    (config_cli, "config"),
    (person_cli, "person"),
    (klant_cli, "klant"),
    (mandate_cli, "mandate"),
    (stuk_cli, "stuk"),
    (package_cli, "package"),
    (mailbox_cli, "mailbox"),
    (proof_cli, "proof"),
    (audit_cli, "audit"),
    (simulate_cli, "simulate"),
    (wsdl_cli, "wsdl"),
):
    cli.add_typer(_group, name=_name)
cli.command("kit")(kit)


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
    found = read_settings(config)
    run(app.serve(found))


@cli.command("worker")
def work(config: Folder = CONFIG) -> None:
    """Send mail and clean up, until stopped."""
    found = read_settings(config)
    run(_work(found))


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
    database = read_settings(config).gateway.database
    dsn = database.owner_url or database.url
    names = run(pending(dsn) if dry else migrate_database(dsn))
    tell(as_json, {"migrations": names}, "\n".join(names) or "up to date")


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
        fail(str(e))


def main() -> None:
    """The entry point named in setup.cfg."""
    with contextlib.suppress(BrokenPipeError):
        cli()
