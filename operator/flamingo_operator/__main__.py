"""`python -m flamingo_operator`: read the settings and run the operator."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from flamingo_common.service import early_stop, extras

REQUIRED = ("aiohttp", "prometheus_client", "pydantic_settings", "kopf", "kubernetes")
MISSING_DEPENDENCY = 5
"""`ExitStatus.MISSING_DEPENDENCY`, which cannot be imported if something is missing."""


def main(argv: Sequence[str]) -> int:
    """Reconcile FlamingoDeployments until signalled to stop; return the exit status."""
    for name in REQUIRED:
        if importlib.util.find_spec(name) is None:
            # The base install is only the client and the CLI.
            line = extras.missing("flamingo operator", name, "operator")
            print(line, file=sys.stderr)  # noqa: T201 - for the user
            return MISSING_DEPENDENCY
    # Not at the top of this file: a signal during the import must be handled already.
    return int(importlib.import_module("flamingo_operator.process").run(argv, os.environ))


if __name__ == "__main__":
    early_stop.handle()
    sys.exit(main(sys.argv[1:]))
