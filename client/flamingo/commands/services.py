"""`flamingo serve`, `router`, `pull` and `operator`: become that program.

The command line's process is replaced, so signals reach the service itself, and
every argument, `--help` too, is the service's to read.
"""

import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand

HELP = {
    "serve": ("flamingo_pod", "Serve a model with this machine's GPU, or its CPU."),
    "router": ("flamingo_router", "Send each clip to the pod where it waits least."),
    "pull": ("flamingo_pod.pull", "Fetch a model ahead of its pods."),
    "operator": ("flamingo_operator", "Run fleets in Kubernetes."),
}


class PassThrough(TyperCommand):
    """A command that reads none of its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave all arguments where the command finds them."""
        ctx.args = list(args)
        return []


def add_to(app: typer.Typer) -> None:
    """Add these commands to `app`."""
    for name, (module, text) in HELP.items():
        command = app.command(name, cls=PassThrough, help=text, rich_help_panel="Run")
        command(_becoming(module))


def _becoming(module: str) -> Any:
    def become(ctx: typer.Context) -> NoReturn:
        # -P keeps the current folder off the module path, where a folder called
        # `operator` would hide the standard library's module of that name.
        command = [sys.executable, "-P", "-m", module, *ctx.args]
        os.execv(sys.executable, command)  # noqa: S606 - our own interpreter

    return become
