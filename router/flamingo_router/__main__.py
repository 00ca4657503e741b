"""Runs the router: `python -m flamingo_router --endpoint http://HOST:PORT …`."""

import os
import sys
from collections.abc import Sequence

from flamingo_common.service import logs, run, settings, traces
from flamingo_router import app
from flamingo_router.settings import Settings


def main(argv: Sequence[str]) -> int:
    """Serve until a signal stops the router; return the exit status."""
    router_settings = settings.load(Settings, argv, os.environ, prog="flamingo router")
    logs.configure(service="router", level=router_settings.log_level)
    traces.configure(service="router")
    router = app.create(router_settings)
    return run.run(router, router_settings, drain=router[app.DRAIN_GATE].close)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
