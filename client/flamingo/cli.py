"""The command line `flamingo`: the list of commands, and the exit status.

Exit status: 0 on success; 1 on failure, with one line on standard error; 2 for a usage
error; 130 after ctrl-C. A closed standard output (`flamingo … | head`) is not reported.
"""

import os
import sys

import typer

from flamingo.commands import (
    ask,
    bench,
    caption,
    config,
    doctor,
    embed,
    fleet,
    keys,
    models,
    output,
    services,
    up,
    version,
)
from flamingo_common.errors import FlamingoError

EXAMPLES = """\
Examples:
  flamingo up                                   start a local fleet
  flamingo caption song.mp3                     describe a clip
  flamingo ask song.mp3 "Which instruments?"    ask about a clip
  flamingo embed song.mp3 --out song.npy        save its embedding
  flamingo caption --json *.flac | jq .caption  caption many clips
"""
USE = "Use a fleet"
INSPECT = "Inspect"
RUN = "Run services"

app = typer.Typer(
    name="flamingo",
    help="Serve and query NVIDIA's Music Flamingo, on one machine or a cluster.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(rich_help_panel=USE)(caption.caption)
app.command(rich_help_panel=USE)(ask.ask)
app.command(rich_help_panel=USE)(embed.embed)
app.command(rich_help_panel=INSPECT)(models.models)
app.command(rich_help_panel=INSPECT)(fleet.fleet)
app.command(rich_help_panel=INSPECT)(version.version)
app.command(rich_help_panel=RUN)(up.up)
services.add_to(app, panel=RUN)
app.command(rich_help_panel=INSPECT)(doctor.doctor)
app.command("config", cls=services.PassThrough, help=config.HELP, rich_help_panel=INSPECT)(
    config.config
)
app.add_typer(keys.app, rich_help_panel=RUN)
app.command("bench", cls=services.PassThrough, help=bench.HELP, rich_help_panel=INSPECT)(
    bench.bench
)


def main() -> None:
    """Run the command line."""
    status = _run_app()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # The buffered output has no reader; stop the interpreter from flushing it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(status)


def _run_app() -> int | str | None:
    try:
        app()
    except SystemExit as exit_:
        return exit_.code
    except FlamingoError as error:
        output.print_error(error)
        return 1
    return 0
