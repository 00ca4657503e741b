"""`flamingo serve`, `router`, `pull`, `operator`: replace this process by the service.

Signals then reach the service itself, and the service parses all arguments, `--help`
included.
"""

from typing import Any, NoReturn

import typer
from typer.core import TyperCommand

from flamingo.commands import service_programs

HELP = {
    "serve": "Serve one model over an OpenAI-compatible HTTP API.",
    "router": "Route each request to the pod where it finishes first.",
    "pull": "Download a checkpoint before its pods start, and verify it.",
    "operator": "Run the Kubernetes operator for FlamingoDeployments.",
}


class PassThrough(TyperCommand):
    """A command that parses none of its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Leave all arguments in `ctx.args`."""
        ctx.args = list(args)
        return []


def add_to(app: typer.Typer, *, panel: str) -> None:
    """Add these commands to `app`."""
    for name, module in service_programs.MODULES.items():
        command = app.command(name, cls=PassThrough, help=HELP[name], rich_help_panel=panel)
        command(exec_module(module))


def exec_module(module: str, *first: str) -> Any:
    """Return a command that replaces this process by a module; its arguments begin with `first`."""

    def execute(ctx: typer.Context) -> NoReturn:
        service_programs.replace_process(module, [*first, *ctx.args])

    return execute
