"""`flamingo config`: replaces this process with the config command of a service."""

import os
import sys
from typing import NoReturn

import typer

HELP = "Show a service's effective settings and where each comes from."
USAGE = """\
usage: flamingo config show pod|router|operator|batches [FLAG...]
       flamingo config schema pod|router|operator|batches

pod     what `flamingo serve` runs, which is accepted as its name as well.
show    prints every effective setting as YAML, with its source: a flag, an
        environment variable, a line of the file given with --config, or the
        default. FLAG is any flag of the service.
schema  prints the JSON schema of that file.
"""
MODULES = {
    "serve": "flamingo_pod.config",
    "pod": "flamingo_pod.config",
    "router": "flamingo_router.config",
    "operator": "flamingo_operator.config",
    "batches": "flamingo_batches.config",
}
EXIT_USAGE = 2


def config(ctx: typer.Context) -> NoReturn:
    """Replace this process with the service's config command."""
    match ctx.args:
        case ["show" | "schema" as verb, service, *flags] if service in MODULES:
            command = [sys.executable, "-P", "-m", MODULES[service], verb, *flags]
            os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
        case [] | ["-h" | "--help", *_]:
            typer.echo(USAGE, nl=False)
            raise typer.Exit
        case _:
            typer.echo(USAGE, err=True, nl=False)
            raise typer.Exit(EXIT_USAGE)
