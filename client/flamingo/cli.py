"""The command `flamingo`: names its verbs, and ends as programs should.

Exit status: 0; 1 when it failed, with one line on standard error; 2 when it was
called wrongly; 130 after ctrl-C. A reader that leaves early is no failure worth
a word.
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
  flamingo up                                   a fleet on this machine
  flamingo caption song.mp3                     what it is like
  flamingo ask song.mp3 "Which instruments?"    an answer
  flamingo embed song.mp3 --out song.npy        numbers
  flamingo caption --json *.flac | jq .caption  many, for programs
"""

app = typer.Typer(
    name="flamingo",
    help="Listen to music with NVIDIA's Music Flamingo: one machine or a fleet.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(rich_help_panel="Listen")(caption.caption)
app.command(rich_help_panel="Listen")(ask.ask)
app.command(rich_help_panel="Listen")(embed.embed)
app.command(rich_help_panel="Look")(models.models)
app.command(rich_help_panel="Look")(fleet.fleet)
app.command(rich_help_panel="Look")(version.version)
app.command(rich_help_panel="Run")(up.up)
services.add_to(app)
app.command(rich_help_panel="Look")(doctor.doctor)
app.command("config", cls=services.PassThrough, help=config.HELP, rich_help_panel="Look")(
    config.config
)
app.add_typer(keys.app, rich_help_panel="Run")
app.command("bench", cls=services.PassThrough, help=bench.HELP, rich_help_panel="Look")(bench.bench)


def main() -> None:
    """Run the command line."""
    status = _status()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered has no reader; the interpreter must not try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(status)


def _status() -> int | str | None:
    try:
        app()
    except SystemExit as leaving:
        return leaving.code
    except FlamingoError as error:
        output.failure(error)
        return 1
    return 0
