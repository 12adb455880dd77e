"""The command line: `gateway <command>`."""

import typer

from gateway import __version__

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@cli.callback()
def root() -> None:
    """MijnAccountantsPortal: the portal, its worker, and what operations needs."""


@cli.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """The entry point named in setup.cfg."""
    cli()
