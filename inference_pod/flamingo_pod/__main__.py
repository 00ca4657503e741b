"""`python -m flamingo_pod`, which `flamingo serve` becomes: settings → pod → serve."""

import os
import sys

from flamingo_common.service import logs, run, settings, traces
from flamingo_common.service.exit_status import ExitStatus

SWITCH_S = 0.001
"""How long the event loop waits for the engine's thread to let go of the interpreter, each time
that it has let go itself, as it does to write to a socket; Python's own is five times as long."""

try:
    from flamingo_pod import app, pod
    from flamingo_pod.settings import Settings
except ModuleNotFoundError as missing:
    # The base install is client and CLI; say what brings the rest.
    print(  # noqa: T201 - said to a person, before there are logs
        f"flamingo serve: {missing.name} is not installed; pip install 'flamingo-fleet[pod]'",
        file=sys.stderr,
    )
    raise SystemExit(ExitStatus.MISSING_DEPENDENCY) from None


def main(argv: list[str]) -> int:
    """Serve one model until told to stop; return the exit status."""
    given = settings.load(Settings, argv, os.environ, prog="flamingo serve")
    logs.configure(service="pod", level=given.log_level)
    traces.configure(service="pod")
    sys.setswitchinterval(SWITCH_S)
    serving = pod.create(given)
    status = run.run(app.create(serving), given, drain=serving.drain)
    return serving.exit_status or status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
