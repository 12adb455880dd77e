"""`gateway config`: the configuration, checked and described."""

import json

import typer

from gateway import settings
from gateway.cli.common import CONFIG, Folder, Json, fail, read_settings, tell
from gateway.domain import expiry
from gateway.flows.receivers import Receivers
from gateway.flows.visitor import now

config_cli = typer.Typer(no_args_is_help=True, help="Check the configuration, and describe it.")


@config_cli.command("check")
def config_check(config: Folder = CONFIG, as_json: Json = False) -> None:
    """Check every file; tell every fault. 0: good, 1: faults, 2: no configuration there."""
    if not (config / "gateway.yaml").exists():
        fail(f"there is no {config / 'gateway.yaml'}")
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
    tell(as_json, {"ok": not faults, "faults": told}, "\n".join(map(str, faults)) or "good")
    raise typer.Exit(1 if faults else 0)


@config_cli.command("certificates")
def config_certificates(config: Folder = CONFIG, as_json: Json = False) -> None:
    """How long the certificates of filing last. 1: one has ended, or does within 7 days, or
    cannot be read."""
    found = read_settings(config)
    at = now()
    receivers = Receivers(found.gateway.destinations, found.secret)
    told, lines, good = [], [], True
    for held in receivers.held(found.firms.values()):
        days = held.life.days(at) if held.life else None
        good &= days is not None and days >= min(expiry.STEPS)
        end = held.life.end.isoformat() if held.life else None
        told.append(
            {"firm": held.firm, "destination": held.destination, "what": held.what, "end": end,
             "days": days, "fault": held.fault}
        )  # fmt: skip
        about = " ".join(filter(None, (held.firm, held.destination, held.what)))
        lines.append(f"{about}: " + (held.fault or f"{days} days, until {end}"))
    tell(as_json, {"ok": good, "certificates": told}, "\n".join(lines) or "none")
    raise typer.Exit(0 if good else 1)


@config_cli.command("schema")
def config_schema() -> None:
    """Print the JSON Schemas of gateway.yaml and of a firm's file."""
    print(json.dumps(settings.schema(), indent=2))
