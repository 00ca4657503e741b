"""`flamingo completion`: the script with which a shell completes commands and options.

Typer makes the script, and answers it: the script runs `flamingo` with `VARIABLE` set.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Literal, NoReturn

import typer

VARIABLE = "_FLAMINGO_COMPLETE"

Shell = Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")]


def completion(shell: Shell) -> NoReturn:
    """Print the script that completes commands and options in a shell.

    bash: source <(flamingo completion bash)              in ~/.bashrc

    zsh:  source <(flamingo completion zsh)               in ~/.zshrc, after compinit

    fish: flamingo completion fish | source               in ~/.config/fish/config.fish
    """
    command = [sys.executable, "-P", "-m", "flamingo"]
    os.execve(sys.executable, command, {**os.environ, VARIABLE: f"source_{shell}"})  # noqa: S606 - our own interpreter


def prepare(environ: Mapping[str, str]) -> None:
    """Let Typer answer a shell that completes.

    Typer does so by itself only with options (`--install-completion`) that edit the user's files.
    """
    if VARIABLE in environ:
        import_module("typer.completion").completion_init()
