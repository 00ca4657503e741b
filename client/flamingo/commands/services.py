"""`flamingo serve`, `router`, `pull`, `operator`: replace this process by the service.

Signals then reach the service itself, and the service parses all arguments, `--help`
included.
"""

import os
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand

SERVICES = {
    "serve": ("flamingo_pod", "Serve one model over an OpenAI-compatible HTTP API."),
    "router": ("flamingo_router", "Route each request to the pod where it finishes first."),
    "pull": ("flamingo_pod.pull", "Download a checkpoint before its pods start, and verify it."),
    "operator": ("flamingo_operator", "Run the Kubernetes operator for FlamingoDeployments."),
}
"""The module and the help text of each command."""


class PassThrough(TyperCommand):
    """A command that parses none of its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave all arguments in `ctx.args`."""
        ctx.args = list(args)
        return []


def add_to(app: typer.Typer, *, panel: str) -> None:
    """Add these commands to `app`."""
    for name, (module, text) in SERVICES.items():
        command = app.command(name, cls=PassThrough, help=text, rich_help_panel=panel)
        command(exec_module(module))


def exec_module(module: str, *first: str) -> Any:
    """Return a command that replaces this process by a module; its arguments begin with `first`."""

    def execute(ctx: typer.Context) -> NoReturn:
        # -P keeps the current directory off the module path: a directory called `operator`
        # would shadow the standard library's module of that name.
        command = [sys.executable, "-P", "-m", module, *first, *ctx.args]
        os.execv(sys.executable, command)  # noqa: S606 - our own interpreter

    return execute
