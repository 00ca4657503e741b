"""Limits that a worker process sets for itself: memory, CPU time, and the life of its parent."""

import ctypes
import math
import resource
import signal
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


def limit_memory(num_bytes: int) -> None:
    """Limit the address space to `num_bytes` beyond what is mapped now; write no core dumps.

    Relative, since the libraries' size differs by machine.
    """
    limit = _mapped_bytes() + num_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_cpu_time(max_cpu_s: float) -> None:
    """Limit the CPU time from now on; a process that exceeds it is ended by SIGXCPU."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    spent_s = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(spent_s + max_cpu_s), hard))


def end_with_parent() -> None:
    """Leave Ctrl-C to the parent, and be killed when it ends.

    By the kernel: pebble's workers share their pipe, so none of them would ever read end-of-file.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _mapped_bytes() -> int:
    num_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return num_pages * resource.getpagesize()
