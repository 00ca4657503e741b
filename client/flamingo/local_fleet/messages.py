"""What `flamingo up` says.

Pure.
"""

import http
import json
import shlex
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from flamingo.local_fleet.plan import LogLevel

NUM_LAST_LINES = 20
STOPPING = "stopping; ctrl-C again stops at once"
LEVELS: tuple[str, ...] = ("debug", "info", "warning", "error", "critical")
_HIDDEN = frozenset({"event", "level", "timestamp", "service", "exception"})


@dataclass(frozen=True)
class LogLine:
    """One line of a service's log."""

    level: str
    text: str


def parse_log_line(raw: str) -> LogLine:
    """Return a service's JSON line as a person reads it; any other line as it is, at `info`."""
    try:
        facts = json.loads(raw)
        level, event = str(facts["level"]), str(facts["event"])
    except (ValueError, KeyError, TypeError):
        return LogLine("info", raw)
    told = [f"{key}={value}" for key, value in facts.items() if key not in _HIDDEN]
    trace = [str(facts["exception"])] if "exception" in facts else []
    return LogLine(level, "\n".join([" ".join([f"{level:<7}", event, *told]), *trace]))


def is_shown(line: LogLine, threshold: LogLevel) -> bool:
    """Return whether `line` is at or above `threshold`; an unknown level always is."""
    if line.level not in LEVELS:
        return True
    return LEVELS.index(line.level) >= LEVELS.index(threshold)


def prefixed(name: str, text: str) -> str:
    """Return each line of `text` with the name of the child that wrote it."""
    return "\n".join(f"{name:<7}| {line}" for line in text.splitlines())


def ending(returncode: int) -> str:
    """Return how a process ended, in words; a signal by its name."""
    if returncode >= 0:
        return f"exited with status {returncode}"
    try:
        return f"was killed by {signal.Signals(-returncode).name}"
    except ValueError:
        return f"was killed by signal {-returncode}"


def death(name: str, returncode: int, log: str, log_path: str) -> str:
    """Return what to say of a child that ended uninvited."""
    lines = log.splitlines()[-NUM_LAST_LINES:]
    said = f"{name} {ending(returncode)}"
    if not lines:
        return f"{said}; it wrote nothing"
    last = "\n".join(prefixed(name, parse_log_line(line).text) for line in lines)
    return f"{said}; its last lines ({log_path} has them all):\n{last}"


def progress(num_ready: int, total: int, elapsed_s: float) -> str:
    """Return how far the start is."""
    pods = "pod is" if total == 1 else "pods are"
    return f"{num_ready} of {total} {pods} ready after {elapsed_s:.0f} s"


def num_ready(status: int, body: bytes, total: int) -> int:
    """Return how many pods are ready, by the router's answer to `/health/ready`.

    An answer without numbers counts for all or nothing.
    """
    try:
        told = json.loads(body)["ready"]
    except (ValueError, KeyError, TypeError):
        told = None
    if isinstance(told, int) and not isinstance(told, bool):
        return told
    return total if status == http.HTTPStatus.OK else 0


def left_over(names: Sequence[str], grace_s: float) -> str:
    """Return what to say of children that had to be killed."""
    return f"{' and '.join(names)} did not stop within {grace_s:g} s and got SIGKILL"


def starting(model: str, total: int, gpus: Sequence[str]) -> str:
    """Return what is about to happen."""
    pods = "1 pod" if total == 1 else f"{total} pods"
    where = f"on GPU {', '.join(gpus[:total])}" if gpus else "on the CPU"
    return f"starting {pods} of {model} {where}, and a router"


def ready(address: str, model: str, clip: str, log_folder: str) -> str:
    """Return what to do with a fleet that is ready."""
    lines = [
        f"The fleet is ready at {address}",
        "",
        f"  page       {address}/ui",
        f"  caption    curl -s {address}/v1/audio/captions -F {shlex.quote('file=@' + clip)}",
        f"  embedding  curl -s {address}/v1/audio/embeddings -F {shlex.quote('file=@' + clip)}",
        f"  logs       {log_folder}",
        "",
        "ctrl-C stops it",
    ]
    if model.startswith("flamingo-tiny"):
        lines[1:1] = [f"({model} has random weights: its words mean nothing)"]
    return "\n".join(lines)
