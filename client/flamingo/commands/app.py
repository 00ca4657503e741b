"""The commands of `flamingo`, and how one of them is run.

It is a module of its own, because importing all commands takes most of a second; see `cli`.
"""

import errno
import os

import typer

from flamingo.commands import (
    analyze,
    ask,
    batch,
    batches,
    bench,
    caption,
    chat,
    completion,
    config,
    doctor,
    embed,
    fleet,
    keys,
    models,
    recipes,
    services,
    tag,
    up,
    version,
)
from flamingo.commands.command import Command
from flamingo.commands.display import output
from flamingo_common.errors import FlamingoError

EXAMPLES = """\
Examples:
  flamingo up                                   start a local fleet
  flamingo caption song.mp3                     describe a clip
  flamingo ask song.mp3 "Which instruments?"    ask about a clip
  flamingo analyze song.mp3 -r card -r lyrics   ask several questions at once
  flamingo chat song.mp3                        talk about a clip
  flamingo embed song.mp3 --out song.npy        save its embedding
  flamingo tag song.mp3 -t mood                 tag it with probabilities
  flamingo batch songs/ -o songs.parquet        caption a catalogue
"""
USE = "Use a fleet"
INSPECT = "Inspect"
RUN = "Run services"

app = typer.Typer(
    name="flamingo",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.callback(
    help="Serve and query NVIDIA's Music Flamingo, on one machine or a cluster.", epilog=EXAMPLES
)(version.options)
app.command(cls=Command, rich_help_panel=USE)(caption.caption)
app.command(cls=Command, rich_help_panel=USE)(ask.ask)
app.command(cls=Command, rich_help_panel=USE)(chat.chat)
app.command(cls=Command, rich_help_panel=USE)(embed.embed)
app.command(cls=Command, rich_help_panel=USE)(analyze.analyze)
app.command(cls=Command, rich_help_panel=USE)(tag.tag)
app.command(cls=Command, rich_help_panel=USE)(batch.batch)
app.command(cls=Command, rich_help_panel=INSPECT)(models.models)
app.command(cls=Command, rich_help_panel=INSPECT)(recipes.recipes)
app.command(cls=Command, rich_help_panel=INSPECT)(fleet.fleet)
app.command(cls=Command, rich_help_panel=INSPECT)(version.version)
app.command(cls=Command, rich_help_panel=INSPECT)(completion.completion)
app.command(cls=Command, rich_help_panel=RUN)(up.up)
services.add_to(app, panel=RUN)
app.command(cls=Command, rich_help_panel=INSPECT)(doctor.doctor)
app.command("config", cls=services.PassThrough, help=config.HELP, rich_help_panel=INSPECT)(
    config.config
)
app.add_typer(batches.app, rich_help_panel=USE)
app.add_typer(keys.app, rich_help_panel=RUN)
app.command("bench", cls=services.PassThrough, help=bench.HELP, rich_help_panel=INSPECT)(
    bench.bench
)


def run() -> int | str | None:
    """Run the command in the process's arguments; return the exit status."""
    completion.prepare(os.environ)
    try:
        app(prog_name="flamingo")
    except SystemExit as exit_:
        return exit_.code
    except FlamingoError as error:
        output.print_error(error)
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename:  # anything but standard output
            raise
        output.print_failure("cannot write to standard output: no space left on device")
        return 1
    return 0
