"""`python -m flamingo_operator`: settings, application, life."""

import os
import sys
from collections.abc import Sequence

from flamingo_common.service import logs, run, settings
from flamingo_operator import app
from flamingo_operator.settings import Settings


def main(argv: Sequence[str]) -> int:
    """Look after FlamingoDeployments until told to stop; return the exit status."""
    given = settings.load(Settings, argv, os.environ, prog="flamingo operator")
    logs.configure(service="operator", level=given.log_level)
    operating = app.create(given)
    status = run.run(operating, given, drain=lambda: app.drain(operating))
    return status or int(operating[app.LIFE].is_lost)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
