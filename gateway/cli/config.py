"""`gateway config`: the configuration, checked and described."""

import json

import typer

from gateway import settings
from gateway.cli.common import CONFIG, Folder, Json, fail, tell

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


@config_cli.command("schema")
def config_schema() -> None:
    """Print the JSON Schemas of gateway.yaml and of a firm's file."""
    print(json.dumps(settings.schema(), indent=2))
