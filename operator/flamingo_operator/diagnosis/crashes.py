"""Why a container terminated: by its exit status, its signal and the end of its log.

The exit statuses of our programs mean something else in a user's container: a sidecar that exits
with 10 does not have a broken GPU.

Pure.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from flamingo_common.service.exit_status import ExitStatus
from flamingo_operator.api import names
from flamingo_operator.diagnosis import causes
from flamingo_operator.diagnosis.causes import Cause

Json: TypeAlias = Mapping[str, Any]


def termination(container: Json) -> Json:
    """Return the container's last termination, or an empty object."""
    for state in ("state", "lastState"):
        terminated: Json | None = (container.get(state) or {}).get("terminated")
        if terminated is not None:
            return terminated
    return {}


def explain_crash(container: Json, warnings: str) -> tuple[Cause, str, str]:
    """Return cause, message and hint; the hint is empty if it is the cause's.

    `warnings` has the messages of the pod's events.
    """
    terminated, name = termination(container), container.get("name", "")
    if name in names.COMPONENTS:
        return *_of_our_program(terminated, warnings), ""
    log_tail = str(terminated.get("message") or "")
    message = _with_last_line(_exit_text(terminated), log_tail)
    hint = f"{_added(name)}; check its logs: kubectl logs"
    return "CrashLoop", f"container {name}: {message}", hint


def image_hint(container: Json) -> str:
    """Return what to do about an image; empty if it is one of ours."""
    name = container.get("name", "")
    return "" if name in names.COMPONENTS else f"{_added(name)}; check its image"


def _added(name: str) -> str:
    return f"container {name} was added by podTemplate or by a webhook"


def _of_our_program(terminated: Json, warnings: str) -> tuple[Cause, str]:
    code, log_tail = int(terminated.get("exitCode", 0)), str(terminated.get("message") or "")
    if terminated.get("reason") == "OOMKilled":
        return "OutOfMemory", _exit_text(terminated)
    if terminated.get("reason") in {"StartError", "ContainerCannotRun"}:
        return "StartError", log_tail.rpartition("process: ")[2] or log_tail
    status = _exit_status(code)
    if status is None or status in causes.AMBIGUOUS_EXITS:
        for pattern, reason, why in causes.LOG_TAIL_PATTERNS:
            if pattern.search(log_tail):
                return reason, f"{why}: {_last_line(log_tail)}"
    if status is not None:
        message = f"exit status {code}: {status.meaning.rstrip('.')}"
        return causes.CAUSE_BY_EXIT[status], _with_last_line(message, log_tail)
    probe = re.search(r"(Liveness|Startup) probe failed", warnings)
    if code in {137, 143} and probe:
        return "ProbeFailing", f"killed: the {probe[1].lower()} probe failed"
    return "CrashLoop", _with_last_line(_exit_text(terminated), log_tail)


def _exit_text(terminated: Json) -> str:
    if terminated.get("reason") == "OOMKilled":
        return "killed: the container exceeded its memory limit"
    code = int(terminated.get("exitCode", 0))
    signal = f" ({causes.SIGNAL_NAMES[code]})" if code in causes.SIGNAL_NAMES else ""
    return f"exit status {code}{signal}"


def _exit_status(code: int) -> ExitStatus | None:
    """Return the exit status of our own programs; None for any other code."""
    return next((one for one in causes.CAUSE_BY_EXIT if one == code), None)


def _with_last_line(message: str, log_tail: str) -> str:
    return f"{message}; {_last_line(log_tail)}" if log_tail.strip() else message


def _last_line(log_tail: str) -> str:
    """Return the last line, without addresses and times, which differ between crashes."""
    lines = log_tail.strip().splitlines()
    return re.sub(r"0x[0-9a-f]+|\d{4}-\d\d-\d\dT[\d:.]+Z?", "…", lines[-1]) if lines else ""
