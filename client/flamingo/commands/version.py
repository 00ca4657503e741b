"""`flamingo version`, and the option `--version`: the installed version."""

from importlib import metadata
from typing import Annotated

import typer


def version() -> None:
    """Print the version."""
    print(f"flamingo {metadata.version('flamingo-fleet')}")


def _print_version(is_requested: bool) -> None:
    if is_requested:
        version()
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version."),
]


def options(is_version: Version = False) -> None:
    """Take the options of `flamingo` itself; the help text is that of the application."""
