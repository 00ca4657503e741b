"""`flamingo bench`: replaces this process with the benchmark, which parses the arguments."""

import os
import sys
from typing import NoReturn

import typer

HELP = (
    "Benchmark the engine, a GPU, audio decoding or FP8 on this machine; see flamingo bench --help."
)


def bench(ctx: typer.Context) -> NoReturn:
    """Replace this process with the benchmark."""
    command = [sys.executable, "-P", "-m", "flamingo_pod.bench", *ctx.args]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
