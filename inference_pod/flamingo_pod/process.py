"""Runs the pod as a process, from its settings to its exit status; it imports torch."""

import os
import sys

from flamingo_common.service import logs, traces
from flamingo_common.service import run as service
from flamingo_common.service.exit_status import ExitStatus
from flamingo_pod import app, pod
from flamingo_pod.settings import Settings

SWITCH_INTERVAL_S = 0.001
"""How long the event loop waits for the engine's thread to release the interpreter lock, each time
that it has released it itself, as it does to write to a socket. Python's default is 5 ms."""


def run(pod_settings: Settings) -> int:
    """Serve one model until stopped; return the exit status."""
    logs.configure(service="pod", level=pod_settings.log_level)
    traces.configure(service="pod")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    created_pod = pod.create(pod_settings)
    return run_pod(created_pod)


def run_pod(created_pod: pod.Pod) -> int:
    """Serve until stopped; return the exit status, after writing why the pod failed, if it did."""
    status = service.run(app.create(created_pod), created_pod.settings, drain=created_pod.drain)
    if created_pod.exit_status is ExitStatus.OK:
        return status
    # Last: Kubernetes takes the end of the log as the termination message.
    print(f"flamingo serve: {created_pod.failure}", file=sys.stderr, flush=True)  # noqa: T201
    if created_pod.exit_status is ExitStatus.DEVICE_ERROR:
        # Destructors that call a lost device end a process with std::terminate, status 134.
        os._exit(created_pod.exit_status)
    return created_pod.exit_status
