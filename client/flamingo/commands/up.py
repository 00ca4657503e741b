"""`flamingo up`: a fleet on this machine."""

from pathlib import Path
from typing import Annotated

import typer

import flamingo_common
from flamingo.client import address
from flamingo.local_fleet import fleet, hardware
from flamingo.local_fleet.plan import LOOPBACK, FleetOptions, LogLevel
from flamingo_common.recipes import folder
from flamingo_common.recipes.recipe import RecipeInvalid
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.service.run import PortInUse

EXAMPLE_CLIP = Path(flamingo_common.__path__[0]) / "clips" / "clip.mp3"
GRACE_PERIOD_S = 10.0

Model = Annotated[
    str, typer.Option("--model", help="Built-in model, directory, or Hugging Face model id.")
]
Pods = Annotated[
    int | None,
    typer.Option(
        "--pods", min=1, max=64, help="Number of pods; default: one per GPU, or 2 without a GPU."
    ),
]
Host = Annotated[
    str, typer.Option("--host", help="Address to listen on; :: listens on all interfaces.")
]
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 picks a free one.")
]
Level = Annotated[
    LogLevel, typer.Option("--log-level", help="Minimum level of the services' logs to show.")
]
Batches = Annotated[
    Path | None,
    typer.Option(
        "--batches-dir",
        file_okay=False,
        help="Serve files and batches, too, and keep them in this directory.",
    ),
]
Recipes = Annotated[
    Path | None,
    typer.Option(
        "--recipes-dir",
        file_okay=False,
        help="Directory with recipes of your own, one YAML file each.",
    ),
]


def up(  # noqa: PLR0913, PLR0917 - a command's parameters are its options
    model: Model = "flamingo-tiny",
    pods: Pods = None,
    host: Host = LOOPBACK,
    port: Port = 8000,
    log_level: Level = "warning",
    batches_dir: Batches = None,
    recipes_dir: Recipes = None,
) -> None:
    """Start a local fleet: pods, a router, and a service of batches if it has a directory.

    Runs in the foreground; ctrl-C stops it. The default model needs no GPU: it
    has the architecture of the real model and random weights.
    """
    kept = None if batches_dir is None else str(batches_dir.resolve())
    options = FleetOptions(
        model,
        pods,
        host,
        port,
        log_level,
        GRACE_PERIOD_S,
        kept,
        _checked_recipes(recipes_dir),
        client_url=address.DEFAULT_URL,
    )
    try:
        status = fleet.up(options, hardware.service_commands(), EXAMPLE_CLIP)
    except PortInUse as error:
        typer.echo(f"flamingo: {error}", err=True)
        status = ExitStatus.PORT_IN_USE
    raise typer.Exit(status)


def _checked_recipes(recipes_dir: Path | None) -> str | None:
    """Return the absolute path; pods would only fail with its faults, one after the other."""
    if recipes_dir is None:
        return None
    try:
        folder.load(recipes_dir)
    except RecipeInvalid as error:
        raise typer.BadParameter(str(error), param_hint="--recipes-dir") from None
    return str(recipes_dir.resolve())
