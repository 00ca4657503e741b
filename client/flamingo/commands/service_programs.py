"""The services that `flamingo` runs in its own place, by the name of their command.

It imports no library: `flamingo serve` begins without the seconds that all commands take to import.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

MODULES = {
    "serve": "flamingo_pod",
    "router": "flamingo_router",
    "pull": "flamingo_pod.pull",
    "operator": "flamingo_operator",
}
"""Signals reach the service itself, and it parses all arguments, `--help` included."""


def replace_process(module: str, arguments: Sequence[str]) -> NoReturn:
    """Become `python -m MODULE ARGUMENTS…`."""
    # -P keeps the current directory off the module path: a directory called `operator`
    # would shadow the standard library's module of that name.
    command = [sys.executable, "-P", "-m", module, *arguments]
    os.execv(sys.executable, command)  # noqa: S606 - our own interpreter
