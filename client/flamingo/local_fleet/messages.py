"""The texts that `flamingo up` prints.

Pure.
"""

import http
import json
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from flamingo.local_fleet.plan import LogLevel

NUM_LOG_LINES = 20
STOPPING = "stopping; press ctrl-C again to stop immediately"
LEVELS: tuple[str, ...] = ("debug", "info", "warning", "error", "critical")
_HIDDEN = frozenset({"event", "level", "timestamp", "service", "exception"})


@dataclass(frozen=True)
class LogLine:
    """One line of a service's log."""

    level: str
    text: str


def parse_log_line(raw: str) -> LogLine:
    """Return a service's JSON log line in readable form; any other line as is, at `info`."""
    try:
        fields = json.loads(raw)
        level, event = str(fields["level"]), str(fields["event"])
    except (ValueError, KeyError, TypeError):
        return LogLine("info", raw)
    details = [f"{key}={value}" for key, value in fields.items() if key not in _HIDDEN]
    traceback = [str(fields["exception"])] if "exception" in fields else []
    return LogLine(level, "\n".join([" ".join([f"{level:<7}", event, *details]), *traceback]))


def is_shown(line: LogLine, threshold: LogLevel) -> bool:
    """Return whether `line` is at or above `threshold`; unknown levels are always shown."""
    if line.level not in LEVELS:
        return True
    return LEVELS.index(line.level) >= LEVELS.index(threshold)


def prefix_lines(name: str, text: str) -> str:
    """Return `text` with the name of the service before each line."""
    return "\n".join(f"{name:<7}| {line}" for line in text.splitlines())


def exit_phrase(returncode: int) -> str:
    """Return how a process ended: its exit status, or the name of the signal."""
    if returncode >= 0:
        return f"exited with status {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


def unexpected_exit(name: str, returncode: int, log: str, log_path: str) -> str:
    """Return the message for a service that exited by itself, with the end of its log."""
    lines = log.splitlines()[-NUM_LOG_LINES:]
    summary = f"{name} {exit_phrase(returncode)}"
    if not lines:
        return f"{summary}; its log is empty"
    tail = "\n".join(prefix_lines(name, parse_log_line(line).text) for line in lines)
    return f"{summary}; last lines of {log_path}:\n{tail}"


def progress(num_ready: int, total: int, elapsed_s: float) -> str:
    """Return the progress of the start."""
    return f"{num_ready} of {total} {'pod' if total == 1 else 'pods'} ready after {elapsed_s:.0f} s"


def num_ready_pods(status: int, body: bytes, total: int) -> int:
    """Return the number of ready pods in the router's response to `/health/ready`.

    A response without that number counts as all pods, or none, by its status.
    """
    try:
        num_ready = json.loads(body)["ready"]
    except (ValueError, KeyError, TypeError):
        num_ready = None
    if isinstance(num_ready, int) and not isinstance(num_ready, bool):
        return num_ready
    return total if status == http.HTTPStatus.OK else 0


def killed(names: Sequence[str], timeout_s: float) -> str:
    """Return the message for services that had to be killed."""
    return f"{' and '.join(names)} did not stop within {timeout_s:g} s: sent SIGKILL"


def starting(model: str, total: int, gpus: Sequence[str]) -> str:
    """Return the message before anything starts."""
    pods = "1 pod" if total == 1 else f"{total} pods"
    gpu = "GPU" if len(gpus[:total]) == 1 else "GPUs"
    device = f"on {gpu} {', '.join(gpus[:total])}" if gpus else "on the CPU"
    return f"starting a router and {pods} of {model} {device}"


def ready(address: str, model: str, clip: str, log_folder: str) -> str:
    """Return the message for a fleet that is ready: how to use it."""
    lines = [
        f"The fleet is ready at {address}",
        "",
        f"  web page   {address}/ui",
        f"  caption    curl -s {address}/v1/audio/captions -F {shlex.quote('file=@' + clip)}",
        f"  embedding  curl -s {address}/v1/audio/embeddings -F {shlex.quote('file=@' + clip)}",
        f"  logs       {log_folder}",
        "",
        "Press ctrl-C to stop.",
    ]
    if model.startswith("flamingo-tiny"):
        lines[1:1] = [f"({model} is a test model with random weights: its output is meaningless)"]
    return "\n".join(lines)
