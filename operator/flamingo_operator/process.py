"""Runs the operator as a process, from its settings to its exit status."""

from collections.abc import Mapping, Sequence

from flamingo_common.service import logs, settings
from flamingo_common.service import run as service
from flamingo_operator import app
from flamingo_operator.settings import Settings


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Reconcile FlamingoDeployments until signalled to stop; return the exit status."""
    operator_settings = settings.load(Settings, argv, environ, prog="flamingo operator")
    logs.configure(service="operator", level=operator_settings.log_level)
    application = app.create(operator_settings)
    status = service.run(application, operator_settings, drain=lambda: app.drain(application))
    return status or int(application[app.STATE].has_failed)
