"""Runs the service of batches: `python -m flamingo_batches --server-url http://HOST:PORT …`."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from flamingo_common.service import early_stop, extras

REQUIRED = ("alembic", "obstore", "psycopg", "sqlalchemy")
MISSING_DEPENDENCY = 5
"""`ExitStatus.MISSING_DEPENDENCY`, which cannot be imported if something is missing."""


def main(argv: Sequence[str]) -> int:
    """Serve until a signal stops the service; return the exit status."""
    for name in REQUIRED:
        if importlib.util.find_spec(name) is None:
            line = extras.missing("flamingo batches", name, "batches")
            print(line, file=sys.stderr)  # noqa: T201 - for the user
            return MISSING_DEPENDENCY
    # Not at the top of this file: a signal during the import must be handled already.
    return int(importlib.import_module("flamingo_batches.process").run(argv, os.environ))


if __name__ == "__main__":
    early_stop.handle()
    sys.exit(main(sys.argv[1:]))
