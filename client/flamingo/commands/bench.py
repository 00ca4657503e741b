"""`flamingo bench`: a quiz for a fleet, or a benchmark that replaces this process."""

import os
import sys

import typer

from flamingo.commands.quizzes import quiz

QUIZ = "quiz"
HELP = (
    "Benchmark the engine, a GPU, audio decoding or FP8 on this machine, see flamingo bench --help;"
    " or ask a fleet a quiz, see flamingo bench quiz --help."
)


def bench(ctx: typer.Context) -> None:
    """Run the quiz, or replace this process with the benchmark, which parses the arguments."""
    if ctx.args[:1] == [QUIZ]:
        quiz.app(ctx.args[1:], prog_name="flamingo bench quiz")
    command = [sys.executable, "-P", "-m", "flamingo_pod.bench", *ctx.args]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
