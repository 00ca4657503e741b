"""`kubectl flamingo`: the list of its commands, and how one of them is run.

Exit status: 0; 1 when it failed, with one line on standard error; 2 for a usage error. `plan` has
those of `kubectl diff`.
"""

import sys
from itertools import chain

import typer

from flamingo_operator.plugin import command_words
from flamingo_operator.plugin.cluster import PluginError
from flamingo_operator.plugin.commands import (
    completion,
    drain,
    history,
    logs,
    plan,
    restart,
    status,
    top,
    undo,
    wait,
)
from flamingo_operator.plugin.output import warn

app = typer.Typer(
    name="kubectl flamingo",
    help="Inspect and operate fleets of Music Flamingo servers.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
)
COMMANDS = {
    "Inspect": (status.status, top.top, logs.logs, history.history, plan.plan, wait.wait),
    "Change": (restart.restart, undo.undo, drain.drain),
    "Other": (completion.completion,),
}
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Run the command line."""
    try:
        app(prog_name="kubectl flamingo")
    except PluginError as error:
        warn(str(error))
        raise SystemExit(1) from None


def complete() -> None:
    """Print what may follow on the command line; kubectl runs this."""
    described = command_words.describe(chain.from_iterable(COMMANDS.values()))
    completion.print_candidates(described, sys.argv[1:])
