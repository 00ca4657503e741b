"""`flamingo config show | schema pod | router`: asks the service, which knows its settings."""

import os
import sys
from typing import NoReturn

import typer

HELP = "Show a service's effective settings and where each comes from."
USAGE = """\
usage: flamingo config show pod|router [the service's own flags]
       flamingo config schema pod|router

show prints every setting as a YAML file, each with its origin: a flag, a
variable, a line of the file given with --config, or the default.
schema prints the JSON schema of such a file.
"""
MODULES = {"pod": "flamingo_pod.config", "router": "flamingo_router.config"}
EXIT_USAGE = 2


def config(ctx: typer.Context) -> NoReturn:
    """Become the service's own answer."""
    match ctx.args:
        case ["show" | "schema" as verb, "pod" | "router" as service, *flags]:
            command = [sys.executable, "-P", "-m", MODULES[service], verb, *flags]
            os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
        case [] | ["-h" | "--help", *_]:
            typer.echo(USAGE, nl=False)
            raise typer.Exit
        case _:
            typer.echo(USAGE, err=True, nl=False)
            raise typer.Exit(EXIT_USAGE)
