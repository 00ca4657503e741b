"""`flamingo up`: a whole fleet on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from flamingo.local_fleet import fleet, machine
from flamingo.local_fleet.plan import LogLevel, Options
from flamingo_common.service.run import PortInUse

CLIP = Path(__file__).parent.parent / "clips" / "clip.mp3"

Model = Annotated[
    str, typer.Option("--model", help="A built-in model, a folder, or a Hugging Face id.")
]
Pods = Annotated[
    int | None,
    typer.Option("--pods", min=1, max=64, help="How many; default: one for each GPU, or 2."),
]
Host = Annotated[str, typer.Option("--host", help="Where to listen; 0.0.0.0 opens it to all.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")]
Level = Annotated[
    LogLevel, typer.Option("--log-level", help="Which of the services' log lines to show.")
]


def up(
    model: Model = "flamingo-tiny",
    pods: Pods = None,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    log_level: Level = "warning",
) -> None:
    """Start a whole fleet here: pods and a router.

    Without a GPU too: flamingo-tiny has the real model's shape and random
    weights. ctrl-C stops it all.
    """
    wanted = Options(model, pods, host, port, log_level)
    try:
        status = fleet.up(wanted, machine.services(), CLIP)
    except PortInUse as busy:
        typer.echo(f"flamingo: {busy}", err=True)
        status = 1
    raise typer.Exit(status)
