"""`python -m flamingo_pod`, run by `flamingo serve`: serve one model over HTTP."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from flamingo_common.service import early_stop, extras
from flamingo_common.service.exit_status import ExitStatus


def main(argv: Sequence[str]) -> int:
    """Serve one model until stopped; return the exit status."""
    pod_settings = _read_settings(argv)  # first: importing torch takes seconds
    try:
        # Not at the top of this file: a signal during the import must be handled already.
        process = importlib.import_module("flamingo_pod.process")
    except ModuleNotFoundError as missing:
        # The base install is only the client and the CLI.
        line = extras.missing("flamingo serve", missing.name, "pod")
        print(line, file=sys.stderr)  # noqa: T201 - for the user
        return ExitStatus.MISSING_DEPENDENCY
    return int(process.run(pod_settings))


def _read_settings(argv: Sequence[str]) -> Any:
    settings = importlib.import_module("flamingo_common.service.settings")
    kind = importlib.import_module("flamingo_pod.settings").Settings
    return settings.load(kind, argv, os.environ, prog="flamingo serve")


if __name__ == "__main__":
    early_stop.handle()
    sys.exit(main(sys.argv[1:]))
