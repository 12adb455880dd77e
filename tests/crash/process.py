"""The processes under test: a worker as `gateway worker` runs it, and Digipoort's simulator.

They are forked from a server that has imported everything, so that hundreds of them can be
killed in a minute. What a worker does otherwise than the real one is `points.arm` and
`controls.break_it`, both before it begins.
"""

import asyncio
import multiprocessing
import os
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from gateway import app, cli, log, settings
from gateway.demo import follow
from gateway.simulators.digipoort import server
from gateway.simulators.digipoort.desk import Options
from tests.crash import controls, points

#: The value of `env:MAP_CRASH_KEY` in the settings.
KEY = "k" * 44
CLIENTS = {"kantoor": "12345678"}


@dataclass(frozen=True)
class Spec:
    """A worker. config: its settings. out: file for its log. point: where it kills itself, a name
    of `points.POINTS`. statement: it kills itself before its so-manieth SQL statement (of: of
    those with this word; after: after it). control: how it is broken, a name of
    `controls.CONTROLS`."""

    config: Path
    out: Path
    point: str = ""
    statement: int = 0
    control: str = ""
    of: str = ""
    after: bool = False


def start(spec: Spec) -> ForkServerProcess:
    """A worker that runs."""
    return _start(_worker, spec)


def start_portal(spec: Spec) -> ForkServerProcess:
    """A portal that serves where its settings say."""
    return _start(_portal, spec)


def start_simulator(folder: Path, options: Options) -> ForkServerProcess:
    """The simulator; its two addresses come in `folder`/addresses."""
    return _start(_simulator, folder, options)


def _start(target: object, *given: object) -> ForkServerProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=target, args=given, daemon=True)
    process.start()
    return process


def _into(file: Path) -> None:
    """What the process says goes to a file, and it ends when the tests do."""
    follow.parent()
    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)


def _worker(spec: Spec) -> None:
    asyncio.run(cli._work(_armed(spec)))


def _portal(spec: Spec) -> None:
    asyncio.run(app.serve(_armed(spec)))


def _armed(spec: Spec) -> settings.Settings:
    _into(spec.out)
    os.environ["MAP_CRASH_KEY"] = KEY
    found = settings.load(spec.config)
    log.configure(level=found.gateway.log_level)
    if spec.point:
        points.arm(points.POINTS[spec.point])
    if spec.statement:
        points.arm_statement(spec.statement, spec.of, after=spec.after)
    if spec.control:
        controls.CONTROLS[spec.control]()
    return found


def _simulator(folder: Path, options: Options) -> None:
    _into(folder / "simulator.log")
    file = folder / "addresses"

    def ready(*addresses: str) -> None:
        half = file.with_suffix(".new")
        half.write_text("\n".join(addresses))
        half.replace(file)

    asyncio.run(server.run(folder, clients=CLIENTS, options=options, ready=ready))
