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


@dataclass(frozen=True)
class Death:
    """How a service ended by itself."""

    name: str
    returncode: int
    """As of a child process: negative for a signal."""
    log: str

    def __str__(self) -> str:
        """What ended, how, and the last line of its log, most often the reason."""
        phrase = f"{self.name} {exit_phrase(self.returncode)}"
        if self.returncode < 0:  # a process that is killed has no time to log why
            return phrase
        return f"{phrase}: {_last_line(self.log) or 'its log is empty'}"


def unexpected_exit(death: Death, log_path: str) -> str:
    """Return the message for a service whose exit ends the fleet: the end of its log, and why."""
    lines = death.log.splitlines()[-NUM_LOG_LINES:]
    if not lines:
        return str(death)
    tail = "\n".join(prefix_lines(death.name, parse_log_line(line).text) for line in lines)
    return f"last lines of {log_path}:\n{tail}\n{death}"


def restarting(death: Death, delay_s: float) -> str:
    """Return the line for a service that died and is started again after `delay_s`."""
    return f"{death}; starting it again in {delay_s:g} s"


def restarted(name: str) -> str:
    """Return the line for a service that was started again."""
    return f"{name} was started again"


def not_started(name: str, reason: str) -> str:
    """Return the line for a service that the system cannot start now."""
    return f"{name} cannot be started: {reason}"


def not_restarted(death: Death, log_path: str) -> str:
    """Return the line for a service that died too often to be started again."""
    return f"{death}; it died too often and is not started again; its log is {log_path}"


def no_pods_left(total: int) -> str:
    """Return the message before a fleet ends that has no pod left."""
    return f"{'the pod' if total == 1 else f'all {total} pods'} died too often: stopping"


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()]
    return parse_log_line(lines[-1]).text.splitlines()[0] if lines else ""


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


def logs_kept(folder: str) -> str:
    """Return the message after a stop that was not clean."""
    return f"the logs are in {folder}"


def starting(model: str, total: int, gpus: Sequence[str]) -> str:
    """Return the message before anything starts."""
    pods = "1 pod" if total == 1 else f"{total} pods"
    gpu = "GPU" if len(gpus[:total]) == 1 else "GPUs"
    device = f"on {gpu} {', '.join(gpus[:total])}" if gpus else "on the CPU"
    return f"starting a router and {pods} of {model} {device}"


@dataclass(frozen=True)
class Examples:
    """What the example commands need to know."""

    clip: str
    """Path of an audio file."""
    program: tuple[str, ...]
    """The command line: `flamingo` where a shell finds it, otherwise its path."""
    default_url: str
    """The address that the command line uses without `--url`."""

    def command(self, verb: str, address: str) -> str:
        """Return a command about the clip, for a shell."""
        url = () if address == self.default_url else ("--url", address)
        return shlex.join([*self.program, verb, self.clip, *url])


def ready(
    address: str, model: str, log_folder: str, examples: Examples, *, batches_dir: str | None = None
) -> str:
    """Return the message for a fleet that is ready: how to use it."""
    upload = f"-F {shlex.quote('file=@' + examples.clip)}"
    lines = [
        f"The fleet is ready at {address}",
        "",
        f"  web page   {address}/ui",
        f"  caption    curl -s {address}/v1/audio/captions {upload}",
        f"  embedding  curl -s {address}/v1/audio/embeddings -F pooling=mean {upload}",
        f"  terminal   {examples.command('chat', address)}",
        *([] if batches_dir is None else [f"  batches    kept in {batches_dir}"]),
        f"  logs       {log_folder}",
        "",
        "Press ctrl-C to stop.",
    ]
    if model.startswith("flamingo-tiny"):
        lines[1:1] = [f"({model} is a test model with random weights: its output is meaningless)"]
    return "\n".join(lines)
