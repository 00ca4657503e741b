"""Runs the router: `python -m flamingo_router --endpoint http://HOST:PORT …`."""

import importlib
import os
import sys
from collections.abc import Sequence

from flamingo_common.service import early_stop


def main(argv: Sequence[str]) -> int:
    """Serve until a signal stops the router; return the exit status."""
    # Not at the top of this file: a signal during the import must be handled already.
    return int(importlib.import_module("flamingo_router.process").run(argv, os.environ))


if __name__ == "__main__":
    early_stop.handle()
    sys.exit(main(sys.argv[1:]))
