"""`flamingo bench`: become the benchmark, which reads every argument itself."""

import os
import sys
from typing import NoReturn

import typer

HELP = "Measure the engine, or decoding, on this machine: flamingo bench --help."


def bench(ctx: typer.Context) -> NoReturn:
    """Replace this process by the benchmark's."""
    command = [sys.executable, "-P", "-m", "flamingo_pod.bench", *ctx.args]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
