"""Runs the router as a process, from its settings to its exit status."""

from collections.abc import Mapping, Sequence

from flamingo_common.service import logs, settings, traces
from flamingo_common.service import run as service
from flamingo_router import app
from flamingo_router.settings import Settings


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Serve until a signal stops the router; return the exit status."""
    router_settings = settings.load(Settings, argv, environ, prog="flamingo router")
    logs.configure(service="router", level=router_settings.log_level)
    traces.configure(service="router")
    router = app.create(router_settings)
    return service.run(router, router_settings, drain=router[app.DRAIN_GATE].close)
