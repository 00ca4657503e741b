"""The command line `flamingo`: how it starts, ends, and is interrupted.

Exit status: 0 on success; 1 on failure, with one line on standard error; 2 for a usage
error; 130 after ctrl-C. A closed standard output (`flamingo … | head`) is not reported.
"""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import NoReturn

from flamingo.commands import service_programs

EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143
FIRST_PROCESS = 1
"""Of a container."""
FIRST_FREE_DESCRIPTOR = 3


def main() -> NoReturn:
    """Run the command line."""
    _prepare_standard_streams()
    if (module := service_programs.MODULES.get(next(iter(sys.argv[1:]), ""))) is not None:
        service_programs.replace_process(module, sys.argv[2:])
    # Importing the commands takes most of a second; ctrl-C then ends the process at once.
    is_interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.getpid() == FIRST_PROCESS:  # it ignores signals that it has no handler for
        signal.signal(signal.SIGTERM, _terminate)
    run_command = import_module("flamingo.commands.app").run
    if is_interruptible:
        signal.signal(signal.SIGINT, _interrupt)
    status = _run(run_command)
    raise SystemExit(_flush_output() or status)


def _terminate(*_: object) -> NoReturn:
    """End as SIGTERM does by default, to a shell."""
    raise SystemExit(EXIT_TERMINATED)


def _interrupt(*_: object) -> NoReturn:
    """Interrupt the command; ctrl-C once more ends the process without cleaning up."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


def _prepare_standard_streams() -> None:
    """Make printing to any kind of standard output and error possible.

    A stream that the caller closed (`>&-`) becomes the null device: otherwise its file
    descriptor would be that of the next socket. Characters that the encoding of standard output
    lacks are printed as backslash escapes.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < FIRST_FREE_DESCRIPTOR:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(run_command: Callable[[], int | str | None]) -> int | str | None:
    try:
        return run_command()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _flush_output() -> int:
    """Flush standard output; return 1 if it cannot be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        # The buffered output has no reader; stop the interpreter from flushing it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            return 0
        reason = (error.strerror or str(error)).lower()
        print(f"flamingo: cannot write to standard output: {reason}", file=sys.stderr)
        return 1
    return 0
