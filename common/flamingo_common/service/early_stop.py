"""What a service does about SIGTERM and ctrl-C before it listens.

The kernel drops signals to a container's first process that it has no handler for. A service that
receives SIGTERM while Python still imports it would never end, and its pod would wait for the whole
grace period. Ctrl-C would print a traceback. So a program calls `handle` before it imports the
rest; `run` replaces the handlers.
"""

import signal
from typing import NoReturn


def handle() -> None:
    """End the process with exit status 0 on either: there are no requests to finish yet."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
        signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)


def _stop(*_: object) -> NoReturn:
    raise SystemExit(0)
