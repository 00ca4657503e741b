"""`python -m flamingo_operator`: read the settings and run the operator."""

import os
import sys
from collections.abc import Sequence

from flamingo_common.service import logs, run, settings
from flamingo_common.service.exit_status import ExitStatus

try:
    from flamingo_operator import app
    from flamingo_operator.settings import Settings
except ModuleNotFoundError as missing:
    # The base install is only the client and the CLI.
    print(  # noqa: T201 - for the user
        f"flamingo operator: {missing.name} is not installed;"
        " pip install 'flamingo-fleet[operator]'",
        file=sys.stderr,
    )
    raise SystemExit(ExitStatus.MISSING_DEPENDENCY) from None


def main(argv: Sequence[str]) -> int:
    """Reconcile FlamingoDeployments until signalled to stop; return the exit status."""
    operator_settings = settings.load(Settings, argv, os.environ, prog="flamingo operator")
    logs.configure(service="operator", level=operator_settings.log_level)
    application = app.create(operator_settings)
    status = run.run(application, operator_settings, drain=lambda: app.drain(application))
    return status or int(application[app.STATE].has_failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
