"""`python -m flamingo_operator`: read the settings and run the operator."""

import os
import sys
from collections.abc import Sequence

from flamingo_common.service import logs, run, settings
from flamingo_operator import app
from flamingo_operator.settings import Settings


def main(argv: Sequence[str]) -> int:
    """Reconcile FlamingoDeployments until signalled to stop; return the exit status."""
    given = settings.load(Settings, argv, os.environ, prog="flamingo operator")
    logs.configure(service="operator", level=given.log_level)
    application = app.create(given)
    status = run.run(application, given, drain=lambda: app.drain(application))
    return status or int(application[app.STATE].has_failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
