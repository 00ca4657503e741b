"""`python -m flamingo_pod`, run by `flamingo serve`: serve one model over HTTP."""

import os
import sys

from flamingo_common.service import logs, run, settings, traces
from flamingo_common.service.exit_status import ExitStatus

SWITCH_INTERVAL_S = 0.001
"""How long the event loop waits for the engine's thread to release the interpreter lock, each time
that it has released it itself, as it does to write to a socket. Python's default is 5 ms."""

try:
    from flamingo_pod import app, pod
    from flamingo_pod.settings import Settings
except ModuleNotFoundError as missing:
    # The base install is only the client and the CLI.
    print(  # noqa: T201 - for the user
        f"flamingo serve: {missing.name} is not installed; pip install 'flamingo-fleet[pod]'",
        file=sys.stderr,
    )
    raise SystemExit(ExitStatus.MISSING_DEPENDENCY) from None


def main(argv: list[str]) -> int:
    """Serve one model until stopped; return the exit status."""
    pod_settings = settings.load(Settings, argv, os.environ, prog="flamingo serve")
    logs.configure(service="pod", level=pod_settings.log_level)
    traces.configure(service="pod")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    created_pod = pod.create(pod_settings)
    status = run.run(app.create(created_pod), pod_settings, drain=created_pod.drain)
    return created_pod.exit_status or status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
