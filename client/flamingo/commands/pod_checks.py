"""The pod's own checks of `flamingo doctor`, in a process of their own: an import can crash it."""

import subprocess
import threading
from collections.abc import Iterator, Sequence

from flamingo_common.service import extras
from flamingo_common.service.checks import Check, failed


def run(command: Sequence[str], *, timeout_s: float) -> Iterator[Check]:
    """Yield the checks that `command` prints, a line of JSON each, and one more if it fails.

    The process is killed after `timeout_s`, or when the iterator is closed.
    """
    has_timed_out = threading.Event()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:

        def stop() -> None:
            has_timed_out.set()
            process.kill()

        timer = threading.Timer(timeout_s, stop)
        timer.start()
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            for line in process.stdout:
                yield Check.model_validate_json(line)
            log = process.stderr.read().strip().splitlines()
            process.wait()
        finally:
            timer.cancel()
            process.kill()
    if has_timed_out.is_set():
        yield failed(
            "pod",
            f"the next check did not end: stopped after {timeout_s:g} s",
            "is a disk, the hub or the GPU not responding? `flamingo serve` logs what it waits for",
        )
    elif process.returncode:
        reason = log[-1] if log else f"exit status {process.returncode}"
        yield failed("pod", f"the checks crashed: {reason}", extras.advice("pod"))
