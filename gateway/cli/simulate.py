"""`gateway simulate`: stand-ins for what cannot be had."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.common import Json, tell
from gateway.simulators.digipoort import server as digipoort
from gateway.simulators.digipoort.desk import Options

simulate_cli = typer.Typer(no_args_is_help=True, help="Stand-ins for Digipoort and a bank.")


def _simulate(
    kind: str, folder: Path, port: int, control: int, clients: list[str], receivers: list[str],
    speed: float, as_json: bool,
) -> None:  # fmt: skip
    known = dict(c.split("=", 1) for c in clients if "=" in c) or {"kantoor": "12345678"}

    def ready(url: str, control_url: str) -> None:
        told = {"url": url, "control": control_url, "pki": str(folder / "pki")}
        tell(as_json, told, f"{kind}: {url}\nbookings and scenarios: {control_url}\n"
              f"certificates: {folder / 'pki'}")  # fmt: skip
        sys.stdout.flush()

    options = Options(speed=speed, receivers=tuple(receivers))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            digipoort.run(
                folder, kind=kind, clients=known, options=options, port=port,
                control_port=control, ready=ready,
            )
        )  # fmt: skip


_Where = Annotated[Path, typer.Option("--folder", help="For its ledger and certificates.")]
_Port = Annotated[int, typer.Option(help="Of the services; 0: any.")]
_Control = Annotated[int, typer.Option(help="Of the page with bookings and scenarios; 0: any.")]
_Clients = Annotated[
    list[str], typer.Option("--client", help="NAME=KVK: a client certificate to make.")
]
_Speed = Annotated[float, typer.Option(help="How many times faster than real.")]


@simulate_cli.command("digipoort")
def simulate_digipoort(
    folder: _Where,
    port: _Port = 0,
    control_port: _Control = 0,
    client: _Clients = [],  # noqa: B006
    speed: _Speed = 1.0,
    as_json: Json = False,
) -> None:
    """A Digipoort that takes in and forgets the content, over mutual TLS with a CA of its own."""
    _simulate("digipoort", folder, port, control_port, client, [], speed, as_json)


@simulate_cli.command("bank")
def simulate_bank(
    folder: _Where,
    receiver: Annotated[list[str], typer.Option(help="Numbers of banks that it takes for.")],
    port: _Port = 0,
    control_port: _Control = 0,
    client: _Clients = [],  # noqa: B006
    speed: _Speed = 1.0,
    as_json: Json = False,
) -> None:
    """The banks' side (BIV), which speaks the same protocol."""
    _simulate("bank", folder, port, control_port, client, receiver, speed, as_json)
